"""Wake, coalesce, look, resync, stop: the loop around passes.

One thread looks (steps 1 to 4 of a pass), so that publishing an app waits for nothing but its own
file. Another configures (5 to 9): a test, a reload and its verification take seconds. Whatever
happens comes as a message in one queue: kernel events, signals, the end of a configuration.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any

from reconciler import announce
from reconciler.agenda import Agenda, Backoff
from reconciler.notify import Supervisor
from reconciler.observe.descent import Unreadable
from reconciler.publish.lock import LockTimeoutError
from reconciler.publish.protocol import Outcome, Standing
from reconciler.publish.render import TemplateError
from reconciler.reconcile import Look, Reconciler
from reconciler.settings import DEFAULT_FILE, Settings, SettingsError, load
from reconciler.watch import Wake, Watch

_DATABASE = frozenset({"/etc/passwd", "/etc/group"})
_STATUS_EVERY = 1.0
"""Seconds between two writes of `status.json`, whose size grows with the accounts."""
_STOP_WITHIN = 5.0
"""Seconds that a stop waits for the step in hand of a configuration."""


@dataclass(frozen=True, slots=True)
class _Signal:
    number: int


@dataclass(frozen=True, slots=True)
class _Configured:
    outcome: Outcome | Exception


_Message = Wake | _Signal | _Configured


class Daemon:
    """Watches and reconciles until TERM or INT."""

    def __init__(self, config: str | None, settings: Settings, log: Any) -> None:
        """`config` names the file that `settings` came from, None the default one."""
        self._config = config
        self._settings = settings
        self._log = log
        self._queue: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._stopping = False
        self._configurer: threading.Thread | None = None
        self._reread_for: str | None = None
        """Why the settings are to be read again, as soon as nothing is under way."""
        self._reloaded_at = -86400.0
        self._ready = False
        self._tried_all = False
        self._has_configured = False

    def run(self) -> int:
        """Run until a signal says stop; return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # SimpleQueue.put may be called from a handler that interrupts another put.
            signal.signal(number, lambda number, _: self._queue.put(_Signal(number)))
        try:
            self._begin(self._settings)
        except TemplateError as error:
            self._log.error("templates.unusable", message=str(error))
            return 3
        self._log.info("daemon.started", root=self._settings.homes.root)
        self._supervisor.tell(STATUS="first pass")
        while not self._stopping:
            self._receive()
            now = time.monotonic()
            self._look(now)
            self._configure(now)
            self._write_status(now)
            self._say_ready(now)
            self._beat(now)
        self._supervisor.tell(STOPPING="1")
        self._end()
        self._log.info("daemon.stopped")
        return 0

    # ---- beginning and ending --------------------------------------------------------------

    def _begin(self, settings: Settings) -> None:
        self._reconciler = Reconciler(settings)
        self._settings = settings
        self._agenda = Agenda(settings.timing)
        self._retries: dict[str, Backoff] = {}
        self._reload_retry = Backoff(1.0, 30.0)
        self._full_at = 0.0  # now: watch first, then scan
        self._full_retry = Backoff(0.5, settings.timing.resync)
        self._failing = False
        self._configure_at: float | None = None
        self._configure_again_at = 0.0
        self._asked_at = 0.0
        self._trouble: str | None = None
        self._status_at: float | None = 0.0
        self._written_at = 0.0
        self._status_every = _STATUS_EVERY
        self._held: str | None = None
        self._blocked: str | None = None
        self._first = True
        self._supervisor = Supervisor(settings.state.directory)
        self._supervisor.prepare()
        self._beat_at = 0.0 if self._supervisor.beat_every else None
        files = {
            *_DATABASE,
            settings.apache.templates,
            os.path.abspath(self._config or DEFAULT_FILE),
        }
        if self._beat_at is not None:
            files.add(self._supervisor.canary)
        self._watch = Watch(
            settings.homes.root,
            patterns=settings.homes.scripts,
            budget=settings.homes.watch_budget,
            files=sorted(files),
            wake=self._queue.put,
        )
        self._watch.start()

    def _end(self) -> None:
        self._watch.stop()
        if self._configurer is not None:
            self._configurer.join(_STOP_WITHIN)
        self._status_at = 0.0
        self._write_status(time.monotonic())
        self._reconciler.close()

    def _reread(self, why: str) -> None:
        """Begin anew with the settings as they are; with the old ones if they are not usable."""
        self._reread_for = None
        before = self._reconciler
        watch = self._watch
        try:
            self._begin(load(self._config))
        except (SettingsError, TemplateError) as error:
            self._log.error("settings.invalid", message=str(error))
            return
        watch.stop()
        before.close()
        self._log.info("settings.reread", reason=why)

    # ---- messages --------------------------------------------------------------------------

    def _receive(self) -> None:
        """Wait until something happens or is due, and take in all that has happened."""
        due = self._next_due()
        try:
            timeout = None if due is None else max(0.0, due - time.monotonic())
            message = self._queue.get(timeout=timeout)
        except queue.Empty:
            return
        while True:
            self._reread_for = self._take(message) or self._reread_for
            try:
                message = self._queue.get_nowait()
            except queue.Empty:
                break
        # Not while a configuration is under way: how it ends is for those who began it.
        if self._reread_for is not None and self._configurer is None and not self._stopping:
            self._reread(self._reread_for)

    def _next_due(self) -> float | None:
        times = (
            self._full_at,
            self._agenda.next(),
            self._configure_due,
            self._status_at,
            self._beat_at,
        )
        return min((at for at in times if at is not None), default=None)

    def _take(self, message: _Message) -> str | None:
        """Note one message; return why the settings are to be read again, if they are."""
        if isinstance(message, _Signal):
            if message.number == signal.SIGHUP:
                return "HUP"
            self._stopping = True
        elif isinstance(message, _Configured):
            self._configured(message.outcome)
        else:
            return self._woken(message)
        return None

    def _woken(self, wake: Wake) -> str | None:
        now = time.monotonic()
        self._agenda.wake(wake.accounts, now)
        if wake.everything is not None:
            event = "watch.overflow" if wake.everything == "overflow" else "watch.resync"
            self._log.warning(event, reason=wake.everything)
            self._full_at = min(self._full_at, now)
        if wake.files & _DATABASE:
            self._agenda.wake([""], now)  # nobody's name: the database itself is looked at
        if self._supervisor.canary in wake.files:
            self._supervisor.heard()
        others = wake.files - _DATABASE - {self._supervisor.canary}
        return f"{', '.join(sorted(others))} changed" if others else None

    # ---- looking ---------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        names: set[str] | None = None
        if self._full_at > now:
            names = self._agenda.take(now)
            if not names:
                return
        self._tried_all |= names is None
        try:
            found = self._reconciler.look(
                None if names is None else names - {""}, grace=self._settings.timing.grace
            )
        except (Unreadable, LockTimeoutError, OSError, TemplateError) as error:
            self._failed(names, now, str(error))
            return
        except Exception:  # noqa: BLE001  whatever it is, the next try may do, and this one is told
            self._log.exception("pass.failed")
            self._failed(names, now, None)
            return
        if names is None:
            self._agenda.taken_all(now)
            self._failing = False
            self._full_retry.reset()
            self._full_at = time.monotonic() + self._settings.timing.resync
            self._tidy()
        self._looked(found)

    def _failed(self, names: set[str] | None, now: float, message: str | None) -> None:
        """Look again, and at all: a pass that ended half-way may have left anything undone."""
        if message is not None:
            self._log.error("pass.failed", message=message)
        if names is None or not self._failing:
            self._failing = True
            self._full_at = now + self._full_retry.delay()

    def _looked(self, found: Look) -> None:
        announce.look(self._log, found, self._reconciler, held_before=self._held, first=self._first)
        self._first = False
        now = time.monotonic()
        if self._reconciler.blocked_text not in {None, self._blocked}:
            self._log.error("generation.blocked", message=self._reconciler.blocked_text)
        self._held, self._blocked = found.plan.held_text, self._reconciler.blocked_text
        for name, at in found.rechecks.items():
            self._agenda.remind([name], at)
        most = self._settings.timing.resync
        for name in found.looked - found.retry:
            self._retries.pop(name, None)
        for name in found.looked & found.retry:
            backoff = self._retries.setdefault(name, Backoff(0.5, most))
            self._agenda.remind([name], now + backoff.delay())
        if found.changed or found.told:
            self._status_at = max(now, self._written_at + self._status_every)
        if found.configuration is not None:
            self._ask(now)
        elif self._configure_at is None and self._reconciler.unverified:
            self._configure_at = now

    def _tidy(self) -> None:
        self._reconciler.get_ready()
        try:
            if self._configurer is None:  # what it is writing would look like a crash's leftover
                self._reconciler.prune()
        except (OSError, LockTimeoutError) as error:
            self._log.warning("prune.failed", message=str(error))
        refused = self._watch.refused()
        if refused:
            self._log.warning(
                "watch.degraded",
                message=f"the kernel refused {refused} watches: changes there are seen only every "
                f"{self._settings.timing.resync:g} s",
                fix="sysctl fs.inotify.max_user_watches=1048576",
            )

    # ---- configuring -----------------------------------------------------------------------

    def _ask(self, now: float) -> None:
        """Have the configuration published: soon, with what else comes, and not too often."""
        timing = self._settings.timing
        if self._configure_at is None:
            self._asked_at = now
        self._configure_at = min(now + timing.quiet, self._asked_at + timing.max_wait)

    @property
    def _configure_due(self) -> float | None:
        if self._configure_at is None or self._configurer is not None:
            return None
        # A reload is a cost that everybody pays: twenty times as long without as with.
        pause = max(self._settings.timing.reload_interval, 20 * self._reconciler.stall)
        return max(self._configure_at, self._reloaded_at + pause, self._configure_again_at)

    def _configure(self, now: float) -> None:
        due = self._configure_due
        if due is None or due > now:
            return
        self._configure_at = None
        wanted = self._reconciler.wanted()
        if wanted is None and not self._reconciler.unverified:
            return
        reconciler = self._reconciler

        def work() -> None:
            ended: Outcome | Exception
            try:
                ended = reconciler.configure(wanted)
            except Exception as error:  # noqa: BLE001  a thread has nobody else to tell
                ended = error
            self._queue.put(_Configured(ended))

        self._configurer = threading.Thread(target=work, name="configure", daemon=True)
        self._configurer.start()

    def _configured(self, outcome: Outcome | Exception) -> None:
        self._configurer = None
        self._has_configured = True
        now = time.monotonic()
        self._status_at = max(now, self._written_at + self._status_every)
        if isinstance(outcome, Exception):
            self._log.error("generation.failed", message=str(outcome))
            self._configure_at = self._configure_again_at = now + self._reload_retry.delay()
            return
        if outcome.message is None or outcome.message != self._trouble:
            announce.outcome(self._log, outcome)  # the same trouble is told once
        self._trouble = outcome.message
        try:
            self._agenda.remind(self._reconciler.note(outcome), now)
        except (OSError, LockTimeoutError) as error:  # it is written with the next one
            self._log.error("ledger.failed", message=str(error))
        if outcome.reloaded:
            self._reloaded_at = now
        if outcome.standing is Standing.CONVERGED:
            self._reload_retry.reset()
        else:
            self._configure_at = self._configure_again_at = now + self._reload_retry.delay()

    def _say_ready(self, now: float) -> None:
        """Say so once everyone was looked at, and what that asks of Apache was tried.

        Whoever is ordered after us finds what is published up to date. Where it cannot be done, as
        with homes that do not answer or a stopped Apache, to have tried is all that can be waited
        for: it is tried again, and a start that fails would mend nothing.
        """
        quiet = self._configure_at is None and self._configurer is None
        if self._ready or not self._tried_all or not (quiet or self._has_configured):
            return
        self._ready = True
        self._status_at = now
        self._write_status(now)
        self._supervisor.tell(READY="1")

    def _beat(self, now: float) -> None:
        if self._beat_at is None or self._beat_at > now or self._supervisor.beat_every is None:
            return
        self._beat_at = now + self._supervisor.beat_every
        try:
            self._supervisor.beat()
        except OSError as error:  # a full disk: the watchdog decides whether that is the end
            self._log.error("canary.failed", message=f"{error.strerror}: {error.filename}")

    def _write_status(self, now: float) -> None:
        if self._status_at is None or self._status_at > now:
            return
        self._status_at = None
        try:
            self._reconciler.write_status()
            self._written_at = time.monotonic()
            # With ten thousand accounts it takes a fifth of a second: no more of that than 5 %.
            self._status_every = max(_STATUS_EVERY, 20 * (self._written_at - now))
            self._supervisor.tell(STATUS=self._reconciler.summary)
        except OSError as error:
            self._log.error("status.failed", message=f"{error.strerror}: {error.filename}")
            self._status_at = now + 10 * _STATUS_EVERY
