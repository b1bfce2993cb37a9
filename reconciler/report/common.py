"""Faults that many apps have in common: of a course's template, a package, a server that is down.

Said once, and once more when twice as many have it; not before it has stopped to spread, so that
the number is right: the apps of a class fail within seconds, one after the other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from reconciler.model import Condition, State
from reconciler.report.events import Event
from reconciler.report.status import AccountStatus

LEAST = 3
"""Fewer are a coincidence, or neighbours who help each other."""
SETTLE, AT_MOST = 5.0, 20.0
"""Seconds that it must not have spread for; and after which it is said anyway."""

Key = tuple[str | None, ...]


class Fault(Struct, frozen=True):
    """One fault of many."""

    key: Key
    accounts: tuple[str, ...]
    of: int
    """How many apps are served."""
    why: str

    @property
    def text(self) -> str:
        """It in one sentence."""
        return f"{len(self.accounts)} of {self.of} fail for the same reason: {self.why}"


def faults(accounts: Mapping[str, AccountStatus]) -> list[Fault]:
    """Return the faults that at least `LEAST` accounts share, the commonest first."""
    served, found = 0, defaultdict[Key, dict[str, str]](dict)
    for name, account in accounts.items():
        served += account.state == State.SERVED
        health = account.health
        if health is not None and health.state == Condition.FAILING:
            # Without a name it is the same where it is the same place: of a template that all have.
            key: Key = (health.code, health.exception, health.name or health.where)
            said = f"{health.exception}: {health.said}" if health.said else health.message
            found[key][name] = said
    many = [(key, whys) for key, whys in found.items() if len(whys) >= LEAST]
    many.sort(key=lambda pair: -len(pair[1]))
    return [Fault(key, tuple(whys), served, _why(key, whys.values())) for key, whys in many]


def _why(key: Key, whys: Iterable[str]) -> str:
    """Return what many of them say; else what they have in common: no app chooses it for all."""
    why, count = Counter(whys).most_common(1)[0]
    return why if count >= LEAST else " ".join(filter(None, key[1:])) or str(key[0])


class _Noted(Struct, frozen=True):
    count: int
    since: float
    """When it was first seen, and not yet said."""
    grown_at: float
    said: int = 0


class Herald:
    """Remembers which faults were said."""

    def __init__(self) -> None:
        self._noted: dict[Key, _Noted] = {}

    def tell(self, found: Iterable[Fault], now: float) -> tuple[list[Event], float | None]:
        """Return what is to be said now, and when to ask again, if something is to come."""
        noted, events, again = {}, list[Event](), list[float]()
        for fault in found:
            known = noted[fault.key] = self._note(fault, now)
            if known.count < 2 * known.said:
                continue
            due = min(known.grown_at + SETTLE, known.since + AT_MOST)
            if due > now:
                again.append(due)
                continue
            noted[fault.key] = _Noted(known.count, now, now, known.count)
            events.append(_event(fault))
        self._noted = noted
        return events, min(again, default=None)

    def _note(self, fault: Fault, now: float) -> _Noted:
        count, before = len(fault.accounts), self._noted.get(fault.key)
        if before is None:
            return _Noted(count, now, now)
        if count <= before.count:
            return _Noted(count, before.since, before.grown_at, before.said)
        is_due_anew = before.count < 2 * before.said <= count
        return _Noted(count, now if is_due_anew else before.since, now, before.said)


def _event(fault: Fault) -> Event:
    keys = {"code": fault.key[0], "message": fault.text, "count": len(fault.accounts)}
    return Event("warning", "apps.failing", keys)
