"""What is known of the accounts: what was observed, the verdicts on it, and the text it makes.

All of it can be observed again, so all of it is a cache; losing it costs one full look.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass

from msgspec.structs import replace

from reconciler.decide.roster import Candidate, Census
from reconciler.decide.verdict import Context, judge
from reconciler.model import App, Home, Standing, State, Verdict
from reconciler.observe import sighting
from reconciler.observe.accounts import Accounts
from reconciler.observe.descent import Unreadable
from reconciler.observe.identity import become
from reconciler.observe.interpreter import find
from reconciler.observe.observer import Observer
from reconciler.observe.sighting import Subject
from reconciler.publish.apache import Server
from reconciler.publish.configuration import Configuration
from reconciler.publish.ledger import Book
from reconciler.publish.render import Templates
from reconciler.publish.stanzas import Stanzas
from reconciler.settings import Settings


@dataclass(frozen=True, slots=True)
class Seen:
    """What looking at some accounts has brought."""

    finals: tuple[Verdict, ...]
    """Of those whose verdict may be another than before."""
    gone: frozenset[str]
    """Names that are no accounts any more."""
    dirty: bool
    """The configuration may be another."""


class World:
    """The accounts of one root of homes.

    Raises (from the constructor):
        TemplateError: the template set is missing or not usable.
    """

    def __init__(self, settings: Settings, book: Book, server: Server) -> None:
        self._settings = settings
        self._book = book
        templates = Templates(settings)
        self._interpreter = find(settings.apache.python, settings.apache.confdir)
        self._names_scripts = templates.options.stanza_follows == "app"
        self._observer = Observer(
            settings,
            self._interpreter,
            accounts=Accounts(),
            become=become,
            names_scripts=self._names_scripts,
        )
        self._census = Census(settings)
        self._stanzas = Stanzas(templates, server)
        self._sights: dict[str, sighting.Seen] = {}
        self._raw: dict[str, Verdict] = {}
        """What each account's own facts say; `settled` adds what the roster says."""
        self._bases: dict[str, tuple[Home, App | None]] = {}
        """What each was judged by: the same facts have the same verdict."""
        self.unresolved: set[str] = set()
        """Accounts that the database does not name just now, whose stanza stays."""

    def get_ready(self) -> None:
        """Do beforehand what would make the next look slow."""
        self._observer.get_ready()

    def close(self) -> None:
        """End the helpers."""
        self._observer.close()

    @property
    def names(self) -> Set[str]:
        """Everybody that there is a verdict on."""
        return self._raw.keys()

    def refresh(self) -> set[str]:
        """Read the account database; return whose row is another."""
        return self._observer.accounts.refresh()

    def concerns(self, names: Iterable[str]) -> set[str]:
        """Return those of the names that are known, or have a home."""
        return {name for name in names if name in self._raw or self._observer.has_home(name)}

    def everyone(self, served: Collection[str]) -> set[str]:
        """Return all who have a home, are served, or were known.

        Raises:
            Unreadable: the root of the homes could not be read, or looks like an outage.
        """
        found = set(self._observer.names())
        origin = self._book.ledger.origin
        if not found and any(
            self._observer.accounts.find(name, origin)[0] is Standing.FOUND for name in served
        ):
            # An unmounted or emptied root, while its accounts live: an outage is not a deletion.
            root = self._settings.homes.root
            raise Unreadable(f"{root} is empty, while {len(served)} apps of it are served")
        return {*found, *served, *origin, *self._raw}

    def adopt(self, published: Configuration | None) -> None:
        """Take over the stanzas that are published, for accounts that do not resolve just now."""
        for name, text in (published.stanzas if published else {}).items():
            self._stanzas.adopt(name, text)

    def look(
        self, names: Iterable[str], served: Mapping[str, App], *, now: float, grace: float
    ) -> Seen:
        """Observe and judge these accounts; `now` in monotonic seconds."""
        altered, gone = set(), set()
        unresolved = set(self.unresolved)
        subjects = (
            Subject(n, served[n].script if n in served else None, self._sights.get(n))
            for n in sorted(names)
        )
        for sight in self._observer.observe(subjects, self._book.ledger.origin):
            home, origin, name = sight.home, sight.origin, sight.home.name
            self._sights[name] = sight
            before = self._raw.get(name)
            basis = (home, served.get(name))
            if before is not None and self._bases.get(name) == basis and not before.keep:
                continue
            altered.add(name)
            self._bases[name] = basis
            verdict = judge(
                home,
                Context(
                    self._settings,
                    now,
                    grace,
                    self._interpreter.version,
                    served.get(name),
                    before.soft_since if before else None,
                    self._names_scripts,
                ),
            )
            self.unresolved.discard(name)
            if home.standing is Standing.UNKNOWN:
                self.unresolved.add(name)
            if verdict is None:
                gone.add(name)
                if home.standing is Standing.ABSENT:  # its home alone may be back tomorrow
                    self._book.forget(name)
                continue
            self._raw[name] = verdict
            if origin is not None:
                self._book.found(name, origin, script=bool(home.scripts))
            self._census.note(name, self._candidate(name))
        rendered = self._render(altered)  # first: the roster has no place for a broken stanza
        treated = self._census.take(self._left_out)
        finals = (self.settled(name) for name in sorted(altered | treated) if name in self._raw)
        dirty = rendered or bool(treated) or unresolved != self.unresolved
        return Seen(tuple(finals), frozenset(gone), dirty)

    def let_go(self, gone: Collection[str], held: Collection[str]) -> bool:
        """Forget who is gone; return whether the configuration may be another for it.

        One whose withdrawal is held is not forgotten: its stanza stays as well.
        """
        for name in held:
            verdict = self._raw.get(name)
            if verdict is None or verdict.account is None or name in gone:
                self.unresolved.add(name)
        for name in set(gone) - set(held):
            self._raw.pop(name, None)
            self._bases.pop(name, None)
        for name in {*gone, *held}:
            self._census.note(name, self._candidate(name))
        treated = self._census.take(self._left_out)
        return self._render({*gone, *held}) or bool(treated)

    def doubt(self, names: Iterable[str]) -> None:
        """Judge these anew at the next look, even if their facts are the same."""
        for name in names:
            self._bases.pop(name, None)

    def doubt_all(self) -> None:
        """Judge everybody anew at the next look."""
        self._bases.clear()

    def settled(self, name: str) -> Verdict:
        """Return the verdict with what the roster adds: no stanza, no app."""
        verdict, refusal = self._raw[name], self._census.roster.refused.get(name)
        if refusal is None or verdict.account is None or verdict.state is State.EMPTY:
            return verdict
        return replace(
            verdict, state=State.REJECTED, app=None, keep=False, reason=refusal, recheck_at=None
        )

    def configuration(self, *, drop_unresolved: bool) -> tuple[Configuration, list[str]]:
        """Return the whole text, and those in it that the account database does not name.

        Naming such an account is fatal to Apache at its next start.

        Raises:
            TemplateError: a head does not render.
        """
        names = self._census.roster.declared - self._left_out.keys()
        # One whose home alone is gone is held, and harms nobody: the database still names it.
        origin, find = self._book.ledger.origin, self._observer.accounts.find
        unnamed = {n for n in self.unresolved if find(n, origin)[0] is not Standing.FOUND}
        if drop_unresolved:
            names -= unnamed
        waiting = sorted(name for name in unnamed & names if self._stanzas.has(name))
        return self._stanzas.configuration(names), waiting

    def _candidate(self, name: str) -> Candidate | None:
        verdict = self._raw.get(name)
        listed = verdict is not None and verdict.account is not None
        if not listed and not (name in self.unresolved and self._stanzas.has(name)):
            return None
        return Candidate(name, self._book.ledger.first_script.get(name))

    @property
    def _left_out(self) -> dict[str, str]:
        quarantined = self._book.ledger.quarantined
        return {name: held.why for name, held in quarantined.items()} | self._stanzas.broken

    def _render(self, names: Iterable[str]) -> bool:
        """Bring these accounts' stanzas up to date; return whether any text changed."""
        changed = False
        for name in names:
            verdict = self._raw.get(name)
            if verdict is not None and verdict.account is not None:
                # Whether declared or not: a quarantine is over when this text is another.
                changed |= self._stanzas.update(name, verdict.account, verdict.url, verdict.app)
            elif name not in self.unresolved:
                changed |= self._stanzas.drop(name)
            if name in self._book.ledger.quarantined:
                changed |= self._book.release(name, self._stanzas.digest(name))
        return changed
