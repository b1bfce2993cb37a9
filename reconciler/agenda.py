"""When the daemon looks at whom: wake-ups are coalesced per account, failures come back later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.settings import Timing


@dataclass(slots=True)
class Backoff:
    """Seconds between tries: doubling from `first` to `most`, until `reset`."""

    first: float
    most: float
    _next: float = 0.0

    def delay(self) -> float:
        """Return how long to wait now, and wait longer the next time."""
        now = self._next or self.first
        self._next = min(self.most, now * 2)
        return now

    def reset(self) -> None:
        """Begin anew: it has worked."""
        self._next = 0.0


_BURST = 20
"""Looks at one account in quick succession that wait for nothing but `quiet`."""
_RECOVERS = 4.0
"""Looks a second by which such a burst is forgotten. A loop of `chmod o+w; chmod o-w` made 160
lines of log in 5 s; bounded so, it makes a few a second, and its owner waits for `max_wait`."""


class Agenda:
    """Account names and when each is due, in monotonic seconds.

    The first wake-up of a quiet account is due at once, so that a student waits for nothing but
    their own file. Further ones within `quiet` seconds wait until there are none for `quiet`, at
    most `max_wait`: an editor or a checkout makes many.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._due: dict[str, float] = {}
        self._first: dict[str, float] = {}
        self._looked: dict[str, tuple[float, float]] = {}
        """When each was looked at last, and how often in quick succession."""

    def wake(self, names: Iterable[str], now: float) -> None:
        """Something happened to these."""
        most = self._timing.max_wait
        for name in names:
            first = self._first.setdefault(name, now)
            last, burst = self._looked.get(name, (now - most, 0.0))
            pause = self._timing.quiet if burst <= _BURST else max(most, self._timing.quiet)
            if now - last >= pause and name not in self._due:
                self._due[name] = now
            elif self._due.get(name, now + pause) > now:
                self._due[name] = min(now + pause, first + most)

    def remind(self, names: Iterable[str], at: float) -> None:
        """Look at these at `at`, unless they are due before."""
        for name in names:
            self._due[name] = min(at, self._due.get(name, at))

    def take(self, now: float) -> set[str]:
        """Return those that are due, and take them off."""
        due = {name for name, at in self._due.items() if at <= now}
        for name in due:
            del self._due[name]
            self._first.pop(name, None)
            last, burst = self._looked.get(name, (now, 0.0))
            self._looked[name] = (now, max(0.0, burst - _RECOVERS * (now - last)) + 1)
        return due

    def taken_all(self, now: float) -> None:
        """Everyone was looked at."""
        self._due.clear()
        self._first.clear()
        # Only the last seconds matter, so that this does not grow with a term's accounts.
        kept = max(self._timing.quiet, _BURST / _RECOVERS)
        self._looked = {n: seen for n, seen in self._looked.items() if now - seen[0] < kept}

    def next(self) -> float | None:
        """Return when the next is due."""
        return min(self._due.values(), default=None)
