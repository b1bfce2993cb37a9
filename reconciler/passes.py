"""One pass, in order: observe → decide → publish → report. The only orchestrator.

    1. take the lock of looks                    6. config-test the whole server with it
    2. read what is published                    7. rename `current`
    3. observe and judge, each as its student    8. reload
    4. plan; write pages, sets and links; tell   9. see that it is served
    5. write the next generation                10. prune

`Passes.look` is steps 1 to 4, over some accounts or all; `Passes.configure` is 5 to 10. It takes
and returns frozen values and touches no case, so that a daemon runs it beside looks. Each has a
lock and notes of its own, held for its steps alone: publishing an app waits for no reload.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterable, Mapping, Set
from contextlib import nullcontext
from dataclasses import dataclass, field

from msgspec.structs import replace

from reconciler.case import Case, Cases
from reconciler.checkup import Checkup
from reconciler.decide.plan import BRAKE_WINDOW, Change, Plan, calculate, counts
from reconciler.decide.verdict import Context, judge
from reconciler.model import NO_WISHES, Rejection, Standing
from reconciler.observe import interpreter
from reconciler.observe.observer import Observer
from reconciler.observe.sighting import Seen, Subject
from reconciler.outside import Outside
from reconciler.publish.account_notes import AccountNotes
from reconciler.publish.apache import MARKER
from reconciler.publish.configuration import BLANK_DIGEST
from reconciler.publish.hosts import Hosts
from reconciler.publish.lock import FileLock
from reconciler.publish.notes import Quarantine
from reconciler.publish.notices import UNREAD, Notices
from reconciler.publish.outcome import Ending, Outcome, Wanted
from reconciler.publish.protocol import Publisher
from reconciler.publish.render import Templates
from reconciler.publish.runner import Runner
from reconciler.publish.sets import Sets
from reconciler.publish.units import Units
from reconciler.publish.wording import Phrase, Wording
from reconciler.report import pages, status, voice
from reconciler.report.events import Event
from reconciler.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What steps 1 to 4 found and did."""

    plan: Plan
    wanted: Wanted | None
    """The configuration that ought to be current and is not; None where nothing is to be done."""
    updates: tuple[status.Update, ...] = ()
    """The entries of the status that are others than before."""
    voiced: tuple[Event, ...] = ()
    """What the log is to say of apps that fail, or work again."""
    apps: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)
    """Of those looked at: the uid and gid of whose app may tell how it is; None: it has none."""
    looked: Set[str] = frozenset()
    """At whom it looked."""
    unsettled: Set[str] = frozenset()
    """Those of them who are not as they ought to be, or of whom that cannot be told."""
    rechecks: Mapping[str, float] = field(default_factory=dict)
    """At whom to look again even if nothing happens, and when."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Accounts whose link could not be changed, and why."""
    trouble: str | None = None
    """Why what must be remembered could not be written; the next look tries it again."""
    waits_anew: bool = False
    """What waits for somebody is another than the status says."""
    took_ms: float = 0.0


