"""Writes that leave old or new, whole, wherever the machine stops.

Modes are what the umask leaves of them: 022, whatever the shell's was (`cli.main`). A default ACL
on the state directory would count instead, and be the administrator's wish.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import shutil
from collections.abc import Iterator

Stamp = tuple[int, int, int]

_OURS, _NUMBERS = secrets.token_hex(4), itertools.count()


def beside(path: str) -> str:
    """Return a name for what is written beside `path` first: no other process's, and used once.

    Hidden, as no account's and no page's name is: somebody may be called `bob.new`.
    """
    directory, name = os.path.split(path)
    return f"{directory}/.{name}.{_OURS}{next(_NUMBERS)}.new"


def prepare(directory: str) -> None:
    """Make a directory of everybody's where it is not; one question where it is.

    Every pass asks: `makedirs` alone took a tenth of one event.
    """
    if not os.path.isdir(directory):
        os.makedirs(directory, mode=0o755, exist_ok=True)


def write(path: str, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Put `data` at `path` in one step: written beside it, then renamed over it.

    With `durable`, it outlives a power cut once this returns.
    """
    with _replacing(path) as temporary:
        create(temporary, data, mode=mode, durable=durable)
    if durable:
        sync_directory(os.path.dirname(path))


def create(path: str, data: bytes, *, mode: int = 0o644, durable: bool = True) -> Stamp:
    """Write a file that must not exist yet, and return its `stamp`."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if durable:
            os.fsync(fd)
        return _stamp(os.fstat(fd))
    except OSError as error:
        error.filename = path  # a full disk is told with its place
        raise
    finally:
        os.close(fd)


def link(target: str, path: str) -> None:
    """Make `path` a symlink to `target` in one step, over whatever link was there."""
    try:
        os.symlink(target, path)
    except FileExistsError:
        with _replacing(path) as temporary:
            os.symlink(target, temporary)


@contextlib.contextmanager
def _replacing(path: str) -> Iterator[str]:
    """Rename what the block makes at the name it is given over `path`, or leave nothing of it."""
    temporary = beside(path)
    try:
        yield temporary
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def target(path: str) -> str | None:
    """Return where the link `path` points, or None where there is none, or what is no link."""
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EINVAL}:
            return None
        raise


def read(path: str, *, limit: int) -> bytes | None:
    """Return the bytes of a file of ours, or None where it is absent or over `limit`."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    return data if len(data) <= limit else None


def stamp(path: str) -> Stamp | None:
    """Return what differs when another process has written the file; None where it is absent."""
    try:
        return _stamp(os.stat(path))
    except OSError:
        return None


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns


def sync_directory(path: str) -> None:
    """Make the names in a directory outlive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def is_leftover(name: str) -> bool:
    """Whether a name is that of a write which a crash cut short."""
    return name.startswith(".") and name.endswith(".new")


def remove_leftovers(directory: str, *, of: tuple[str, ...] = ("",)) -> None:
    """Remove what writes that a crash cut short left in a directory: files, links, directories.

    `of` are the names they were for, where the directory is shared with another writer, whose
    write may be under way.
    """
    for name in filter(is_leftover, os.listdir(directory)):
        if not name[1:].startswith(of):
            continue
        with contextlib.suppress(OSError):  # the next pass tries again
            remove(f"{directory}/{name}")


def remove(path: str) -> None:
    """Remove what is there, file, link or directory; as much of a directory as can be."""
    try:
        os.unlink(path)
    except IsADirectoryError:
        shutil.rmtree(path, ignore_errors=True)
