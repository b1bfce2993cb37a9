"""Verdicts against what is published → the changes to make, with the brake on mass withdrawal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec import Struct

from reconciler.model import App, News, Rejection, State, Verdict
from reconciler.settings import Safety

BRAKE_WINDOW = 60.0
"""Seconds over which withdrawals are counted."""

# Unsafe for one account is the account's own doing; these come from above the home, where one
# fault of the machine's (an account database restored from last year) hits every account at once.
_ABOVE_THE_HOME = frozenset({"no-account", "system-account", "home-mismatch", "url-name"})


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
    recent: int = 0,
    force: bool = False,
) -> Plan:
    """Return the plan for these verdicts.

    Args:
        verdicts: of the accounts looked at.
        served: what every account's link points to now.
        gone: names that were looked at and are no accounts any more.
        safety: the brake.
        recent: withdrawals within the last `BRAKE_WINDOW` seconds, of accounts still not served.
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
    if force or not _too_many(len(braked) + recent, len(served) + recent, safety):
        return Plan(tuple(wanted), ())
    return Plan(tuple(change for change in wanted if not counts(change)), tuple(braked))


def _change(verdict: Verdict, now: App | None) -> Change | None:
    app = verdict.app if verdict.state is State.SERVED else None
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
    """Whether a change is a withdrawal of the kind that the brake counts."""
    if change.app is not None:
        return False
    reason = change.reason
    return reason is None or reason.news is News.SOFT or reason.code in _ABOVE_THE_HOME


def _too_many(withdrawn: int, served_before: int, safety: Safety) -> bool:
    return (
        withdrawn > safety.max_withdrawn_count
        and withdrawn > safety.max_withdrawn_share * served_before
    )
