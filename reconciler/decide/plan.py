"""Verdicts against what is published → the changes to make, with the brake on mass withdrawal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec import Struct

from reconciler.model import App, News, Rejection, Verdict
from reconciler.settings import Safety

BRAKE_WINDOW = 60.0
"""Seconds over which withdrawals are counted."""


class Change(Struct, frozen=True):
    """One account's link is to point to another set, or to none."""

    account: str
    event: str
    """"app.published", "app.switched", "app.changed" or "app.withdrawn"."""
    app: App | None
    reason: Rejection | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass will do to the links; empty where nothing is to be done."""

    changes: tuple[Change, ...]
    held: tuple[Change, ...]
    """Withdrawals past the brake: not done, and said."""

    @property
    def has_changes(self) -> bool:
        """Whether carrying it out would write anything."""
        return bool(self.changes)

    @property
    def held_text(self) -> str | None:
        """One sentence for the state, or None."""
        if not self.held:
            return None
        names = ", ".join(change.account for change in self.held[:5])
        more = f" and {len(self.held) - 5} more" if len(self.held) > 5 else ""
        return (
            f"{len(self.held)} withdrawals are held, as they look like an outage: {names}{more}; "
            "`slp-reconciler --once --force` lets them through"
        )


def calculate(
    verdicts: Iterable[Verdict | None],
    served: Mapping[str, App],
    *,
    gone: Iterable[str] = (),
    safety: Safety,
    recent: Iterable[str] = (),
    force: bool = False,
) -> Plan:
    """Return the plan for these verdicts.

    Args:
        verdicts: of the accounts looked at.
        served: what every account's link points to now.
        gone: names that were looked at and are no accounts any more.
        safety: the brake.
        recent: accounts whose app was withdrawn, and counted, within the last `BRAKE_WINDOW`
            seconds: they were served at its start, and those still down count again.
        force: let everything through.
    """
    wanted: list[Change] = []
    for verdict in verdicts:
        change = None if verdict is None else _change(verdict, served.get(verdict.name))
        if change is not None:
            wanted.append(change)
    wanted += [Change(name, "app.withdrawn", None) for name in gone if name in served]
    wanted.sort(key=lambda change: change.account)
    braked = [change for change in wanted if counts(change)]
    # Not as a difference of sets, which would look at everybody who is served.
    before = sum(name not in served for name in set(recent))
    if force or not _too_many(len(braked) + before, len(served) + before, safety):
        return Plan(tuple(wanted), ())
    return Plan(tuple(change for change in wanted if not counts(change)), tuple(braked))


def _change(verdict: Verdict, now: App | None) -> Change | None:
    app = verdict.app
    if verdict.keep or app == now:
        return None
    if app is None:
        return Change(verdict.name, "app.withdrawn", None, verdict.reason)
    if now is None:
        event = "app.published"
    else:
        event = "app.changed" if now.script == app.script else "app.switched"
    return Change(verdict.name, event, app)


def counts(change: Change) -> bool:
    """Whether a change is a withdrawal of the kind that the brake counts.

    Unsafe is an account's own doing, unless its cause lies above the home: an account database
    restored from last year, or a server of homes to whom every owner is nobody.
    """
    if change.app is not None:
        return False
    reason = change.reason
    return reason is None or reason.news is News.SOFT or reason.above


def too_many_at_fault(at_fault: int, all_of_them: int, safety: Safety) -> bool:
    """Whether the fault is a template's, a setting's or Apache's, and none of an account's.

    So it is where everybody is at fault, or more than the brake would let through (rule 12 of the
    design). *Measured*: one typing error in the account template took down all eight apps of a
    class, with status 0.
    """
    everybody = at_fault == all_of_them
    return at_fault > 0 and (everybody or _too_many(at_fault, all_of_them, safety))


def _too_many(some: int, of_them: int, safety: Safety) -> bool:
    return some > safety.max_withdrawn_count and some > safety.max_withdrawn_share * of_them
