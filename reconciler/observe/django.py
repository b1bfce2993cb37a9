"""Which files of a home are a project's settings.

A script names its settings module, and those of a package import one another. What they say is for
the parser's helper to tell (`roots.py`); here, nothing of a text is believed but names of modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.observe.interior import Interior, below
from reconciler.observe.source import SOURCE_LIMIT, settings_request

_MAX_FILES = 4
"""Of one project's settings: base, production, and what else they import; 64 KiB together."""
_NAME = rb"\w{1,99}(?:\.\w{1,99}){0,9}"
_MODULE = re.compile(
    rb"""DJANGO_SETTINGS_MODULE["'][ \t]*\]?[ \t]*[,=]\s*["'](%b)["']""" % _NAME, re.ASCII
)
_IMPORTS = re.compile(rb"^[ \t]*from[ \t]+(\.{0,9})(%b)[ \t]+import\b" % _NAME, re.M | re.ASCII)
_SAYS = re.compile(
    rb"""^(?!STATIC_URL[ ]?=[ ]?["']/?static/["'][ \t\r]*$).*(?:STATIC|MEDIA)_(?:ROOT|URL)""", re.M
)
"""A line that says something of them which `startproject` had not written: *measured*, to ask the
helper about a settings.py takes 0.5 ms, twice what all else takes that is seen of a new home."""


@dataclass(frozen=True, slots=True)
class SettingsFiles:
    """A project's settings, as they were read."""

    path: str
    """Of the module that the script names, relative to the home."""
    request: bytes | None
    """What to ask the helper; None where the text says no more than a new project's."""


def module_named(text: bytes) -> str | None:
    """Return the settings module that a text names, as `manage.py` and `wsgi.py` do."""
    named = _MODULE.search(text)
    return None if named is None else named[1].decode()


def settings_of(home: Interior, project: str, package: str, script: bytes) -> SettingsFiles | None:
    """Return what a script's text calls its settings, where they are found."""
    module = module_named(script)
    if module is None:
        return None
    roots = dict.fromkeys([project, package, package.rpartition("/")[0]])
    found = next(filter(None, (_file_of(home, root, module) for root in roots)), None)
    if found is None:
        return None
    root, first = found
    files = list(_read(home, root, first, module.partition(".")[0]))
    if not any(_SAYS.search(text) for _, text in files):
        return SettingsFiles(first, None)
    return SettingsFiles(first, settings_request(files))


def _read(home: Interior, root: str, first: str, package: str) -> Iterator[tuple[str, bytes]]:
    """Yield the settings, and what of their own package they import: each file once."""
    left, known, room = [first], {first}, SOURCE_LIMIT
    while left:
        path = left.pop(0)
        text = home.read(path, room)
        if text is None or b"\0" in text:
            continue
        room -= len(text)
        yield path, text
        for match in _IMPORTS.finditer(text):
            level, name = len(match[1]), match[2].decode()
            found = _imported(home, root, path, level, name, package)
            if found is not None and found not in known and len(known) < _MAX_FILES:
                known.add(found)
                left.append(found)


def _imported(
    home: Interior, root: str, path: str, level: int, name: str, package: str
) -> str | None:
    if level == 0:
        # Of what is installed there is no file in the project, so that each would be looked for.
        found = _file_of(home, root, name) if name.partition(".")[0] == package else None
    else:
        here = path
        for _ in range(level):
            here = here.rpartition("/")[0]
        found = _file_of(home, here, name)
    return None if found is None else found[1]


def _file_of(home: Interior, root: str, module: str) -> tuple[str, str] | None:
    """Return the root and the file of a module below it."""
    base = below(root, module.replace(".", "/"))
    for path in (f"{base}.py", f"{base}/__init__.py"):
        directory, _, name = path.rpartition("/")
        if path.isascii() and home.is_file(directory, name):
            return root, path
    return None
