"""One pass, in order: observe → decide → publish → report. The only orchestrator.

    1. take the lock                            6. config-test the whole server with it
    2. read the published state                 7. rename `current`
    3. observe and decide                       8. reload
    4. write sets, rename links, write pages    9. see that it is served
    5. write the next generation               10. prune

`look` is steps 1 to 4 over some accounts or all, `Configuring` is 5 to 9, `prune` is 10. What is
kept here between passes is a cache of what the disk says, or can be observed again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace

import msgspec

from reconciler.decide.plan import BRAKE_WINDOW, Change, Plan, calculate, counts
from reconciler.decide.roster import Candidate, Census
from reconciler.decide.verdict import Context, judge
from reconciler.model import App, Home, News, Standing, State, Verdict
from reconciler.observe.accounts import Accounts
from reconciler.observe.beneath import Unreadable
from reconciler.observe.homes import Observer
from reconciler.observe.interpreter import find
from reconciler.publish.apache import MARKER, Server
from reconciler.publish.configuration import Configuration
from reconciler.publish.generations import Generations
from reconciler.publish.ledger import Book
from reconciler.publish.lock import PassLock
from reconciler.publish.pages import PageFiles
from reconciler.publish.protocol import Outcome, Publisher
from reconciler.publish.render import Templates
from reconciler.publish.sets import Sets
from reconciler.publish.stanzas import Stanzas
from reconciler.report import pages, status
from reconciler.settings import Settings


@dataclass(frozen=True, slots=True)
class Look:
    """What steps 1 to 4 found and did."""

    plan: Plan
    rejected: tuple[Verdict, ...]
    """Those whose reason is new."""
    rechecks: Mapping[str, float]
    """At whom to look again even if nothing happens, and when (monotonic seconds)."""
    retry: frozenset[str]
    """At whom to look again soon, since it could not be told or done."""
    configuration: Configuration | None
    """What ought to be current and is not; None where nothing is to be published."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Accounts whose link could not be changed, and why: to be tried again."""
    told: bool = False
    """An entry of the status differs."""
    took_ms: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.plan.has_changes or self.rejected or self.configuration)


