"""Watching paths that only root can change: the settings, the account database, the root itself."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Sequence

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

from reconciler.watch.beneath import arrived_whole, directories, open_root
from reconciler.watch.kernel import Kernel, Watched
from reconciler.watch.rules import noise
from reconciler.watch.wake import Notes

_C = InotifyConstants
_log = logging.getLogger(__name__)

CHILDREN = 64
"""Entries read of a directory given as a file, for its directories to be watched too: a set of
templates is one, and there are a handful."""

Stamp = tuple[int, int, int, int] | None


class Place(Watched):
    """A directory watched for one target."""

    __slots__ = ("last", "name", "path", "target")

    def __init__(self, target: Target, path: str, name: bytes | None, *, last: bool) -> None:
        super().__init__()
        self.target = target
        self.path = path
        self.name = name
        """The entry that matters in it; None for all of them."""
        self.last = last
        """The entry is the target, not a directory above it."""


class Target:
    """A path to be watched, with every directory on its way, whether it is there or not.

    A file is watched by its directory, since editors and `useradd` replace it by a rename; and
    that directory by its own, since that may be replaced too, or be absent yet.
    """

    def __init__(self, given: str, *, root: bool = False) -> None:
        self.given = given
        self.path = os.path.abspath(given)
        self.root = root
        self.places: dict[tuple[str, bytes | None], Place] = {}
        self.stamp: Stamp = None
        self.refused = 0

    def refresh(self, kernel: Kernel) -> bool:
        """Watches what is on its way now; returns whether what is at its end has changed.

        From the top down, each directory watched before the next is looked for, so that what
        appears meanwhile makes an event or is found.
        """
        self.refused = 0
        places: dict[tuple[str, bytes | None], Place] = {}
        for path, name, last in self._wanted():
            key = (path, name)
            place = self.places.get(key) or Place(self, path, name, last=last)
            if self._claim(kernel, place):
                places[key] = place
        for key, place in self.places.items():
            if key not in places:
                kernel.release(place)
        self.places = places
        before, self.stamp = self.stamp, _stamp(self.path)
        return self.stamp != before

    def _wanted(self) -> Iterator[tuple[str, bytes | None, bool]]:
        # A link on the way is watched where it stands, and what it leads to as well.
        for path in dict.fromkeys((self.path, os.path.realpath(self.path))):
            here = "/"
            names = path.strip("/").split("/")
            for number, name in enumerate(names, 1):
                yield here, os.fsencode(name), number == len(names)
                here = os.path.join(here, name)
                if not os.path.isdir(here):
                    break
        if not self.root and os.path.isdir(self.path):
            yield self.path, None, True
            for name in _children(self.path):
                yield os.path.join(self.path, name), None, True

    def _claim(self, kernel: Kernel, place: Place) -> bool:
        directory = None
        try:
            directory = open_root(place.path)
            if directory is not None:
                kernel.claim(directory, place)
        except OSError as error:
            self.refused += error.errno == errno.ENOSPC
            _log.debug("watch.refused: %s: %s", place.path, error)
            return False
        else:
            return directory is not None
        finally:
            if directory is not None:
                os.close(directory)


class Places:
    """All such paths: the caller's files, and the root of the homes."""

    def __init__(self, kernel: Kernel, root: str, files: Sequence[str]) -> None:
        self._kernel = kernel
        self._targets = [Target(root, root=True), *map(Target, files)]
        self._dirty: set[Target] = set()

    def build(self) -> None:
        """Watches them all; those that cannot be are counted, and tried again."""
        for target in self._targets:
            target.refresh(self._kernel)

    def refused(self) -> int:
        """Directories on the way to a target that the kernel refused to watch."""
        return sum(target.refused for target in self._targets)

    def look(self) -> None:
        """Has all of them looked at again."""
        self._dirty.update(self._targets)

    def event(self, place: Place, event: InotifyEvent, notes: Notes) -> None:
        """Notes what an event in the directory of a place calls for."""
        mask, name, target = event.mask, event.name, place.target
        if mask & (_C.IN_IGNORED | _C.IN_UNMOUNT):
            self._dirty.add(target)
            return
        if not name or (place.name is not None and name != place.name):
            return
        if mask & _C.IN_ATTRIB and target.root:
            notes.everything = notes.everything or "root-changed"
            return
        file_created = mask & _C.IN_CREATE and not mask & _C.IN_ISDIR
        if file_created and not arrived_whole(os.fsencode(place.path) + b"/" + name, None):
            return  # and no look at its stamp either, which would tell of it too soon
        self._dirty.add(target)
        if place.last and not target.root:
            notes.files.add(target.given)

    def settle(self, notes: Notes) -> None:
        """Watches what is there now on the way to the targets noted since the last call."""
        for target in self._dirty:
            changed = target.refresh(self._kernel)
            if target.root:
                notes.root_suspect = True
            elif changed:
                notes.files.add(target.given)
        self._dirty.clear()


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _children(path: str) -> list[str]:
    directory = None
    try:
        directory = open_root(path)
        if directory is None:
            return []
        return directories(directory, CHILDREN, lambda name: not noise(name))[0]
    except OSError:
        return []
    finally:
        if directory is not None:
            os.close(directory)
