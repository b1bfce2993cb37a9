"""All watches on one descriptor: one read of the kernel's queue → one wake."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

from reconciler.pruning import PARTS, PYVENV
from reconciler.watch.forest import Forest
from reconciler.watch.mounts import Mounts
from reconciler.watch.ownpaths import OwnPaths
from reconciler.watch.patterns import Patterns, is_noise, is_wanted
from reconciler.watch.quota import Quota
from reconciler.watch.table import Table
from reconciler.watch.wake import Notes, StaleError, Wake

_C = InotifyConstants
_PYVENV = PYVENV.encode()

RETRY = 60.0
"""Seconds until what was refused is tried again: somebody may have raised the kernel's limit."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What is to be watched; the same for every session."""

    root: str
    patterns: tuple[str, ...]
    budget: int
    files: tuple[str, ...]
    enter: Callable[[str | None], bool]


class Session:
    """The watches, from when they are built until something makes them stale.

    An event of a home never says what to do, only which name to look at, once per read. So renames
    that cross homes, names used twice and events that come late need no case of their own.
    *Measured*: watchdog, which moves its watches about as the events tell, ends for all students
    on one student's `mkdir a; mv a ../outside; mkdir a; rmdir a; rmdir ../outside/a`.
    """

    def __init__(self, spec: Spec, quota: Quota) -> None:
        """Builds all watches. Raises OSError where there is no descriptor or no root's watch."""
        spec.enter(None)  # whoever the session before was, when it ended
        self._root = spec.root
        self._quota = quota
        self._mounts = Mounts()
        self.table = Table(self._mounts.fd)
        self._retry_at = math.inf
        try:
            self._patterns = patterns = Patterns(spec.patterns)
            self._own = OwnPaths(self.table, spec.root, spec.files)
            self._forest = Forest(self.table, spec.root, patterns, spec.budget, quota, spec.enter)
            now = time.monotonic()
            quota.tick(now)
            self._own.look_again()
            self._own.settle(Notes())
            self._forest.build()
            quota.forgive()
            self._settle(Notes(), ())
            self._put_off(now)
        except BaseException:
            self.table.discard()
            raise

    def take(self) -> Wake:
        """Waits for events, and says what they call for; an empty wake if nothing.

        Raises StaleError where events were lost or the root is another: build anew.
        """
        events = self.table.take()
        notes = Notes()
        now = time.monotonic()
        self._quota.tick(now)
        if self.table.mounts_changed:
            self._remounted(notes)
        for event in events:
            self._event(event, notes)
        # Settled even where nothing was noted: what was put off may be due.
        again: Iterable[str] = ()
        if now >= self._retry_at:
            self._retry_at = math.inf
            again = self._forest.refused
            if self._own.refused:
                self._own.look_again()
        if self._own.settle(notes) and not self._forest.is_intact():
            raise StaleError("root-replaced")
        # The account database is among the files: there may be somebody to enter as.
        self._settle(notes, again or (self._forest.strangers if notes.files else ()))
        self._put_off(now)
        return notes.wake()

    def over_budget(self) -> dict[str, int]:
        """Account → directories left unwatched, at least."""
        return dict(self._forest.over)

    def refused(self) -> int:
        """Watches that the kernel refused for want of something."""
        return sum(list(self._forest.refused.values())) + self._own.refused

    def _event(self, event: InotifyEvent, notes: Notes) -> None:
        if event.mask & _C.IN_Q_OVERFLOW:
            raise StaleError("overflow")
        for path in self.table.concerned(event):
            if not path:
                self._event_of_root(event, notes)
            elif path.startswith("/"):
                self._own.event(path, event, notes)
            else:
                self._event_of_home(path, event, notes)

    def _event_of_root(self, event: InotifyEvent, notes: Notes) -> None:
        mask, name = event.mask, os.fsdecode(event.name)
        if not name:
            if mask & (_C.IN_UNMOUNT | _C.IN_IGNORED):
                raise StaleError("unmounted" if mask & _C.IN_UNMOUNT else "root-replaced")
            notes.all("root-changed")
        elif name.startswith("."):
            return
        elif mask & _C.IN_ATTRIB:
            # A student can chmod their own home, muted or not: no more than a wake.
            self._quota.charge(name, 1)
            if not self._quota.muted(name):
                notes.accounts.add(name)
                if name not in self.table:
                    notes.home(name)
        elif mask & (_C.IN_CREATE | _C.IN_MOVE | _C.IN_DELETE):
            notes.home(name)

    def _event_of_home(self, path: str, event: InotifyEvent, notes: Notes) -> None:
        account = path.partition("/")[0]
        self._quota.charge(account, 1)
        mask = event.mask
        if not event.name:
            # Its own ATTRIB: a chmod makes a fault, or mends it. Else the watch has ended.
            notes.accounts.add(account)
            if mask & (_C.IN_IGNORED | _C.IN_UNMOUNT):
                notes.due[account].add(path)
        elif mask & _C.IN_ISDIR:
            name = os.fsdecode(event.name)
            if is_noise(name):
                return
            notes.accounts.add(account)
            if name in PARTS:  # whether it is wanted depends on what stands beside it
                notes.due[account].add(path)
            elif is_wanted(self._patterns.at(path), name):
                notes.due[account].add(f"{path}/{name}")
        elif self._patterns.matters(event.name):
            if mask & _C.IN_CREATE:
                notes.created[account].add((path, event.name))
                return
            notes.accounts.add(account)
            if event.name == _PYVENV:  # a virtualenv now, or no more
                notes.due[account].add(path)

    def _settle(self, notes: Notes, again: Iterable[str]) -> None:
        """Makes the watches equal to what is there, for all that was noted; tries `again`.

        Raises OSError where the root cannot be opened.
        """
        for account in self._quota.take_muted():
            self._forest.mute(account)
            notes.accounts.add(account)
        for account in self._quota.take_released():
            notes.home(account)
        if not (notes.due or notes.created or again):
            return
        with self._forest.root() as root:
            if root is None:
                return  # its parent's event tells
            for account in notes.due.keys() | notes.created.keys():  # each is entered once
                self._put_right(account, notes, root)
            for account in list(again):
                self._forest.align(account, root)
                if account not in self._forest.refused:
                    notes.accounts.add(account)
                elif self._forest.full:
                    return  # the others would meet the same limit

    def _put_right(self, account: str, notes: Notes, root: int) -> None:
        paths = notes.due.get(account, set())
        # A home that was over its budget is looked at whole: what was given back may go to those
        # that had none, and only so can be told how many they are. It is charged for that.
        if account in paths or (paths and account in self._forest.over):
            paths = {account}
        for path in paths:
            if path == account or path.rpartition("/")[0] in self.table:
                self._forest.align(path, root)
        for directory, name in notes.created.get(account, ()):
            if self._forest.has_arrived(directory, name, root):
                notes.accounts.add(account)

    def _remounted(self, notes: Notes) -> None:
        """Looks again at what lies at, above or below a mount point that came or went."""
        self.table.mounts_changed = False
        root = os.path.realpath(self._root)  # as the table has it
        for point in self._mounts.changed():
            if point.startswith(f"{root}/"):
                notes.home(point[len(root) + 1 :].split("/")[0])
        self._own.look_again()

    def _put_off(self, now: float) -> None:
        if not self._forest.refused and not self._own.refused:
            self._retry_at = math.inf
        elif self._retry_at == math.inf:
            self._retry_at = now + RETRY
        due = min(self._quota.deadline(), self._retry_at)
        self.table.patience = None if due == math.inf else max(0.0, due - now)