class Reconciler:
    """Passes over one root of homes, one state directory and one Apache.

    Raises (from the constructor):
        TemplateError: the template set is missing or not usable.
    """

    def __init__(self, settings: Settings) -> None:
        state = settings.state.directory
        self.settings = settings
        self._server = Server(settings.apache, prefix=settings.urls.prefix, state=state)
        templates = Templates(settings)
        self._interpreter = find(settings.apache.python, settings.apache.confdir)
        self._names_scripts = templates.options.stanza_follows == "app"
        self._observer = Observer(settings, self._interpreter, names_scripts=self._names_scripts)
        self._census = Census(settings)
        self._stanzas = Stanzas(templates, self._server)
        self._sets = Sets(state)
        self._pages = PageFiles(state)
        self.generations = Generations(state)
        self._book = Book(state)
        self._lock = PassLock(f"{state}/lock", timeout=settings.apache.timeout)
        self._raw: dict[str, Verdict] = {}
        """What each account's own facts say; `_settled` adds what the roster says."""
        self._bases: dict[str, tuple[Home, App | None]] = {}
        """What each was judged by: the same facts have the same verdict."""
        self._unresolved: set[str] = set()
        """Accounts that the database does not name just now, whose stanza stays."""
        self._held: set[str] = set()
        self._whole = False
        """Everybody was looked at once: before that, who is missing is not known to be gone."""
        self._served: dict[str, App] = {}
        self.entries = status.read(self._pages.read_status()).accounts
        self.held_text: str | None = None
        """Why withdrawals wait, or None."""
        self.blocked_text: str | None = None
        """Why a configuration that differs is not published, or None."""

    def close(self) -> None:
        """End the helpers."""
        self._observer.close()

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold the lock of a pass (step 1), over a state directory that is as it should be.

        Raises:
            LockTimeoutError, OSError: as for `look`.
        """
        with self._lock.hold():
            self._pages.prepare(MARKER)
            self._sets.prepare()
            self.generations.prepare()
            yield

    # ---- steps 1 to 4 ----------------------------------------------------------------------

    def look(
        self,
        names: Collection[str] | None = None,
        *,
        grace: float = 0.0,
        force: bool = False,
        dry_run: bool = False,
        drop_unresolved: bool = False,
    ) -> Look:
        """Look at these accounts, or at all, and make their links what they ought to be.

        Args:
            names: accounts; None for everyone.
            grace: seconds that a soft fault may last before it counts.
            force: let withdrawals past the brake through.
            dry_run: return after the plan; nothing is written, and no lock is taken.
            drop_unresolved: leave accounts out of the configuration that the database does not
                name just now, rather than wait: what Apache's own start needs.

        Raises:
            Unreadable: the root of the homes could not be read; nothing was changed.
            LockTimeoutError: another pass held the lock.
            OSError: the state directory cannot be written.
            TemplateError: a head does not render.
        """
        if dry_run:
            return self._look(names, grace, force, dry_run, drop_unresolved)
        with self.exclusively():
            try:
                return self._look(names, grace, force, dry_run, drop_unresolved)
            except BaseException:
                self._bases.clear()  # what was judged was not all done: judge it anew
                raise

    def _look(
        self,
        names: Collection[str] | None,
        grace: float,
        force: bool,
        dry_run: bool,
        drop_unresolved: bool,
    ) -> Look:
        started = time.monotonic()
        self._book.refresh()
        rewritten = self._observer.accounts.refresh()
        if names is None:  # 2
            self._served = self._sets.everyone_served()
            self._adopt_published()
            looked = self._everyone()
        else:
            moved = {n for n in rewritten if n in self._raw or self._observer.has_home(n)}
            looked = {*names, *self._held, *moved}
            self._refresh_served(looked)
        altered, gone = self._observe(sorted(looked), started, grace)  # 3
        rendered = self._render(altered)  # first: the roster has no place for a broken stanza
        treated = self._census.take(self._left_out)
        touched = altered | treated
        finals = [self._settled(name) for name in sorted(touched) if name in self._raw]
        withdrawn = self._book.withdrawn_within(BRAKE_WINDOW)
        plan = calculate(
            finals,
            self._served,
            gone=gone,
            safety=self.settings.safety,
            recent=len(withdrawn - self._served.keys()),
            force=force,
        )
        self._let_go(gone, plan)
        dirty = self._render(touched) or rendered or treated or force
        if names is None or (dirty and self._whole):
            wanted = self._wanted(drop_unresolved=drop_unresolved)
        else:
            wanted = None
        if dry_run:
            return Look(plan, (), {}, frozenset(), wanted)
        failed = self._apply(plan)  # 4
        stale = self.entries.keys() - self._raw.keys() if names is None else set(gone)
        told, rejected = self._tell(finals, stale, plan)
        self._book.save()
        self._whole |= names is None
        unknown = {v.name for v in finals if v.reason and v.reason.news is News.UNKNOWN}
        for name in {*failed, *unknown, *self._held}:  # not as they ought to be: judge them anew
            self._bases.pop(name, None)
        return Look(
            plan,
            tuple(rejected),
            {v.name: v.recheck_at for v in finals if v.recheck_at is not None},
            frozenset({*failed, *unknown, *self._unresolved}),
            wanted,
            failed,
            told,
            (time.monotonic() - started) * 1e3,
        )

    def wanted(self) -> Configuration | None:
        """Return what ought to be current and is not, as far as is known now."""
        wanted = self._wanted(drop_unresolved=False) if self._whole else None
        if wanted is not None and self._publisher().is_refused(wanted, self._book.ledger):
            return None
        return wanted

    def _everyone(self) -> set[str]:
        found = set(self._observer.names())
        known = {*found, *self._served, *self._book.ledger.origin, *self._raw}
        if not found and any(
            self._observer.accounts.find(name, self._book.ledger.origin)[0] is Standing.FOUND
            for name in self._served
        ):
            # An unmounted or emptied root, while its accounts live: an outage is not a deletion.
            root = self.settings.homes.root
            raise Unreadable(f"{root} is empty, while {len(self._served)} apps of it are served")
        return known

    def _observe(
        self, names: Iterable[str], now: float, grace: float
    ) -> tuple[set[str], list[str]]:
        """Judge each; return those whose facts are new, and those that are no accounts any more."""
        altered, gone = set(), []
        for name in names:
            home, origin = self._facts(name)
            before = self._raw.get(name)
            basis = (home, self._served.get(name))
            if before is not None and self._bases.get(name) == basis and not before.keep:
                continue
            altered.add(name)
            self._bases[name] = basis
            verdict = judge(
                home,
                Context(
                    self.settings,
                    now,
                    grace,
                    self._interpreter.version,
                    self._served.get(name),
                    before.soft_since if before else None,
                    self._names_scripts,
                ),
            )
            self._unresolved.discard(name)
            if home.standing is Standing.UNKNOWN:
                self._unresolved.add(name)
            if verdict is None:
                gone.append(name)
                if home.standing is Standing.ABSENT:  # its home alone may be back tomorrow
                    self._book.forget(name)
                continue
            self._raw[name] = verdict
            if origin is not None:
                self._book.found(name, origin, script=bool(home.scripts))
            self._census.note(name, self._candidate(name))
        return altered, gone

    def _facts(self, name: str) -> tuple[Home, str | None]:
        """Observe one account; whatever goes wrong with it is that account's, and nobody else's."""
        served = self._served.get(name)
        base = f"{self.settings.homes.root}/{name}/"
        script = served.script.removeprefix(base) if served else None
        try:
            return self._observer.observe(name, self._book.ledger.origin, script)
        except Exception as error:  # noqa: BLE001  a student's input found a fault of ours
            trouble = f"{type(error).__name__}: {error}"
            return Home(name, Standing.UNKNOWN, trouble=trouble[:200]), None

    def _candidate(self, name: str) -> Candidate | None:
        verdict = self._raw.get(name)
        listed = verdict is not None and verdict.account is not None
        if not listed and not (name in self._unresolved and self._stanzas.has(name)):
            return None
        return Candidate(name, self._book.ledger.first_script.get(name))

    def _let_go(self, gone: Iterable[str], plan: Plan) -> None:
        """Forget who is gone. One whose withdrawal is held is not: its stanza stays as well."""
        held = {change.account for change in plan.held}
        for name in held:
            verdict = self._raw.get(name)
            if verdict is None or verdict.account is None or name in gone:
                self._unresolved.add(name)
        for name in set(gone) - held:
            self._raw.pop(name, None)
            self._bases.pop(name, None)
        for name in {*gone, *held}:
            self._census.note(name, self._candidate(name))
        self._census.take(self._left_out)

    @property
    def _left_out(self) -> dict[str, str]:
        quarantined = self._book.ledger.quarantined
        return {name: held.why for name, held in quarantined.items()} | self._stanzas.broken

    def _settled(self, name: str) -> Verdict:
        """Return the verdict with what the roster adds: no stanza, no app."""
        verdict, refusal = self._raw[name], self._census.roster.refused.get(name)
        if refusal is None or verdict.account is None or verdict.state is State.EMPTY:
            return verdict
        return replace(
            verdict, state=State.REJECTED, app=None, keep=False, reason=refusal, recheck_at=None
        )

    def _render(self, names: Iterable[str]) -> bool:
        """Bring these accounts' stanzas up to date; return whether any text changed."""
        changed = False
        for name in names:
            verdict = self._raw.get(name)
            if verdict is not None and verdict.account is not None:
                # Whether declared or not: a quarantine is over when this text is another.
                changed |= self._stanzas.update(name, verdict.account, verdict.url, verdict.app)
            elif name not in self._unresolved:
                changed |= self._stanzas.drop(name)
            changed |= self._book.release(name, self._stanzas.digest(name))
        return changed

    def _wanted(self, *, drop_unresolved: bool) -> Configuration | None:
        names = self._census.roster.declared - self._left_out.keys()
        if drop_unresolved:
            names -= self._unresolved
        wanted = self._stanzas.configuration(names)
        current = self.generations.current()
        published = None if current is None else self.generations.read(current)
        if published is not None and published.files == wanted.files:
            return None
        # Naming an account that does not resolve is fatal to Apache at its next start.
        waiting = sorted(name for name in self._unresolved & names if self._stanzas.has(name))
        self.blocked_text = (
            waiting
            and (
                f"the configuration waits, as the account database does not name {waiting[0]}"
                + (f" and {len(waiting) - 1} more" if waiting[1:] else "")
            )
        ) or None
        return None if waiting else wanted

    def _apply(self, plan: Plan) -> dict[str, str]:
        failed = {}
        for change in plan.changes:
            before = self._served.get(change.account)
            try:
                if change.app is not None:
                    self._sets.publish(change.app)
                    self._served[change.account] = change.app
                    self._pages.remove(change.account)
                else:
                    self._write_page(change.account)  # before its link goes
                    self._sets.withdraw(change.account)
                    self._served.pop(change.account, None)
                    if counts(change):
                        self._book.withdrew(change.account)
                self._sets.prune(change.account, before=before)
            except OSError as error:
                failed[change.account] = f"{error.strerror}: {error.filename}"
        self._held = {change.account for change in plan.held}
        self.held_text = plan.held_text
        return failed

    def _tell(
        self, finals: Iterable[Verdict], stale: Set[str], plan: Plan
    ) -> tuple[bool, list[Verdict]]:
        """Bring pages and entries up to date; return whether any differs, and new reasons."""
        held = {change.account for change in plan.held}
        differs, news = False, []
        for verdict in finals:
            name, told = verdict.name, verdict
            if name in held:
                told = replace(verdict, state=State.SERVED, app=self._served[name], keep=True)
            before = self.entries.get(name)
            entry = status.entry(told, before, self.settings)
            if entry != before:
                differs = True
                self.entries[name] = entry
                if entry.reason is not None and (before is None or before.reason != entry.reason):
                    news.append(told)
            if name not in self._served:
                self._write_page(name)
        for name in stale - held:
            differs |= self.entries.pop(name, None) is not None
            self._pages.remove(name)
        return differs, news

    def _write_page(self, name: str) -> None:
        """Write what an account's URL says; a full disk must not keep its app up."""
        if name in self._raw and self._raw[name].account is not None:
            page = pages.account(self._settled(name), self.settings)
            with contextlib.suppress(OSError):  # the next resync writes it
                self._pages.write(name, page)

    def _refresh_served(self, names: Iterable[str]) -> None:
        for name in names:
            app = self._sets.served(name)
            if app is None:
                self._served.pop(name, None)
            else:
                self._served[name] = app

    def _adopt_published(self) -> None:
        current = self.generations.current()
        published = None if current is None else self.generations.read(current)
        for name, text in (published.stanzas if published else {}).items():
            self._stanzas.adopt(name, text)

    # ---- steps 5 to 10 ---------------------------------------------------------------------

    def configure(self, wanted: Configuration | None, *, reload: bool = True) -> Outcome:
        """Make `wanted` live (steps 5 to 9), or with None see that what is current is served.

        It touches nothing that `look` writes, so that a daemon runs it beside looks.

        Raises:
            OSError, LockTimeoutError: as for `look`.
        """
        ledger = msgspec.structs.replace(self._book.ledger)
        publisher = self._publisher()
        with self.exclusively():
            if wanted is None:
                outcome = publisher.converge(ledger)
            else:
                outcome = publisher.publish(wanted, ledger, reload=reload)
        return replace(outcome, ledger=ledger)

    def note(self, outcome: Outcome) -> set[str]:
        """Remember how it ended; return accounts to look at again, since they are quarantined."""
        if outcome.ledger is not None:
            self._book.served(outcome.ledger)
        for name, held in outcome.quarantined.items():
            self._book.quarantine(name, held)
        self._book.save()
        return set(outcome.quarantined)

    def _publisher(self) -> Publisher:
        accounts = Accounts()  # as they are now, and by this thread alone
        accounts.refresh()
        return Publisher(
            self.generations,
            self._server,
            timeout=self.settings.apache.timeout,
            resolves=lambda name: accounts.find(name, {})[0] is Standing.FOUND,
        )

    @property
    def unverified(self) -> bool:
        """Whether what is current was not yet seen to be served."""
        return self.generations.current() != self._book.ledger.seen

    @property
    def stall(self) -> float:
        """Seconds that the last reload took."""
        return self._book.ledger.stall

    @property
    def summary(self) -> str:
        """One line: "412 apps, 9 rejected, generation 57"."""
        found = status.counts(self.entries.values())
        generation = self.generations.current() or "none"
        return f"{found['served']} apps, {found['rejected']} rejected, generation {generation}"

    def prune(self) -> None:
        """Remove what nothing points to (step 10)."""
        with self.exclusively():
            verified = self._book.ledger.verified
            spare = frozenset() if verified is None else frozenset({verified})
            self.generations.prune(keep=self.settings.state.keep_generations, spare=spare)
            self._sets.prune_all()
            self._pages.prune(set(self._raw) - set(self._served))

    @property
    def held(self) -> str | None:
        """What waits for somebody, or something: the `held` of the status."""
        return self.held_text or self.blocked_text

    def write_status(self) -> None:
        """Write `status.json` and the overview."""
        generation = self.generations.current()
        self._pages.write_status(status.encode(self.entries, generation=generation, held=self.held))
        if self.settings.pages.dashboard:
            self._pages.write_dashboard(
                pages.dashboard(
                    self.entries,
                    generation=generation,
                    held=self.held,
                    time=status.now_text(),
                )
            )


def changes_of(look: Look) -> tuple[Change, ...]:
    """Return what was done to links, those that failed aside."""
    return tuple(c for c in look.plan.changes if c.account not in look.failed)
