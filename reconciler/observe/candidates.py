"""Which files of a home could be an app's script, whatever is in them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from reconciler.observe.beneath import Tree, Unreadable
from reconciler.pruning import PYVENV, looked_into

_MAX_DIRECTORIES = 1024
"""Directories looked into of one home; the served script is looked at in any case."""
_MAX_LINKS = 8
"""Links told of where a home has nothing else; one is enough to see why nothing is served."""


def find(home: Tree, patterns: Sequence[str]) -> tuple[list[str], int]:
    """Return the scripts where `patterns` say one can be, and how many directories there are.

    Raises:
        Unreadable: the home itself could not be read.
    """
    wanted = _by_depth(tuple(patterns))
    found: list[str] = []
    links: list[str] = []
    deepest = max(wanted)
    directories = 0
    level = [""]
    for depth in range(deepest + 1):
        below: list[str] = []
        names = wanted.get(depth, [])
        for path in level:
            try:
                entries = home.entries(path) if depth < deepest else {}
            except Unreadable:
                if not path:
                    raise
                # A file system of the student's own, closed to root: what is in it stays
                # unknown, and the rest of the home does not.
                entries = {}
                directories += 1
                home.all_read = False
            try:
                found += filter(home.look, (_below(path, name) for name in names))
                inside = PYVENV in entries
                for name, kind in entries.items():
                    if not looked_into(name, in_virtualenv=inside):
                        continue
                    if kind == "directory":
                        directories += 1
                        if directories <= _MAX_DIRECTORIES:
                            below.append(_below(path, name))
                    elif kind == "link" and len(links) < _MAX_LINKS:
                        links.append(_below(path, name))
            except Unreadable:
                home.all_read = False
        level = below
    if not found:
        # A link is not followed, so what is behind it is not known; but where a home has nothing
        # else, the link is the likeliest reason why nothing is served.
        name = patterns[0].rpartition("/")[2]
        found += [f"{link}/{name}" for link in links]
    return found, directories


@cache
def _by_depth(patterns: tuple[str, ...]) -> dict[int, list[str]]:
    """Return the names that the patterns have at each depth."""
    wanted: dict[int, list[str]] = {}
    for pattern in sorted(set(patterns)):
        wanted.setdefault(pattern.count("/"), []).append(pattern.rpartition("/")[2])
    return wanted


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
