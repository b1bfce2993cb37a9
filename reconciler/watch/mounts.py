"""The mount table: a mount over a directory makes no inotify event at all."""

from __future__ import annotations

import os
import re

TABLE = "/proc/self/mountinfo"
_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mounts:
    """Which mount points came or went since the last look.

    The kernel raises POLLPRI on the open table at each change, so that nothing has to be polled.
    """

    def __init__(self) -> None:
        """Raises OSError where there is no /proc; then nothing at all can be watched."""
        self.fd = os.open(TABLE, os.O_RDONLY | os.O_CLOEXEC)
        self._seen = self._read()

    def changed(self) -> set[str]:
        """The mount points that differ from the last call's, absolute."""
        seen, self._seen = self._seen, self._read()
        return {point for _, point in seen ^ self._seen}

    def _read(self) -> frozenset[tuple[bytes, str]]:
        os.lseek(self.fd, 0, os.SEEK_SET)
        chunks = iter(lambda: os.read(self.fd, 1 << 16), b"")
        rows = (line.split(b" ", 5) for line in b"".join(chunks).splitlines())
        # proc_pid_mountinfo(5): the first field is the mount's id, the fifth its point, with blanks
        # and the like in octal.
        return frozenset((row[0], _path(row[4])) for row in rows if len(row) > 4)


def _path(field: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda m: bytes([int(m[1], 8)]), field))
