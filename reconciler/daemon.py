"""The life of the daemon: receive, look, configure, tell.

One thread looks (steps 1 to 4 of a pass), so that publishing an app waits for nothing but its own
file. A job beside it configures (5 to 10): a test, a reload and its verification take seconds.
Whatever happens comes as a message in one inbox: kernel events, what apps tell, signals, the end of
a job.
"""

from __future__ import annotations

import os
import queue
import resource
import time
from functools import partial
from signal import Signals
from typing import Any

from msgspec.structs import replace

from reconciler import announce
from reconciler.health.ears import RESERVE, Ears, Heard
from reconciler.health.visitor import Visitor
from reconciler.jobs import Ended, Job, Jobs
from reconciler.model import Condition, Visit
from reconciler.observe.descent import Unreadable
from reconciler.observe.identity import Residents
from reconciler.outside import Outside
from reconciler.passes import Look, Passes
from reconciler.publish import files
from reconciler.publish.lock import LockTimeoutError
from reconciler.publish.outcome import Ending, Outcome
from reconciler.publish.render import TemplateError
from reconciler.report.status import summary
from reconciler.schedule import Schedule, Task
from reconciler.settings import DEFAULT_FILE, Settings, load
from reconciler.watch import Wake, Watch

_FEW = 10
"""Apps that one look may publish and have visited at once: a class is published by its teacher, or
by a first start, and is visited in the background."""
_STOP_WITHIN = 5.0
"""Seconds that a stop waits for the step in hand of a configuration."""

Inbox = queue.SimpleQueue["Wake | Heard | Ended | Signals"]


