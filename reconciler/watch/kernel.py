"""One inotify descriptor, and who owns which of its watches."""

from __future__ import annotations

import ctypes
import os
import select

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


class Watched:
    """Something that owns a watch; `wd` is 0 while it has none."""

    __slots__ = ("wd",)

    def __init__(self) -> None:
        self.wd = 0


class Kernel(InotifyFD):
    """watchdog's descriptor, poll, kill pipe and parser; the book of watches is our own.

    watchdog keeps a path, a dataclass and a dict of callbacks per watch (*measured*: 490 bytes; 370
    here, with the whole tree of homes), calls back one event at a time, and takes EACCES for a
    watch of number -1. Its thread is not started: the emitter reads, in its own.

    A watch has several owners where one directory has several places: a bind mount, a directory
    that moved between two reads, the root's parent that also holds a settings file. It goes with
    the last of them.

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
            if hasattr(self, "_inotify_fd"):  # it was the pipe that failed, for want of descriptors
                os.close(self._inotify_fd)
            raise
        os.set_inheritable(self._inotify_fd, False)  # inotify_init knows no IN_CLOEXEC
        self._poll = select.poll()
        self._poll.register(self._inotify_fd, select.POLLIN)
        self._poll.register(self._kill_r, select.POLLIN)
        if mounts is not None:
            self._poll.register(mounts, select.POLLPRI)
        self._owners: dict[int, Watched | tuple[Watched, ...]] = {}
        self._leaving: set[int] = set()
        self.patience: float | None = None
        """Seconds a `take` may wait for; None, as long as nothing is put off, is for ever."""
        self.mounts_changed = False
        """Set when the mount table changed; the reader clears it."""

    def __len__(self) -> int:
        return len(self._owners)

    def claim(self, directory: int, owner: Watched) -> None:
        """Watches an open directory for `owner`, which gives up the one it had.

        Goes by `/proc/self/fd`, a link that leads to what was opened, whatever its path is now.
        Raises OSError, above all ENOSPC (fs.inotify.max_user_watches).
        """
        # IN_DONT_FOLLOW would refuse the magic link; the opening refused the student's.
        wd = int(inotify_add_watch(self._inotify_fd, b"/proc/self/fd/%d" % directory, MASK))
        if wd == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        if wd == owner.wd:
            return
        held = self._owners.get(wd)
        if held is None:
            self._owners[wd] = owner
        else:
            self._owners[wd] = (*(held if isinstance(held, tuple) else (held,)), owner)
        self.release(owner)
        owner.wd = wd

    def release(self, owner: Watched) -> None:
        """Gives up the owner's watch, if it has one."""
        wd, owner.wd = owner.wd, 0
        if not wd:
            return
        held = self._owners[wd]
        if isinstance(held, tuple):
            rest = tuple(other for other in held if other is not owner)
            self._owners[wd] = rest if len(rest) > 1 else rest[0]
            return
        del self._owners[wd]
        # Refused where the directory is gone already. Either way one IN_IGNORED is on its way.
        inotify_rm_watch(self._inotify_fd, wd)  # type: ignore[arg-type]
        self._leaving.add(wd)

    def take(self) -> list[InotifyEvent]:
        """Waits, and returns what one read brought: nothing after `hang_up`, or `patience`."""
        return self.read_events()

    def owners(self, event: InotifyEvent) -> tuple[Watched, ...]:
        """Whom an event concerns. With IN_IGNORED they have lost their watch."""
        wd = int(event.wd)
        ignored = event.mask & _C.IN_IGNORED
        if wd in self._leaving:
            if ignored:
                self._leaving.discard(wd)
            return ()
        held = self._owners.get(wd)
        if held is None:
            return ()
        owners = held if isinstance(held, tuple) else (held,)
        if ignored:
            del self._owners[wd]
            for owner in owners:
                owner.wd = 0
        return owners

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
