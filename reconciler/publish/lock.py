"""A lock file: `--once` works beside a running daemon, one of them at each step."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.publish import files

_PAUSE = 0.02  # seconds between two tries


class LockTimeoutError(Exception):
    """Somebody else held the lock for the whole time."""


class FileLock:
    """Held by one at a time, in whatever thread or process; it is not to be taken twice.

    The kernel gives it back when the process ends, however it ends.
    """

    def __init__(self, path: str, *, timeout: float) -> None:
        """`timeout` is in seconds."""
        self._path = path
        self._timeout = timeout

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold it.

        Raises:
            LockTimeoutError: it was not to be had in time.
            OSError: the lock's file cannot be made.
        """
        files.prepare(os.path.dirname(self._path))  # the very first pass
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._acquire(fd)
            yield
        finally:
            os.close(fd)

    def _acquire(self, fd: int) -> None:
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LockTimeoutError(f"{self._path} is held by another pass") from None
            time.sleep(_PAUSE)
