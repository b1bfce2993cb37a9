"""What an event in a home means, and when the watches are put right."""

from __future__ import annotations

import math
import os

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

from reconciler.watch.beneath import arrived_whole
from reconciler.watch.quota import Quota
from reconciler.watch.rules import PYVENV, Rules, noise
from reconciler.watch.tree import Dir, Tree
from reconciler.watch.wake import Notes, StaleError

_C = InotifyConstants
_PYVENV = PYVENV.encode()

RETRY = 60.0
"""Seconds until what the kernel refused is tried again: somebody may have raised the limit."""


class Homes:
    """Turns the events of the homes into names of accounts, and has the tree look again.

    An event of a directory never says what to do, only which name to look at, once per read. So
    renames that cross homes, names used twice and events that come late need no case of their own.
    *Measured*: watchdog, which moves its watches about as the events tell, ends for all students
    on one student's `mkdir a; mv a ../outside; mkdir a; rmdir a; rmdir ../outside/a`.
    """

    def __init__(self, tree: Tree, rules: Rules, quota: Quota) -> None:
        self._tree = tree
        self._rules = rules
        self._quota = quota
        self._dirty: set[tuple[Dir, str]] = set()
        self._created: set[tuple[Dir, bytes]] = set()
        self._retry_at = math.inf

    def deadline(self) -> float:
        """When `settle` has put-off work, in monotonic seconds; infinity for never."""
        return min(self._retry_at, self._quota.deadline())

    def look(self, name: str, notes: Notes) -> None:
        """Has a whole home looked at again, and its account woken."""
        self._dirty.add((self._tree.root, name))
        notes.accounts.add(name)

    def event(self, node: Dir, event: InotifyEvent, notes: Notes) -> None:
        """Notes what an event of this directory calls for. Raises StaleError at the root's end."""
        home, parent = node.home, node.parent
        if home is None or parent is None:
            self._root_event(event, notes)
            return
        self._quota.charge(home.name, 1)
        mask, name = event.mask, event.name
        if not name:
            # Its own ATTRIB: a chmod makes a fault, or mends it. Else the watch has ended.
            notes.accounts.add(home.name)
            if mask & (_C.IN_IGNORED | _C.IN_UNMOUNT):
                self._dirty.add((parent, node.name))
        elif mask & _C.IN_ISDIR:
            text = os.fsdecode(name)
            if not noise(text):
                notes.accounts.add(home.name)
                self._dirty.add((node, text))
        elif self._rules.matters(name):
            if mask & _C.IN_CREATE:
                self._created.add((node, name))
                return
            notes.accounts.add(home.name)
            if name == _PYVENV:  # a virtualenv now, or no more
                self._dirty.add((parent, node.name))

    def _root_event(self, event: InotifyEvent, notes: Notes) -> None:
        mask = event.mask
        if not event.name:
            if mask & _C.IN_UNMOUNT:
                raise StaleError("unmounted")
            if mask & _C.IN_IGNORED:
                raise StaleError("root-replaced")
            notes.everything = notes.everything or "root-changed"
            return
        name = os.fsdecode(event.name)
        if name.startswith("."):
            return
        if mask & _C.IN_ISDIR:
            self._quota.charge(name, 1)
            if mask & _C.IN_ATTRIB:
                # A student can chmod their own home, muted or not: no more than a wake.
                if not self._quota.muted(name):
                    notes.accounts.add(name)
                    if name not in (self._tree.root.kids or ()):
                        self._dirty.add((self._tree.root, name))
                return
            self.look(name, notes)
        elif mask & (_C.IN_MOVE | _C.IN_DELETE):
            notes.accounts.add(name)
        elif mask & _C.IN_CREATE:
            self._created.add((self._tree.root, event.name))

    def settle(self, now: float, notes: Notes) -> None:
        """Makes the watches equal to what is there, for every name noted since the last call.

        `now` is in monotonic seconds.

        Raises OSError where the root cannot be opened.
        """
        for name in self._quota.take_muted():
            self._tree.mute(name)
            notes.accounts.add(name)
        for name in self._quota.take_released():
            self.look(name, notes)
        retry = now >= self._retry_at
        if self._dirty or self._created or retry:
            with self._tree.open() as top:
                if top is not None:  # else its parent's event tells
                    self._settle(top, notes)
                    if retry:
                        self._retry(top, notes)
            self._dirty.clear()
            self._created.clear()
        if retry or not self._tree.refused:
            self._retry_at = math.inf
        if self._tree.refused and self._retry_at == math.inf:
            self._retry_at = now + RETRY

    def _settle(self, top: int, notes: Notes) -> None:
        tree = self._tree
        # A home that was over its budget is looked at whole: what was given back may go to those
        # that had none, and only so can be told how many they are. It is charged for that.
        whole = {name for node, name in self._dirty if node is tree.root}
        whole |= {n.home.name for n, _ in self._dirty if n.home and n.home.name in tree.over}
        for name in whole:
            tree.look(tree.root, name, top)
        for node, name in self._dirty:
            if node.home and node.home.name not in whole and tree.attached(node):
                with tree.open(node, top) as here:
                    if here is not None:
                        tree.look(node, name, here)
        for node, raw in self._created:
            if tree.attached(node):
                with tree.open(node, top) as here:
                    if here is not None and arrived_whole(raw, here):
                        notes.accounts.add(node.home.name if node.home else os.fsdecode(raw))

    def _retry(self, top: int, notes: Notes) -> None:
        for name in list(self._tree.refused):
            self._tree.look(self._tree.root, name, top)
            if name not in self._tree.refused:
                notes.accounts.add(name)
            elif self._tree.full:
                return  # the others would meet the same limit
