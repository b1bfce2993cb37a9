"""One pass, in order: observe → decide → publish → report. The only orchestrator.

    1. take the lock                            6. config-test the whole server with it
    2. read the published state                 7. rename `current`
    3. observe and decide                       8. reload
    4. write sets, rename links, write pages    9. see that it is served
    5. write the next generation               10. prune

`Reconciler.look` is steps 1 to 4 over some accounts or all, `configure` 5 to 9, `prune` 10. What is
known of the accounts between passes is in `world.py`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

import msgspec

from reconciler.clock import Clock
from reconciler.decide.plan import BRAKE_WINDOW, Change, Plan, calculate, counts
from reconciler.model import App, News, State, Verdict
from reconciler.observe.accounts import Accounts
from reconciler.publish.apache import MARKER, Server
from reconciler.publish.configuration import Configuration
from reconciler.publish.ledger import Book
from reconciler.publish.lock import FileLock
from reconciler.publish.outcome import Outcome, Wanted
from reconciler.publish.pages import PageFiles
from reconciler.publish.protocol import Publisher
from reconciler.publish.serving import Ids
from reconciler.publish.sets import Sets
from reconciler.report import pages, status
from reconciler.settings import Settings
from reconciler.world import World


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
    looked: Set[str] = frozenset()
    """At whom it looked."""
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
        server = Server(settings.apache, prefix=settings.urls.prefix, state=state)
        self.publisher = Publisher(settings, server, clock=Clock(), resolved=_resolved)
        self.generations = self.publisher.generations
        self._book = Book(state)
        self._world = World(
            settings, self._book, server, quarantined=lambda: self.publisher.notes.quarantined
        )
        self._sets = Sets(state)
        self._pages = PageFiles(state)
        self._lock = FileLock(f"{state}/lock", timeout=settings.apache.timeout)
        self._served: dict[str, App] = {}
        self._held: set[str] = set()
        self._adopted: int | None = None
        self._over: int | None = None
        """What was current when the last configuration was made."""
        self._whole = False
        """Everybody was looked at once: before that, who is missing is not known to be gone."""
        self.entries = status.read(self._pages.read_status()).accounts
        self.held_text: str | None = None
        """Why withdrawals wait, or None."""
        self.blocked_text: str | None = None
        """Why a configuration that differs is not published, or None."""

    def get_ready(self) -> None:
        """Do beforehand what would make the next look slow."""
        self._world.get_ready()

    def close(self) -> None:
        """End the helpers."""
        self._world.close()

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold the lock of a pass (step 1), over a state directory that is as it should be.

        Raises:
            LockTimeoutError, OSError: as for `look`.
        """
        with self._lock.hold():
            self._pages.prepare(MARKER)
            self._sets.prepare()
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
                self._world.doubt_all()  # what was judged was not all done
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
        rewritten = self._world.refresh()
        if names is None:  # 2
            self._served = self._sets.everyone_served()
            self._adopt()
            looked = self._world.everyone(self._served.keys())
        else:
            looked = {*names, *self._held, *self._world.concerns(rewritten)}
            self._refresh_served(looked)
        seen = self._world.look(looked, self._served, now=started, grace=grace)  # 3
        withdrawn = self._book.withdrawn_within(BRAKE_WINDOW)
        plan = calculate(
            seen.finals,
            self._served,
            gone=seen.gone,
            safety=self.settings.safety,
            # Not as a difference of sets, which would look at everybody who is served.
            recent=sum(name not in self._served for name in withdrawn),
            force=force,
        )
        held = {change.account for change in plan.held}
        dirty = self._world.let_go(seen.gone, held) or seen.dirty or force
        wanted = None
        if names is None or (dirty and self._whole):
            wanted = self._wanted(drop_unresolved=drop_unresolved)
        if dry_run:
            return Look(plan, (), {}, frozenset(), wanted)
        failed = self._apply(plan)  # 4
        stale = self.entries.keys() - self._world.names if names is None else seen.gone
        told, rejected = self._tell(seen.finals, stale, held)
        self._held, self.held_text = held, plan.held_text
        self._book.save()
        self._whole |= names is None
        unknown = {v.name for v in seen.finals if _is_unknown(v)}
        changed = {change.account for change in plan.changes}
        self._world.doubt(
            {*failed, *unknown, *held, *changed}
        )  # what they were is over, or not yet
        return Look(
            plan,
            tuple(rejected),
            {v.name: v.recheck_at for v in seen.finals if v.recheck_at is not None},
            frozenset({*failed, *unknown, *self._world.unresolved}),
            wanted,
            failed,
            looked,
            told,
            (time.monotonic() - started) * 1e3,
        )

    def wanted(self) -> Configuration | None:
        """Return what ought to be current and is not, as far as is known now."""
        wanted = self._wanted(drop_unresolved=False) if self._whole else None
        if wanted is not None and self.publisher.is_refused(wanted):
            return None
        return wanted

    def _wanted(self, *, drop_unresolved: bool) -> Configuration | None:
        self._over = self.generations.current()
        wanted, waiting = self._world.configuration(drop_unresolved=drop_unresolved)
        self.blocked_text = None
        if self.publisher.is_current(wanted):
            return None
        if not waiting:
            return wanted
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        self.blocked_text = (
            f"the configuration waits, as the account database does not name {waiting[0]}{more}"
        )
        return None

    def _adopt(self) -> None:
        """Take over the stanzas that are published, whoever published them."""
        current = self.generations.current()
        if current is not None and current != self._adopted:
            self._world.adopt(self.generations.read(current))
            self._adopted = current

    def _apply(self, plan: Plan) -> dict[str, str]:
        failed = {}
        for change in plan.changes:
            before = self._served.get(change.account)
            try:
                if change.app is not None:
                    self._sets.publish(change.app, before=before)
                    self._served[change.account] = change.app
                    self._pages.remove(change.account)
                else:
                    self._write_page(change.account)  # before its link goes
                    self._sets.withdraw(change.account, before=before)
                    self._served.pop(change.account, None)
                    if counts(change):
                        self._book.withdrew(change.account)
            except OSError as error:
                failed[change.account] = f"{error.strerror}: {error.filename}"
        return failed

    def _tell(
        self, finals: Iterable[Verdict], stale: Set[str], held: Set[str]
    ) -> tuple[bool, list[Verdict]]:
        """Bring pages and entries up to date; return whether any differs, and new reasons."""
        differs, news = False, []
        for verdict in finals:
            name, told = verdict.name, verdict
            if name in held:
                told = msgspec.structs.replace(
                    verdict, state=State.SERVED, app=self._served[name], keep=True
                )
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
        verdict = self._world.settled(name) if name in self._world.names else None
        if verdict is not None and verdict.account is not None:
            page = pages.account(verdict, self.settings)
            with contextlib.suppress(OSError):  # the next resync writes it
                self._pages.write(name, page)

    def _refresh_served(self, names: Iterable[str]) -> None:
        for name in names:
            app = self._sets.served(name)
            if app is None:
                self._served.pop(name, None)
            else:
                self._served[name] = app

    # ---- steps 5 to 10 ---------------------------------------------------------------------

    def configure(self, wanted: Configuration | None, *, reload: bool = True) -> Outcome:
        """Make `wanted` live (steps 5 to 9), or with None see that what is current is served.

        It touches nothing that `look` writes, so that a daemon runs it beside looks.

        Raises:
            OSError, LockTimeoutError: as for `look`.
        """
        if wanted is None:
            return self.publisher.configure(None, reload=reload)
        left_out = self._world.quarantined
        return self.publisher.configure(Wanted(wanted, left_out, self._over), reload=reload)

    @property
    def unverified(self) -> bool:
        """Whether what is current was not yet seen to be served."""
        return self.publisher.unverified

    @property
    def stall(self) -> float:
        """Seconds that the last reload took."""
        return self.publisher.notes.stall

    @property
    def summary(self) -> str:
        """One line: "412 apps, 9 rejected, generation 57"."""
        found = status.counts(self.entries.values())
        generation = self.generations.current() or "none"
        return f"{found['served']} apps, {found['rejected']} rejected, generation {generation}"

    def prune(self) -> None:
        """Remove what nothing points to (step 10)."""
        with self.exclusively():
            self._sets.prune_all()
            self._pages.prune(self._world.names - self._served.keys())

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


def _resolved(names: Iterable[str]) -> dict[str, Ids]:
    """Return which of these the account database names now, and their ids; any thread may ask."""
    accounts = Accounts()
    accounts.refresh()
    found = {name: accounts.find(name, {})[1] for name in names}
    return {name: (row.uid, row.gid) for name, row in found.items() if row is not None}


def _is_unknown(verdict: Verdict) -> bool:
    """Whether another look may tell more: of what is served, or of what could be."""
    reasons = [verdict.reason]
    if verdict.state is not State.SERVED or verdict.keep:
        reasons += [reason for _, reason in verdict.others]
    return any(reason is not None and reason.news is News.UNKNOWN for reason in reasons)


def changes_of(look: Look) -> tuple[Change, ...]:
    """Return what was done to links, those that failed aside."""
    return tuple(c for c in look.plan.changes if c.account not in look.failed)
