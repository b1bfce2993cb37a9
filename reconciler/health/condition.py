"""How an app is, by what was known of it and by what is told now. Pure.

| known    | told                  | then      | it worked until                                  |
|----------|-----------------------|-----------|--------------------------------------------------|
| anything | loaded, answered      | working   |                                                  |
| working  | ends                  | working   | now: nobody knows of later                       |
| working  | failed, raised        | failing   | when it ended, else now                          |
| failing  | failed, raised        | failing   | as before, and so is since when, and what changed |
| anything | ends, as it changed   | unknown   | now if it was working, else as before            |
| anything | another set           | unknown   | now if it was working, else as before            |
| anything | another uid           | unknown   | never: it is somebody else's                     |
"""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.health.reports import Event, Report
from reconciler.model import Condition, Failure, Health


def of_set(health: Health | None, name: str, uid: int, now: str) -> Health:
    """Return the health of the app of set `name`, of which nothing has been told yet.

    `now` is the time as people read it, here and below.
    """
    if health is None or health.uid != uid:
        return Health(Condition.UNKNOWN, now, name, uid)
    if health.set == name:
        return health
    return replace(_outdated(health, now), set=name)


def after(health: Health, report: Report, now: str) -> Health:
    """Return it with what a process of the app told; one of another set is not believed."""
    if report.set not in {"", health.set}:
        return health
    if report.failure is not None:
        return failed(health, report.failure, now, report.changed)
    if report.event is Event.LOADED:
        return worked(health, now)
    if report.is_outdated:
        return _outdated(health, now, report.changed)
    if health.state is Condition.WORKING:
        return replace(health, worked_until=now)
    return health


def is_news(before: Health, after: Health) -> bool:
    """Whether people are to be told: not of a process that ended, or failed once more."""
    return (before.state, before.failure, before.changed) != (
        after.state,
        after.failure,
        after.changed,
    )


def worked(health: Health, now: str) -> Health:
    """Return it with an answer that was good."""
    if health.state is Condition.WORKING:
        return replace(health, worked_until=None)
    return Health(Condition.WORKING, now, health.set, health.uid)


def failed(health: Health, failure: Failure, now: str, changed: tuple[str, ...] = ()) -> Health:
    """Return it with a load or an answer that was not good, and why."""
    return replace(
        health,
        state=Condition.FAILING,
        since=health.since if health.state is Condition.FAILING else now,
        failure=failure,
        worked_until=_worked_until(health, now),
        changed=changed or health.changed,
    )


def _outdated(health: Health, now: str, changed: tuple[str, ...] = ()) -> Health:
    return replace(
        health,
        state=Condition.UNKNOWN,
        since=health.since if health.state is Condition.UNKNOWN else now,
        failure=None,
        worked_until=_worked_until(health, now),
        changed=changed or health.changed,
    )


def _worked_until(health: Health, now: str) -> str | None:
    if health.state is Condition.WORKING:
        return health.worked_until or now
    return health.worked_until
