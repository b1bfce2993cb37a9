"""Which virtualenv a script runs in: the one that is named, or one where people put theirs.

Beside the project, where `python -m venv`, poetry, pipenv and uv make it; one and two levels above,
as in a repository with the project in a folder; in the home; or the home's only one, whatever it is
called. One with packages for the Python that runs the app is taken before any other.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping

from reconciler.model import Virtualenv
from reconciler.observe import descent
from reconciler.observe.descent import Unreadable
from reconciler.observe.interior import Interior
from reconciler.observe.interpreter import Interpreter
from reconciler.observe.links import is_directory, is_plain
from reconciler.pruning import PYVENV

_NAMES = (".venv", "venv", "env", "virtualenv")
_ABOVE = 2
"""Levels above the project that are looked at; the home is in any case."""
_OLDEST = (3, 9)
"""The Python that the runner is written for."""
_LIMIT = 4096  # bytes of a pyvenv.cfg, which has some 200


class Virtualenvs:
    """Finds what belongs to a script, for one version of Python, in one home."""

    def __init__(self, home: Interior, base: str, python: Interpreter) -> None:
        self._home = home
        self._base = base
        self._python = python

    def find(self, project: str, named: str | None) -> Virtualenv | None:
        """Return it; `named` is what a setting names: absolute, or relative to the home.

        Raises:
            Unreadable: it could not be told.
        """
        if named is not None and named.startswith("/"):
            return self._administrators(named)
        if named is not None:
            return self._at(named, chosen=True)
        unfit = None
        for path in self._places(project):
            found = self._at(path, chosen=False)
            if found.site_packages is not None:
                return found
            unfit = unfit or found
        return unfit

    def _places(self, project: str) -> Iterator[str]:
        """Yield virtualenvs, the nearest first."""
        home, found = self._home, False
        for level in levels(project):
            names = (name for name in _NAMES if home.may_be_directory(level, name))
            for path in (*(_below(level, name) for name in names), level):
                # A project may also lie inside of a virtualenv: students make one, and go there.
                if home.is_file(path, PYVENV):
                    found = True
                    yield path
        if not found:
            others = home.holders(PYVENV)
            yield from others if len(others) == 1 else ()

    def _at(self, path: str, *, chosen: bool) -> Virtualenv:
        place = _below(self._base, path)
        text = self._home.read(_below(path, PYVENV), _LIMIT) if is_plain(path) or not path else None
        packages = _below(path, self._packages(text))
        there = is_directory(self._home, packages)
        return _virtualenv(place, chosen, f"{self._base}/{packages}" if there else None, text)

    def _administrators(self, path: str) -> Virtualenv:
        """One that is named by the administrator, so trusted; looked at as who is to run it."""
        text = _read(path)
        full = f"{path}/{self._packages(text)}"
        return _virtualenv(path, True, full if os.path.isdir(full) else None, text)

    def _packages(self, text: bytes | None) -> str:
        """Return where in one whose file says this the packages are, for who runs its app."""
        own = _version(_says(text)) if self._python.gives_way else None
        runs = own is not None and tuple(map(int, own.split("."))) >= _OLDEST
        return f"lib/python{own if runs else self._python.version}/site-packages"


def levels(project: str) -> list[str]:
    """Return the project and what is above it, as far as is looked, and the home."""
    levels = [project]
    while levels[-1] and len(levels) <= _ABOVE:
        levels.append(levels[-1].rpartition("/")[0])
    return levels if levels[-1] == "" else [*levels, ""]


def _below(path: str, name: str) -> str:
    return "/".join(filter(None, (path, name)))


def _read(path: str) -> bytes | None:
    """Return what the file of a virtualenv says; None where that cannot be told."""
    with contextlib.suppress(Unreadable), contextlib.ExitStack() as left:
        directory = descent.open_root(path)
        left.callback(os.close, directory)
        opened = descent.open_file(PYVENV, at=directory)
        if opened is not None:
            left.callback(os.close, opened[0])
            return descent.read(opened[0], _LIMIT)
    return None


def _says(text: bytes | None) -> dict[str, str]:
    """Return what a pyvenv.cfg says, by the rules of Python's own `site`."""
    if text is None:
        return {}
    lines = (line.partition("=") for line in text.decode(errors="replace").splitlines())
    return {key.strip().lower(): value.strip() for key, sign, value in lines if sign}


def _virtualenv(path: str, chosen: bool, packages: str | None, text: bytes | None) -> Virtualenv:
    says = _says(text)
    word = says.get("include-system-site-packages")
    system = word is None or word.lower() == "true"
    return Virtualenv(path, chosen, packages, system, _version(says))


def _version(says: Mapping[str, str]) -> str | None:
    found = re.match(r"[0-9]{1,2}\.[0-9]{1,3}", says.get("version", says.get("version_info", "")))
    return found[0] if found else None
