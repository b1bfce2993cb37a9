"""Pipes whose other end may be hostile: whole frames, and never a wait without a limit."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import time

_MOST = 65536
"""Bytes of one read; a pipe has as many unless it was widened."""


def framed(body: bytes) -> bytes:
    """Return a frame: its length in four bytes, big-endian, and itself."""
    return len(body).to_bytes(4, "big") + body


def widened(fd: int, size: int) -> int:
    """Widen a pipe to `size` bytes, or as far as may be; return how many it has room for."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)
    return int(fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ))


def write(fd: int, data: bytes, deadline: float) -> None:
    """Write all of it; the descriptor does not block, and `deadline` is in monotonic seconds.

    Raises:
        OSError: the other end is closed; or TimeoutError.
    """
    left = memoryview(data)
    while left:  # a full pipe (64 KiB) and a helper that does not read would hold us for ever
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            _await(fd, select.POLLOUT, deadline)


def read(fd: int, deadline: float) -> bytes:
    """Return what there is, as soon as there is any; nothing where the other end is closed.

    Raises:
        OSError: as for `write`.
    """
    while True:
        try:
            return os.read(fd, _MOST)
        except BlockingIOError:
            _await(fd, select.POLLIN, deadline)


def _await(fd: int, event: int, deadline: float) -> None:
    poll = select.poll()  # not select(): a daemon with 1,000 watches has descriptors above 1,024
    poll.register(fd, event)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError("it did not answer in time")
