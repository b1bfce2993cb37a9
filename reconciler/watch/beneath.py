"""Opening and reading directories whose owners are hostile."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from itertools import islice

from reconciler.watch.rules import PYVENV

HOME_ENTRIES = 4096
"""Entries read of one directory in a home. A project has dozens; *measured*, 200,000 take
0.2 s, at each look. What lies beyond is for the resync."""
ROOT_ENTRIES = 100_000
"""Homes. Only root adds to it; a bound so that a mistaken root (a mail spool) ends."""

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_BENEATH = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_root(path: str) -> int | None:
    """A descriptor of a directory that only root can exchange; links are followed.

    None where there is none now. Raises OSError where that cannot be told.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


def open_beneath(top: int, names: Sequence[str]) -> int | None:
    """A descriptor of `top`/`names`, one component at a time, through no link.

    By path, `~/mysite` replaced by a link to `/etc` between a look and a watch would have us watch
    `/etc` for the student; here what was opened is what gets watched. None where there is no such
    directory now; raises OSError where that cannot be told. The caller closes it.
    """
    here = top
    try:
        for name in names:
            below = os.open(name, _BENEATH, dir_fd=here)
            if here != top:
                os.close(here)
            here = below
    except OSError as error:
        if here != top:
            os.close(here)
        if error.errno in _GONE:
            return None
        raise
    return here


def is_virtualenv(directory: int) -> bool:
    """Whether it holds `pyvenv.cfg`. A link is not followed: it may lead to a dead mount."""
    return os.access(PYVENV, os.F_OK, dir_fd=directory, follow_symlinks=False)


def directories(
    directory: int, bound: int, wanted: Callable[[str], object]
) -> tuple[list[str], int]:
    """The names of the wanted directories in it, and how many entries were read.

    Reads `bound` entries at most; one more in the count says that there are others.
    """
    with os.scandir(directory) as entries:
        count = 0
        names = []
        for entry in islice(entries, bound + 1):
            count += 1
            if count <= bound and entry.is_dir(follow_symlinks=False) and wanted(entry.name):
                names.append(entry.name)
    return names, count


def arrived_whole(name: bytes, directory: int | None) -> bool:
    """Whether a name that was just created is all there already.

    A file being written must not wake anybody (*measured*: half-written 121 times in 60 saves);
    its CLOSE_WRITE will. A link, and a name linked to a finished file, get no further event.
    """
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return not stat.S_ISREG(found.st_mode) or found.st_nlink > 1