class Passes:
    """Passes over one root of homes, one state directory and one Apache.

    Raises (from the constructor):
        TemplateError: the template set is missing or not usable.
    """

    def __init__(self, settings: Settings, outside: Outside) -> None:
        state = settings.state.directory
        self.settings, self._clock = settings, outside.clock
        templates, server = Templates(settings), outside.server(settings)
        self._wording = Wording(templates, server.marker(BLANK_DIGEST))
        self._python = interpreter.find(settings.apache.python, settings.apache.confdir)
        self._units = Units(
            templates.units(os.path.realpath(self._python.path), Runner(state).path),
            limits={name: own.limits for name, own in settings.accounts.items() if own.limits},
            timeout=settings.apache.timeout,
        )
        self._names_scripts = templates.names_scripts
        self._observer = Observer(
            settings,
            dataclasses.replace(self._python, gives_way=self._units.are_wanted),
            accounts=outside.accounts(),
            become=outside.as_student,
            names_scripts=self._names_scripts,
        )
        self._lock = FileLock(f"{state}/looks.lock", timeout=settings.apache.timeout)
        self._notes = AccountNotes(state, self._clock)
        self._sets, self._notices = Sets(state), Notices(state)
        self._hosts = Hosts(settings)
        # Any thread may ask it: so it makes a view of the accounts of its own.
        self._publisher = Publisher(
            settings, server, clock=self._clock, resolved=lambda n: outside.accounts().ids(n)
        )
        self.generations = self._publisher.generations
        self._adopted: int | None = None
        """The generation whose texts were adopted."""
        self._quarantined: Mapping[str, Quarantine] = {}
        """As of the last look."""
        self._all_known = False
        """Everybody was looked at: before that, who is missing is not known to be gone."""
        self.held: str | None = None
        """Why withdrawals wait, or None."""
        self.fault: str | None = None
        """Why no configuration can be made, which is the templates' fault, or None."""
        self.blocked: str | None = None
        """Why a configuration that differs waits, or None."""
        self._said: str | None = None
        """What waits, as the status says it."""
        daemons = settings.daemons
        if self._units.are_wanted:  # an idle app is nothing: there is room for everybody
            daemons = replace(daemons, declare="homes")
        self._cases = Cases(replace(settings, daemons=daemons))
        self.checkup = Checkup(
            settings,
            self._cases,
            self._clock,
            python=self._python.version,
            can_be_asked=self._can_be_asked,
        )
        for name, entry in status.read(self._notices.read_status()).accounts.items():
            case = self._cases.row(name)
            case.told, case.health = entry, status.remembered(entry)
            case.voice = voice.remembered(entry)

    def get_ready(self) -> None:
        """Do beforehand what would make the next look slow."""
        self._observer.get_ready()

    def close(self) -> None:
        """End the helpers."""
        self._observer.close()

    # ---- steps 1 to 4 --------------------------------------------------------------------------

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
            LockTimeoutError: another look held the lock.
            OSError: the state directory cannot be written.
            TemplateError: a head does not render.
        """
        with nullcontext() if dry_run else self._lock.hold():  # 1
            started = self._clock.now()
            if not dry_run:
                self._prepare()
            batch = self._batch(names)  # 2
            subjects = (Subject(c.name, c.app.script if c.app else None, c.seen) for c in batch)
            observed = self._observer.observe(subjects, self._notes.origin)
            for case, seen in zip(batch, observed, strict=True):  # 3
                self._judge(case, seen, started, grace)
            looked = {case.name for case in batch}
            plan = self._plan(looked, force)  # 4
            self._all_known |= names is None
            wanted = self.wanted(drop_unresolved=drop_unresolved)
            if dry_run:
                return Look(plan=plan, wanted=wanted)
            todo = self._todo(looked)
            unhosted = self._host()
            self._carry_out(plan, todo)
            failed = {case.name: case.trouble for case in todo if case.trouble is not None}
            now = self._clock.wall()
            updates = [self._tell(case, now) for case in todo]
            events = [self.checkup.voice(update) for update in updates]
            self.held = plan.held_text
            return Look(
                plan=plan,
                wanted=wanted,
                updates=tuple(update for update in updates if update.differs),
                voiced=tuple(event for event in events if event is not None),
                apps=self._apps(looked),
                looked=looked,
                unsettled=looked & self._cases.open,
                rechecks=self._rechecks(looked),
                failed=failed,
                trouble=self._save() or unhosted,
                waits_anew=self.waits != self._said,
                took_ms=(self._clock.now() - started) * 1e3,
            )

    def _save(self) -> str | None:
        """Save the notes; return why not: what was done is done, and is to be told."""
        try:
            self._notes.save()
        except OSError as error:
            return f"{error.strerror}: accounts.json"
        return None

    def _host(self) -> str | None:
        """Bring the hosts up to date; return why not: the apps are at their paths all the same."""
        try:
            self._hosts.keep(self._cases.roster.hosts)
        except OSError as error:
            return f"{error.strerror}: {error.filename}"
        return None

    def _prepare(self) -> None:
        self._notices.prepare(MARKER, pages.general())
        self._sets.prepare()
        self.generations.prepare()

    def _batch(self, names: Collection[str] | None) -> list[Case]:
        """Return the cases to look at, each with what is published of it."""
        cases, there = self._cases, None
        self._notes.refresh()
        before, self._quarantined = self._quarantined, self._publisher.notes.quarantined
        requarantined = {name for name, _ in before.items() ^ self._quarantined.items()}
        cases.open |= requarantined & cases.names
        altered = self._observer.accounts.refresh() | requarantined
        if names is None:
            self._units.there = None  # what somebody else did to them is seen now
            self._adopt()
            everyone = self._observer.everyone(self._sets.names(), self._notes.origin)
            names, there = everyone | cases.names, self._notices.there()
        else:
            held = {name for name in cases.open if cases.row(name).held}
            names = {*names, *held}
            names |= {n for n in altered if n in cases.names or self._observer.has_home(n)}
        batch = [cases.row(name) for name in sorted(names)]
        now = self._clock.now()
        for case in batch:
            if case.voice.due is not None and case.voice.due <= now:
                cases.open.add(case.name)
            live = self._sets.served(case.name, case.live)
            if live is not case.live:
                case.live = live
                cases.file(case)
            if there is not None and (case.page is not None) != (case.name in there):
                case.page = UNREAD if case.name in there else None
                cases.open.add(case.name)
        return batch

    def _adopt(self) -> None:
        """Take over the texts that are published, for accounts that do not resolve just now."""
        current = self.generations.current()
        if current is None or current == self._adopted:
            return
        self._adopted = current
        published = self.generations.read(current)
        for name, text in (published.stanzas if published else {}).items():
            case = self._cases.row(name)
            if case.phrase is None:  # never over one's own text
                case.phrase = Phrase(None, text)
                self._cases.file(case)

    def _judge(self, case: Case, seen: Seen, now: float, grace: float) -> None:
        """Judge anew what may be judged otherwise than before, and phrase it."""
        before, basis = case.verdict, (seen.home, case.app)
        case.seen = seen
        is_kept = before is not None and before.keep
        if case.basis == basis and not is_kept and case.name not in self._cases.open:
            return
        self._cases.open.add(case.name)
        case.basis = basis
        context = Context(
            settings=self.settings,
            now=now,
            grace=grace,
            python=self._python.version,
            served=case.app,
            soft_since=before.soft_since if before is not None else None,
            names_scripts=self._names_scripts,
            has_units=self._units.are_wanted,
        )
        try:
            case.verdict = judge(seen.home, context)
        except Exception as error:  # noqa: BLE001  a student's input found a fault of ours: theirs alone
            why = f"{type(error).__name__}: {error}"[:200]
            home = replace(seen.home, scripts=(), wishes=NO_WISHES, trouble=why)
            case.verdict = judge(home, context)
        if case.verdict is not None:
            quarantine = self._quarantined.get(case.name)
            case.phrase = self._wording.phrase(case.verdict, case.phrase, quarantine)
            if seen.origin is not None:
                self._notes.found(case.name, seen.origin, script=bool(seen.home.scripts))
            case.place = self._notes.place(case.name)
        self._cases.file(case)

    def _todo(self, looked: Set[str]) -> list[Case]:
        return [self._cases.row(name) for name in sorted(looked & self._cases.open)]

    def _plan(self, looked: set[str], force: bool) -> Plan:
        """Return the plan for those looked at; adds to them whom the roster treats otherwise now.

        Twice where somebody has left, since the roster may have room for another then.
        """
        treated = self._cases.enroll()
        while True:
            looked |= treated
            todo = self._todo(looked)
            plan = calculate(
                filter(None, map(self._cases.settled, todo)),
                self._cases.served,
                gone=[case.name for case in todo if case.verdict is None],
                safety=self.settings.safety,
                recent=self._notes.withdrawn_within(BRAKE_WINDOW),
                force=force,
            )
            held = {change.account for change in plan.held}
            for case in todo:
                case.held = case.name in held
                if not case.is_listed and not case.is_unnamed:
                    case.phrase = None  # only now: who is held keeps their text as well
                self._cases.file(case)
            treated = self._cases.enroll()
            if treated <= looked:
                return plan

    def _carry_out(self, plan: Plan, todo: Iterable[Case]) -> None:
        """Make the changes; what cannot be made is the case's trouble, and tried again."""
        to_come = {change.account: change.app for change in plan.changes}
        counted = {change.account for change in plan.changes if counts(change)}
        for name in counted:
            self._notes.withdrew(name)
        # Beforehand: whoever ends us meanwhile must not have the next process let as many through.
        unsaved = self._save() if counted else None
        for case in todo:  # pages before links: no moment without either
            case.trouble = None
            if to_come.get(case.name, case.app) is None:
                self._show(case)
        for change in plan.changes:
            case = self._cases.row(change.account)
            if unsaved is not None and case.name in counted:
                case.trouble = unsaved
                continue
            try:
                self._apply(change, case)
            except OSError as error:
                case.trouble = f"{error.strerror}: {error.filename}"
                if case.live is None and change.app is not None:
                    self._show(case)
            self._cases.file(case)

    def _apply(self, change: Change, case: Case) -> None:
        if change.app is not None:
            case.live = self._sets.publish(change.app, case.live)
            return
        self._sets.withdraw(case.name, case.live)
        case.live = None

    def _show(self, case: Case) -> None:
        """Write what the account's URL says."""
        verdict = self._cases.settled(case)
        if verdict is not None and verdict.account is not None:
            page = pages.account(case.shown(verdict), self.settings)
            case.page = self._notices.show(case.name, page, case.page)

    def _tell(self, case: Case, now: str) -> status.Update:
        """Bring the entry of the status up to date, and close the case if nothing is left to do."""
        before, verdict = case.told, self._cases.settled(case)
        case.health = self.checkup.health(case, now)
        ailment = self.checkup.ailment(case)
        if verdict is not None:
            shown = self.checkup.told(case, case.shown(verdict))
            case.told = status.entry(shown, before, self.settings, now, case.health, ailment)
        elif case.live is None:
            case.told = None
            self._notices.remove(case.name)
            if case.seen is not None and case.seen.home.standing is Standing.ABSENT:
                self._notes.forget(case.name)  # its home alone may be back tomorrow
            self._cases.drop(case)
        if case.live is not None:
            self._show_beside(case, ailment)
        if not case.is_unsettled:
            self._cases.open.discard(case.name)
        return status.Update(case.name, before, case.told)

    def _show_beside(self, case: Case, ailment: Rejection | None) -> None:
        """Write what a published app's URL says where the app fails; take it away where not."""
        health = None if case.told is None else case.told.health
        if ailment is not None and health is not None:
            page = pages.failing(case.name, health, ailment, self.settings)
            case.page = self._notices.show(case.name, page, case.page)
        elif case.page is not None:
            self._notices.remove(case.name)
            case.page = None

    def _apps(self, looked: Set[str]) -> dict[str, tuple[int, int] | None]:
        served = self._cases.served
        return {n: (app.uid, app.gid) if (app := served.get(n)) else None for n in looked}

    def _rechecks(self, looked: Set[str]) -> dict[str, float]:
        cases = filter(None, map(self._cases.get, looked))
        return {case.name: at for case in cases if (at := case.recheck_at) is not None}

    # ---- the configuration, and steps 5 to 10 --------------------------------------------------

    def wanted(self, *, drop_unresolved: bool = False) -> Wanted | None:
        """Return the configuration that ought to be current and is not, as far as is known now.

        Raises:
            TemplateError: a head does not render.
        """
        if not self._all_known:
            return None
        cases, find = self._cases, self._observer.accounts.find
        # Named by a stanza, and not by the account database: fatal to Apache's next start.
        unnamed = {
            name
            for name in cases.open & cases.roster.declared & cases.stanzas.keys()
            if cases.row(name).is_unnamed
            and find(name, self._notes.origin)[0] is not Standing.FOUND
        }
        names = cases.roster.declared
        if drop_unresolved:
            names, unnamed = names - unnamed, set()
        configuration = self._wording.whole(
            cases.stanzas, names, altered=cases.altered or drop_unresolved
        )
        cases.altered = False
        current = self.generations.current()
        differs = self.generations.digest(current) != configuration.digest
        self.fault, self.blocked = cases.roster.fault, None
        if differs and unnamed:
            first, *more = sorted(unnamed)
            others = f" and {len(more)} more" if more else ""
            self.blocked = (
                f"the configuration waits, as the account database does not name {first}{others}"
            )
        if not differs or self.fault is not None or self.blocked is not None:
            return None
        refused = cases.roster.refused
        in_force = {n: held for n, held in self._quarantined.items() if n in refused}
        return Wanted(configuration, in_force, current)

    def configure(
        self, wanted: Wanted | None, served: Mapping[str, int], *, reload: bool = True
    ) -> Outcome:
        """Make `wanted` live (steps 5 to 10), or with None see that what is current is served.

        Where systemd runs the apps, the `served` have sockets before Apache asks there; where it
        does not, nobody has any after Apache asks no more. Any thread may call it.

        Raises:
            OSError: the state directory cannot be written.
            LockTimeoutError: another configuration held the lock.
            CommandError: systemd refused; Apache's configuration is as it was, or as wanted.
        """
        if wanted is not None and reload:
            self._units.begin(served)
        outcome = self._publisher.configure(wanted, reload=reload)
        if reload and not self._units.are_wanted and outcome.ending is Ending.CONVERGED:
            self._units.end_others(frozenset())
        return outcome

    def make_sockets(self, served: Mapping[str, int]) -> None:
        """Where systemd runs the apps, let these accounts have sockets, and nobody else.

        Any thread may call it.

        Raises:
            CommandError, OSError: systemd refused, or is not there.
        """
        self._units.settle(served)

    @property
    def lacks_sockets(self) -> bool:
        """Whether somebody who is served has no socket, or has one who is not, or another's."""
        return self._units.are_wanted and self._units.there != self.served

    @property
    def unverified(self) -> bool:
        """Whether what is current was not yet seen to be served."""
        return self._publisher.unverified

    @property
    def served(self) -> dict[str, int]:
        """Who is published, and the uid."""
        return {name: app.uid for name, app in self._cases.served.items()}

    def _can_be_asked(self, name: str) -> bool:
        if self._publisher.unverified:
            return False
        if self._units.are_wanted:
            return name in (self._units.there or ())
        return name in self._publisher.declared()

    @property
    def not_before(self) -> float:
        """When the next reload may come, at the earliest."""
        return self._publisher.not_before

    # ---- what people are told ------------------------------------------------------------------

    def tidy(self) -> None:
        """Remove what nothing points to.

        Raises:
            OSError, LockTimeoutError: as for `look`.
        """
        with self._lock.hold():
            self._sets.prune_all()
            self._notices.prune(
                {c.name for c in self._cases if c.live is None or c.failure is not None}
            )

    @property
    def waits(self) -> str | None:
        """What waits for somebody, or something: the `held` of the status."""
        return self.held or self.fault or self.blocked

    def write_status(self) -> status.Status:
        """Write `status.json` and the overview, and return what they say.

        Raises:
            OSError, LockTimeoutError: as for `look`.
        """
        told = {case.name: case.told for case in self._cases if case.told is not None}
        now = self._clock.wall()
        whole = status.whole(told, self.generations.current(), self.waits, now)
        with self._lock.hold():  # or a pass beside us would tidy away what is being written
            self._notices.write_status(status.encode(whole))
            if self.settings.pages.dashboard:
                self._notices.write_dashboard(pages.dashboard(whole))
        self._said = whole.held
        return whole
