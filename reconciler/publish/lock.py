"""The lock of a pass: `--once` works beside a running daemon, one at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


class LockTimeoutError(Exception):
    """Another pass held the lock for the whole time."""


class Lock:
    """A lock file, held by one thread at a time."""

    def __init__(self, path: str, *, timeout: float) -> None:
        """`timeout` is in seconds."""
        self._path = path
        self._timeout = timeout

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold it.

        Raises:
            LockTimeoutError: it was not to be had in time.
        """
        fd = _acquire(self._path, self._timeout)
        try:
            yield
        finally:
            os.close(fd)


def _acquire(path: str, timeout: float) -> int:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)  # the very first pass
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                raise LockTimeoutError(f"{path} is held by another pass") from None
            time.sleep(0.02)
        else:
            return fd
