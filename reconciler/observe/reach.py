"""Whether Apache's own user can get at a path, asked as that user."""

from __future__ import annotations

import errno
import os
import sys

from reconciler.observe.helper import Helper, HelperDied, HelperError

__all__ = ["HelperError", "Reach"]

_NO = {errno.ENOENT, errno.EACCES, errno.ELOOP, errno.ENOTDIR, errno.EPERM}
_LONGEST = 4095  # bytes: PATH_MAX without its NUL


class Reach:
    """A long-lived helper that is `user`, with that user's groups, and opens what we name.

    Modes, ACLs, every directory above and the mount options are the kernel's to weigh, not ours.
    Groups are those of the helper's start, as Apache's are of its own; `close` renews them.
    """

    def __init__(self, user: str, *, timeout: float = 5.0) -> None:
        self._helper = Helper(sys.executable, "reader", user, timeout=timeout)

    def can_list_or_read(self, path: str, *, directory: bool) -> bool:
        """Whether `user` can open `path`; a directory: list it and reach into it.

        Links are followed. The path is absolute (else ValueError).

        Raises:
            HelperError: it could not be told: no such user, an I/O error, no answer in time.
        """
        if not path.startswith("/"):
            raise ValueError("a path to reach must be absolute")
        raw = os.fsencode(path)
        if b"\0" in raw:
            return False  # no file system has such a name
        if len(raw) > _LONGEST:
            raise HelperError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        request = (b"d" if directory else b"f") + raw
        try:
            answer = self._ask(request)
        except HelperDied:
            answer = self._ask(request)  # killed from outside, most likely
        if answer == 0:
            return True
        if answer in _NO:
            return False
        raise HelperError(answer, os.strerror(answer), path)

    def close(self) -> None:
        """Ends the helper, without a signal where it is well."""
        self._helper.close()

    def _ask(self, request: bytes) -> int:
        answer = self._helper.ask(request)
        if type(answer) is not int or not 0 <= answer < 4096:
            self._helper.close()
            raise HelperDied("a helper answered what no open says")
        return answer
