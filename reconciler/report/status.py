"""`status.json`: what is served, what is not, and why. The schema is section 7 of the design."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from reconciler.model import Condition, Failure, Health, Rejection, State, Usage, Verdict
from reconciler.settings import Settings
from reconciler.text import printable


class Reason(msgspec.Struct, frozen=True):
    """A rejection as people and programs read it."""

    code: str
    message: str
    fix: str


class Other(msgspec.Struct):
    """A script that is not the app."""

    script: str
    reason: Reason


class Wellness(msgspec.Struct, frozen=True):
    """How a served app is: `model.Health`, in words. The next process remembers it by this."""

    state: str
    since: str
    code: str | None = None
    message: str = ""
    fix: str = ""
    where: str | None = None
    worked_until: str | None = None
    changed: tuple[str, ...] = ()
    exception: str = ""
    """Its class, and below what it said, where that may be seen by everybody."""
    said: str = ""
    name: str = ""
    set: str = ""
    uid: int = -1

    @property
    def story(self) -> list[str]:
        """What happened, where and since when, a sentence each, as far as is known."""
        place = self.where or ""
        if place and not place.startswith("/"):
            place = f"~/{place}"
        raised = f"{self.exception}: {self.said}" if self.said else self.exception
        lines = [" in ".join(filter(None, (raised, place)))]
        if self.worked_until is not None:
            lines.append(f"worked until {self.worked_until}")
        if self.changed:
            lines.append(f"changed since: {', '.join(self.changed)}")
        return [line for line in lines if line]


class AccountStatus(msgspec.Struct):
    """One account."""

    state: str
    url: str
    project: str | None
    script: str | None
    since: str
    reason: Reason | None
    warnings: list[Reason]
    others: list[Other]
    host: str | None = None
    health: Wellness | None = None
    """None where no app is served."""
    usage: Usage | msgspec.UnsetType = msgspec.UNSET
    """What its processes use, where somebody asks for it; the file does not have it."""

    @property
    def is_failing(self) -> bool:
        """Whether it is served, and does not work."""
        return self.health is not None and self.health.state == Condition.FAILING


class Update(msgspec.Struct, frozen=True):
    """What a pass made of one account's entry."""

    name: str
    before: AccountStatus | None
    after: AccountStatus | None

    @property
    def differs(self) -> bool:
        """Whether the entry is another."""
        return self.before != self.after

    @property
    def has_new_reason(self) -> bool:
        """Whether it has a reason, and another than before."""
        before = None if self.before is None else self.before.reason
        return self.after is not None and self.after.reason not in {None, before}


class Status(msgspec.Struct):
    """The file."""

    generation: int | None = None
    time: str = ""
    held: str | None = None
    accounts: dict[str, AccountStatus] = {}


def read(data: bytes) -> Status:
    """Return a status from its bytes; an empty one where they are damaged."""
    try:
        return msgspec.json.decode(data, type=Status)
    except (msgspec.DecodeError, ValueError, RecursionError):  # damaged
        return Status()


def entry(
    verdict: Verdict,
    before: AccountStatus | None,
    settings: Settings,
    now: str,
    health: Health | None = None,
    ailment: Rejection | None = None,
) -> AccountStatus:
    """Return an account's entry; `since` is kept while state and script are the same.

    `now` is the time as people read it; `ailment` says in words why its app fails, if it does.
    """
    app = verdict.app if verdict.state is State.SERVED else None
    script = app.script if app else None
    same = before is not None and (before.state, before.script) == (verdict.state.value, script)
    base = f"{settings.homes.root}/{verdict.name}"
    return AccountStatus(
        state=verdict.state.value,
        url=printable(f"{verdict.url}/"),
        project=app.project if app else None,
        script=script,
        since=before.since if before is not None and same else now,
        reason=_reason(verdict.reason),
        warnings=[r for r in map(_reason, verdict.warnings) if r is not None],
        others=[
            Other(printable(f"{base}/{path}"), Reason(reason.code, reason.message, reason.fix))
            for path, reason in verdict.others
        ],
        host=verdict.host,
        health=None if health is None else _wellness(health, ailment),
    )


def remembered(entry: AccountStatus) -> Health | None:
    """Return the health that an entry was made from."""
    found = entry.health
    if found is None or found.state not in set(Condition):
        return None
    failure = None
    if entry.is_failing:
        name, where = found.name, found.where or ""
        failure = Failure(found.code or "raises", found.exception, name, where, found.said)
    return Health(
        Condition(found.state),
        found.since,
        found.set,
        found.uid,
        failure,
        found.worked_until,
        found.changed,
    )


def _wellness(health: Health, ailment: Rejection | None) -> Wellness:
    failure, works = health.failure, health.state is Condition.WORKING
    shown = Wellness(
        state=health.state.value,
        since=health.since,
        worked_until=None if works else health.worked_until,
        changed=health.changed,
        set=health.set,
        uid=health.uid,
    )
    if failure is None or ailment is None:
        return shown
    return replace(
        shown,
        code=failure.code,
        message=ailment.message,
        fix=ailment.fix,
        where=failure.where or None,
        exception=failure.kind,
        said=failure.message,
        name=failure.name,
    )


def whole(
    accounts: Mapping[str, AccountStatus], generation: int | None, held: str | None, now: str
) -> Status:
    """Return the status of everybody, in order and with names that print."""
    return Status(generation, now, held, {printable(n): accounts[n] for n in sorted(accounts)})


def lines(status: Status) -> Iterator[str]:
    """Yield a line an account: "account = alice; state = served; url = /django/alice/; …"."""
    for name, account in status.accounts.items():
        said = {
            "account": name,
            "state": account.state,
            "url": account.url,
            "script": account.script,
            "since": account.since,
            "reason": account.reason.code if account.reason else None,
        }
        yield "; ".join(f"{key} = {value}" for key, value in said.items() if value is not None)


def encode(status: Status) -> bytes:
    """Return the bytes of the file."""
    return msgspec.json.format(msgspec.json.encode(status), indent=1) + b"\n"


def summary(status: Status) -> str:
    """Return it in one line: "412 apps, 3 failing, 9 rejected, generation 57"."""
    found = counts(status.accounts.values())
    parts = [f"{found['served']} apps", f"{found['rejected']} rejected"]
    if failing := sum(account.is_failing for account in status.accounts.values()):
        parts.insert(1, f"{failing} failing")
    return f"{', '.join(parts)}, generation {status.generation or 'none'}"


def counts(accounts: Iterable[AccountStatus]) -> dict[str, int]:
    """Return how many accounts are in each state."""
    found = {state.value: 0 for state in State}
    for account in accounts:
        found[account.state] += 1
    return found


def _reason(reason: Rejection | None) -> Reason | None:
    return None if reason is None else Reason(reason.code, reason.message, reason.fix)


def to_json(value: Status | AccountStatus) -> str:
    """Return it as people print it."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
