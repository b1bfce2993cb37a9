"""Opening what is below a home: one component at a time, from a descriptor, never through a link.

The owner of the home changes it under us. A path that was checked by name may be another by the
time it is opened; a descriptor stays what it was when it was checked.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
from collections.abc import Mapping
from functools import cached_property
from itertools import islice

from reconciler.model import Node

# O_NONBLOCK: a FIFO or a device would keep us waiting in open(); O_NOCTTY: or be our terminal.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MAX_ENTERED = 64
"""Directories of one home that are held open; a project with its virtualenv has a dozen."""
_MAX_ENTRIES = 4096
"""Names read of one directory; a project has a few dozen."""
_MAX_LISTED = 512
"""Names of one directory that are remembered, of at most `_MAX_ENTERED`: 4 MB."""
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV})


class Unreadable(Exception):  # noqa: N818  it is a fact, of the third kind: neither there nor not
    """It could not be told whether something is there, or what it is."""


def open_directory(name: str, *, at: int | None = None) -> int | None:
    """Return a descriptor of the directory `name`, None where there is no such directory.

    Raises:
        Unreadable: I/O error, permission, too many files: it could not be told.
    """
    return _open(name, at, os.O_DIRECTORY)


def open_root(path: str) -> int:
    """Return a descriptor of the root of the homes: the administrator's, so it may be a link.

    Raises:
        Unreadable: it is not there, or could not be opened.
    """
    try:
        return os.open(path, _FLAGS & ~os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError as error:
        raise Unreadable(f"{path}: {_said(error)}") from error


def open_file(name: str, *, at: int) -> tuple[int, os.stat_result] | None:
    """Return a descriptor of `name` and what it is, if it is a regular file, else None.

    Look before: opening a device can have effects of its own. What is opened is looked at here
    once more, since the two may differ.

    Raises:
        Unreadable: as for `open_directory`.
    """
    fd = _open(name, at, 0)
    if fd is None:
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        return None
    return fd, status


def _open(name: str, at: int | None, extra: int) -> int | None:
    try:
        return os.open(name, _FLAGS | extra, dir_fd=at)
    except OSError as error:
        if error.errno in _GONE or error.errno == errno.ELOOP:
            return None
        raise Unreadable(_said(error)) from error


def look(name: str, path: str, *, at: int) -> Node | None:
    """Return the node `name` itself, link or not; None where there is none.

    Raises:
        Unreadable: it could not be told.
    """
    status = _stat(name, at)
    return None if status is None else node(path, status)


def _stat(name: str, at: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise Unreadable(_said(error)) from error


def _said(error: OSError) -> str:
    return f"{error.strerror} ({errno.errorcode.get(error.errno or 0, '?')})"


_KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
_KIND = 0o170000


def node(path: str, status: os.stat_result) -> Node:
    """Return what `stat` said, as a fact."""
    return Node(
        path,
        _KINDS.get(status.st_mode & _KIND, "other"),
        status.st_uid,
        status.st_gid,
        status.st_mode & ~_KIND,
        status.st_nlink,
        status.st_size,
        status.st_ino,
        status.st_mtime_ns,
    )


Place = tuple[tuple[Node, ...], int | None]
"""Where a walk has ended: what is on the way, and a descriptor if it is a directory."""


class Tree:
    """What is below one home, by the home's own descriptor; remembers what it has seen of it.

    A directory that was entered stays open, so that no name is followed twice: whatever its owner
    renames meanwhile, all that is told of it is of one directory.
    """

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is the tree's from now on."""
        self.descriptor = descriptor
        self.stamps: dict[str, Stamp] = {}
        self.newest = 0
        """The latest change time among what was seen, in nanoseconds."""
        self.all_read = True
        """No directory had to be left out, since it could not be read."""
        self._entered: dict[str, Place] = {}
        self._found: dict[str, Node] = {}
        """What was looked at and was there."""
        self._listed: dict[str, dict[str, str]] = {}
        """What small directories hold, as it was read after they were entered: a name that is not
        in there need not be asked for. One that came since has changed the directory's stamp."""

    @cached_property
    def home(self) -> Node:
        """The home itself."""
        return self._note("", os.fstat(self.descriptor))

    def close(self) -> None:
        """Close every descriptor, and keep no more than the stamps."""
        for _, descriptor in self._entered.values():
            if descriptor is not None:
                os.close(descriptor)
        os.close(self.descriptor)
        self._entered.clear()
        self._found.clear()
        self._listed.clear()

    def walk(self, path: str) -> Place:
        """Follow the directories of `path` down from the home.

        Returns:
            the nodes from the home to the last component that is there, and a descriptor of the
            last directory, or None where the way ends before; a link ends it. The descriptor is
            the tree's, and good until the next walk.

        Raises:
            Unreadable: it could not be told.
        """
        known = self._entered.get(path)
        if known is not None:
            return known
        place: Place = ((self.home,), self.descriptor)
        here = above = ""
        for part in path.split("/") if path else ():
            here = f"{here}/{part}" if here else part
            known = self._entered.get(here)
            place = self._enter(part, here, above, place) if known is None else known
            if place[1] is None:
                break
            above = here
        return place

    def _enter(self, name: str, path: str, directory: str, above: Place) -> Place:
        nodes, at = above
        assert at is not None
        kind = self._listed_as(directory, name)
        if kind == _ABSENT or not name:  # no name: of an absolute path, which is none of ours
            return nodes, None
        below = open_directory(name, at=at) if kind in {"directory", None} else None
        # What it is instead is told by its own node, which is never opened.
        status = _stat(name, at) if below is None else os.fstat(below)
        told = None if status is None else self._note(path, status)
        place = (nodes if told is None else (*nodes, told)), below
        self._entered[path] = place
        if len(self._entered) > _MAX_ENTERED:
            oldest = next(iter(self._entered))
            self._listed.pop(oldest, None)
            _, left = self._entered.pop(oldest)
            if left is not None:
                os.close(left)
        return place

    def entries(self, path: str) -> Mapping[str, str]:
        """Return the names in a directory → their kinds, as `Node.kind`; some of very many.

        Raises:
            Unreadable: it could not be told.
        """
        descriptor = self.walk(path)[1]
        if descriptor is None:
            return {}
        try:
            with os.scandir(descriptor) as found:
                entries = {entry.name: _kind(entry) for entry in islice(found, _MAX_ENTRIES)}
        except OSError as error:
            raise Unreadable(_said(error)) from error
        if len(entries) <= _MAX_LISTED:
            self._listed[path] = entries
        return entries

    def _listed_as(self, directory: str, name: str) -> str | None:
        """Return what kind a name was listed as, `_ABSENT` if not at all; None if not known."""
        listed = self._listed.get(directory)
        return None if listed is None else listed.get(name, _ABSENT)

    def look(self, path: str, *, listed: bool = True) -> Node | None:
        """Return the node of that path, link or not; None where there is none, or a link before it.

        Without `listed`, no listing is believed that has not got it: while a file is renamed over
        another, some file systems list neither.

        Raises:
            Unreadable: it could not be told.
        """
        if path in self._found:
            return self._found[path]
        directory, _, name = path.rpartition("/")
        _, descriptor = self.walk(directory)
        if not listed:
            self._listed.pop(directory, None)
        if descriptor is None or self._listed_as(directory, name) == _ABSENT:
            return None
        status = _stat(name, descriptor)
        if status is not None:
            self._found[path] = self._note(path, status)
        return self._found.get(path)

    def newest_first(self, paths: list[str]) -> list[str]:
        """Return the paths by when each was changed last; which one that is, is only an order."""

        def age(path: str) -> tuple[int, str]:
            try:
                found = self.look(path)
            except Unreadable:
                found = None
            return -found.mtime_ns if found else 0, path

        return sorted(paths, key=age)

    def is_file(self, directory: str, name: str) -> bool:
        """Whether there is a regular file of that name in a directory.

        Raises:
            Unreadable: it could not be told.
        """
        if not self.is_directory(directory):
            return False
        kind = self._listed_as(directory, name)
        if kind is not None:
            return kind == "file"
        found = self.look(f"{directory}/{name}" if directory else name)
        return found is not None and found.kind == "file"

    def is_directory(self, path: str) -> bool:
        """Whether there is such a directory, with no link on the way.

        Raises:
            Unreadable: it could not be told.
        """
        return self.walk(path)[1] is not None

    def unchanged(self, stamps: Mapping[str, Stamp]) -> bool:
        """Whether everything that was seen then is so now: one `stat` each, and nothing opened.

        A directory on the way that was replaced by a link changed its own parent, which is asked
        as well; and what is found is only compared, never used.
        """
        home, ask = self.descriptor, os.stat
        try:
            for path, before in stamps.items():
                if stamp(ask(path or ".", dir_fd=home, follow_symlinks=False)) != before:
                    return False
        except OSError:
            return False
        return True

    def _note(self, path: str, status: os.stat_result) -> Node:
        path = sys.intern(path)  # a class's homes are much alike: kept once for all
        self.stamps.setdefault(path, stamp(status))
        self.newest = max(self.newest, status.st_ctime_ns)
        return node(path, status)


