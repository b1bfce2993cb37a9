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

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from reconciler.clock import Clock
from reconciler.publish import blame, files
from reconciler.publish.apache import Answer, Asked, Server, TestUnavailableError
from reconciler.publish.command import CommandError
from reconciler.publish.configuration import BLANK_DIGEST, Configuration, Stanza, digest_of
from reconciler.publish.generations import Generations
from reconciler.publish.lock import FileLock
from reconciler.publish.notes import Quarantine, ServerFile, ServerNotes
from reconciler.publish.outcome import Ending, Outcome, Wanted
from reconciler.settings import Settings

_MAX_RELOADS = 2
"""For one set of bytes and one Apache. *Measured* without a bound: nine in 20 s."""

Ids = tuple[int, int]
"""An account's uid and gid."""


class _Ended(Exception):  # noqa: N818  no error: the end of a run, short of converged
    def __init__(self, ending: Ending, message: str) -> None:
        super().__init__(message)
        self.ending = ending


@dataclass(slots=True)
class _Run:
    """What one call of `configure` has done so far."""

    before: int | None
    number: int | None
    """The generation that is, or is to be, current."""
    published: bool = False
    reloaded: bool = False
    quarantined: dict[str, Quarantine] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    warning: str | None = None
    said: str = ""
    """What was seen last."""


