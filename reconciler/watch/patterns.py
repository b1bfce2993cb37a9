"""Which directories of a home can hold a script, and which names are worth a wake."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase, translate
from functools import lru_cache

from reconciler.pruning import PROGRAMS_OWN, PYVENV, VIRTUALENVS, looked_into

_NAMES = (
    "manage.py", ".slp.toml", PYVENV, "requirements.txt", "settings.py", "static", "staticfiles",
    "media", "__init__.py", "app.py", "application.py", "asgi.py", "main.py",
)  # fmt: skip
"""What an app consists of besides, and what is there where a script is missing. Settings of other
names, in a package of their own, are seen by the resync; the app itself follows them at once."""

Tails = frozenset[tuple[str, ...]]
"""What of the patterns is still to be matched in a directory; empty: no script can be there."""


class Patterns:
    """The patterns of the scripts, made ready for a question per event."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Takes globs relative to a home, such as `*/*/wsgi.py`."""
        self._home = frozenset(tuple(p.strip("/").split("/")) for p in patterns)
        lasts = {tail[-1] for tail in self._home}
        globs = {last for last in lasts if any(c in last for c in "*?[")}
        self._names = frozenset(n.encode("utf-8", "surrogateescape") for n in (*_NAMES, *lasts))
        self._globs = re.compile("|".join(map(translate, globs)).encode()) if globs else None

    def at(self, path: str) -> Tails:
        """What is still to be matched in a home, or in a directory of one."""
        tails = self._home
        for name in path.split("/")[1:]:
            tails = _below(tails, name)
        return tails

    def matters(self, name: bytes) -> bool:
        """Whether a file of that name says something about an app.

        Asked for every event that the kernel delivers, and so on the name's bytes: a student's
        `*.pyc` and `db.sqlite3` are most of what happens in a home.
        """
        if name in self._names:
            return True
        return self._globs is not None and self._globs.match(name) is not None


@lru_cache(maxsize=1024)
def _below(tails: Tails, name: str) -> Tails:
    if name in VIRTUALENVS:
        return frozenset()
    return frozenset(t[1:] for t in tails if len(t) > 1 and fnmatchcase(name, t[0]))


@lru_cache(maxsize=64)
def is_deep(tails: Tails) -> bool:
    """Whether directories may be watched there, so that it has to be read."""
    return any(len(tail) > 1 for tail in tails)


def is_wanted(tails: Tails, name: str, *, in_virtualenv: bool = False) -> bool:
    """Whether a directory of that name is watched there.

    One that a virtualenv is called is, until it is one: `python -m venv` takes seconds, and its
    `mkdir` alone would wake us long before it can be used. (It has thousands of directories.)
    """
    if name in VIRTUALENVS:
        return is_deep(tails)
    return looked_into(name, in_virtualenv=in_virtualenv) and bool(_below(tails, name))


def is_noise(name: str) -> bool:
    """Whether a directory of that name says nothing, even by coming or going."""
    return name in PROGRAMS_OWN or (name.startswith(".") and name not in VIRTUALENVS)
