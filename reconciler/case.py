"""All that is known of one account between two passes: a row of frozen values, a *case*.

Each column has one stage that writes it, by way of `passes.py`; no stage takes a case, so that it
becomes nobody's god: stages take and return values. What is known of all accounts together is
derived from the rows by one function, `Cases.file`, and can be rebuilt from them at any time.

What is left to do for an account is not kept as a list of things to do: it is read from its row. A
case is *open* from when it was judged anew until its link, its page and its entry of the status
were seen to be as they ought to be. So a pass may end anywhere, and the next one goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import TypeVar

from msgspec.structs import replace

from reconciler.decide.roster import Candidate, Census, Roster
from reconciler.model import App, Failure, Health, Standing, State, Verdict, Visit
from reconciler.observe.sighting import Seen
from reconciler.publish.configuration import Stanza
from reconciler.publish.sets import Live
from reconciler.publish.wording import Phrase
from reconciler.report.status import AccountStatus
from reconciler.report.voice import SILENT, Voice
from reconciler.settings import Settings


@dataclass(slots=True, eq=False)
class Case:
    """One account. Only the thread that looks writes."""

    name: str
    seen: Seen | None = None
    """observe: the home, where its account was found, and what makes the next look cheap."""
    basis: tuple[object, ...] | None = None
    """decide: what the verdict was made from: the same facts have the same verdict."""
    verdict: Verdict | None = None
    """decide: by the account's own facts alone; None: it is no account, and has no home."""
    held: bool = False
    """decide, in the plan: its withdrawal waits."""
    phrase: Phrase | None = None
    """publish: its text in the configuration."""
    place: int | None = None
    """publish: its place in the queue for daemons."""
    live: Live | None = None
    """publish: what its link points to, as read from disk."""
    page: bytes | None = None
    """publish: the digest of its page; None: there is none, as far as is known."""
    trouble: str | None = None
    """publish: why the last change of its link could not be made."""
    health: Health | None = None
    """health: how its app is, by what that told and by what a visitor saw; None: it has none."""
    visit: Visit | None = None
    """health: what a visitor found last; None: nobody came."""
    told: AccountStatus | None = None
    """report: its entry of the status, from which the log's news are told."""
    voice: Voice = SILENT
    """report: what the log has said of its app's health."""

    @property
    def app(self) -> App | None:
        """What is published."""
        return None if self.live is None else self.live.app

    @property
    def stanza(self) -> Stanza | None:
        """Its text, which may have to wait."""
        return None if self.phrase is None else self.phrase.stanza

    @property
    def recheck_at(self) -> float | None:
        """When to look again even if nothing happens."""
        judged = None if self.verdict is None else self.verdict.recheck_at
        return min((at for at in (judged, self.voice.due) if at is not None), default=None)

    @property
    def failure(self) -> Failure | None:
        """Why its app fails, if it does."""
        return None if self.health is None else self.health.failure

    @property
    def is_listed(self) -> bool:
        """Whether a stanza may name it."""
        return self.verdict is not None and self.verdict.account is not None

    @property
    def is_unnamed(self) -> bool:
        """Whether the account database may not name it just now, though a stanza stands for it."""
        unknown = self.seen is not None and self.seen.home.standing is Standing.UNKNOWN
        return self.held or unknown

    @property
    def is_unsettled(self) -> bool:
        """Whether something is left to do, or may be told at another look."""
        if self.is_unnamed or self.trouble is not None or self.verdict is None:
            return self.verdict is not None or self.live is not None
        needs_page = self.live is None or self.failure is not None
        lacks_page = self.is_listed and needs_page and self.page is None
        return lacks_page or self.verdict.is_unknown

    def shown(self, verdict: Verdict) -> Verdict:
        """Return the verdict as people are told of it: with what other columns add."""
        if not self.held or self.app is None:
            return verdict
        return replace(verdict, state=State.SERVED, app=self.app, keep=True)


class Cases:
    """Every case, and the few tables over all of them, which depend on the rows alone."""

    def __init__(self, settings: Settings, new: type[Case] = Case) -> None:
        self._new = new
        self._rows: dict[str, Case] = {}
        self._census = Census(settings)
        self.open: set[str] = set()
        """Who was judged anew, and is not yet seen to be as they ought to be."""
        self.served: dict[str, App] = {}
        """What is published of everybody: what the brake counts against."""
        self.stanzas: dict[str, Stanza] = {}
        """The text of everybody who has one, declared or not."""
        self.altered = True
        """Some text, or who is declared, is another since somebody set this to False."""

    def __iter__(self) -> Iterator[Case]:
        return iter(self._rows.values())

    @property
    def names(self) -> Set[str]:
        """Everybody's name."""
        return self._rows.keys()

    def get(self, name: str) -> Case | None:
        """Return the case of that name, if there is one."""
        return self._rows.get(name)

    def row(self, name: str) -> Case:
        """Return the case of that name, a new one where there was none."""
        case = self._rows.get(name)
        if case is None:
            case = self._rows[name] = self._new(name)
        return case

    def file(self, case: Case) -> None:
        """Bring the tables up to date with one row. Whoever changes a row calls it."""
        _put(self.served, case.name, case.app)
        if self.stanzas.get(case.name) is not case.stanza:
            self.altered = True
            _put(self.stanzas, case.name, case.stanza)
        candidate = None
        # One that is not listed any more stays for as long as it has a text: it may be held.
        if case.is_listed or case.stanza is not None:
            said = case.phrase or Phrase(None, None)
            uid = case.stanza.ids[0] if case.stanza is not None and case.stanza.ids else None
            candidate = Candidate(case.name, case.place, said.refused, said.broken, uid)
        self._census.note(case.name, candidate)

    def drop(self, case: Case) -> None:
        """Forget an account."""
        del self._rows[case.name]
        self.open.discard(case.name)
        self.file(self._new(case.name))

    @property
    def roster(self) -> Roster:
        """Who is declared, and who is refused, as of the last `enroll`."""
        return self._census.roster

    def enroll(self) -> set[str]:
        """Bring the roster up to date; open, and return, whom it treats otherwise than before."""
        treated = self._census.take() & self._rows.keys()
        self.altered |= bool(treated)
        self.open |= treated
        return treated

    def settled(self, case: Case) -> Verdict | None:
        """Return the verdict with what the roster adds: a host; no stanza, no app."""
        verdict, refusal = case.verdict, self.roster.refused.get(case.name)
        host = self.roster.hosts.get(case.name)
        if verdict is not None and host is not None:
            verdict = replace(verdict, host=host)
        if verdict is None or refusal is None:
            return verdict
        if verdict.account is None or verdict.state is State.EMPTY:
            return verdict
        return replace(
            verdict, state=State.REJECTED, app=None, keep=False, reason=refusal, recheck_at=None
        )


T = TypeVar("T")


def _put(table: dict[str, T], name: str, value: T | None) -> None:
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value
