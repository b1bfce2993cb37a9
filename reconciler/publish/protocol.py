"""Steps 5 to 10 of a pass: a configuration goes live, or what was live stays.

    5. write generations/<n+1>/, durably
    6. config-test the whole server with it; if refused, find the accounts at fault
    7. rename `current`
    8. reload
    9. see that it is served; if Apache serves something else, put the last verified one back
   10. prune

A crash after 5 or 6 leaves a generation that nothing points to; after 7 or 8 it leaves `current`
at a tested generation that the notes do not call verified, and the next `configure` goes on from
there.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from reconciler.clock import Clock
from reconciler.publish import blame, files
from reconciler.publish.apache import Server, TestUnavailableError
from reconciler.publish.configuration import Configuration, digest_of
from reconciler.publish.generations import Generations
from reconciler.publish.lock import FileLock
from reconciler.publish.notes import Quarantine, ServerFile, ServerNotes
from reconciler.publish.outcome import Ended, Ending, Outcome, Run, Wanted
from reconciler.publish.serving import Resolve, Serving
from reconciler.settings import Settings


class Publisher:
    """The configuring side: publishes to one server, and alone writes its notes."""

    def __init__(
        self,
        settings: Settings,
        server: Server,
        *,
        clock: Clock,
        resolved: Resolve,
    ) -> None:
        """`resolved` tells which accounts are in the database now, and their uid and gid."""
        state = settings.state.directory
        self._settings = settings
        self._server = server
        self._clock = clock
        self._lock = FileLock(f"{state}/server.lock", timeout=settings.apache.timeout)
        self._file = ServerFile(state, clock)
        self._warned: str | None = None
        self._declared: tuple[int | None, frozenset[str]] = (None, frozenset())
        self._blameless: tuple[str, str] | None = None
        """A digest and its fault, of which it was searched in vain whose it is."""
        self.generations = Generations(state)
        self._serving = Serving(
            self.generations,
            server,
            self._file,
            clock=clock,
            resolved=resolved,
            timeout=settings.apache.timeout,
        )

    # ---- what others may ask; none of it takes the lock ------------------------------------

    @property
    def notes(self) -> ServerNotes:
        """`server.json` as it is now."""
        return self._file.read()

    @property
    def not_before(self) -> float:
        """The time of the clock before which no reload should come.

        A reload is a cost that everybody pays: twenty times as long without as with. It outlives
        the process, so that one which crashes and is started again does not reload without end.
        """
        notes = self.notes
        if notes.reloaded_at is None:
            return 0.0
        return notes.reloaded_at + max(self._settings.timing.reload_interval, 20 * notes.stall)

    @property
    def unverified(self) -> bool:
        """Whether what is current was not yet seen to be served."""
        return self.generations.current() != self.notes.seen

    def declared(self) -> frozenset[str]:
        """Return whom the current configuration names."""
        current = self.generations.current()
        if current is None:
            return frozenset()
        if current != self._declared[0]:
            read = self.generations.read(current)
            self._declared = current, frozenset(read.stanzas if read is not None else ())
        return self._declared[1]

    def is_current(self, wanted: Configuration) -> bool:
        """Whether `current` already says just this."""
        return self.generations.digest(self.generations.current()) == wanted.digest

    def is_refused(self, wanted: Configuration) -> bool:
        """Whether this server, as it is, took this configuration before and did not serve it."""
        notes = self.notes
        return wanted.digest == notes.refused and notes.refused_by in {
            self._server.fingerprint(process=process) for process in (True, False)
        }

    # ---- the protocol ----------------------------------------------------------------------

    def configure(self, wanted: Wanted | None, *, reload: bool = True) -> Outcome:
        """Make `wanted` live; with None, only see to it that what is current is served.

        Raises:
            LockTimeoutError: another process held the lock.
            OSError: the state directory cannot be written; what was live stays.
        """
        started = self._clock.now()
        with self._lock.hold():
            run = self._begin()
            if wanted is not None and wanted.over != run.before:
                return Outcome(Ending.OVERTAKEN, run.before)
            ending, message = Ending.CONVERGED, None
            try:
                if wanted is not None and not self._is_done(wanted):
                    self._write(wanted, run)  # 5
                    self._test(wanted, run)  # 6
                    self._switch(run)  # 7
                if reload and not self._serving.is_served(run):
                    self._serving.reload(run)  # 8
                    self._serving.verify(run)  # 9
            except Ended as ended:
                ending, message = ended.ending, str(ended)
            self._prune()  # 10
        return self._outcome(run, ending, message, started)

    def _begin(self) -> Run:
        self.generations.prepare()
        directory = Path(self._settings.state.directory, "verify")
        directory.mkdir(mode=0o755, exist_ok=True)
        path = f"{directory}/app.wsgi"
        if files.read(path, limit=len(_canary())) != _canary():
            files.write(path, _canary())
        current = self.generations.current()
        return Run(current, current)

    def _is_done(self, wanted: Wanted) -> bool:
        """Whether there is nothing to publish."""
        if self.is_current(wanted.configuration):
            self._file.note(quarantined=dict(wanted.left_out))
            return True
        self._unless_refused(wanted.configuration)
        return False

    def _unless_refused(self, wanted: Configuration) -> None:
        if self.is_refused(wanted):
            notes = self.notes
            raise Ended(
                Ending(notes.refused_as or Ending.PUT_BACK.value),
                "this configuration was refused before, and nothing has changed since: "
                f"{notes.refused_why or 'Apache did not serve it'}",
            )

    def _write(self, wanted: Wanted, run: Run) -> None:
        """5. Write the next generation; `current` stays."""
        run.number = self.generations.create(wanted.configuration)

    def _test(self, wanted: Wanted, run: Run) -> None:
        """6. Leave what passes as `run.number`: the whole, or less the accounts at fault."""
        number, run.number = run.number, run.before
        assert number is not None
        try:
            fault = self._fault_of(number, run)
            if fault is None:
                self._file.note(quarantined=dict(wanted.left_out))
                run.number = number
                return
        except TestUnavailableError as error:
            raise Ended(Ending.REFUSED_BY_TEST, str(error)) from error
        finally:  # a full disk as well: no numbered leftover for each try
            if run.number != number:
                self.generations.discard(number)
        run.number = self._without_guilty(wanted, fault, run)

    def _fault_of(self, number: int, run: Run) -> str | None:
        tested = self._server.test(self.generations.path(number))
        run.unread = tested.unread
        return tested.fault

    def _without_guilty(self, wanted: Wanted, fault: str, run: Run) -> int | None:
        """Return the generation that leaves out whose texts are at fault; it may be the current."""
        digest = wanted.configuration.digest
        if self._blameless == (digest, fault):  # 64 tests for each try would be too many
            raise Ended(Ending.REFUSED_BY_TEST, fault)

        def test(staged: Configuration) -> str | None:
            number = self.generations.create(staged, durable=False)
            try:
                return self._fault_of(number, run)
            finally:
                self.generations.discard(number)

        good = None if run.before is None else self.generations.read(run.before)
        try:
            guilty = blame.find(wanted.configuration, good, test, self._settings.safety)
        except TestUnavailableError as error:
            raise Ended(Ending.REFUSED_BY_TEST, str(error)) from error
        if guilty is None:
            self._blameless = digest, fault
            raise Ended(Ending.REFUSED_BY_TEST, fault)
        stanzas = wanted.configuration.stanzas
        run.quarantined = {n: Quarantine(digest_of(stanzas[n]), why) for n, why in guilty.items()}
        self._file.note(quarantined={**wanted.left_out, **run.quarantined})
        less = wanted.configuration.only(stanzas.keys() - guilty.keys())
        if self.is_current(less):
            return run.before
        self._unless_refused(less)
        return self.generations.create(less)

    def _switch(self, run: Run) -> None:
        """7. Make it current; in place, test what could not be tested where it was staged."""
        if run.number == run.before:
            return
        self.generations.switch(run.number)
        run.published = True
        if not run.unread:
            return
        obstacle = self._server.obstacle(run.unread)
        if obstacle not in {None, self._warned}:
            self._warned = run.warning = obstacle
        try:
            fault = self._server.test_in_place()
        except TestUnavailableError as error:  # it is tried again: that is no judgement of it
            self._serving.go_back(run, run.before)
            raise Ended(Ending.REFUSED_BY_TEST, str(error)) from error
        if fault is not None:
            self._serving.refuse(run, Ending.REFUSED_BY_TEST, fault, process=True)
            self._serving.go_back(run, run.before)
            raise Ended(Ending.REFUSED_BY_TEST, fault)

    def _prune(self) -> None:
        """10. Remove what nothing goes back to."""
        verified = self.notes.verified
        spare = frozenset() if verified is None else frozenset({verified})
        self.generations.prune(keep=self._settings.state.keep_generations, spare=spare)

    def _outcome(self, run: Run, ending: Ending, message: str | None, started: float) -> Outcome:
        return Outcome(
            ending,
            run.number,
            published=run.published,
            reloaded=run.reloaded,
            quarantined=run.quarantined,
            message=message,
            warning=run.warning,
            took_ms=(self._clock.now() - started) * 1e3,
            stall=self.notes.stall,
        )


@cache
def _canary() -> bytes:
    return Path(__file__).with_name("canary.wsgi").read_bytes()