class Life:
    """All that goes with one `Settings`: built whole, or not at all.

    Raises (from the constructor):
        TemplateError: the template set is missing or not usable.
        OSError: there is no telling.
    """

    def __init__(
        self, settings: Settings, config: str | None, outside: Outside, inbox: Inbox
    ) -> None:
        self.settings = settings
        self.database = frozenset(outside.accounts().files)
        self.sign = f"{settings.state.directory}/alive/beat"
        watched = {*self.database, settings.apache.templates}
        watched.add(os.path.abspath(config or DEFAULT_FILE))
        if outside.notify.beat_every is not None:
            os.makedirs(os.path.dirname(self.sign), mode=0o700, exist_ok=True)
            watched.add(self.sign)
        self.passes = Passes(settings, outside)
        self.schedule = Schedule(
            settings.timing,
            outside.clock.now(),
            beat_every=outside.notify.beat_every,
            not_before=self.passes.not_before,
            probe=settings.probe,
        )
        self.visitor = Visitor(
            settings.apache.verify_url,
            timeout=settings.probe.timeout,
            links=settings.probe.links,
        )
        self.watch = Watch(
            settings.homes.root,
            patterns=settings.homes.scripts,
            budget=settings.homes.watch_budget,
            files=sorted(watched),
            wake=inbox.put,
            enter=Residents(outside.accounts(), outside.as_student).enter,
        )
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.ears = Ears(settings.state.runtime, inbox.put, most=descriptors - RESERVE)
        try:
            self.watch.start()
            self.ears.start()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End the threads of who watches and who listens, and the helpers."""
        self.watch.stop()
        self.ears.stop()
        self.passes.close()


class Daemon:
    """Watches and reconciles until TERM or INT."""

    def __init__(self, config: str | None, settings: Settings, log: Any, outside: Outside) -> None:
        """`config` names the file that `settings` came from, None the default one."""
        self._config, self._settings, self._log = config, settings, log
        self._outside, self._supervisor = outside, outside.notify
        self._inbox: Inbox = queue.SimpleQueue()
        self._jobs = Jobs(self._inbox.put)
        self._teller = announce.Teller(log, first=True)
        self._is_stopping = self._is_ready = self._has_looked = self._has_configured = False
        self._reread_for: str | None = None
        """Why the settings are to be read again, as soon as no job is under way."""

    def signal(self, number: int) -> None:
        """Take a signal: HUP reads the settings again, TERM and INT stop.

        Any thread may call it, and a handler too: SimpleQueue.put may interrupt another put.
        """
        self._inbox.put(Signals(number))

    def run(self) -> int:
        """Run until a signal says stop; return the exit status."""
        try:
            self._life = Life(self._settings, self._config, self._outside, self._inbox)
        except TemplateError as error:
            self._log.error("templates.unusable", message=str(error))
            return 3
        self._log.info("daemon.started", root=self._settings.homes.root)
        self._supervisor.tell(STATUS="first pass")
        while True:
            self._receive()
            if self._is_stopping:  # the next start looks at everyone anyway
                break
            self._reread()
            self._do_what_is_due()
            self._say_ready()
        self._supervisor.tell(STOPPING="1")
        self._jobs.join(_STOP_WITHIN)
        self._write_status()
        self._life.end()
        self._log.info("daemon.stopped")
        return 0

    # ---- messages ------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Wait until something happens or is due, and take in all that has happened."""
        wait = max(0.0, min(self._life.schedule.next() - self._outside.clock.now(), 86400.0))
        try:
            message = self._inbox.get(timeout=wait)
            while True:
                self._take(message)
                message = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _take(self, message: Wake | Heard | Ended | Signals) -> None:
        match message:
            case Heard():
                self._heard(message)
            case Ended():
                self._jobs.take(message)
            case Wake():
                self._woken(message)
            case Signals.SIGHUP:
                self._reread_for = "HUP"
            case _:
                self._is_stopping = True

    def _woken(self, wake: Wake) -> None:
        life, now = self._life, self._outside.clock.now()
        life.schedule.woken(wake.accounts, now)
        if wake.everything is not None:
            event = "watch.overflow" if wake.everything == "overflow" else "watch.resync"
            self._log.warning(event, reason=wake.everything)
            life.schedule.alarmed(now)
        if wake.files & life.database:
            life.schedule.woken([""], now)  # nobody's name: the database itself is looked at
        if life.sign in wake.files:
            # A loop that goes round with a deaf watcher would ping for ever.
            self._supervisor.tell(WATCHDOG="1")
        others = wake.files - life.database - {life.sign}
        if others:
            self._reread_for = f"{', '.join(sorted(others))} changed"

    def _heard(self, message: Heard) -> None:
        life, told, now = self._life, message.take(), self._outside.clock.now()
        news = life.passes.checkup.heard(told)
        life.schedule.woken(news, now)
        # One answer of many failed, maybe; and nobody may come for a week to see a good one.
        failing = {name for name, state in news.items() if state is Condition.FAILING}
        life.schedule.failed(failing, now)
        # The code is another, and nobody knows how that is until somebody asks.
        life.schedule.changed({name for name, report in told.items() if report.is_outdated}, now)
        self._teller.ears(life.ears.trouble, life.ears.muted)

    def _reread(self) -> None:
        """Begin a new life with the settings as they are; whatever that raises, the old goes on."""
        # Not while a job is under way: how it ends is for those who began it.
        if self._reread_for is None or self._jobs.running:
            return
        why, self._reread_for = self._reread_for, None
        try:
            life = Life(load(self._config), self._config, self._outside, self._inbox)
        except Exception as error:  # noqa: BLE001
            self._log.error("settings.invalid", message=str(error))
            return
        self._life.end()
        self._life = life
        self._log.info("settings.reread", reason=why)

    # ---- what is due ---------------------------------------------------------------------------

    def _do_what_is_due(self) -> None:
        due = self._life.schedule.take(self._outside.clock.now())
        if Task.EVERYONE in due.tasks or due.names:
            self._look(None if Task.EVERYONE in due.tasks else due.names - {""})
        if Task.CONFIGURE in due.tasks:
            self._configure()
        if Task.SOCKETS in due.tasks:
            self._make_sockets()
        for name in due.visits:
            self._visit(name)
        if Task.STATUS in due.tasks:
            self._write_status()
        if Task.BEAT in due.tasks:
            self._beat()

    def _look(self, names: Any) -> None:
        life, clock = self._life, self._outside.clock
        everyone = names is None
        try:
            found = life.passes.look(names, grace=life.settings.timing.grace)
            self._looked(found, everyone=everyone)
        except (Unreadable, LockTimeoutError, OSError, TemplateError) as error:
            self._log.error("pass.failed", message=str(error))
            life.schedule.look_failed(everyone=everyone, now=clock.now())
        except Exception:  # noqa: BLE001  whatever it is, the next try may do, and this one is told
            self._log.exception("pass.failed")
            life.schedule.look_failed(everyone=everyone, now=clock.now())
        self._has_looked |= everyone

    def _looked(self, found: Look, *, everyone: bool) -> None:
        life, now = self._life, self._outside.clock.now()
        life.ears.attend(found.apps)
        self._teller.look(found, life.passes)
        self._teller.ears(life.ears.trouble, life.ears.muted)
        life.schedule.looked(
            found.looked,
            everyone=everyone and found.trouble is None,
            unsettled=found.unsettled,
            rechecks=found.rechecks,
            now=now,
        )
        if found.trouble is not None:
            life.schedule.look_failed(everyone=everyone, now=now)
        if found.updates or found.waits_anew or found.plan.has_changes or found.wanted is not None:
            life.schedule.told(now)
        if found.wanted is not None or life.passes.unverified:
            life.schedule.wanted(now)
        if life.passes.lacks_sockets:
            life.schedule.lack_sockets(now)
        self._plan_visits(found, everyone=everyone)
        if everyone:
            self._tidy()

    def _plan_visits(self, found: Look, *, everyone: bool) -> None:
        """Whoever changed something is visited soon; of a whole class, one after the other."""
        life, now = self._life, self._outside.clock.now()
        changes = [change for change in found.plan.changes if change.account not in found.failed]
        life.schedule.gone([c.account for c in changes if c.app is None], now)
        changed = {change.account for change in changes if change.app is not None}
        if len(changed) <= _FEW:
            life.schedule.changed(changed, now)
        else:
            life.schedule.untold(changed, now)
        if everyone:
            life.schedule.changed(life.passes.checkup.complained, now)
            life.schedule.untold(life.passes.checkup.unvisited, now)

    def _tidy(self) -> None:
        self._life.passes.get_ready()
        try:
            self._life.passes.tidy()
            self._life.ears.tidy()
        except (OSError, LockTimeoutError) as error:
            self._log.warning("prune.failed", message=str(error))
        refused = self._life.watch.refused()
        if refused:
            self._log.warning(
                "watch.degraded",
                message=f"the kernel refused {refused} watches: changes there are seen only every "
                f"{self._life.settings.timing.resync:g} s",
                fix="sysctl fs.inotify.max_user_watches=1048576",
            )

    def _configure(self) -> None:
        passes = self._life.passes
        try:
            work = partial(passes.configure, passes.wanted(), passes.served)
            self._jobs.start(Job("configure", work, self._configured))
        except Exception as error:  # noqa: BLE001  no thread, no descriptor: it is tried again
            self._configured(error)

    def _configured(self, ended: Outcome | Exception) -> None:
        life, now = self._life, self._outside.clock.now()
        self._has_configured = True
        self._teller.outcome(ended)
        try:
            not_before = life.passes.not_before
        except OSError:  # its notes cannot be read just now
            not_before = now
        converged = isinstance(ended, Outcome) and ended.ending is Ending.CONVERGED
        life.schedule.configured(converged=converged, not_before=not_before, now=now)
        life.schedule.told(now)
        if isinstance(ended, Outcome):
            life.schedule.woken(ended.quarantined, now)
            if ended.ending is Ending.OVERTAKEN:
                life.schedule.alarmed(now)

    def _make_sockets(self) -> None:
        passes = self._life.passes
        try:
            work = partial(passes.make_sockets, passes.served)
            self._jobs.start(Job("sockets", work, self._made_sockets))
        except Exception as error:  # noqa: BLE001  no thread: it is tried again
            self._made_sockets(error)

    def _made_sockets(self, ended: Exception | None) -> None:
        life, now = self._life, self._outside.clock.now()
        if ended is not None:
            self._log.error("sockets.failed", message=str(ended))
        all_stand = ended is None and not life.passes.lacks_sockets
        life.schedule.made_sockets(all_stand=all_stand, now=now)

    def _visit(self, name: str) -> None:
        life, found = self._life, self._life.passes.checkup.target(name)
        if found is None:
            life.schedule.postponed(name, self._outside.clock.now())
            return
        set_name, target = found
        then = partial(self._visited, life, name, set_name, time.monotonic())
        job = Job(f"visit {name}", partial(life.visitor.visit, target), then, may_be_left=True)
        try:
            self._jobs.start(job)
        except Exception as error:  # noqa: BLE001  no thread: it is tried again
            then(error)

    def _visited(
        self, life: Life, name: str, set_name: str, began: float, ended: Visit | Exception
    ) -> None:
        if life is not self._life:
            return
        now, took, works = self._outside.clock.now(), time.monotonic() - began, False
        if isinstance(ended, Exception):
            self._log.error("visit.failed", account=name, message=str(ended))
        else:
            works = life.passes.checkup.visited(name, replace(ended, set=set_name))
            life.schedule.woken([name], now)
        life.schedule.visited(name, took=took, works=works, now=now)

    def _write_status(self) -> None:
        schedule, clock = self._life.schedule, self._outside.clock
        started = time.monotonic()  # work is not what passes while the machine sleeps
        try:
            status = self._life.passes.write_status()
            schedule.wrote(took=time.monotonic() - started, now=clock.now())
            again = self._teller.common(status, clock.now())
            if again is not None:
                schedule.told(again)
            self._supervisor.tell(STATUS=summary(status))
        except (OSError, LockTimeoutError) as error:
            self._log.error("status.failed", message=str(error))
            schedule.write_failed(clock.now())

    def _beat(self) -> None:
        try:
            files.write(self._life.sign, b"", durable=False)
        except OSError as error:  # a full disk: the watchdog decides whether that is the end
            self._log.error("alive.failed", message=f"{error.strerror}: {error.filename}")

    def _say_ready(self) -> None:
        """Say so once everyone was looked at, and what that asks of Apache was tried.

        Whoever is ordered after us finds what is published up to date. Where it cannot be done, as
        with homes that do not answer or a stopped Apache, to have tried is all that can be waited
        for: it is tried again, and a start that fails would mend nothing. Nor does it wait for a
        reload whose turn has not come, as after a crash.
        """
        if self._is_ready or not self._has_looked:
            return
        is_configuring = self._life.schedule.is_configuring(self._outside.clock.now())
        if is_configuring and not self._has_configured:
            return
        self._is_ready = True
        self._write_status()
        self._supervisor.tell(READY="1")
