"""Faults that many apps have in common: of a course's template, a package, a server that is down.

Said once, and once more when twice as many have it; not before it has stopped to spread, so that
the number is right: the apps of a class fail within seconds, one after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from reconciler.model import Condition, State
from reconciler.report.events import Event
from reconciler.report.status import AccountStatus, Wellness

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
    example: Wellness

    @property
    def text(self) -> str:
        """It in one sentence."""
        found = self.example
        why = f"{found.exception}: {found.said}" if found.said else found.message
        return f"{len(self.accounts)} of {self.of} fail for the same reason: {why}"


def faults(accounts: Mapping[str, AccountStatus]) -> list[Fault]:
    """Return the faults that at least `LEAST` accounts share, the commonest first."""
    served, found = 0, defaultdict[Key, list[str]](list)
    for name, account in accounts.items():
        served += account.state == State.SERVED
        health = account.health
        if health is not None and health.state == Condition.FAILING:
            # Without a name it is the same where it is the same place: of a template that all have.
            key: Key = (health.code, health.exception, health.name or health.where)
            found[key].append(name)
    many = [(key, names) for key, names in found.items() if len(names) >= LEAST]
    shown = []
    for key, names in sorted(many, key=lambda pair: -len(pair[1])):
        example = accounts[names[0]].health
        assert example is not None
        shown.append(Fault(key, tuple(names), served, example))
    return shown


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
    keys = {"code": fault.example.code, "message": fault.text, "count": len(fault.accounts)}
    return Event("warning", "apps.failing", keys)
