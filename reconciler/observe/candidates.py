"""Which files of a home could be an app's script, whatever is in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from reconciler.observe import beneath
from reconciler.observe.beneath import Tree, Unreadable

_MAX_DIRECTORIES = 1024
"""Directories looked into of one home; the served script is looked at in any case."""
_MAX_ENTRIES = 4096
"""Names read of one directory; a project has a few dozen."""
_MAX_LINKS = 8
"""Links told of where a home has nothing else; one is enough to see why nothing is served."""
_PRUNED = frozenset(
    {"node_modules", "__pycache__", "site-packages", "static", "media", "venv", "env", "virtualenv"}
)


def find(home: Tree, patterns: Sequence[str]) -> tuple[list[str], int]:
    """Return the scripts where `patterns` say one can be, and how many directories there are.

    Raises:
        Unreadable: the home itself could not be read.
    """
    wanted: dict[int, set[str]] = {}
    for pattern in patterns:
        wanted.setdefault(pattern.count("/"), set()).add(pattern.rpartition("/")[2])
    found: list[str] = []
    links: list[str] = []
    deepest = max(wanted)
    directories = 0
    level = [""]
    for depth in range(deepest + 1):
        below: list[str] = []
        for path in level:
            try:
                _, descriptor = home.walk(path)
                if descriptor is None:
                    continue
                found += _named(descriptor, path, wanted.get(depth, set()))
                for name, is_link in _directories(descriptor) if depth < deepest else ():
                    here = f"{path}/{name}".lstrip("/")
                    if not is_link:
                        directories += 1
                        if directories <= _MAX_DIRECTORIES:
                            below.append(here)
                    elif len(links) < _MAX_LINKS:
                        links.append(here)
            except Unreadable:
                if not path:
                    raise
                # A file system of the student's own, closed to root: what is in it stays
                # unknown, and the rest of the home does not.
                directories += 1
                home.all_read = False
        level = below
    if not found:
        # A link is not followed, so what is behind it is not known; but where a home has nothing
        # else, the link is the likeliest reason why nothing is served.
        name = patterns[0].rpartition("/")[2]
        found += [f"{link}/{name}" for link in links]
    return found, directories


def _named(descriptor: int, path: str, names: set[str]) -> list[str]:
    return [
        f"{path}/{name}"
        for name in sorted(names)
        if beneath.look(name, name, at=descriptor) is not None
    ]


def _directories(descriptor: int) -> Iterator[tuple[str, bool]]:
    """Yield names of directories and links in which a script could be, the latter with True."""
    try:
        with os.scandir(descriptor) as entries:
            for entry, _ in zip(entries, range(_MAX_ENTRIES), strict=False):
                if entry.name.startswith(".") or entry.name in _PRUNED:
                    continue
                if entry.is_symlink():
                    yield entry.name, True
                elif entry.is_dir(follow_symlinks=False):
                    yield entry.name, False
    except OSError as error:
        raise Unreadable(f"{error.strerror}") from error
