"""Whom to visit, and when: one student's change at once, and never a whole class. Pure.

A visit loads an app: some 30 MB and a quarter of a second of a processor. So at most two are under
way, and `per_minute` begin in a minute. Whoever changed something comes first. For the others, of
whom nothing is known yet, there is a tenth of that: while they are visited one after the other,
those before them are idle and give their memory back.

Whoever changes their app in a loop, or says that it changed, is visited three times a minute, so
that a few of them cannot have all there is. What answers slowly holds a place for long, and may do
so on purpose: it rests twice as long as it took, and only one of the two places is for such apps.
What does not work is visited again by itself, later each time: the student may be mending it, in
files that nobody watches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from reconciler.settings import Probe

PLACES = 2
SLOW = 2.0
"""Seconds after which an answer is slow."""
REST_LEAST, REST_SHARE = 2.0, 2.0
"""How long the same app is left alone: so many seconds, and so many times what its visit took."""
BURST, RECOVERS, REST_MOST = 5, 20.0, 60.0
"""So many visits in quick succession have no longer rest; then it is twice as long each time, up to
the most. One of them is forgotten every `RECOVERS` seconds."""
AGAIN, AGAIN_MOST = 15.0, 600.0
"""Seconds until an app that does not work is visited again; then doubled, up to the most."""
BACKGROUND = 10.0
"""How much slower those are visited of whom nothing is new."""
_MINUTE = 60.0


@dataclass(slots=True)
class _Row:
    asked: float = inf
    """When it is to be visited; infinity: not at all."""
    floor: float = -inf
    """Not before that."""
    pause: float = AGAIN
    """Seconds until the next visit, if this one finds that it does not work."""
    burst: float = 0.0
    """Visits in quick succession, with what was forgotten of them."""
    last: float = -inf
    """When the last one began."""
    is_slow: bool = False
    is_under_way: bool = False


class Rounds:
    """Who is to be visited. Times are seconds of one clock that never jumps."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._rows: dict[str, _Row] = {}
        self._calm: dict[str, None] = {}
        """Those of whom nothing is known and nothing is new, in the order of their turn."""
        self._unknown: set[str] = set()
        """Those of whom Apache did not know when their turn came."""
        self._begun: deque[float] = deque([-inf] * probe.per_minute, maxlen=probe.per_minute)
        """When the last visits began."""
        self._calm_at = -inf

    def ask(self, names: Iterable[str], now: float) -> None:
        """Their apps are others than before."""
        for name in names if self._probe.enabled else ():
            row = self._rows.setdefault(name, _Row())
            row.asked, row.pause = min(row.asked, now), AGAIN
            self._calm.pop(name, None)

    def doubt(self, names: Iterable[str], now: float) -> None:
        """They fail, as they say themselves: as if a visit had found it.

        Of those under way the visit will tell: that may be how it came about.
        """
        for name in names if self._probe.enabled else ():
            row = self._rows.setdefault(name, _Row())
            if not row.is_under_way:
                row.asked = min(row.asked, now + row.pause)
                self._calm.pop(name, None)

    def ask_some_time(self, names: Iterable[str]) -> None:
        """Nothing is known of their apps."""
        for name in names if self._probe.enabled else ():
            if name not in self._rows:
                self._calm[name] = None

    def forget(self, names: Iterable[str]) -> None:
        """They have no app any more."""
        for name in names:
            self._calm.pop(name, None)
            self._unknown.discard(name)
            if name in self._rows:
                self._rows[name].asked = inf

    def postponed(self, name: str) -> None:
        """Apache does not know the address of one that is under way: it waits for `known`."""
        self._rows[name].is_under_way = False
        self._unknown.add(name)

    def known(self, now: float) -> None:
        """Apache knows of more than before."""
        self.ask(self._unknown, now)
        self._unknown.clear()

    def next(self) -> float:
        """Return when the next visit may begin; infinity: none, as far as is known."""
        return self._next()[0]

    def take(self, now: float) -> tuple[str, ...]:
        """Return whom to visit now; they are under way until `ended`."""
        self._tidy(now)
        taken: list[str] = []
        while True:
            at, name = self._next()
            if at > now:
                return tuple(taken)
            if name in self._calm:
                del self._calm[name]
                self._calm_at = now + BACKGROUND * _MINUTE / self._probe.per_minute
            row = self._rows.setdefault(name, _Row())
            row.asked, row.is_under_way = inf, True
            row.burst = max(0.0, row.burst - (now - row.last) / RECOVERS) + 1
            row.last = now
            self._begun.append(now)
            taken.append(name)

    def ended(self, name: str, *, took: float, works: bool, now: float) -> None:
        """A visit has ended, whole, after so many seconds."""
        row = self._rows.setdefault(name, _Row())
        row.is_under_way, row.is_slow = False, took > SLOW
        rest = min(REST_MOST, REST_LEAST * 2 ** max(0.0, row.burst - BURST))
        row.floor = now + max(rest, REST_SHARE * took)
        if works:
            row.pause = AGAIN
        else:
            row.asked = min(row.asked, now + row.pause)
            row.pause = min(AGAIN_MOST, 2 * row.pause)

    def _next(self) -> tuple[float, str]:
        under_way = [row for row in self._rows.values() if row.is_under_way]
        if len(under_way) >= PLACES:
            return inf, ""
        has_slow = any(row.is_slow for row in under_way)
        soonest = min(
            (
                (max(row.asked, row.floor), row.asked, name)
                for name, row in self._rows.items()
                if row.asked < inf and not row.is_under_way and not (row.is_slow and has_slow)
            ),
            default=(inf, inf, ""),
        )
        at, name = soonest[0], soonest[2]
        if self._calm and self._calm_at < at:
            at, name = self._calm_at, next(iter(self._calm))
        return max(at, self._begun[0] + _MINUTE), name

    def _tidy(self, now: float) -> None:
        """Forget what has no influence any more: ten thousand good apps cost nothing."""
        for name, row in list(self._rows.items()):
            kept = AGAIN_MOST if row.is_slow else RECOVERS * row.burst
            over = max(row.floor, row.last + kept) <= now
            if over and row.asked == inf and not row.is_under_way:
                del self._rows[name]
