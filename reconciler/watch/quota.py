"""How much of our time one home may take."""

from __future__ import annotations

import math

WINDOW = 1.0
"""Seconds over which a home's work is added up."""
WORK = 8192
"""Units of work per window before a home is muted: an event is one, a directory opened four.
Half of the kernel's default queue (fs.inotify.max_queued_events, 16,384), so that one home cannot
fill it for the others; *measured*, it is some 50 ms of our time. An archive of a thousand
directories that is unpacked into a home stays below it."""
MUTE = 30.0
"""Seconds without any watch for a muted home. The resync covers it meanwhile."""
OPENED = 4
ENTRIES = 64
"""Directory entries read for one unit."""


class Quota:
    """Mutes the home that floods us.

    `while :; do mv a b; mv b a; done` in one home makes more events than can be read; the queue
    overflows, every home is looked at again, and again. *Measured* over 6 s with 2,000 homes: six
    overflows, 4.8 s of our CPU, neighbours heard after up to 1.8 s; muted, none, 0.09 s and 10 ms.

    Outlives the watches: they are built anew after an overflow, without the one who caused it.
    """

    def __init__(self, budget: int) -> None:
        """Takes the watches a home may have; a whole look at one must not mute it."""
        self._limit = max(WORK, 16 * budget)
        self._window = -math.inf
        self._spent: dict[str, int] = {}
        self._muted: dict[str, float] = {}
        self._fresh: list[str] = []
        self._now = 0.0

    def tick(self, now: float) -> None:
        """Tells the time, in monotonic seconds, once per read."""
        self._now = now
        if now - self._window > WINDOW:
            self._window = now
            self._spent.clear()

    def forgive(self) -> None:
        """Forgets what was used: building all watches anew is nobody's doing."""
        self._spent.clear()

    def charge(self, name: str, units: int) -> None:
        """Adds to what a home has used in this window."""
        spent = self._spent.get(name, 0) + units
        self._spent[name] = spent
        if spent > self._limit and name not in self._muted:
            self._muted[name] = self._now + MUTE
            self._fresh.append(name)

    def muted(self, name: str) -> bool:
        """Whether a home gets no watches now."""
        return name in self._muted

    def take_muted(self) -> list[str]:
        """The homes muted since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def take_released(self) -> list[str]:
        """The homes whose time is over, since the last call."""
        over = [name for name, until in self._muted.items() if until <= self._now]
        for name in over:
            del self._muted[name]
            self._spent.pop(name, None)
        return over

    def deadline(self) -> float:
        """When the next one is over, in monotonic seconds; infinity for never."""
        return min(self._muted.values(), default=math.inf)
