"""Which directories of a home are worth a watch, and which names are worth a wake."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase, translate

VIRTUALENVS = frozenset({"venv", ".venv", "env", ".env", "ENV", "virtualenv", ".virtualenv"})
"""Names that are a virtualenv, or are about to be one. `python -m venv` takes seconds, and its
`mkdir` alone would wake us long before it can be used; so a directory of such a name is watched
until its `pyvenv.cfg` is written, and then no more (one has thousands of directories)."""

NOISE = frozenset({"__pycache__", "node_modules", "site-packages"})
"""Neither watched nor a reason to wake: programs make and remove these, not people."""

PRUNED = NOISE | {"static", "media"}
"""Not watched. Their own coming and going wakes, since they are served."""

PYVENV = "pyvenv.cfg"
PARTS = frozenset({"bin", "include", "lib", "lib64", "share", "etc"})
"""What is the virtualenv's own in a directory that holds `pyvenv.cfg`, and is not watched. The
directory itself is: students make one, and their project inside it, with `manage.py` beside
`pyvenv.cfg`."""

_NAMES = ("manage.py", ".slp.toml", PYVENV, "static")

Tails = frozenset[tuple[str, ...]]


class Level:
    """What is still to be matched below a directory. Shared by all directories of a kind."""

    __slots__ = ("_cache", "_interned", "_plain", "deep", "tails", "waiting")

    def __init__(self, tails: Tails, interned: dict[Tails, Level]) -> None:
        self.tails = tails
        self.deep = any(len(tail) > 1 for tail in tails)
        """Directories in it may be watched, so it has to be read."""
        self.waiting = not tails
        """It has the name of a virtualenv: watched until it is one."""
        self._interned = interned
        self._plain = all(tail[0] == "*" for tail in tails if len(tail) > 1)
        self._cache: Level | None = None
        interned[tails] = self

    def kid(self, name: str) -> Level | None:
        """The level of a directory of that name in here; None where it needs no watch."""
        if not self.deep:
            return None
        if name in VIRTUALENVS:
            return self._interned[frozenset()]
        if name.startswith(".") or name in PRUNED:
            return None
        if self._plain and self._cache is not None:
            return self._cache
        tails = frozenset(t[1:] for t in self.tails if len(t) > 1 and fnmatchcase(name, t[0]))
        if not tails:
            return None
        level = self._interned.get(tails) or Level(tails, self._interned)
        self._cache = level
        return level


class Rules:
    """The patterns of the scripts, made ready for a question per event."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Takes glob patterns relative to a home, such as `*/*/wsgi.py`."""
        tails = frozenset(tuple(p.strip("/").split("/")) for p in patterns)
        interned: dict[Tails, Level] = {}
        Level(frozenset(), interned)
        self.home = interned.get(tails) or Level(tails, interned)
        lasts = {tail[-1] for tail in tails}
        globs = {last for last in lasts if any(c in last for c in "*?[")}
        self._names = frozenset(n.encode("utf-8", "surrogateescape") for n in (*_NAMES, *lasts))
        self._globs = re.compile("|".join(map(translate, globs)).encode()) if globs else None

    def matters(self, name: bytes) -> bool:
        """Whether a file of that name says something about an app.

        Asked for every event that the kernel delivers, and so on the name's bytes: a student's
        `*.pyc` and `db.sqlite3` are most of what happens in a home.
        """
        if name in self._names:
            return True
        return self._globs is not None and self._globs.match(name) is not None


def noise(name: str) -> bool:
    """Whether a directory of that name says nothing, even by coming or going."""
    return name in NOISE or (name.startswith(".") and name not in VIRTUALENVS)
