"""When what is due. Pure: `now` is an argument, in seconds of one clock that never jumps.

One table: an entry for each account of which something is known to come, and one for each task.
Whoever was told of what happens asks `next`, waits until then, and has `take` say what is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import Enum
from math import inf

from reconciler.settings import Timing

BURST = 20
"""Looks at one account in quick succession that wait for nothing but `quiet`."""
RECOVERS = 4.0
"""Looks a second by which such a burst is forgotten. A loop of `chmod o+w; chmod o-w` made 160
lines of log in 5 s; bounded so, it makes a few a second, and its owner waits for `max_wait`."""
LOOK_RETRY = 0.5
CONFIGURE_RETRY, CONFIGURE_RETRY_MOST = 1.0, 30.0
STATUS_EVERY, STATUS_SHARE, STATUS_RETRY = 1.0, 20, 10.0
"""The status is written at most once a second, and for a twentieth of the time: with ten thousand
accounts it takes a fifth of a second."""


class Task(Enum):
    """What is done for nobody in particular."""

    EVERYONE = "look at everyone"
    CONFIGURE = "configure"
    STATUS = "write the status"
    BEAT = "show that the loop and the watcher live"


@dataclass(slots=True)
class _Entry:
    asked: float = inf
    """When it is to be done; infinity: not at all."""
    floor: float = -inf
    """Not before that, whoever asks."""
    first: float = inf
    """When it was first asked for, since it was last done."""
    last: float = -inf
    """When it was last done."""
    burst: float = 0.0
    """How often in quick succession."""
    pause: float = 0.0
    """Seconds until the try after the next, while it does not work; 0: it works."""

    @property
    def due(self) -> float:
        return max(self.asked, self.floor)

    def ask(self, at: float) -> None:
        self.asked = min(self.asked, at)

    def done(self) -> None:
        self.asked = self.first = inf

    def back_off(self, first: float, most: float) -> float:
        pause = self.pause or first
        self.pause = min(most, 2 * pause)
        return pause


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done now."""

    tasks: Set[Task]
    names: Set[str]
    """Accounts to look at."""


