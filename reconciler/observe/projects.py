"""What belongs to a script: its project, its static files, its virtualenv, its owner's wishes."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from typing import TypedDict

from reconciler.model import NO_WISHES, Account, Fault, Node, Static, Virtualenv, Wishes
from reconciler.observe import descent
from reconciler.observe.django import settings_of
from reconciler.observe.interior import Interior, below
from reconciler.observe.links import PLAIN_PATH, Links
from reconciler.observe.source import Roots
from reconciler.observe.virtualenvs import Virtualenvs, levels

WISHES = ".slp.toml"
_WISHES_LIMIT = 8 * 1024
_MAX_DEPTH = 32
"""Names on the way to what a student wishes for: each is opened at each look at the home."""
_REQUIREMENTS = "requirements.txt"


class Project(TypedDict):
    """What `Projects.find` found: fields of a `Script`, as they are described there."""

    project: str
    links: tuple[Static, ...]
    virtualenv: Virtualenv | None
    settings: str | None
    static_root: str | None
    requirements: str | None


class Projects:
    """Finds what belongs to a script, for one version of Python."""

    def __init__(self, python: str) -> None:
        self._python = python

    def find(
        self,
        home: Interior,
        base: str,
        script: str,
        text: bytes,
        *,
        url: str,
        roots: Callable[[bytes], Roots],
        static: str | None,
        virtualenv: str | None,
    ) -> Project:
        """Return what belongs to `script`, a path relative to `home`, which says `text`.

        `url` is the app's own; `roots` tells what settings say that are in a request to the helper.
        `static` and `virtualenv` are what a setting names: relative to the home; a virtualenv of
        the administrator's may be absolute.

        Raises:
            Unreadable: it could not be told.
        """
        package = script.rpartition("/")[0]
        project = _project(home, package)
        settings = settings_of(home, project, package, text)
        said = roots(settings.request) if settings and settings.request else Roots()
        path = settings.path if settings else None
        links = Links(home, base, url, project, package, path, said)
        return Project(
            project=project,
            links=links.find(static),
            virtualenv=Virtualenvs(home, base, self._python).find(project, virtualenv),
            settings=path,
            static_root=links.below_home(said.static_root),
            requirements=_requirements(home, project),
        )


def _requirements(home: Interior, project: str) -> str | None:
    """Return the list of its packages: beside it, or above it in the repository."""
    for level in levels(project):
        if home.is_file(level, _REQUIREMENTS):
            return below(level, _REQUIREMENTS)
    return None


def _project(home: Interior, package: str) -> str:
    parent = package.rpartition("/")[0]
    if home.is_file(parent, "manage.py"):
        return parent
    if home.is_file(package, "manage.py"):
        return package
    return parent if "/" in package else package


def read_wishes(home: Interior, account: Account) -> Wishes:
    """Return what `~/.slp.toml` says, or what is wrong with its text.

    Raises:
        Unreadable: it could not be told.
    """
    file = home.node_at(WISHES)
    if file is None:
        return NO_WISHES
    nodes = (home.home, file)
    if file.kind != "file":
        return Wishes(nodes)
    found = descent.open_file(WISHES, at=home.descriptor)
    if found is None:
        return Wishes(nodes)
    fd, status = found
    try:
        opened = descent.node(WISHES, status)  # what was opened, whatever it was
        nodes = (home.home, opened)
        if opened.uid != account.uid or opened.links != 1 or opened.size > _WISHES_LIMIT:
            return Wishes(nodes)
        data = descent.read(fd, _WISHES_LIMIT)
    finally:
        os.close(fd)
    try:
        document = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Wishes(nodes, Fault("encoding", line, f"line {line} is not UTF-8"))
    except tomllib.TOMLDecodeError as error:
        told = re.search(r"at line (\d+)", str(error))
        line = int(told.group(1)) if told else data.count(b"\n") + 1  # "at end of document"
        return _wrong(nodes, line, str(error))
    except RecursionError:
        return _wrong(nodes, 1, "too deeply nested")
    except ValueError as error:  # a number of thousands of digits, a date of month 13
        return _wrong(nodes, 1, str(error))
    return _wishes(nodes, document, data.decode())


def _wrong(nodes: tuple[Node, ...], line: int, why: str) -> Wishes:
    return Wishes(nodes, Fault("syntax-error", line, why[:200]))  # a key may have 8 KiB


def _wishes(nodes: tuple[Node, ...], document: dict[str, object], text: str) -> Wishes:
    said: dict[str, str] = {}
    enabled = True
    for key, value in document.items():
        line = next(
            (n for n, row in enumerate(text.splitlines(), 1) if row.strip().startswith(key)), 1
        )
        why = None
        if key == "enabled" and isinstance(value, bool):
            enabled = value
            continue
        if key == "enabled":
            why = "enabled is to be true or false, without quotes"
        elif key not in {"script", "static", "virtualenv"}:
            why = f"{key!r} is not one of script, static, virtualenv, enabled"
        elif not isinstance(value, str):
            why = f"{key} is to be a path in quotes"
        elif not PLAIN_PATH.fullmatch(value) or {".", ".."} & set(value.split("/")):
            why = f"{key} is to be a plain path below the home, such as mysite/mysite"
        elif value.count("/") >= _MAX_DEPTH:
            why = f"{key} is to be at most {_MAX_DEPTH} names deep"
        elif key == "script" and "/" not in value:
            why = "script is to be in a directory below the home, such as mysite/mysite/wsgi.py"
        if why is not None:
            return _wrong(nodes, line, why)
        said[key] = str(value)
    script, static, virtualenv = map(said.get, ("script", "static", "virtualenv"))
    return Wishes(nodes, None, script, static, virtualenv, enabled)
