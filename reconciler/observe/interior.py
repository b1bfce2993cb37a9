"""What is inside one home, asked for by path, and remembered for as long as one look takes."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Mapping
from itertools import islice

from reconciler.model import Node
from reconciler.observe.descent import (
    Unreadable,
    node,
    open_directory,
    open_file,
    read,
    said,
    stat_of,
)

_MAX_ENTERED = 64
"""Directories of one home that are held open; a project with its virtualenv has a dozen."""
_MAX_ENTRIES = 4096
"""Names read of one directory; a project has a few dozen."""
_MAX_LISTED = 512
"""Names of one directory that are remembered, of at most `_MAX_ENTERED`: 4 MB."""

Place = tuple[tuple[Node, ...], int | None]
"""Where a walk has ended: what is on the way, and a descriptor if it is a directory."""


class Interior:
    """What is below one home, by the home's own descriptor.

    A directory that was entered stays open, so that no name is followed twice: whatever its owner
    renames meanwhile, all that is told of it is of one directory.
    """

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is the interior's from now on."""
        self.descriptor = descriptor
        self.signatures: dict[str, Signature] = {}
        self.newest = 0
        """The latest change time among what was seen, in nanoseconds."""
        self.all_read = True
        """No directory had to be left out, since it could not be read."""
        self.cut: set[str] = set()
        """Directories that have more entries than are read."""
        self._entered: dict[str, Place] = {}
        self._found: dict[str, Node] = {}
        """What was looked at and was there."""
        self._listed: dict[str, dict[str, str]] = {}
        """What small directories hold, as it was read after they were entered: a name that is not
        in there need not be asked for. One that came since has changed the directory's stamp."""
        self.home = self._note("", os.fstat(descriptor))
        """The home itself."""

    def close(self) -> None:
        """Close every descriptor, and keep no more than the signatures."""
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
            the interior's, and good until the next walk.

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
        status = stat_of(name, at=at) if below is None else os.fstat(below)
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
                if next(found, None) is not None:
                    self.cut.add(path)
        except OSError as error:
            raise Unreadable(said(error)) from error
        if len(entries) <= _MAX_LISTED:
            self._listed[path] = entries
        return entries

    def _listed_as(self, directory: str, name: str) -> str | None:
        """Return what kind a name was listed as, `_ABSENT` if not at all; None if not known."""
        listed = self._listed.get(directory)
        return None if listed is None else listed.get(name, _ABSENT)

    def node_at(self, path: str, *, anew: bool = False) -> Node | None:
        """Return the node of that path, link or not; None where there is none, or a link before it.

        With `anew`, no listing is believed that has not got it: while a file is renamed over
        another, some file systems list neither.

        Raises:
            Unreadable: it could not be told.
        """
        if path in self._found:
            return self._found[path]
        directory, _, name = path.rpartition("/")
        _, descriptor = self.walk(directory)
        if anew:
            self._listed.pop(directory, None)
        if descriptor is None or self._listed_as(directory, name) == _ABSENT:
            return None
        status = stat_of(name, at=descriptor)
        if status is not None:
            self._found[path] = self._note(path, status)
        return self._found.get(path)

    def is_listed(self, directory: str, name: str) -> bool:
        """Whether a directory is known to hold a file of that name."""
        return self._listed.get(directory, {}).get(name) == "file"

    def may_be_directory(self, directory: str, name: str) -> bool:
        """Whether there may be such a directory, as far as is known without asking for it."""
        return self._listed_as(directory, name) in {"directory", None}

    def holders(self, name: str) -> list[str]:
        """Return the directories of the home that are known to hold a file of that name."""
        known = self._listed
        return sorted(each for each in known.get("", ()) if known.get(each, {}).get(name) == "file")

    def read(self, path: str, limit: int) -> bytes | None:
        """Return a regular file's text; None where none is there, opens, or is that short."""
        try:
            found = self.node_at(path)
            directory, _, name = path.rpartition("/")
            at = self.walk(directory)[1]
            if found is None or found.kind != "file" or found.size > limit or at is None:
                return None
            opened = open_file(name, at=at)
            if opened is None:
                return None
            try:
                text = read(opened[0], limit + 1)
            finally:
                os.close(opened[0])
        except Unreadable:
            self.all_read = False  # it may open the next time, while nothing has changed
            return None
        return text if len(text) <= limit else None

    def newest_first(self, paths: list[str]) -> list[str]:
        """Return the paths by when each was changed last; which one that is, is only an order."""

        def age(path: str) -> tuple[int, str]:
            try:
                found = self.node_at(path)
            except Unreadable:
                found = None
            return -found.mtime_ns if found else 0, path

        return sorted(paths, key=age)

    def is_file(self, directory: str, name: str) -> bool:
        """Whether there is a regular file of that name in a directory.

        Raises:
            Unreadable: it could not be told.
        """
        kind = self._listed_as(directory, name)
        if kind is not None:
            return kind == "file"
        found = self.node_at(f"{directory}/{name}" if directory else name)
        return found is not None and found.kind == "file"

    def is_directory(self, path: str) -> bool:
        """Whether there is such a directory, with no link on the way.

        Raises:
            Unreadable: it could not be told.
        """
        return self.walk(path)[1] is not None

    def unchanged(self, signatures: Mapping[str, Signature]) -> bool:
        """Whether everything that was seen then is so now: one `stat` each, and nothing opened.

        A directory on the way that was replaced by a link changed its own parent, which is asked
        as well; and what is found is only compared, never used.
        """
        home, ask = self.descriptor, os.stat
        try:
            for path, before in signatures.items():
                if signature(ask(path or ".", dir_fd=home, follow_symlinks=False)) != before:
                    return False
        except OSError:
            return False
        return True

    def _note(self, path: str, status: os.stat_result) -> Node:
        path = sys.intern(path)  # a class's homes are much alike: kept once for all
        self.signatures.setdefault(path, signature(status))
        self.newest = max(self.newest, status.st_ctime_ns)
        return node(path, status)


def below(directory: str, name: str) -> str:
    """Return the path of what a directory of the home holds; "" is the home itself."""
    return f"{directory}/{name}" if directory else name


_ABSENT = "absent"


def _kind(entry: os.DirEntry[str]) -> str:
    """Return an entry's kind as the directory itself tells it, mostly without a `stat`."""
    try:
        if entry.is_file(follow_symlinks=False):
            return "file"
        if entry.is_dir(follow_symlinks=False):
            return "directory"
        return "link" if entry.is_symlink() else "other"
    except OSError:  # a file system that does not say: that name's trouble alone
        return "other"


Signature = bytes
"""What of a `stat` differs when a file or a directory has changed.

Packed, and with each path kept once: *measured*, 3,000 homes take 29 MB instead of 39. Mode, owners
and number of links are not in it: the kernel sets the change time whenever one of those is set.
"""
_PACK = struct.Struct("=QQqQQ").pack
_TIME = 2**64 - 1
"""A tmpfs takes a time of 2^63 seconds: in nanoseconds, its last 64 bits must do."""


def signature(status: os.stat_result) -> Signature:
    """Return it. The change time is there since all else can be set by the file's owner."""
    return _PACK(
        status.st_dev, status.st_ino, status.st_size,
        status.st_mtime_ns & _TIME, status.st_ctime_ns & _TIME,
    )  # fmt: skip