class Schedule:
    """What happened, by verbs in the past tense; `next` and `take` say what follows from it."""

    def __init__(self, timing: Timing, now: float, *, beat_every: float | None = None) -> None:
        self._timing = timing
        self._beat_every = beat_every
        self._tasks = {task: _Entry() for task in Task}
        self._accounts: dict[str, _Entry] = {}
        self._configuring = False
        self._tasks[Task.EVERYONE].ask(now)
        self._tasks[Task.STATUS].ask(now)
        if beat_every is not None:
            self._tasks[Task.BEAT].ask(now)

    def next(self) -> float:
        """Return when something is due; infinity for never."""
        accounts = min((entry.due for entry in self._accounts.values()), default=inf)
        return min(accounts, *(self._due(task) for task in Task))

    def take(self, now: float) -> Due:
        """Return what is due; it is taken for done, but for what `look_failed` and others say."""
        tasks = {task for task in Task if self._due(task) <= now}
        for task in tasks:
            self._tasks[task].done()
        self._configuring |= Task.CONFIGURE in tasks
        if Task.BEAT in tasks and self._beat_every is not None:
            self._tasks[Task.BEAT].ask(now + self._beat_every)
        if Task.EVERYONE in tasks:
            return Due(tasks, frozenset())
        names = {name for name, entry in self._accounts.items() if entry.due <= now}
        for name in names:
            entry = self._accounts[name]
            entry.done()
            entry.burst = max(0.0, entry.burst - RECOVERS * (now - entry.last)) + 1
            entry.last = now
        return Due(tasks, names)

    # ---- looks ---------------------------------------------------------------------------------

    def woken(self, names: Iterable[str], now: float) -> None:
        """Something happened to these accounts.

        The first wake-up of a quiet account is due at once, so that a student waits for nothing but
        their own file. Further ones within `quiet` wait until there are none for as long, at most
        `max_wait`: an editor or a checkout makes many.
        """
        for name in names:
            entry = self._accounts.setdefault(name, _Entry())
            pause = self._timing.quiet
            if entry.burst > BURST:
                pause = max(pause, self._timing.max_wait)
            entry.first = min(entry.first, now)
            if entry.asked == inf and now - entry.last >= pause:
                entry.asked = now
            elif entry.asked > now:
                entry.asked = min(now + pause, entry.first + self._timing.max_wait)

    def alarmed(self, now: float) -> None:
        """What happened to whom is not known: everyone is to be looked at."""
        self._tasks[Task.EVERYONE].ask(now)

    def looked(
        self,
        *,
        everyone: bool,
        looked: Set[str],
        unsettled: Set[str],
        rechecks: Mapping[str, float],
        now: float,
    ) -> None:
        """A look went well; at those unsettled it is to be looked soon, and later each time."""
        if everyone:
            self._looked_at_everyone(now)
        for name in looked - unsettled if self._accounts else ():
            if name in self._accounts:
                self._accounts[name].pause = 0.0
        for name in unsettled:
            entry = self._accounts.setdefault(name, _Entry())
            entry.ask(now + entry.back_off(LOOK_RETRY, self._timing.resync))
        for name, at in rechecks.items():
            self._accounts.setdefault(name, _Entry()).ask(at)

    def _looked_at_everyone(self, now: float) -> None:
        entry = self._tasks[Task.EVERYONE]
        entry.pause = 0.0
        entry.ask(now + self._timing.resync)
        # An entry ends here: only the last seconds matter of one that waits for nothing.
        kept = max(self._timing.quiet, BURST / RECOVERS)
        for name, entry in list(self._accounts.items()):
            entry.done()
            if not entry.pause and now - entry.last >= kept:
                del self._accounts[name]

    def look_failed(self, *, everyone: bool, now: float) -> None:
        """A look ended half-way, so that anything may be left undone: everyone is looked at.

        Once: while that fails, it comes later each time, whatever else happens.
        """
        entry = self._tasks[Task.EVERYONE]
        if everyone or not entry.pause:
            entry.asked = now + entry.back_off(LOOK_RETRY, self._timing.resync)

    # ---- configuring ---------------------------------------------------------------------------

    @property
    def is_configuring(self) -> bool:
        """Whether a configuration is under way, or will be."""
        return self._configuring or self._tasks[Task.CONFIGURE].asked < inf

    def wanted(self, now: float) -> None:
        """A configuration is to be published: soon, together with what else comes."""
        entry = self._tasks[Task.CONFIGURE]
        entry.first = min(entry.first, now)
        entry.asked = min(now + self._timing.quiet, entry.first + self._timing.max_wait)

    def configured(self, *, converged: bool, not_before: float, now: float) -> None:
        """One has ended; the next may not come before then, and is tried again unless it worked."""
        self._configuring = False
        entry = self._tasks[Task.CONFIGURE]
        entry.floor = not_before
        if converged:
            entry.pause = 0.0
        else:
            again = now + entry.back_off(CONFIGURE_RETRY, CONFIGURE_RETRY_MOST)
            entry.floor = max(again, not_before)
            entry.ask(again)

    # ---- the status ----------------------------------------------------------------------------

    def told(self, now: float) -> None:
        """The status is another."""
        self._tasks[Task.STATUS].ask(now)

    def wrote(self, *, took: float, now: float) -> None:
        """The status was written, which took so many seconds."""
        self._tasks[Task.STATUS].floor = now + max(STATUS_EVERY, STATUS_SHARE * took)

    def write_failed(self, now: float) -> None:
        """It could not be written."""
        self._tasks[Task.STATUS].ask(now + STATUS_RETRY)

    def _due(self, task: Task) -> float:
        if task is Task.CONFIGURE and self._configuring:
            return inf
        return self._tasks[task].due
