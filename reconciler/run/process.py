"""One process of an app: what has happened to it, and to whom that is told.

A thread of its own, started before the load and not waited for by anybody, sees to what takes time:
it ends a load that hangs and a process whose load failed, and follows what was loaded.
"""

import _thread
import os
import sys
import time

from .log import Log, capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .faults import Fault

_KEPT = 1.0
"""Seconds that the page of a failed load stays. *Measured*, 12 visitors at once: one load, and all
were answered within 0.36 s; a process that ended at once was loaded 4 times in 2.9 s."""
_SETTLED = 1.0  # seconds that what follows leaves the processor to a first request
_SENT = 0.1
"""*Measured*: without it, a first request took 15 ms in place of 11: one thread runs at a time."""
_FOLDED = 1.0  # seconds in which an error that is raised again is counted, and not written
_WRITTEN = 256  # paths that are kept of what the app writes: uploads are many
_LOADING, _LOADED, _FAILED = range(3)
_FILES_CLOCK = 5  # CLOCK_REALTIME_COARSE: files' own times are of it, up to 4 ms behind
_INTERRUPT = 2  # SIGINT: to import `signal` brings `enum` and `collections`


class Process:
    """What is known of this process."""

    def __init__(self, app: "dict[str, Any]") -> None:
        self.app, self.run, self.pid = app, app["run"], os.getpid()
        self.began = time.clock_gettime(_FILES_CLOCK)
        self._clock = time.monotonic()
        self.home = os.path.realpath(os.environ.get("HOME") or os.path.dirname(app["project"]))
        self.log = Log(self.home, self.run["log_bytes"])
        self._streams = capture(self.log)
        self.errors = self._streams[0]
        """As `sys.stderr` was at first, whatever the app makes of that name."""
        self.link = app.get("link", "")
        """What names the account's current set, where nobody else ends a process of one before."""
        self.active: dict[int, float] = {}
        """Threads that answer and have sent nothing yet, and since when."""
        self.pending: dict[int, BaseException] = {}
        """What a framework answers itself, by thread."""
        self.wake: Optional[int] = None
        """Where a byte makes the thread look at what is new."""
        self.ticking = False
        self._written: set[str] = set()
        """What the app itself has opened to write, or given a name, by its real path."""
        self.modules = 0
        """How many were loaded when it looked last."""
        self.answered = False
        self._state, self._ended = _LOADING, False
        self._loader = _thread.get_ident()
        self._turn, self._first = _thread.allocate_lock(), _thread.allocate_lock()
        self._turn.acquire()
        self._first.acquire()
        self._ill, self._last_raised = False, 0.0
        self._raised: dict[tuple[str, str], tuple[float, int]] = {}
        self._last_answer = time.monotonic()

    def start(self) -> None:
        """Start the thread."""
        sys.addaudithook(self._audited)
        _thread.start_new_thread(self._watch, ())

    # ---- what has happened --------------------------------------------------------------------

    def loaded(self) -> None:
        """The app is there."""
        import atexit

        self.took = time.monotonic() - self._clock
        self.loaded_at = time.time()  # ahead of all that was written by then
        self._state = _LOADED
        self._turn.release()
        atexit.register(self._at_exit)

    def failed(self, error: BaseException) -> "Fault":
        """It is not: return why."""
        from . import faults

        fault = faults.of(error, self.home)
        self._failed(fault, faults.trace(error))
        self._state = _FAILED
        self._turn.release()
        return fault

    def raised(self, error: BaseException, *, told: bool = False) -> "Fault":
        """An answer is an exception; `told` where its text is in the log already."""
        from . import faults

        fault = faults.of(error, self.home)
        self._raised_once(fault, "" if told else faults.trace(error))
        return fault

    def went_well(self) -> None:
        """An answer was good."""
        if self._ill and time.monotonic() - self._last_raised >= _FOLDED:
            self._is_well()
        if not self.answered:
            self.answered = True
            self.nudge()

    def answers(self) -> None:
        """Take the time of this thread, which answers, from now on."""
        self.active[_thread.get_ident()] = time.monotonic()
        if not self.ticking:
            self.ticking = True
            self.nudge()

    def ended_request(self) -> None:
        """Look for modules that it has imported: they are followed as well."""
        self._last_answer = time.monotonic()
        if self._first.locked():
            try:
                self._first.release()
            except RuntimeError:  # another one was first
                pass
        if len(sys.modules) != self.modules:
            self.nudge()

    def nudge(self) -> None:
        """Have the thread look at what is new."""
        if self.wake is not None:
            try:
                os.write(self.wake, b".")
            except OSError:  # full: it will look
                pass

    @property
    def is_replaced(self) -> bool:
        """Whether another set is published, or none."""
        try:
            current = os.readlink(self.link) if self.link else self.app["set"]
        except OSError:
            return True
        return bool(os.path.basename(current) != self.app["set"])

    def make_room(self) -> None:
        """End, since another set is published: what is answered is finished."""
        self._ends("replaced", [])
        os.kill(self.pid, _INTERRUPT)

    def is_own(self, path: str) -> bool:
        """Whether the app itself has written a file."""
        return os.path.realpath(path) in self._written

    def end(self, changed: "set[str]") -> None:
        """End, so that the next request loads what has changed; what is answered is finished."""
        names = [os.path.relpath(path, self.home) for path in sorted(changed)]
        why = "wrote" if all(map(self.is_own, changed)) else "changed"
        some = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        self.log.say(f"{why}: {some}; the next request loads it")
        self._ends(why, names)
        # mod_wsgi takes no new request then, waits for those under way, and makes a new process.
        os.kill(self.pid, _INTERRUPT)

    def _audited(self, event: str, args: "tuple[Any, ...]") -> None:
        """Be told by Python of all that it does: what is raised here would be raised in the app."""
        try:
            if event == "open" and args[2] & 3:
                path = args[0]
            elif event == "os.rename":
                path = args[1]
            else:
                return
            if len(self._written) >= _WRITTEN:
                self._written.clear()
            self._written.add(os.path.realpath(os.fsdecode(path)))
        except Exception:  # a number, what the app audits itself
            pass

    # ---- the thread ---------------------------------------------------------------------------

    def _watch(self) -> None:
        limit = self.limit
        if not self._turn.acquire(timeout=limit if limit else -1):
            self._hangs()
        if self._state == _FAILED:
            time.sleep(_KEPT)
            os.kill(self.pid, _INTERRUPT)
            return
        if self._first.acquire(timeout=_SETTLED):
            self._first.release()
            time.sleep(_SENT)  # it is answered, and not yet sent: imports here would hold it up
        if not self._ill:  # its first answer was better news, or worse
            self._is_well(took=round(self.took, 3))
        self.log.say(f"loaded in {self.took:.2f} s")
        from . import follow

        follow.follow(self)

    @property
    def limit(self) -> float:
        """Seconds after which a load or an answer counts as hanging; 0.0 for never."""
        return float(self.run["startup_timeout"]) * 0.9

    def _hangs(self) -> None:
        from . import faults

        frame = sys._current_frames().get(self._loader)
        self._failed(faults.hanging(frame, self.home, self.limit), faults.stack(frame))
        time.sleep(0.5)  # the daemon writes the page that Apache then answers with
        os._exit(1)

    def hanging(self, thread: int) -> None:
        """An answer takes too long: tell where it is, where it is in the student's own code."""
        from . import faults

        frame = sys._current_frames().get(thread)
        fault = faults.hanging(frame, self.home, self.limit)
        if fault.where:
            self._raised_once(fault, faults.stack(frame))

    # ---- whom it is told ----------------------------------------------------------------------

    def _failed(self, fault: "Fault", trace: str) -> None:
        self._write(trace)
        self._tell("failed", fault)

    def _raised_once(self, fault: "Fault", trace: str) -> None:
        """Write and tell it, unless the same was written a moment ago: then it is counted."""
        now, key = time.monotonic(), (fault.kind, fault.where)
        self._last_raised = now
        since, more = self._raised.get(key, (-_FOLDED, 0))
        if now - since < _FOLDED:
            self._raised[key] = (since, more + 1)
            return
        if len(self._raised) > 32:
            self._raised.clear()
        self._raised[key] = (now, 0)
        if more:
            trace += f"-- and {more} more like it\n"
        self._write(trace)
        self._ill = True
        self._tell("raised", fault)

    def _is_well(self, **more: "Any") -> None:
        """Tell so; where nobody heard it, as while the daemon is begun anew, it is told again."""
        self._ill, self._last_raised = not self._tell("loaded", **more), time.monotonic()

    def _tell(self, event: str, fault: "Optional[Fault]" = None, **more: "Any") -> bool:
        from .tell import tell

        said = {"event": event, "set": self.app["set"], "pid": self.pid, **more}
        if fault is not None:
            from . import changes

            said.update(fault.told())
            if not self.answered:
                said["changed"] = changes.since(self.log.worked(), self.app["project"], self.home)
        return tell(self.run["told"], said)

    def _write(self, trace: str) -> None:
        self.errors.write(trace)
        self.errors.flush()

    def _ends(self, why: str, changed: "list[str]") -> None:
        if not self._ended:
            self._ended = True
            self._tell("ends", why=why, changed=changed[:10])

    def _at_exit(self) -> None:
        if os.getpid() == self.pid:  # and no child of the app's own
            idle = self.run["idle"]
            is_idle = idle and time.monotonic() - self._last_answer >= idle
            self._ends("idle" if is_idle else "stopped", [])
