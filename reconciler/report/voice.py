"""What the log says of the health of an app, and when it has said enough. Pure.

One event when it fails, or fails for another reason, and one when it works again. An app that goes
to and fro has a few lines, then one a minute: what that leaves out is counted, and what is so in
the end is always said.
"""

from __future__ import annotations

from math import inf
from typing import Any

from msgspec import Struct

from reconciler.model import Condition
from reconciler.report.events import Event
from reconciler.report.status import AccountStatus, Wellness

LINES, EVERY = 4, 60.0
"""Lines that an app may have at once, and seconds until it may have another: a student who saves a
mistake and mends it is followed, and a class of 300 that does so for ever makes five lines a
second."""

Reason = tuple[str | None, ...]


class Voice(Struct, frozen=True, gc=False):
    """What was said of one app."""

    said: Reason | None = None
    """Why it fails, as was said last; None: that it works, or nothing."""
    known: Reason | None = None
    """Why it fails, as was known last, said or not."""
    lines: float = LINES
    """How many it may have, as of `at` (seconds of a clock)."""
    at: float = -inf
    folded: int = 0
    """Changes that were not said."""
    due: float | None = None
    """When what is not said yet may be."""


SILENT = Voice()


def remembered(entry: AccountStatus | None) -> Voice:
    """Return what an earlier process has said, by the status that it left."""
    health = None if entry is None else entry.health
    return SILENT if health is None else Voice(_reason(health), _reason(health))


def tell(
    voice: Voice, name: str, entry: AccountStatus | None, now: float
) -> tuple[Voice, Event | None]:
    """Return what will have been said then, and what is to be said now, if anything."""
    if entry is None or entry.health is None:
        return SILENT, None
    health = entry.health
    if health.state == Condition.UNKNOWN:
        return voice, None
    reason = _reason(health)
    is_change = reason != voice.known
    lines = min(LINES, voice.lines + (now - voice.at) / EVERY)
    if reason == voice.said:
        return Voice(reason, reason, lines, now, voice.folded + is_change), None
    if lines < 1:
        due = now + (1 - lines) * EVERY
        return Voice(voice.said, reason, lines, now, voice.folded + is_change, due), None
    folded = voice.folded if is_change else voice.folded - 1  # this one was to be said later
    return Voice(reason, reason, lines - 1, now), _event(name, entry.url, health, folded)


def _reason(health: Wellness) -> Reason | None:
    """Return what makes a failure another one: not the line, which moves with every edit."""
    if health.state != Condition.FAILING:
        return None
    return health.code, health.exception, health.name, (health.where or "").rpartition(":")[0]


def _event(name: str, url: str, health: Wellness, folded: int) -> Event:
    keys: dict[str, Any] = {"account": name, "url": url}
    if health.state == Condition.FAILING:
        keys |= {"code": health.code, "message": health.message, "fix": health.fix}
        keys |= {"where": health.where, "said": health.said, "worked_until": health.worked_until}
    if folded > 0:
        keys["folded"] = folded
    shown = {key: value for key, value in keys.items() if value not in {None, ""}}
    if health.state == Condition.FAILING:
        return Event("warning", "app.failing", shown)
    return Event("info", "app.working", shown)
