"""Log: what an app prints goes to `~/.slp/app.log` as well, with times, and bounded.

The file is the student's, and so is this process: nothing here guards against them. But a log that
is a link, a device or a pipe would be written elsewhere, or would make each `print` wait for ever,
so such a one is left alone. A disk that is full is no reason to fail: then there is no log.
"""

import _thread
import io
import os
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, TextIO

_SHARED, _WINDOW = 64 * 1024, 60.0
"""Bytes in so many seconds that one app's process may add to Apache's log, which is everybody's."""
_AGAIN = 5.0  # seconds until a file that cannot be had is tried again
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Log:
    """`~/.slp/app.log`, and the one before it as `app.log.1`: each of at most `limit` bytes."""

    def __init__(self, home: str, limit: int) -> None:
        self._home, self._limit = home, limit
        self._file, self._not_before, self._at_start = -1, 0.0, True
        self._turning = _thread.allocate_lock()
        self._zone = time.localtime().tm_gmtoff  # Django sets TZ, to Chicago where nobody said
        self.traced: set[int] = set()
        """Threads that wrote a traceback since they were last taken out of here."""

    def write(self, data: bytes) -> None:
        """Append it, each line with its time; as much of it as can be had."""
        if b"Traceback (most recent call last)" in data:
            self.traced.add(_thread.get_ident())
        if len(data) > self._limit // 4:
            data = data[: self._limit // 4] + b" [...]\n"
        local = time.gmtime(time.time() + self._zone)
        now = time.strftime("%Y-%m-%d %H:%M:%S ", local).encode()
        start, self._at_start = self._at_start, data.endswith(b"\n")
        lines = data[:-1] if self._at_start else data
        text = (now if start else b"") + lines.replace(b"\n", b"\n" + now) + data[len(lines) :]
        try:
            if self._ready():
                os.write(self._file, text)
        except OSError:  # a full disk, a quota
            self._not_before = time.monotonic() + _AGAIN

    def say(self, text: str) -> None:
        """Append a line of the runner's own."""
        self.write(f"-- {text}\n".encode("utf-8", "backslashreplace"))

    def worked(self, at: "Optional[float]" = None) -> float:
        """Return when the load that worked last began, 0.0 for never; or note that it was `at`."""
        try:
            folder = self._folder()
            try:
                if at is not None:
                    os.close(os.open("worked", _FLAGS | os.O_CREAT, 0o600, dir_fd=folder))
                    os.utime("worked", (at, at), dir_fd=folder, follow_symlinks=False)
                return os.stat("worked", dir_fd=folder, follow_symlinks=False).st_mtime
            finally:
                os.close(folder)
        except OSError:
            return 0.0

    def _ready(self) -> bool:
        """Open the file, or the next one where it is full or not there any more."""
        if time.monotonic() < self._not_before:
            return False
        if self._file >= 0:
            status = os.fstat(self._file)
            if status.st_nlink and status.st_size < self._limit:
                return True
        # Not waited for: whoever holds it may have been left behind by a fork.
        if not self._turning.acquire(False):
            return self._file >= 0
        try:
            self._turn()
        finally:
            self._turning.release()
        return self._file >= 0

    def _turn(self) -> None:
        folder = self._folder()
        try:
            file = self._open(folder)
            if os.fstat(file).st_size >= self._limit:
                os.close(file)
                os.rename("app.log", "app.log.1", src_dir_fd=folder, dst_dir_fd=folder)
                file = self._open(folder)
        finally:
            os.close(folder)
        if self._file < 0:
            self._file = file
        else:  # under the same number: another thread may be about to write to it
            os.dup2(file, self._file, inheritable=False)
            os.close(file)

    def _folder(self) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        home = os.open(self._home, flags)
        try:
            # Once: who takes it away empties the home, and `rm` is not to find another one in it.
            if self._file < 0:
                try:
                    os.mkdir(".slp", 0o700, dir_fd=home)
                except FileExistsError:
                    pass
            return os.open(".slp", flags | os.O_NOFOLLOW, dir_fd=home)
        finally:
            os.close(home)

    def _open(self, folder: int) -> int:
        file = os.open("app.log", _FLAGS | os.O_CREAT, 0o600, dir_fd=folder)
        status = os.fstat(file)
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and status.st_nlink == 1:
            return file
        os.close(file)
        raise OSError("app.log is not a file of one's own")


class _Both(io.RawIOBase):
    """What is written to it goes to the log, and to where it went before."""

    def __init__(self, log: Log, before: "Any") -> None:
        super().__init__()
        self._log, self._before = log, before
        self._left, self._until = _SHARED, 0.0

    def writable(self) -> bool:
        return True

    def write(self, data: "Any") -> int:
        data = bytes(data)
        self._log.write(data)
        now = time.monotonic()
        if now >= self._until:
            self._left, self._until = _SHARED, now + _WINDOW
        if self._left > 0:
            self._left -= len(data)
            text = data[:_SHARED].decode("utf-8", "backslashreplace")
            if self._left <= 0:
                text += "[slp: what else it says within a minute is in ~/.slp/app.log]\n"
            try:
                self._before.write(text)
                self._before.flush()
            except (OSError, ValueError):  # Apache is away: there is the log
                pass
        return len(data)


def capture(log: Log) -> "list[TextIO]":
    """Let `sys.stdout` and `sys.stderr` write to the log as well.

    Returns what is to be kept: a stream of our own as `sys.stderr` is, first, and then those two.
    Apps put others in their place that write to the same buffer, and one that nobody has any more
    closes its own; or they detach it.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr, own = (_stream(log, each) for each in (*before, before[1]))
    return [own, sys.stdout, sys.stderr]


def _stream(log: Log, before: "Any") -> "TextIO":
    both: Any = _Both(log, before)
    return io.TextIOWrapper(both, "utf-8", "backslashreplace", line_buffering=True)
