"""Which accounts have a stanza, and which are left out of the configuration, and why.

It depends on who is there, never on what an app looks like: so it is worked out again only when an
account comes, goes, or has its first script.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec import Struct

from reconciler.decide.rules import reject
from reconciler.model import Rejection
from reconciler.settings import Settings


class Candidate(Struct, frozen=True):
    """An account that a stanza may name."""

    name: str
    first_script: float | None
    """When it first had a script (Unix seconds): the order of the queue, kept on disk."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is declared, and who is not though it has a script."""

    declared: frozenset[str]
    refused: Mapping[str, Rejection]


class Census:
    """The candidates as they are known, and the roster that they make.

    One event on an account that is already known changes neither, and costs nothing here.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._candidates: dict[str, Candidate] = {}
        self._left_out: Mapping[str, str] = {}
        self._stale = True
        self.roster = Roster(frozenset(), {})

    def note(self, name: str, candidate: Candidate | None) -> None:
        """A stanza may name the account, or None: it may not."""
        if self._candidates.get(name) == candidate:
            return
        self._stale = True
        if candidate is None:
            del self._candidates[name]
        else:
            self._candidates[name] = candidate

    def take(self, left_out: Mapping[str, str]) -> set[str]:
        """Bring the roster up to date; return the accounts that it treats otherwise than before.

        `left_out` maps accounts in quarantine to what Apache said of them.
        """
        if not self._stale and left_out == self._left_out:
            return set()
        self._stale, self._left_out = False, dict(left_out)
        before = self.roster
        self.roster = enroll(self._candidates.values(), self._settings, left_out)
        refused = {**before.refused, **self.roster.refused}
        return set(before.declared ^ self.roster.declared) | {
            name for name in refused if before.refused.get(name) != self.roster.refused.get(name)
        }


def enroll(
    candidates: Iterable[Candidate], settings: Settings, quarantined: Mapping[str, str]
) -> Roster:
    """Return the roster. `quarantined` maps accounts to what Apache said of them."""
    candidates = sorted(candidates, key=lambda candidate: candidate.name)
    refused = _clashes(candidates, settings)
    for name, why in quarantined.items():
        refused[name] = reject("quarantined", name=name, why=why)
    able = [candidate for candidate in candidates if candidate.name not in refused]
    declare, budget = settings.daemons.declare, settings.daemons.budget
    if declare == "homes" or (declare == "auto" and len(able) <= budget):
        return Roster(frozenset(candidate.name for candidate in able), refused)
    queue = sorted(
        (candidate for candidate in able if candidate.first_script is not None),
        key=lambda candidate: (candidate.first_script, candidate.name),
    )
    full = reject(
        "over-budget",
        why=f"the server has room for {budget} apps, and all of it is taken",
        mend="ask the administrator to raise `budget` under [daemons], or to free a place",
    )
    refused |= {late.name: full for late in queue[budget:]}
    return Roster(frozenset(candidate.name for candidate in queue[:budget]), refused)


def _clashes(candidates: list[Candidate], settings: Settings) -> dict[str, Rejection]:
    """Refuse a URL that is taken: by the pages, by another setting, or by an account's own name."""
    refused: dict[str, Rejection] = {}
    if not settings.accounts:
        return refused
    taken = {settings.url(candidate.name): candidate.name for candidate in reversed(candidates)}
    # An account's own name beats a setting that gives the same URL to somebody else.
    taken |= {
        settings.url(c.name): c.name
        for c in candidates
        if settings.of(c.name).url in (None, c.name)
    }
    reserved = [path for path in (settings.urls.prefix, settings.pages.dashboard) if path]
    for candidate in candidates:
        url = settings.url(candidate.name)
        above = next((path for path in reserved if f"{path}/".startswith(f"{url}/")), None)
        why = f"is taken by {taken[url]}" if taken[url] != candidate.name else None
        if above is not None:
            why = f"would hide {above}"
        if why is not None:
            mend = f'ask the administrator for another `url` under [accounts."{candidate.name}"]'
            refused[candidate.name] = reject("url-name", url=url, why=why, mend=mend)
    return refused
