"""When what is due. Pure: `now` is an argument, in seconds of one clock that never jumps.

One table: a row for each task, and one for each account for as long as something of it matters.
Whoever knows what happened says so, by the verbs in the past tense; asks `next`, and waits until
then; and has `take` say what is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import Enum
from math import inf

from reconciler.rounds import Rounds
from reconciler.settings import Probe, Timing

BURST = 20
"""Looks at one account in quick succession that wait for nothing but `quiet`."""
RECOVERS = 4.0
"""Looks a second by which such a burst is forgotten. A loop of `chmod o+w; chmod o-w` made 160
lines of log in 5 s; bounded so, it makes a few a second, and its owner waits for `max_wait`."""
LOOK_RETRY = 0.5
"""Seconds until the first try after a look that failed; then doubled, up to `resync`."""
CONFIGURE_RETRY, CONFIGURE_RETRY_MOST = 1.0, 30.0
VISIT_AFTER = 0.3
"""Seconds in which an app that is new is left to whoever waits for it: to load it takes all that
one processor has, and a visitor beside them is one more who wants it."""
STATUS_EVERY, STATUS_RETRY = 1.0, 10.0
STATUS_SHARE = 20
"""The status is written for at most a twentieth of the time: of 10,000 accounts it takes 0.2 s."""


class Task(Enum):
    """What is done for nobody in particular."""

    EVERYONE = "look at everyone"
    CONFIGURE = "configure"
    SOCKETS = "make and end sockets"
    STATUS = "write the status"
    BEAT = "show that the loop and the watcher live"
    PROBE = "visit apps"


@dataclass(slots=True)
class _Row:
    asked: float = inf
    """When it is to be done; infinity: not at all."""
    floor: float = -inf
    """Not before that, whoever asks; infinity while it is being done beside us."""
    first: float = inf
    """When it was first asked for since it was last done."""
    last: float = -inf
    """When it was last done."""
    burst: float = 0.0
    """How often in quick succession, `RECOVERS` a second forgotten."""
    pause: float = 0.0
    """Seconds that the next try waits if this one fails as well; 0 while it works."""

    @property
    def due(self) -> float:
        return max(self.asked, self.floor)

    @property
    def is_over(self) -> bool:
        """Whether nothing is known to come."""
        return self.asked == inf and not self.pause

    def ask(self, at: float) -> None:
        self.asked = min(self.asked, at)

    def forget(self) -> None:
        """It is not to be done any more, or is being done."""
        self.asked = self.first = inf

    def take(self, now: float) -> None:
        self.forget()
        self.burst = max(0.0, self.burst - RECOVERS * (now - self.last)) + 1
        self.last = now

    def worked(self) -> None:
        """The next failure is the first again."""
        self.pause = 0.0

    def back_off(self, first: float, most: float) -> float:
        pause = self.pause or first
        self.pause = min(most, 2 * pause)
        return pause


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done now."""

    tasks: Set[Task]
    names: Set[str]
    """Accounts to look at; none where everyone is."""
    visits: tuple[str, ...] = ()
    """Accounts whose apps to visit: under way from now on."""


