"""Watching paths that only root can change: the settings, the account database, the homes' root."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Sequence

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

from reconciler.watch.opening import arrived_whole, directories, open_own
from reconciler.watch.patterns import is_noise
from reconciler.watch.table import Table
from reconciler.watch.wake import Notes

_C = InotifyConstants
_log = logging.getLogger(__name__)

CHILDREN = 64
"""Entries read of a directory given as a file, for its directories to be watched too: a set of
templates is one, and there are a handful."""


class OwnPaths:
    """The caller's files and the root of the homes, with every directory on the way to each.

    A file is watched by its directory, since editors and `useradd` replace it by a rename; and
    that directory by its own, since that may be replaced too, or be absent yet.
    """

    def __init__(self, table: Table, root: str, files: Sequence[str]) -> None:
        self._table = table
        self._root = root
        self._absolute = {given: os.path.abspath(given) for given in (root, *files)}
        self._identities = {given: _identity(given) for given in self._absolute}
        self._due: set[str] = set()
        self.refused = 0
        """Directories that the kernel refused to watch."""

    def look_again(self) -> None:
        """Has all that is there watched, and all that is no more let go, when next settled."""
        self._due.update(self._absolute)

    def event(self, directory: str, event: InotifyEvent, notes: Notes) -> None:
        """Notes what an event in a directory calls for."""
        mask, name = event.mask, os.fsdecode(event.name)
        if mask & (_C.IN_IGNORED | _C.IN_UNMOUNT):
            self.look_again()
            return
        path = os.path.join(directory, name)
        file_created = mask & _C.IN_CREATE and not mask & _C.IN_ISDIR
        if not name or (file_created and not arrived_whole(os.fsencode(path), None)):
            return  # and no look at its identity either, which would tell of it too soon
        for given in self._absolute:
            places = self._places(given)
            on_the_way = any(_contains(path, place) for place in places)
            if given == self._root:
                if on_the_way and mask & _C.IN_ATTRIB:
                    notes.all("root-changed")
                elif on_the_way:
                    self._due.add(given)
            elif any(_contains(place, path) for place in places):
                self._due.add(given)
                notes.files.add(given)
            elif on_the_way:
                self._due.add(given)

    def settle(self, notes: Notes) -> bool:
        """Watches what is there now, if anything was due; returns whether the root's way was."""
        if not self._due:
            return False
        self.refused = 0
        watched = {""}
        for path in self._wanted():
            if path not in watched and self._claim(path):
                watched.add(path)
        for path in self._table.paths("") - watched:
            self._table.drop(path)
        due, self._due = self._due, set()
        for given in due - {self._root}:
            before, self._identities[given] = self._identities[given], _identity(given)
            if before != self._identities[given]:
                notes.files.add(given)
        return self._root in due

    def _wanted(self) -> Iterator[str]:
        """The directories, from the top down.

        Each is to be watched before the next is asked for, so that what appears meanwhile makes an
        event or is found.
        """
        for given, path in self._absolute.items():
            for place in self._places(given):
                names = place.split("/")[1:]
                for count in range(len(names)):
                    yield "/" + "/".join(names[:count])
            if given != self._root and os.path.isdir(path):
                yield path
                yield from (f"{path}/{name}" for name in _children(path))

    def _places(self, given: str) -> tuple[str, str]:
        """Where it is: a link on its way is watched where it stands, and where it leads as well."""
        path = self._absolute[given]
        return path, os.path.realpath(path)

    def _claim(self, path: str) -> bool:
        directory = None
        try:
            directory = open_own(path)
            if directory is not None:
                self._table.claim(path, directory)
        except OSError as error:
            self.refused += error.errno == errno.ENOSPC
            _log.debug("watch.refused: %s: %s", path, error)
            return False
        finally:
            if directory is not None:
                os.close(directory)
        return directory is not None


def _children(path: str) -> list[str]:
    try:
        names, _ = directories(path, CHILDREN)
    except OSError:  # gone since it was found
        return []
    return [name for name in names if not is_noise(name)]


def _identity(path: str) -> tuple[int, int, int, int] | None:
    """What of a file differs once it was replaced or written; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _contains(path: str, other: str) -> bool:
    """Whether the other one is that path, or below it."""
    return f"{other}/".startswith(f"{path}/")
