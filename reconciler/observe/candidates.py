"""Which files of a home could be an app's script, whatever is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from reconciler.observe.descent import Unreadable
from reconciler.observe.interior import Interior
from reconciler.pruning import PYVENV, looked_into

_MAX_DIRECTORIES = 1024
"""Directories looked into of one home; the served script is looked at in any case."""
_MAX_BLAMED = 8
"""Links and closed directories told of where a home has nothing else; one is enough to see why."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What `find` found."""

    paths: list[str]
    directories: int
    """Directories that may hold a script, as far as they were counted."""
    unseen: int
    """Those of them that were not looked into, and directories that were not read to their end."""
    looked: list[str]
    """Directories that were read, the shallowest first."""
    deepest: list[str]
    """Those that were not read, as no script of the patterns can be further down."""


def find(home: Interior, patterns: Sequence[str]) -> Candidates:
    """Return the scripts where `patterns` say one can be, and what was left out.

    Raises:
        Unreadable: the home itself could not be read.
    """
    wanted = _by_depth(tuple(patterns))
    found: list[str] = []
    blamed: list[str] = []
    deepest = max(wanted)
    directories = 0
    level = [""]
    looked: list[str] = []
    for depth in range(deepest + 1):
        below: list[str] = []
        names = wanted.get(depth, [])
        for path in level:
            try:
                entries = home.entries(path) if depth < deepest else {}
                found += filter(home.node_at, (_below(path, name) for name in names))
                in_virtualenv = bool(entries) and home.is_file(path, PYVENV)
                for name, kind in entries.items():
                    if not looked_into(name, in_virtualenv=in_virtualenv):
                        continue
                    if kind == "directory":
                        directories += 1
                        if directories <= _MAX_DIRECTORIES:
                            below.append(_below(path, name))
                    elif kind == "link":
                        blamed.append(_below(path, name))
            except Unreadable:
                if not path:
                    raise
                # Closed to its own student, or a file system that is away: what is in it stays
                # unknown, and the rest of the home does not.
                home.all_read = False
                if _is_the_students(home, path):
                    blamed.append(path)
        if depth < deepest:
            looked += level
            level = below
    if not found:
        # What is behind a link, or in a directory that its own student may not read, is not known;
        # but where a home has nothing else, that is the likeliest reason why nothing is served.
        name = patterns[0].rpartition("/")[2]
        found = [f"{path}/{name}" for path in blamed[:_MAX_BLAMED]]
    unseen = max(0, directories - _MAX_DIRECTORIES) + len(home.cut)
    return Candidates(found, directories, unseen, looked, level)


def _is_the_students(home: Interior, path: str) -> bool:
    found = home.node_at(path)
    return found is not None and found.uid == home.home.uid


@cache
def _by_depth(patterns: tuple[str, ...]) -> dict[int, list[str]]:
    """Return the names that the patterns have at each depth."""
    wanted: dict[int, list[str]] = {}
    for pattern in sorted(set(patterns)):
        wanted.setdefault(pattern.count("/"), []).append(pattern.rpartition("/")[2])
    return wanted


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