class Schedule:
    """The table, at first with everyone to be looked at, and the status to be written."""

    def __init__(
        self,
        timing: Timing,
        now: float,
        *,
        beat_every: float | None = None,
        not_before: float = -inf,
        probe: Probe | None = None,
    ) -> None:
        """`beat_every` is in seconds; None where nobody waits for a sign of life.

        `not_before` is when the first configuration may come, by what the process before us did.
        """
        self._timing = timing
        self._beat_every = beat_every or inf
        self._kept = max(timing.quiet, BURST / RECOVERS)
        self._tasks = {task: _Row() for task in Task}
        self._rows: dict[Task | str, _Row] = dict(self._tasks.items())
        self._tasks[Task.CONFIGURE].floor = not_before
        self._rounds = Rounds(probe or Probe())
        for task in (Task.EVERYONE, Task.STATUS, *([Task.BEAT] if beat_every is not None else [])):
            self._tasks[task].ask(now)

    def next(self) -> float:
        """Return when something is due; infinity for never."""
        return min(row.due for row in self._rows.values())

    def take(self, now: float) -> Due:
        """Return what is due, and take it for done, but for what is said of it later."""
        due = [key for key, row in self._rows.items() if row.due <= now]
        for key in due:
            self._rows[key].take(now)
        for name in [k for k, row in self._rows.items() if row.is_over and isinstance(k, str)]:
            if now - self._rows[name].last >= self._kept:  # a burst would be forgotten as well
                del self._rows[name]
        tasks = {key for key in due if isinstance(key, Task)}
        for task in tasks & {Task.CONFIGURE, Task.SOCKETS}:
            self._tasks[task].floor = inf
        if Task.BEAT in tasks:
            self._tasks[Task.BEAT].ask(now + self._beat_every)
        visits: tuple[str, ...] = ()
        if Task.PROBE in tasks and not self.is_configuring(now):
            visits = self._rounds.take(now)
        self._plan_visits(now)
        names = {key for key in due if isinstance(key, str)}
        return Due(tasks, frozenset() if Task.EVERYONE in tasks else names, visits)

    @property
    def entries(self) -> int:
        """How many accounts have a row."""
        return len(self._rows) - len(self._tasks)

    # ---- looks ---------------------------------------------------------------------------------

    def woken(self, names: Iterable[str], now: float) -> None:
        """Something happened to these accounts.

        The first wake-up of a quiet account is due at once, so that a student waits for nothing but
        their own file. Further ones within `quiet` wait until there are none for as long, at most
        `max_wait`: an editor or a checkout makes many.
        """
        for name in names:
            row = self._rows.setdefault(name, _Row())
            row.first = min(row.first, now)
            pause = self._timing.quiet
            if row.burst > BURST:
                pause = max(pause, self._timing.max_wait)
            if row.asked == inf and now - row.last >= pause:
                row.asked = now
            elif row.asked > now:
                row.asked = min(now + pause, row.first + self._timing.max_wait)

    def alarmed(self, now: float) -> None:
        """To whom something happened is not known."""
        self._tasks[Task.EVERYONE].ask(now)

    def looked(
        self,
        names: Set[str],
        *,
        everyone: bool,
        unsettled: Set[str] = frozenset(),
        rechecks: Mapping[str, float] | None = None,
        now: float,
    ) -> None:
        """A look at these went well.

        Args:
            names: at whom it looked.
            everyone: whether these are all.
            unsettled: those of them at whom to look again soon, and later each time.
            rechecks: at whom to look again at a certain time.
            now: when it ended.
        """
        if everyone:
            names = {key for key in self._rows if isinstance(key, str)}  # who is gone as well
            for name in names:
                self._rows[name].forget()
            row = self._tasks[Task.EVERYONE]
            row.worked()
            row.asked = now + self._timing.resync
        for name in (names - unsettled) & self._rows.keys():
            self._rows[name].worked()
        for name in unsettled:
            row = self._rows.setdefault(name, _Row())
            row.ask(now + row.back_off(LOOK_RETRY, self._timing.resync))
        for name, at in (rechecks or {}).items():
            self._rows.setdefault(name, _Row()).ask(at)

    def look_failed(self, *, everyone: bool, now: float) -> None:
        """A look ended half-way, so that anything may be left undone: everyone is looked at.

        Once: while that fails as well, it comes later each time, whatever else happens.
        """
        row = self._tasks[Task.EVERYONE]
        if everyone or not row.pause:
            row.asked = now + row.back_off(LOOK_RETRY, self._timing.resync)

    # ---- configuring ---------------------------------------------------------------------------

    def is_configuring(self, now: float) -> bool:
        """Whether a configuration is under way, or is to come without waiting for its turn."""
        row = self._tasks[Task.CONFIGURE]
        return row.floor == inf or (row.asked < inf and row.floor <= now)

    def wanted(self, now: float) -> None:
        """A configuration is to be published: soon, together with what else comes."""
        row = self._tasks[Task.CONFIGURE]
        row.first = min(row.first, now)
        row.asked = min(now + self._timing.quiet, row.first + self._timing.max_wait)
        self._plan_visits(now)

    def configured(self, *, converged: bool, not_before: float, now: float) -> None:
        """One has ended, and is tried again unless it converged; none comes before `not_before`."""
        row = self._tasks[Task.CONFIGURE]
        row.floor = not_before
        if converged:
            row.worked()
        else:
            again = now + row.back_off(CONFIGURE_RETRY, CONFIGURE_RETRY_MOST)
            row.floor = max(again, not_before)
            row.ask(again)
        self._rounds.known(now)
        self._plan_visits(now)

    def lack_sockets(self, now: float) -> None:
        """Somebody who is served has no socket, or has one who is not."""
        self._tasks[Task.SOCKETS].ask(now)

    def made_sockets(self, *, all_stand: bool, now: float) -> None:
        """That was tried, and is tried again unless all are as they ought to be."""
        row = self._tasks[Task.SOCKETS]
        row.floor = -inf
        if all_stand:
            row.worked()
        else:
            row.ask(now + row.back_off(CONFIGURE_RETRY, CONFIGURE_RETRY_MOST))
        self._rounds.known(now)
        self._plan_visits(now)

    # ---- visits --------------------------------------------------------------------------------

    def changed(self, names: Iterable[str], now: float) -> None:
        """These apps are others than before, and are visited soon."""
        self._rounds.ask(names, now + VISIT_AFTER)
        self._plan_visits(now)

    def failed(self, names: Iterable[str], now: float) -> None:
        """Answers of these apps failed: whether they still do, a visit by and by tells."""
        self._rounds.doubt(names, now)
        self._plan_visits(now)

    def untold(self, names: Iterable[str], now: float) -> None:
        """Nothing is known of these apps: they are visited when nobody else is."""
        self._rounds.ask_some_time(names)
        self._plan_visits(now)

    def gone(self, names: Iterable[str], now: float) -> None:
        """These accounts have no app."""
        self._rounds.forget(names)
        self._plan_visits(now)

    def postponed(self, name: str, now: float) -> None:
        """Apache does not know of one to be visited: it is, after the next configuration."""
        self._rounds.postponed(name)
        self._plan_visits(now)

    def visited(self, name: str, *, took: float, works: bool, now: float) -> None:
        """A visit has ended; one that is not content comes again by itself."""
        self._rounds.ended(name, took=took, works=works, now=now)
        self._plan_visits(now)

    def _plan_visits(self, now: float) -> None:
        """Nobody is visited while a configuration is made: their address may be yet to come."""
        busy = self.is_configuring(now)
        self._tasks[Task.PROBE].asked = inf if busy else self._rounds.next()

    # ---- the status ----------------------------------------------------------------------------

    def told(self, now: float) -> None:
        """The status is another."""
        self._tasks[Task.STATUS].ask(now)

    def wrote(self, *, took: float, now: float) -> None:
        """The status was written, for so many seconds."""
        self._tasks[Task.STATUS].floor = now + max(STATUS_EVERY, STATUS_SHARE * took)

    def write_failed(self, now: float) -> None:
        """The status could not be written."""
        self._tasks[Task.STATUS].ask(now + STATUS_RETRY)
