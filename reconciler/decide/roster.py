"""Which accounts have a stanza, and which are left out of the configuration, and why.

It depends on who is there, never on what an app looks like: so it is worked out again only when an
account comes, goes, or has its first script.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from reconciler.decide.plan import too_many_at_fault
from reconciler.decide.rules import reject
from reconciler.model import Rejection
from reconciler.settings import Settings


class Candidate(Struct, frozen=True):
    """An account that a stanza may name."""

    name: str
    place: int | None = None
    """Its place in the queue, an ordinal that it keeps; None where it never had a script."""
    quarantined: str | None = None
    """Why Apache refuses the account's text."""
    broken: str | None = None
    """Why the templates do not render for it."""
    uid: int | None = None
    """The account's number: who came first has the smaller one."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is declared, and who is not though it has a script."""

    declared: frozenset[str] = frozenset()
    refused: Mapping[str, Rejection] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Account → the host at whose root its app answers too."""
    fault: str | None = None
    """Why nobody's text can be trusted: the templates do not render for too many."""


class Census:
    """The candidates as they are known, and the roster that they make.

    One event on an account that is already known changes neither, and costs nothing here.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._candidates: dict[str, Candidate] = {}
        self._stale = True
        self.roster = Roster()

    def note(self, name: str, candidate: Candidate | None) -> None:
        """A stanza may name the account, or None: it may not."""
        if self._candidates.get(name) == candidate:
            return
        self._stale = True
        if candidate is None:
            del self._candidates[name]
        else:
            self._candidates[name] = candidate

    def take(self) -> set[str]:
        """Bring the roster up to date; return the accounts that it treats otherwise than before."""
        if not self._stale:
            return set()
        self._stale = False
        before = self.roster
        self.roster = enroll(self._candidates.values(), self._settings)
        altered = set(before.declared ^ self.roster.declared)
        for old, new in (
            (before.refused, self.roster.refused),
            (before.hosts, self.roster.hosts),
        ):
            altered |= {name for name in {**old, **new} if old.get(name) != new.get(name)}
        return altered


def enroll(candidates: Iterable[Candidate], settings: Settings) -> Roster:
    """Return the roster."""
    candidates = sorted(candidates, key=lambda candidate: candidate.name)
    broken = {c.name: c.broken for c in candidates if c.broken is not None}
    fault = None
    if too_many_at_fault(len(broken), len(candidates), settings.safety):
        name, why = next(iter(broken.items()))
        fault = f"the templates fail for {len(broken)} of {len(candidates)} accounts; {name}: {why}"
        broken = {}  # where everybody is at fault, nobody is
    refused = _clashes(candidates, settings)
    for candidate in candidates:
        said = candidate.quarantined or broken.get(candidate.name)
        if said is not None:
            refused[candidate.name] = reject("quarantined", name=candidate.name, why=said)
    hosts = _hosts(candidates, settings)
    able = [candidate for candidate in candidates if candidate.name not in refused]
    declare, budget = settings.daemons.declare, settings.daemons.budget
    if declare == "homes" or (declare == "auto" and len(able) <= budget):
        return Roster(frozenset(candidate.name for candidate in able), refused, hosts, fault)
    queue = sorted(
        (candidate for candidate in able if candidate.place is not None),
        key=lambda candidate: (candidate.place, candidate.name),
    )
    full = reject(
        "over-budget",
        why=f"the server has room for {budget} apps, and all of it is taken",
        advice="ask the administrator for a larger budget under [daemons], or to free a place",
    )
    refused |= {late.name: full for late in queue[budget:]}
    declared = frozenset(candidate.name for candidate in queue[:budget])
    return Roster(declared, refused, hosts, fault)


def _hosts(candidates: Iterable[Candidate], settings: Settings) -> dict[str, str]:
    """Return whose each host is. Of two accounts that would have one, the later has none.

    The later is the one with the greater uid: nothing that a student does moves a host.
    """
    if not settings.urls.hosts:
        return {}
    hosts: dict[str, str] = {}
    for candidate in sorted(candidates, key=lambda c: (c.uid is None, c.uid or 0, c.name)):
        host = settings.host(candidate.name)
        if host is not None:
            hosts.setdefault(host, candidate.name)
    return {name: host for host, name in hosts.items()}


def _clashes(candidates: list[Candidate], settings: Settings) -> dict[str, Rejection]:
    """Refuse a URL that is taken: by the pages, by another setting, or by an account's own name.

    Of two accounts that a setting gives one URL, the one whose script came first has it, as with
    the budget: a newcomer never takes a neighbour's. Of two without a script, the first by name.
    """
    refused: dict[str, Rejection] = {}
    reserved = [path for path in (settings.urls.prefix, settings.pages.dashboard) if path]
    below = settings.pages.dashboard.startswith(f"{settings.urls.prefix}/")
    if not settings.accounts and not below:  # the most common; and names are not twice
        return refused
    queue = sorted(candidates, key=lambda c: (c.place is None, c.place or 0, c.name))
    taken = {settings.url(candidate.name): candidate.name for candidate in reversed(queue)}
    # An account's own name beats a setting that gives the same URL to somebody else.
    taken |= {
        settings.url(c.name): c.name
        for c in candidates
        if settings.of(c.name).url in (None, c.name)
    }
    for candidate in candidates:
        url = settings.url(candidate.name)
        above = next((path for path in reserved if f"{path}/".startswith(f"{url}/")), None)
        why = f"is taken by {taken[url]}" if taken[url] != candidate.name else None
        if above is not None:
            why = f"would hide {above}"
        if why is not None:
            advice = f'ask the administrator for another url under [accounts."{candidate.name}"]'
            refused[candidate.name] = reject("url-name", url=url, why=why, advice=advice)
    return refused