class Publisher:
    """The configuring side: publishes to one server, and alone writes its notes."""

    def __init__(
        self,
        settings: Settings,
        server: Server,
        *,
        clock: Clock,
        resolved: Callable[[Iterable[str]], Mapping[str, Ids]],
    ) -> None:
        """`resolved` tells which accounts are in the database now, and their uid and gid."""
        state = settings.state.directory
        self._settings = settings
        self._server = server
        self._clock = clock
        self._resolved = resolved
        self._lock = FileLock(f"{state}/server.lock", timeout=settings.apache.timeout)
        self._file = ServerFile(state, clock)
        self._warned: str | None = None
        self._blameless: tuple[str, str] | None = None
        """A digest and its fault, of which it was searched in vain whose it is."""
        self.generations = Generations(state)

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
                if reload and not self._is_served(run):
                    self._reload(run)  # 8
                    self._verify(run)  # 9
            except _Ended as ended:
                ending, message = ended.ending, str(ended)
            self._prune()  # 10
        return self._outcome(run, ending, message, started)

    def _begin(self) -> _Run:
        self.generations.prepare()
        canary = f"{self._settings.state.directory}/canary"
        Path(canary).mkdir(mode=0o755, exist_ok=True)
        path = f"{canary}/app.wsgi"
        if files.read(path, limit=len(_canary())) != _canary():
            files.write(path, _canary())
        current = self.generations.current()
        return _Run(current, current)

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
            raise _Ended(
                Ending(notes.refused_as or Ending.PUT_BACK.value),
                "this configuration was refused before, and nothing has changed since: "
                f"{notes.refused_why or 'Apache did not serve it'}",
            )

    def _write(self, wanted: Wanted, run: _Run) -> None:
        """5. Write the next generation; `current` stays."""
        run.number = self.generations.create(wanted.configuration)

    def _test(self, wanted: Wanted, run: _Run) -> None:
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
            raise _Ended(Ending.REFUSED_BY_TEST, str(error)) from error
        finally:  # a full disk as well: no numbered leftover for each try
            if run.number != number:
                self.generations.discard(number)
        run.number = self._without_guilty(wanted, fault, run)

    def _fault_of(self, number: int, run: _Run) -> str | None:
        tested = self._server.test(self.generations.path(number))
        run.unread = tested.unread
        return tested.fault

    def _without_guilty(self, wanted: Wanted, fault: str, run: _Run) -> int | None:
        """Return the generation that leaves out whose texts are at fault; it may be the current."""
        digest = wanted.configuration.digest
        if self._blameless == (digest, fault):  # 64 tests for each try would be too many
            raise _Ended(Ending.REFUSED_BY_TEST, fault)

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
            raise _Ended(Ending.REFUSED_BY_TEST, str(error)) from error
        if guilty is None:
            self._blameless = digest, fault
            raise _Ended(Ending.REFUSED_BY_TEST, fault)
        stanzas = wanted.configuration.stanzas
        run.quarantined = {n: Quarantine(digest_of(stanzas[n]), why) for n, why in guilty.items()}
        self._file.note(quarantined={**wanted.left_out, **run.quarantined})
        less = wanted.configuration.only(stanzas.keys() - guilty.keys())
        if self.is_current(less):
            return run.before
        self._unless_refused(less)
        return self.generations.create(less)

    def _switch(self, run: _Run) -> None:
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
        except TestUnavailableError as error:
            fault = str(error)
        if fault is not None:
            self._refuse(run, Ending.REFUSED_BY_TEST, fault, process=True)
            self._go_back(run, run.before)
            raise _Ended(Ending.REFUSED_BY_TEST, fault)

    def _is_served(self, run: _Run) -> bool:
        """Whether there is nothing to reload for."""
        if run.number is None or run.published:
            return run.number is None
        self._unless_stopped()
        answer = self._server.look(self._asked(run.number))
        run.said = answer.said
        if answer.served:
            self._seen(run.number)
        return answer.served

    def _unless_stopped(self) -> None:
        if not self._server.running():
            raise _Ended(Ending.NOT_RELOADED, "Apache is not running")

    def _reload(self, run: _Run) -> None:
        """8. Reload Apache, for the same bytes at most twice."""
        self._unless_stopped()
        digest, by = self._digest(run.number), self._server.fingerprint(process=True)
        notes = self.notes
        before = notes.reloads if (notes.reloaded, notes.reloaded_by) == (digest, by) else 0
        if before >= _MAX_RELOADS:
            message = f"{run.said}; it was reloaded {before} times for that, and is only asked now"
            raise _Ended(Ending.NOT_RELOADED, message)
        # Beforehand: whatever ends this process meanwhile, the next one knows.
        self._note_reload(run, by, before + 1)
        try:
            self._server.reload()
        except CommandError as error:
            self._file.note(reloads=before)
            self._after_failed_reload(run, f"reload failed: {error}")

    def _note_reload(self, run: _Run, by: str, reloads: int) -> None:
        self._file.note(
            reloaded=self._digest(run.number),
            reloaded_by=by,
            reloads=reloads,
            reloaded_at=self._clock.now(),
            seen=None,
        )
        run.reloaded = True

    def _after_failed_reload(self, run: _Run, message: str) -> None:
        """A bad configuration goes back, which Apache could not start with; all else is retried."""
        run.reloaded = False
        fault = None
        with contextlib.suppress(TestUnavailableError):
            fault = self._server.test_in_place()
        if fault is None:
            raise _Ended(Ending.NOT_RELOADED, message)
        back = run.before if run.published else self.notes.verified
        if back == run.number or (back is None and not run.published):
            raise _Ended(Ending.NOT_RELOADED, f"{message}; in place: {fault}")
        self._go_back(run, back)
        raise _Ended(Ending.REFUSED_BY_TEST, f"{message}; in place: {fault}")

    def _verify(self, run: _Run) -> None:
        """9. See that it is served."""
        assert run.number is not None
        allow = max(self._settings.apache.timeout, 5 * self.notes.stall)
        began = self._clock.now()  # the command's own configuration test stalls nobody
        answer = self._server.wait(self._asked(run.number), allow=allow)
        if answer.served:
            self._seen(run.number, stall=self._clock.now() - began)
            return
        if answer.silent and self._server.running():
            message = f"Apache runs, and {answer.said} within {allow:g} s"
            raise _Ended(Ending.NOT_RELOADED, message)
        if run.number == self.notes.verified:
            # These bytes were served once: what is wrong now is not theirs.
            raise _Ended(Ending.NOT_RELOADED, f"{answer.said}; it was served before")
        self._put_back(run, answer)

    def _put_back(self, run: _Run, answer: Answer) -> None:
        """Return to the last verified generation, and see that it is served."""
        message = "Apache ended at the reload"
        if not answer.silent:
            message = f"Apache was reloaded, and {answer.said}"
            if "/.slp/app/" not in answer.said:
                message += ": is `IncludeOptional django.conf` in the site that `verify_url` asks?"
        self._refuse(run, Ending.PUT_BACK, message, process=not answer.silent)
        self._go_back(run, self.notes.verified)
        if not answer.silent:
            by = self._server.fingerprint(process=True)
            self._note_reload(run, by, 1)
            try:
                self._server.reload()
            except CommandError as error:
                message += f"; and the reload of what was put back failed: {error}"
            if run.number is not None:
                asked = self._asked(run.number)
                again = self._server.wait(asked, allow=self._settings.apache.timeout)
                if again.served:
                    self._seen(run.number)
                else:
                    message += f"; nor is what was put back: {again.said}"
        raise _Ended(Ending.PUT_BACK, message)

    def _go_back(self, run: _Run, number: int | None) -> None:
        """Make an earlier generation current, less the accounts that are gone, or others, since.

        To name one that is gone is fatal to Apache at its next start; one made anew with another's
        uid would run as the other.
        """
        good = None if number is None else self.generations.read(number)
        if good is None:
            number = None
        else:
            now = self._resolved(good.stanzas)
            same = {n for n, s in good.stanzas.items() if n in now and _ids(s) in {None, now[n]}}
            if len(same) < len(good.stanzas):
                verified = number == self.notes.verified
                number = self.generations.create(good.only(same))
                if verified:
                    self._file.note(verified=number)
        self.generations.switch(number)
        self._file.note(seen=None)
        run.number, run.published = number, False

    def _refuse(self, run: _Run, ending: Ending, why: str, *, process: bool) -> None:
        self._file.note(
            refused=self._digest(run.number),
            refused_by=self._server.fingerprint(process=process),
            refused_as=ending.value,
            refused_why=why,
        )

    def _seen(self, number: int, *, stall: float | None = None) -> None:
        stall = self.notes.stall if stall is None else stall
        self._file.note(verified=number, seen=number, reloads=0, stall=stall)

    def _prune(self) -> None:
        """10. Remove what nothing goes back to."""
        verified = self.notes.verified
        spare = frozenset() if verified is None else frozenset({verified})
        self.generations.prune(keep=self._settings.state.keep_generations, spare=spare)

    def _asked(self, number: int) -> Asked:
        digest = self._digest(number) or ""
        found = self.generations.read(number)
        canary = self._server.canary(BLANK_DIGEST)
        return Asked(digest, found is not None and any(canary in text for text in found.head))

    def _digest(self, number: int | None) -> str | None:
        return self.generations.digest(number)

    def _outcome(self, run: _Run, ending: Ending, message: str | None, started: float) -> Outcome:
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


def _ids(stanza: Stanza) -> Ids | None:
    """Return what an account's uid and gid were when its stanza was written, where that says it."""
    ids: Ids | None = getattr(stanza, "ids", None)
    return ids
