"""The lock of a pass: `--once` works beside a running daemon, one at a time."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class LockTimeoutError(Exception):
    """Another pass held the lock for the whole time."""


class PassLock:
    """A lock file, held by one process at a time and shared by the threads of that process.

    A daemon publishes apps while its other thread reloads: the two write different things.
    The kernel gives it back when the process ends, however it ends.
    """

    def __init__(self, path: str, *, timeout: float) -> None:
        """`timeout` is in seconds."""
        self._path = path
        self._timeout = timeout
        self._mutex = threading.Lock()
        self._holders = 0
        self._fd = -1

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold it.

        Raises:
            LockTimeoutError: it was not to be had in time.
        """
        with self._mutex:
            if self._holders == 0:
                self._fd = _acquire(self._path, self._timeout)
            self._holders += 1
        try:
            yield
        finally:
            with self._mutex:
                self._holders -= 1
                if self._holders == 0:
                    os.close(self._fd)


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
