"""The two threads: one reads the kernel, one calls back. Both are watchdog's, with our loops."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from watchdog.events import FileSystemEvent
from watchdog.observers.api import BaseObserver, EventEmitter, EventQueue, ObservedWatch
from watchdog.utils import Seconds

from reconciler.watch.quota import Quota
from reconciler.watch.sight import Sight, Spec
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

    Blocks without a time limit: idle, it uses no CPU at all.
    """

    def __init__(
        self,
        event_queue: EventQueue,
        watch: ObservedWatch,
        *,
        timeout: Seconds = 1.0,
        event_filter: list[type[FileSystemEvent]] | None = None,
        spec: Spec,
    ) -> None:
        super().__init__(event_queue, watch, timeout=timeout, event_filter=event_filter)
        self._spec = spec
        self._quota = Quota(spec.budget)
        self._swap = threading.Lock()
        self._pause = 0.0
        self._tried = -math.inf
        self._stale = "emitter-restarted"
        self.sight: Sight | None = None
        """None while it could not be built, which is tried again."""

    def on_thread_start(self) -> None:
        """Builds the watches in the caller's thread: when `start` returns, they stand."""
        self._build()

    def on_thread_stop(self) -> None:
        """Ends the reader's waiting."""
        with self._swap:
            if self.sight is not None:
                self.sight.kernel.hang_up()

    def join(self, timeout: float | None = None) -> None:
        """Waits for the thread, never without a limit, since watchdog's observer gives none."""
        super().join(JOIN if timeout is None else timeout)

    def run(self) -> None:
        """Reads until told to stop."""
        try:
            super().run()
        finally:
            self.discard()

    def queue_events(self, timeout: Seconds) -> None:  # noqa: ARG002
        """One read, or one attempt to build what became stale."""
        if self.sight is None:
            self._rebuild()
            return
        try:
            wake = self.sight.take()
        except StaleError as stale:
            self._stale = str(stale)
            self.discard()
        except Exception:  # noqa: BLE001  (whatever it is, students' sites depend on this thread)
            _log.debug("watch.failed", exc_info=True)
            self._stale = "emitter-restarted"
            self.discard()
        else:
            if wake:
                self._event_queue.put(wake)

    def discard(self) -> None:
        """Lets go of the descriptor and all watches. For the reader, or after its end."""
        with self._swap:
            sight, self.sight = self.sight, None
        if sight is not None:
            sight.kernel.discard()

    def _rebuild(self) -> None:
        if time.monotonic() - self._tried > CALM:
            self._pause = 0.0
        if self._stopped_event.wait(self._pause):
            return
        self._pause = min(max(FIRST_PAUSE, 2 * self._pause), LAST_PAUSE)
        if self._build():
            # What happened until now was lost; what happens from now on is seen.
            self._event_queue.put(Wake(everything=self._stale))

    def _build(self) -> bool:
        try:
            sight = Sight(self._spec, self._quota)
        except Exception:  # noqa: BLE001  (no descriptor left, a root that answers EIO, ...)
            _log.debug("watch.build_failed", exc_info=True)
            return False
        finally:
            self._tried = time.monotonic()
        with self._swap:
            if self.should_keep_running():
                self.sight = sight
                return True
        sight.kernel.discard()
        return False


class Observer(BaseObserver):
    """watchdog's observer, whose queue carries `Wake`s to one callback.

    Its own dispatching calls back with the observer's lock held, so that a callback that waits for
    whoever stops the observer would wait for ever.
    """

    def __init__(self, spec: Spec, wake: Callable[[Wake], None]) -> None:
        super().__init__(Emitter, spec=spec)
        self._wake = wake

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
