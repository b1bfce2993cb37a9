"""What a pass did → log events: constant dotted names, variable keys, one event per change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.model import App, Rejection, State
from reconciler.report.status import Reason, Update


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log."""

    level: str
    name: str
    keys: Mapping[str, Any]


def of_change(
    event: str, account: str, url: str, app: App | None, reason: Rejection | None, took_ms: float
) -> Event:
    """Return the event of an app that was published, switched, changed or withdrawn."""
    keys: dict[str, Any] = {"account": account, "url": f"{url}/"}
    if app is not None:
        keys["project"] = app.project
    if reason is not None:
        keys |= _words(reason)
    keys["took_ms"] = round(took_ms, 1)
    return Event("info", event, keys)


def of_reasons(updates: Iterable[Update]) -> Iterator[Event]:
    """Yield the events of reasons that are new."""
    for update in updates:
        entry = update.after
        if entry is None or entry.reason is None or not update.has_new_reason:
            continue
        name = "app.at_risk" if entry.state == State.SERVED else "app.rejected"
        yield Event(
            "warning", name, {"account": update.name, "url": entry.url} | _words(entry.reason)
        )


def of_outcome(
    *,
    ending: str,
    generation: int | None,
    published: bool,
    reloaded: bool,
    quarantined: Mapping[str, str],
    message: str | None,
    took_ms: float,
) -> Iterator[Event]:
    """Yield the events of a publication of configuration."""
    for account, why in sorted(quarantined.items()):
        yield Event(
            "error", "app.quarantined", {"account": account, "code": "quarantined", "message": why}
        )
    keys: dict[str, Any] = {"generation": generation}
    if published:
        yield Event("info", "generation.published", keys | {"took_ms": round(took_ms, 1)})
    if ending == "converged" and reloaded:
        yield Event("info", "apache.reloaded", keys | {"took_ms": round(took_ms, 1)})
    names = {
        "refused-by-test": "generation.refused",
        "not-reloaded": "apache.unreachable",
        "put-back": "generation.rolled_back",
    }
    if ending in names:
        yield Event("error", names[ending], keys | {"message": message})


def _words(reason: Rejection | Reason) -> dict[str, str]:
    return {"code": reason.code, "message": reason.message, "fix": reason.fix}
