"""Opening what is below a home: one component at a time, from a descriptor, never through a link.

The owner of the home changes it under us. A path that was checked by name may be another by the
time it is opened; a descriptor stays what it was when it was checked.
"""

from __future__ import annotations

import errno
import os
import stat

from reconciler.model import Node

# O_NONBLOCK: a FIFO or a device would keep us waiting in open(); O_NOCTTY: or be our terminal.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV})


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
        raise Unreadable(f"{path}: {said(error)}") from error


def open_file(name: str, *, at: int) -> tuple[int, os.stat_result] | None:
    """Return a descriptor of `name` and what it is, if it is a regular file, else None.

    Look before: opening a device can have effects of its own. What is opened is looked at here
    once more, since the two may differ. One that another was renamed over since is not there.

    Raises:
        Unreadable: as for `open_directory`.
    """
    fd = _open(name, at, 0)
    if fd is None:
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or not status.st_nlink:
        os.close(fd)
        return None
    return fd, status


def _open(name: str, at: int | None, extra: int) -> int | None:
    try:
        return os.open(name, _FLAGS | extra, dir_fd=at)
    except OSError as error:
        if error.errno in GONE or error.errno == errno.ELOOP:
            return None
        raise Unreadable(said(error)) from error


def stat_of(name: str, *, at: int) -> os.stat_result | None:
    """Return what `name` itself is, link or not; None where there is none.

    Raises:
        Unreadable: it could not be told.
    """
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except OSError as error:
        if error.errno in GONE:
            return None
        raise Unreadable(said(error)) from error


def said(error: OSError) -> str:
    """Return the error in words, without a path."""
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
