"""One inotify descriptor, and the one table of watches: which directory each is for."""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Set

from watchdog.observers.inotify_c import (
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    inotify_add_watch,
    inotify_rm_watch,
)

_C = InotifyConstants

MASK = Mask(
    _C.IN_CLOSE_WRITE
    | _C.IN_MOVED_FROM
    | _C.IN_MOVED_TO
    | _C.IN_CREATE  # for directories (and links): judged nowhere else
    | _C.IN_DELETE
    | _C.IN_ATTRIB
    | _C.IN_ONLYDIR
    | _C.IN_EXCL_UNLINK
)
"""Without OPEN, ACCESS, MODIFY and CLOSE_NOWRITE, which are most of what a busy home does. Without
the SELF events: every watched directory's parent is watched too, and says the same by name."""


class Table(InotifyFD):
    """watchdog's descriptor, poll, kill pipe and parser, and our own table of paths and watches.

    `ann/mysite` is a directory in a home, by its way from the root of the homes; "" is that root;
    what begins with a `/` is one of root's own, by its path on the machine. 40,000 are normal, so
    a row is small (*measured*: 215 bytes; watchdog's own takes 490, calls back one event at a
    time, and takes EACCES for a watch of number -1). Its thread is not started: the emitter reads,
    in its own.

    A watch has several paths where one directory has several places: a bind mount, a directory
    that moved between two reads, the root of the homes with the settings in it. It goes with the
    last of them.

    After a watch is removed, its events may still be queued, up to its IN_IGNORED; until that is
    read its number counts as leaving and says nothing, even if the kernel gives it out again.
    """

    def __init__(self, mounts: int | None = None) -> None:
        """Takes over `mounts`, a descriptor of `/proc/self/mountinfo`, to be polled as well.

        Raises OSError where the kernel has no instance left (fs.inotify.max_user_instances).
        """
        self._mounts = mounts
        self._released = False
        try:
            super().__init__()
        except BaseException:
            # With the first, it was the pipe that failed, for want of descriptors.
            for fd in (getattr(self, "_inotify_fd", None), mounts):
                if fd is not None:
                    os.close(fd)
            raise
        os.set_inheritable(self._inotify_fd, False)  # inotify_init knows no IN_CLOEXEC
        self._poll = select.poll()
        self._poll.register(self._inotify_fd, select.POLLIN)
        self._poll.register(self._kill_r, select.POLLIN)
        if mounts is not None:
            self._poll.register(mounts, select.POLLPRI)
        self._paths: dict[int, str | tuple[str, ...]] = {}
        self._numbers: dict[str, dict[str, int]] = {}
        """Account → path → watch; root's own, and the root of the homes, under ""."""
        self._leaving: set[int] = set()
        self.patience: float | None = None
        """Seconds a `take` may wait for; None, as long as nothing is put off, is for ever."""
        self.mounts_changed = False
        """Set when the mount table changed; the reader clears it."""

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, path: str) -> bool:
        return path in self.paths(_account(path))

    def paths(self, account: str) -> Set[str]:
        """What is watched of a home."""
        return self._numbers.get(account, {}).keys()

    def below(self, path: str) -> list[str]:
        """What is watched below a path."""
        start = f"{path}/"
        return [other for other in self.paths(_account(path)) if other.startswith(start)]

    def claim(self, path: str, directory: int) -> bool:
        """Watches an open directory for a path, which gives up the watch that it had.

        Goes by `/proc/self/fd`, a link that leads to what was opened, whatever its path is now.
        Returns whether it had this one. Raises OSError, above all ENOSPC
        (fs.inotify.max_user_watches).
        """
        # IN_DONT_FOLLOW would refuse the magic link; the opening refused the student's.
        wd = int(inotify_add_watch(self._inotify_fd, b"/proc/self/fd/%d" % directory, MASK))
        if wd == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        account = _account(path)
        before = self._numbers.get(account, {}).get(path)
        if before == wd:
            return True
        held = self._paths.get(wd)
        self._paths[wd] = path if held is None else (*_all(held), path)
        if before is not None:
            self._release(path)
        self._numbers.setdefault(account, {})[path] = wd
        return False

    def drop(self, path: str) -> None:
        """Gives up the watch of a path, if it has one, and of all paths below it."""
        if path in self:
            for other in self.below(path):
                self._release(other)
            self._release(path)

    def take(self) -> list[InotifyEvent]:
        """Waits, and returns what one read brought: nothing after `hang_up`, or `patience`."""
        return self.read_events()

    def concerned(self, event: InotifyEvent) -> tuple[str, ...]:
        """Which paths an event is of. With IN_IGNORED they have lost their watch."""
        wd = int(event.wd)
        ignored = event.mask & _C.IN_IGNORED
        if wd in self._leaving:
            if ignored:
                self._leaving.discard(wd)
            return ()
        held = self._paths.get(wd)
        if held is None:
            return ()
        if ignored:
            del self._paths[wd]
            for path in _all(held):
                self._forget(path)
        return _all(held)

    def hang_up(self) -> None:
        """Ends the reader's waiting, from any thread; the reader then calls `discard`.

        watchdog's `close` frees the descriptors under a reader that is not reading just now, whose
        next watch then goes to whatever descriptor got the number.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                os.write(self._kill_w, b"!")

    def discard(self) -> None:
        """Frees the descriptors, and with them every watch. For the reader, or after its end."""
        with self._lock:
            self._closed = True
            self._close_resources()

    def _release(self, path: str) -> None:
        wd = self._forget(path)
        if not wd:
            return
        rest = tuple(other for other in _all(self._paths[wd]) if other != path)
        if rest:
            self._paths[wd] = rest if len(rest) > 1 else rest[0]
            return
        del self._paths[wd]
        # Refused where the directory is gone already. Either way one IN_IGNORED is on its way.
        inotify_rm_watch(self._inotify_fd, wd)  # type: ignore[arg-type]
        self._leaving.add(wd)

    def _forget(self, path: str) -> int:
        account = _account(path)
        numbers = self._numbers.get(account, {})
        wd = numbers.pop(path, 0)
        if not numbers:
            self._numbers.pop(account, None)
        return wd

    def _check_inotify_fd(self) -> bool:
        """Blocks, as watchdog's does, and wakes for the mount table and for what is due, too."""
        wait = None if self.patience is None else max(0, int(self.patience * 1000) + 1)
        ready = {fd for fd, _ in self._poll.poll(wait)}
        if self._mounts in ready:
            self.mounts_changed = True
        return self._inotify_fd in ready

    def _close_resources(self) -> None:
        if not self._released:
            self._released = True
            super()._close_resources()
            if self._mounts is not None:
                os.close(self._mounts)


def _account(path: str) -> str:
    return path.partition("/")[0]


def _all(held: str | tuple[str, ...]) -> tuple[str, ...]:
    return held if isinstance(held, tuple) else (held,)
