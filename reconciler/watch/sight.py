"""All watches on one descriptor: one read of the kernel's queue → one wake."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

from reconciler.watch.homes import RETRY, Homes
from reconciler.watch.kernel import Kernel
from reconciler.watch.mounts import Mounts
from reconciler.watch.places import Place, Places
from reconciler.watch.quota import Quota
from reconciler.watch.rules import Rules
from reconciler.watch.tree import Dir, Tree
from reconciler.watch.wake import Notes, StaleError, Wake

_C = InotifyConstants


@dataclass(frozen=True, slots=True)
class Spec:
    """What is to be watched; the same for every set of watches built for it."""

    root: str
    patterns: tuple[str, ...]
    budget: int
    files: tuple[str, ...]


class Sight:
    """What the watches see, from when they are built until something makes them stale."""

    def __init__(self, spec: Spec, quota: Quota) -> None:
        """Builds all watches. Raises OSError where there is no descriptor or no root's watch."""
        self._quota = quota
        self._root = spec.root
        self._mounts = Mounts()
        try:
            self.kernel = Kernel(self._mounts.fd)
        except BaseException:
            os.close(self._mounts.fd)
            raise
        try:
            rules = Rules(spec.patterns)
            self._places = Places(self.kernel, spec.root, spec.files)
            self._tree = Tree(self.kernel, spec.root, rules, spec.budget, quota)
            self._homes = Homes(self._tree, rules, quota)
            now = time.monotonic()
            quota.tick(now)
            self._places.build()
            self._tree.build()
            quota.forgive()
            self._places_at = now + RETRY if self._places.refused() else math.inf
            self._homes.settle(now, Notes())
            self._put_off(now)
        except BaseException:
            self.kernel.discard()
            raise

    def take(self) -> Wake:
        """Waits for events, and says what they call for; an empty wake if nothing.

        Raises StaleError where events were lost or the root is another: build anew.
        """
        events = self.kernel.take()
        notes = Notes()
        now = time.monotonic()
        self._quota.tick(now)
        if self.kernel.mounts_changed:
            self.kernel.mounts_changed = False
            self._remounted(notes)
        for event in events:
            self._event(event, notes)
        if now >= self._places_at:
            self._places.look()
        # Settled even where nothing was noted: what was put off may be due.
        self._places.settle(notes)
        if notes.root_suspect and not self._tree.intact():
            raise StaleError("root-replaced")
        self._homes.settle(now, notes)
        self._places_at = now + RETRY if self._places.refused() else math.inf
        self._put_off(now)
        return notes.wake()

    def over_budget(self) -> dict[str, int]:
        """Account → directories left unwatched, at least."""
        return dict(self._tree.over)

    def refused(self) -> int:
        """Watches that the kernel refused for want of something."""
        return sum(list(self._tree.refused.values())) + self._places.refused()

    def watches(self) -> int:
        """Watches that stand."""
        return len(self.kernel)

    def _event(self, event: InotifyEvent, notes: Notes) -> None:
        if event.mask & _C.IN_Q_OVERFLOW:
            raise StaleError("overflow")
        for owner in self.kernel.owners(event):
            if isinstance(owner, Dir):
                self._homes.event(owner, event, notes)
            elif isinstance(owner, Place):
                self._places.event(owner, event, notes)

    def _remounted(self, notes: Notes) -> None:
        """Looks again at what lies at, above or below a mount point that came or went."""
        root = os.path.realpath(self._root)  # as the table has it
        for point in self._mounts.changed():
            if point.startswith(f"{root}/"):
                self._homes.look(point[len(root) + 1 :].split("/")[0], notes)
        self._places.look()

    def _put_off(self, now: float) -> None:
        due = min(self._homes.deadline(), self._places_at)
        self.kernel.patience = None if due == math.inf else max(0.0, due - now)
