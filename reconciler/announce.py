"""Puts what a pass did into the log: the same lines from the daemon and from `--once`."""

from __future__ import annotations

from typing import Any

from reconciler.publish.outcome import Outcome
from reconciler.reconcile import Look, Reconciler, changes_of
from reconciler.report import events
from reconciler.report.events import Event


def _emit(log: Any, event: Event) -> None:
    getattr(log, event.level)(event.name, **event.keys)


def look(
    log: Any,
    found: Look,
    reconciler: Reconciler,
    *,
    held_before: str | None = None,
    first: bool = False,
) -> None:
    """Log what steps 1 to 4 did; nothing where they did nothing, unless it was the first pass."""
    for change in changes_of(found):
        url = reconciler.settings.url(change.account)
        _emit(
            log,
            events.of_change(
                change.event, change.account, url, change.app, change.reason, found.took_ms
            ),
        )
    withdrawn = {c.account for c in found.plan.changes if c.event == "app.withdrawn"}
    rejected = (verdict for verdict in found.rejected if verdict.name not in withdrawn)
    for event in events.of_rejections(rejected):
        _emit(log, event)
    for account, why in sorted(found.failed.items()):
        log.error("app.failed", account=account, message=why)
    held = found.plan.held_text
    if held is not None and held != held_before:
        log.error("withdrawal.held", message=held)
    tell = log.info if found.changed or first else log.debug
    tell("pass.done", took_ms=round(found.took_ms, 1), changes=len(changes_of(found)))


def outcome(log: Any, ended: Outcome) -> None:
    """Log how a publication of configuration ended."""
    for event in events.of_outcome(
        standing=ended.ending.value,
        generation=ended.generation,
        published=ended.published,
        reloaded=ended.reloaded,
        quarantined={name: held.why for name, held in ended.quarantined.items()},
        message=ended.message,
        took_ms=ended.took_ms,
    ):
        _emit(log, event)
    if ended.warning is not None:
        log.warning("configtest.blind", message=ended.warning)
