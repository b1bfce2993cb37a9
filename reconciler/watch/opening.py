"""Opening and reading directories whose owners are hostile."""

from __future__ import annotations

import errno
import os
import stat
from itertools import islice

from reconciler.pruning import PYVENV

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC


def open_own(path: str) -> int | None:
    """A descriptor of a directory that only root can exchange; links are followed.

    None where there is none now. Raises OSError where that cannot be told.
    """
    return _opened(path, _DIRECTORY, None)


class Descent:
    """Opens directories of homes, one component at a time, through no link but a home's of root's.

    By path, `~/mysite` replaced by a link to `/etc` between a look and a watch would have us watch
    `/etc` for the student; here what was opened is what gets watched. The last one's parent stays
    open for its other children, until `close`.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._parent: int | None = None
        self._path = ""

    def open(self, path: str) -> int | None:
        """A descriptor, the caller's to close, of a directory by its path from the root.

        None where there is none now; raises OSError where that cannot be told.
        """
        parent, _, name = path.rpartition("/")
        if not parent:
            return _open_home(name, self._root)
        if parent != self._path:
            here = self.open(parent)
            self.close()
            self._parent, self._path = here, parent
        if self._parent is None:
            return None
        return _opened(name, _DIRECTORY | os.O_NOFOLLOW, self._parent)

    def close(self) -> None:
        """Closes what is kept open."""
        if self._parent is not None:
            os.close(self._parent)
        self._parent, self._path = None, ""


def _open_home(name: str, root: int) -> int | None:
    found = _opened(name, _DIRECTORY | os.O_NOFOLLOW, root)
    if found is None and _is_roots_link(name, root):
        # Not there now, as on a disk that is not mounted yet, is worth another try: so it raises.
        return os.open(name, _DIRECTORY, dir_fd=root)
    return found


def _opened(name: str, flags: int, at: int | None) -> int | None:
    try:
        return os.open(name, flags, dir_fd=at)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


def _is_roots_link(name: str, root: int) -> bool:
    """Whether it is a link that root made, in a directory where nobody else could have put it.

    With homes on several disks, root links them one by one. A student's link would have us watch,
    as the student, whatever they like, and wake them for what others do.
    """
    above = os.fstat(root)
    try:
        link = os.stat(name, dir_fd=root, follow_symlinks=False)
    except OSError:
        return False
    shut = above.st_uid == 0 and not above.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return shut and link.st_uid == 0 and stat.S_ISLNK(link.st_mode)


def is_virtualenv(directory: int) -> bool:
    """Whether it holds `pyvenv.cfg`. A link is not followed: it may lead to a dead mount."""
    try:  # not os.access: that asks as the real user, who is root, whoever's home it is
        os.stat(PYVENV, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def directories(directory: int | str, bound: int, *, links: bool = False) -> tuple[list[str], int]:
    """The names of the directories in one, and of `links`, and how many entries were read.

    Reads `bound` entries at most; one more in the count says that there are others.
    """
    with os.scandir(directory) as entries:
        read = list(islice(entries, bound + 1))
    names = [
        entry.name
        for entry in read[:bound]
        if entry.is_dir(follow_symlinks=False) or (links and entry.is_symlink())
    ]
    return names, len(read)


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
