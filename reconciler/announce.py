"""Puts what passes did into the log: the same lines from the daemon and from `--once`."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from reconciler.passes import Look, Passes
from reconciler.publish.outcome import Outcome
from reconciler.report import common, events
from reconciler.report.events import Event
from reconciler.report.status import Status


class Teller:
    """Tells the log, and what lasts only once."""

    def __init__(self, log: Any, *, first: bool = False) -> None:
        """`first`: say that the first pass is done, even if it did nothing."""
        self._log = log
        self._is_first = first
        self._herald = common.Herald()
        self._lasting: dict[str, str | None] = {}
        """By event: what it said last."""

    def look(self, found: Look, passes: Passes) -> None:
        """Log what steps 1 to 4 did; nothing where they did nothing, unless it was the first."""
        done = [change for change in found.plan.changes if change.account not in found.failed]
        for change in done:
            self._emit(
                events.of_change(
                    change.event,
                    change.account,
                    passes.settings.url(change.account),
                    change.app,
                    change.reason,
                    found.took_ms,
                )
            )
        withdrawn = {c.account for c in found.plan.changes if c.event == "app.withdrawn"}
        for event in events.of_reasons(u for u in found.updates if u.name not in withdrawn):
            self._emit(event)
        for event in found.voiced:
            self._emit(event)
        for account, why in sorted(found.failed.items()):
            self._log.error("app.failed", account=account, message=why)
        self._last("notes.failed", found.trouble)
        self._last("withdrawal.held", passes.held)
        self._last("templates.broken", passes.fault)
        self._last("generation.blocked", passes.blocked)
        news = found.plan.has_changes or found.wanted is not None or self._is_first
        news |= any(update.has_new_reason for update in found.updates)
        tell = self._log.info if news else self._log.debug
        tell("pass.done", took_ms=round(found.took_ms, 1), changes=len(done))
        self._is_first = False

    def ears(self, trouble: str | None, muted: Set[str]) -> None:
        """Log whose reports are not heard, and whose are not to be."""
        self._last("reports.unheard", trouble)
        names = ", ".join(sorted(muted)[:20])
        why = f"not listened to until the next start, since their app sent descriptors: {names}"
        self._last("reports.muted", why if muted else None)

    def common(self, status: Status, now: float) -> float | None:
        """Log the faults that many have in common; return when to ask again, if ever."""
        found, again = self._herald.tell(common.faults(status.accounts), now)
        for event in found:
            self._emit(event)
        return again

    def outcome(self, ended: Outcome | Exception) -> None:
        """Log how a publication of configuration ended; the same trouble once."""
        if isinstance(ended, Exception):
            self._log.error("generation.failed", message=str(ended))
            return
        is_new = self._lasting.get("outcome") != ended.message or ended.message is None
        self._lasting["outcome"] = ended.message
        if is_new or ended.quarantined:
            for event in events.of_outcome(
                ending=ended.ending.value,
                generation=ended.generation,
                published=ended.published,
                reloaded=ended.reloaded,
                quarantined={name: held.why for name, held in ended.quarantined.items()},
                message=ended.message,
                took_ms=ended.took_ms,
            ):
                self._emit(event)
        if ended.warning is not None:
            self._log.warning("configtest.blind", message=ended.warning)

    def _last(self, event: str, message: str | None) -> None:
        if message is not None and message != self._lasting.get(event):
            self._log.error(event, message=message)
        self._lasting[event] = message

    def _emit(self, event: Event) -> None:
        getattr(self._log, event.level)(event.name, **event.keys)
