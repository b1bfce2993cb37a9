"""Steps 5 to 9 of a pass: a configuration goes live, or what was live stays.

    5. write generations/<n+1>/, durably
    6. config-test the whole server with it; if refused, find the accounts at fault
    7. rename `current`
    8. reload
    9. see that it is served; if Apache serves something else, put the last verified one back

A crash after 5 or 6 leaves a generation that nothing points to; after 7 or 8 it leaves `current` at
a tested generation that the ledger does not call verified, and `converge` goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from reconciler.clock import Clock
from reconciler.publish import configuration, files
from reconciler.publish.apache import Server, Sight, TestUnavailableError
from reconciler.publish.command import CommandError
from reconciler.publish.configuration import Configuration
from reconciler.publish.generations import Generations
from reconciler.publish.ledger import Ledger, Quarantine
from reconciler.publish.lock import Lock
from reconciler.settings import Settings

_MAX_TESTS = 64
"""Configuration tests in one search: three accounts at fault of a thousand take about 40."""


class Ending(Enum):
    """How a publication of configuration ended."""

    CONVERGED = "converged"
    REFUSED_BY_TEST = "refused-by-test"
    """The last good generation stays; nobody can be blamed."""
    NOT_RELOADED = "not-reloaded"
    """`current` is tested, and Apache was not seen to serve it: to be tried again."""
    OVERTAKEN = "overtaken"
    """Another configuration is current than when this one was made: look again."""
    PUT_BACK = "put-back"
    """Apache took it and served something else; the last verified generation is current."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it."""

    ending: Ending
    generation: int | None
    published: bool = False
    """A new generation is current."""
    reloaded: bool = False
    quarantined: Mapping[str, Quarantine] = field(default_factory=dict)
    """Account → the text that Apache refuses, and why: new ones of this publication."""
    message: str | None = None
    """What went wrong, when it did."""
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ought to be current."""

    configuration: Configuration
    left_out: Mapping[str, Quarantine]
    over: int | None


class Publisher:
    """Publishes configurations to one server."""

    def __init__(
        self,
        settings: Settings,
        server: Server,
        *,
        clock: Clock,
        resolved: Callable[[Iterable[str]], Mapping[str, tuple[int, int]]],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._generations = Generations(settings.state.directory)
        self._server = server
        self._timeout = settings.apache.timeout
        self._resolved = resolved
        self._lock = Lock(f"{settings.state.directory}/server.lock", timeout=self._timeout)
        self._path = f"{settings.state.directory}/server.json"
        self._reloaded = -86400.0

    @property
    def notes(self) -> Ledger:
        data = files.read(self._path, limit=1 << 24) or b"{}"
        return msgspec.json.decode(data, type=Ledger)

    @property
    def not_before(self) -> float:
        return self._reloaded + max(self._settings.timing.reload_interval, 20 * self.notes.stall)

    def configure(self, wanted: Wanted | None, *, reload: bool = True) -> Outcome:
        with self._lock.hold():
            ledger = self.notes
            if wanted is None:
                outcome = self.converge(ledger)
            elif wanted.over != self._generations.current():
                return Outcome(Ending.OVERTAKEN, self._generations.current())
            else:
                outcome = self.publish(wanted.configuration, ledger, reload=reload)
                ledger.quarantined = {**wanted.left_out, **outcome.quarantined}
            if outcome.reloaded:
                self._reloaded = self._clock.now()
            files.write(self._path, msgspec.json.encode(ledger), mode=0o600, durable=False)
            spare = frozenset() if ledger.verified is None else frozenset({ledger.verified})
            self._generations.prune(keep=self._settings.state.keep_generations, spare=spare)
            return outcome

    def is_current(self, wanted: Configuration) -> bool:
        """Whether `current` already says just this."""
        return self._generations.digest(self._generations.current()) == wanted.digest

    def is_refused(self, wanted: Configuration, ledger: Ledger) -> bool:
        """Whether this server, as it is, took this configuration before and did not serve it."""
        return wanted.digest == ledger.refused and ledger.refused_by in {
            self._server.fingerprint(process=process) for process in (True, False)
        }

    def publish(self, wanted: Configuration, ledger: Ledger, *, reload: bool) -> Outcome:
        """Carry out steps 5 to 9, and note in `ledger` what must be remembered.

        Raises:
            OSError: the state directory cannot be written; what was live stays.
        """
        started = time.monotonic()
        if self.is_refused(wanted, ledger):
            return Outcome(
                Ending.PUT_BACK,
                self._generations.current(),
                message="this configuration was refused before, and nothing has changed since",
            )
        if self.is_current(wanted):
            return self.converge(ledger) if reload else self._done(started)
        number = self._generations.create(wanted)  # 5
        try:
            tested, quarantined, fault = self._test(number, wanted)  # 6
        except TestUnavailableError as error:
            self._generations.discard(number)
            return self._refused(str(error))
        except OSError:  # a full disk: no numbered leftover for each try
            self._generations.discard(number)
            raise
        if tested is None:
            return self._refused(fault or "")
        if tested is not wanted:
            if self.is_current(tested):
                return Outcome(
                    Ending.CONVERGED, self._generations.current(), quarantined=quarantined
                )
            number = self._generations.create(tested)
        self._generations.switch(number)  # 7
        outcome = self._serve(number, tested.digest, ledger) if reload else self._done(started)
        return Outcome(
            outcome.ending,
            outcome.generation,
            published=outcome.ending is not Ending.PUT_BACK,
            reloaded=outcome.reloaded,
            quarantined=quarantined,
            message=outcome.message,
            took_ms=(time.monotonic() - started) * 1e3,
        )

    def converge(self, ledger: Ledger) -> Outcome:
        """See to it that Apache serves what is current: look, and reload only if it does not."""
        started = time.monotonic()
        number = self._generations.current()
        digest = self._generations.digest(number)
        if number is None or digest is None:
            return self._done(started)
        if not self._server.running():
            return self._stopped(number)
        if self._server.look(digest, timeout=self._timeout) is Sight.SERVED:
            ledger.verified = ledger.seen = number
            return self._done(started)
        return self._serve(number, digest, ledger)

    def _serve(self, number: int, digest: str, ledger: Ledger) -> Outcome:
        if not self._server.running():
            return self._stopped(number)
        try:
            self._server.reload()  # 8
        except CommandError as error:
            return Outcome(Ending.NOT_RELOADED, number, message=f"reload failed: {error}")
        started = time.monotonic()  # the command's own configuration test stalls nobody
        ledger.seen = None
        allow = max(self._timeout, 5 * ledger.stall)
        sight = self._server.await_sight(digest, allow=allow)  # 9
        if sight is Sight.SERVED:
            ledger.stall = time.monotonic() - started
            ledger.verified = ledger.seen = number
            ledger.refused = None
            return Outcome(Ending.CONVERGED, number, reloaded=True, took_ms=ledger.stall * 1e3)
        if sight is Sight.SILENT and self._server.running():
            message = f"Apache runs, and did not answer within {allow:g} s"
            return Outcome(Ending.NOT_RELOADED, number, reloaded=True, message=message)
        return self._put_back(number, digest, ledger, sight)

    def _put_back(self, number: int, refused: str, ledger: Ledger, sight: Sight) -> Outcome:
        """Return to the last verified generation, less the accounts that are gone since."""
        ledger.refused = refused
        ledger.refused_by = self._server.fingerprint(process=sight is not Sight.SILENT)
        ledger.seen = None
        message = (
            "Apache ended at the reload"
            if sight is Sight.SILENT
            else f"Apache was reloaded, and {self._server.marker(refused)} is not served: "
            "is `IncludeOptional django.conf` in the site that `verify_url` asks?"
        )
        back = ledger.verified
        good = None if back is None or back == number else self._generations.read(back)
        if good is None:
            back = ledger.verified = None
        else:
            alive = good.only(self._resolved(good.stanzas))
            if len(alive.stanzas) < len(good.stanzas):
                good, back = alive, self._generations.create(alive)
        self._generations.switch(back)
        if sight is not Sight.SILENT:
            try:
                self._server.reload()
            except CommandError as error:
                message += f"; and the reload of what was put back failed: {error}"
            if good is not None:
                seen = self._server.await_sight(good.digest, allow=self._timeout)
                ledger.seen = back if seen is Sight.SERVED else None
                ledger.verified = back if seen is Sight.SERVED else ledger.verified
        return Outcome(Ending.PUT_BACK, back, reloaded=True, message=message)

    def _test(
        self, number: int, wanted: Configuration
    ) -> tuple[Configuration | None, dict[str, Quarantine], str | None]:
        """Return what passes, with the accounts left out of it; or None and why."""
        fault = self._server.test(self._generations.path(number))
        if fault is None:
            return wanted, {}, None
        current = self._generations.current()
        good = None if current is None else self._generations.read(current)
        self._generations.discard(number)
        if good is not None and self._tested(good) is not None:
            return None, {}, fault  # even what Apache runs fails: somebody else's mistake
        trusted = {
            name: stanza
            for name, stanza in wanted.stanzas.items()
            if good is not None and good.stanzas.get(name) == stanza
        }
        suspects = sorted(set(wanted.stanzas) - set(trusted))
        if self._tested(wanted.only(trusted)) is not None:
            return None, {}, fault  # a head's, or the server's own: nobody's
        guilty = self._bisect(wanted, set(trusted), suspects)
        if guilty is None:
            return None, {}, fault
        quarantined = {
            name: Quarantine(configuration.digest_of(wanted.stanzas[name]), why)
            for name, why in guilty.items()
        }
        return wanted.only(set(wanted.stanzas) - set(guilty)), quarantined, None

    def _bisect(
        self, wanted: Configuration, sound: set[str], suspects: list[str]
    ) -> dict[str, str] | None:
        """Return the accounts at fault; for one of n that takes log2(n) + 1 tests.

        `sound` passes. The shortest prefix of `suspects` that fails with it ends with one at fault.
        """
        found: dict[str, str] = {}
        tests = 0
        why: str | None = ""
        while why is not None:
            low, high = 0, len(suspects)  # the first `low` pass; the first `high` fail
            while high - low > 1:
                middle = (low + high) // 2
                tests += 1
                said = self._tested(wanted.only(sound | set(suspects[:middle])))
                low, high = (middle, high) if said is None else (low, middle)
                why = said or why
            if not why:
                why = self._tested(wanted.only(sound | set(suspects[:high]))) or ""
            found[suspects[low]] = why
            sound |= set(suspects[:low])
            suspects = suspects[low + 1 :]
            tests += 1
            why = self._tested(wanted.only(sound | set(suspects)))
            if tests > _MAX_TESTS:
                return None
        return found

    def _tested(self, staged: Configuration) -> str | None:
        number = self._generations.create(staged)
        try:
            return self._server.test(self._generations.path(number))
        finally:
            self._generations.discard(number)

    def _refused(self, fault: str) -> Outcome:
        return Outcome(Ending.REFUSED_BY_TEST, self._generations.current(), message=fault)

    @staticmethod
    def _stopped(number: int) -> Outcome:
        return Outcome(Ending.NOT_RELOADED, number, message="Apache is not running")

    def _done(self, started: float) -> Outcome:
        took = (time.monotonic() - started) * 1e3
        return Outcome(Ending.CONVERGED, self._generations.current(), took_ms=took)
