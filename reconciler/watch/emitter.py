"""The two threads: one reads the kernel, one calls back. Both are watchdog's, with our loops."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from watchdog.events import FileSystemEventHandler
from watchdog.observers.api import BaseObserver, EventEmitter, EventQueue, ObservedWatch
from watchdog.utils import Seconds

from reconciler.watch.quota import Quota
from reconciler.watch.session import Session, Spec
from reconciler.watch.wake import StaleError, Wake

_log = logging.getLogger(__name__)

FIRST_PAUSE = 0.1
LAST_PAUSE = 30.0
CALM = 60.0
"""Seconds. Watches are built again at once; if that was tried less than `CALM` ago, after
`FIRST_PAUSE`, doubled each time up to `LAST_PAUSE`. Building over 10,000 homes takes a second or
so, and whatever makes it necessary again and again must not have us do nothing else."""
JOIN = 5.0
"""Seconds to wait for a thread at the end; a disk that hangs must not make stopping hang."""


class Emitter(EventEmitter):
    """Reads one inotify descriptor for all homes, and starts again when it must.

    Blocks without a time limit: idle, it uses no CPU at all. Whatever is opened in homes is opened
    in this thread, as their students; so it starts no other thread, which would stay a student.
    """

    def __init__(
        self, event_queue: EventQueue, watch: ObservedWatch, *, spec: Spec, **options: Any
    ) -> None:
        super().__init__(event_queue, watch, **options)
        self._spec = spec
        self._quota = Quota(spec.budget)
        self._pause = 0.0
        self._tried_at = -math.inf
        self._lost: str | None = None
        """Why the caller will have to look at everything, once there are watches again."""
        self.tried = threading.Event()
        """The watches stand, or could not be built at the first attempt."""
        self.session: Session | None = None
        """None while it could not be built, which is tried again."""

    def on_thread_stop(self) -> None:
        """Ends the reader's waiting. One that is being built is seen by no one, and ends itself."""
        session = self.session
        if session is not None:
            session.table.hang_up()

    def join(self, timeout: float | None = None) -> None:
        """Waits for the thread, never without a limit, since watchdog's observer gives none."""
        super().join(JOIN if timeout is None else timeout)

    def run(self) -> None:
        """Reads until told to stop."""
        try:
            super().run()
        finally:
            self.tried.set()
            self._discard(None)

    def queue_events(self, timeout: Seconds) -> None:  # noqa: ARG002
        """One read, or one attempt to build what became stale."""
        if self.session is None:
            self._build()
            return
        try:
            wake = self.session.take()
        except StaleError as stale:
            self._discard(str(stale))
        except Exception:  # noqa: BLE001  (whatever it is, students' sites depend on this thread)
            _log.debug("watch.failed", exc_info=True)
            self._discard("emitter-restarted")
        else:
            if wake:
                self._event_queue.put(wake)

    def _discard(self, why: str | None) -> None:
        session, self.session = self.session, None
        self._lost = why
        if session is not None:
            session.table.discard()

    def _build(self) -> None:
        if time.monotonic() - self._tried_at > CALM:
            self._pause = 0.0
        if self._stopped_event.wait(self._pause):
            return
        self._pause = min(max(FIRST_PAUSE, 2 * self._pause), LAST_PAUSE)
        try:
            self.session = Session(self._spec, self._quota)
        except Exception:  # noqa: BLE001  (no descriptor left, a root that answers EIO, ...)
            _log.debug("watch.build_failed", exc_info=True)
            self._lost = self._lost or "emitter-restarted"
        else:
            if self._lost:
                # What happened until now was lost; what happens from now on is seen.
                self._event_queue.put(Wake(everything=self._lost))
        finally:
            self._tried_at = time.monotonic()
            self.tried.set()


class Observer(BaseObserver):
    """watchdog's observer, whose queue carries `Wake`s to one callback.

    Its own dispatching calls back with the observer's lock held, so that a callback that waits for
    whoever stops the observer would wait for ever.
    """

    def __init__(self, spec: Spec, wake: Callable[[Wake], None]) -> None:
        super().__init__(Emitter, spec=spec)
        self._wake = wake
        self.schedule(FileSystemEventHandler(), spec.root)
        self.emitter = next(e for e in self.emitters if isinstance(e, Emitter))

    def dispatch_events(self, event_queue: queue.Queue[Any]) -> None:
        """Calls back with all that has gathered while the last call took its time."""
        entry = event_queue.get()
        wake = Wake()
        while isinstance(entry, Wake):
            wake |= entry
            try:
                entry = event_queue.get_nowait()
            except queue.Empty:
                break
        if wake and self.should_keep_running():
            try:
                self._wake(wake)
            except Exception:  # noqa: BLE001  (the next wake must find this thread alive)
                _log.debug("watch.callback_failed", exc_info=True)