_ABSENT = "absent"


def _kind(entry: os.DirEntry[str]) -> str:
    """Return an entry's kind as the directory itself tells it, mostly without a `stat`."""
    try:
        if entry.is_file(follow_symlinks=False):
            return "file"
        if entry.is_dir(follow_symlinks=False):
            return "directory"
        return "link" if entry.is_symlink() else "other"
    except OSError:  # a file system of the student's own, closed to root: that name's trouble alone
        return "other"


Stamp = bytes
"""What of a `stat` differs when a file or a directory has changed.

Packed, and with each path kept once: *measured*, 3,000 homes take 29 MB instead of 39. Mode, owners
and number of links are not in it: the kernel sets the change time whenever one of those is set.
"""
_PACK = struct.Struct("=QQqQQ").pack
_TIME = 2**64 - 1
"""A tmpfs takes a time of 2^63 seconds: in nanoseconds, its last 64 bits must do."""


def stamp(status: os.stat_result) -> Stamp:
    """Return it. The change time is there since all else can be set by the file's owner."""
    return _PACK(
        status.st_dev, status.st_ino, status.st_size,
        status.st_mtime_ns & _TIME, status.st_ctime_ns & _TIME,
    )  # fmt: skip


def read(fd: int, limit: int) -> bytes:
    """Return at most `limit` bytes of a regular file.

    Raises:
        Unreadable: I/O error.
    """
    try:
        data = os.read(fd, limit)
        while 0 < len(data) < limit and (more := os.read(fd, limit - len(data))):
            data += more
    except OSError as error:
        raise Unreadable(f"{error.strerror}") from error
    return data
