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
        self._looked: dict[str, float] = {}

    def wake(self, names: Iterable[str], now: float) -> None:
        """Something happened to these."""
        quiet, most = self._timing.quiet, self._timing.max_wait
        for name in names:
            first = self._first.setdefault(name, now)
            if now - self._looked.get(name, -quiet) >= quiet and name not in self._due:
                self._due[name] = now
            elif self._due.get(name, now + quiet) > now:
                self._due[name] = min(now + quiet, first + most)

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
            self._looked[name] = now
        return due

    def taken_all(self, now: float) -> None:
        """Everyone was looked at."""
        self._due.clear()
        self._first.clear()
        # Only the last `quiet` matters, so that this does not grow with a term's accounts.
        self._looked = {n: at for n, at in self._looked.items() if now - at < self._timing.quiet}

    def next(self) -> float | None:
        """Return when the next is due."""
        return min(self._due.values(), default=None)
