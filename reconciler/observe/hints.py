"""What a home without a script has in its place, so that its student can be told what to do.

A script one level deeper than is looked; or a project without one: Django's, or a file that makes
an app of Flask or of an ASGI framework. Of a text no more is believed than names in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from msgspec.structs import replace

from reconciler.model import Instead, Kind
from reconciler.observe.candidates import Candidates
from reconciler.observe.descent import Unreadable
from reconciler.observe.django import module_named
from reconciler.observe.interior import Interior, below
from reconciler.observe.virtualenvs import Virtualenvs
from reconciler.pruning import PYVENV, looked_into

_MAX_LISTED = 64
"""Directories read one level deeper than is looked."""
_MAX_ASKED = 256
"""Directories in those that are asked for a script."""
_MAX_READ = 16
"""Files whose text is looked at."""
_LIMIT = 64 * 1024
_NAMES = (
    "manage.py", "app.py", "main.py", "application.py", "run.py", "server.py", "index.py",
    "asgi.py", "__init__.py",
)  # fmt: skip
"""Files that may make an app; the last one not in the home itself, which is no package."""
_WSGI, _ASGI = rb"Flask|Bottle|Dash|(?:create|make)_app", rb"FastAPI|Starlette|Quart|Litestar|Sanic"
_APP = re.compile(
    rb"^([A-Za-z_]\w{0,63})[ \t]*(?::[^=\n]{1,80})?=[ \t]*(?:\w{1,63}\.)?(?:(%b)|(?:%b))\("
    % (_WSGI, _ASGI),
    re.M | re.ASCII,
)
_FACTORY = re.compile(rb"^def[ \t]+((?:create|make)_app)[ \t]*\(", re.M | re.ASCII)


def look(
    home: Interior, found: Candidates, patterns: Sequence[str], virtualenvs: Virtualenvs
) -> Instead | None:
    """Return what there is; None where nothing is that this program knows."""
    name = patterns[0].rpartition("/")[2]
    try:
        path = _deeper(home, sorted(found.deepest)[:_MAX_LISTED], name)
        if path is not None:
            return Instead(Kind.DEEP, path, script=path)
        files = islice(_files(home, _by_depth([*found.looked, *found.deepest])), _MAX_READ)
        made = next(filter(None, (_made_of(home, *each, script=name) for each in files)), None)
        if made is not None and made.kind is Kind.ASGI:  # it needs one package more
            venv = virtualenvs.find(made.path.rpartition("/")[0], None)
            made = replace(made, virtualenv=venv.path if venv and venv.site_packages else None)
    except Unreadable:
        home.all_read = False  # it is a hint, and no fault of the home's
        return None
    return made


def _by_depth(directories: list[str]) -> list[str]:
    return sorted(directories, key=lambda path: (path.count("/"), path))


def _deeper(home: Interior, directories: Sequence[str], name: str) -> str | None:
    places = (f"{each}/{below}" for each in directories for below in _below(home, each))
    paths = (f"{place}/{name}" for place in islice(places, _MAX_ASKED))
    return next((path for path in paths if home.node_at(path) is not None), None)


def _below(home: Interior, directory: str) -> list[str]:
    entries = home.entries(directory)
    return sorted(
        name
        for name, kind in entries.items()
        if kind == "directory" and looked_into(name, in_virtualenv=PYVENV in entries)
    )


def _files(home: Interior, directories: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield files that may make an app, the shallowest first: directory and name."""
    for directory in directories:
        for name in _NAMES if directory else _NAMES[:-1]:
            if home.is_listed(directory, name):
                yield directory, name


def _made_of(home: Interior, directory: str, name: str, *, script: str) -> Instead | None:
    path = below(directory, name)
    text = home.read(path, _LIMIT)
    if text is None:
        return None
    settings = module_named(text)
    if settings is not None:
        where = _of_django(home, directory, name, settings)
        return Instead(Kind.DJANGO, path, settings, script=f"{where}/{script}" if where else "")
    made = _APP.search(text) or _FACTORY.search(text)
    if made is None:
        return None
    kind = Kind.FACTORY if made.re is _FACTORY else Kind.WSGI if made[2] else Kind.ASGI
    module = name.removesuffix(".py")
    if name == "__init__.py":  # the package itself is what is imported, from beside it
        directory, _, module = directory.rpartition("/")
    return Instead(kind, path, module, made[1].decode(), _place(directory, script))


def _of_django(home: Interior, directory: str, name: str, settings: str) -> str:
    """Return where a project's script is to be: in the package of its settings."""
    package = below(directory, settings.partition(".")[0])
    beside = name == "asgi.py" or not home.is_directory(package)  # or settings beside manage.py
    return directory if beside else package


def _place(directory: str, script: str) -> str:
    """Return where a script is to be, so that the directory is what it imports from.

    For a script right below a directory of the home that is its own, else the one above it; "" of
    the home itself, in which there can be none.
    """
    if not directory:
        return ""
    return f"{directory}/web/{script}" if "/" in directory else f"{directory}/{script}"
