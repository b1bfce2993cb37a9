"""Steps 8 and 9: Apache is reloaded, and seen to serve what is current; else something goes back.

What goes back is the last verified generation, and what was served once is never put back: where
that is not served any more, it is verification that fails, or Apache.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping

from reconciler.clock import Clock
from reconciler.publish.apache import Answer, Asked, Server, TestUnavailableError
from reconciler.publish.command import CommandError
from reconciler.publish.configuration import BLANK_DIGEST
from reconciler.publish.generations import Generations
from reconciler.publish.notes import ServerFile
from reconciler.publish.outcome import Ended, Ending, Run

_MAX_RELOADS = 2
"""For one set of bytes and one Apache. *Measured* without a bound: nine in 20 s."""

Ids = tuple[int, int]
"""An account's uid and gid."""
Resolve = Callable[[Iterable[str]], Mapping[str, Ids]]
"""Tells which of these accounts are in the database now, and what their ids are."""


class Serving:
    """What one Apache is made to serve, of the generations below one state directory."""

    def __init__(
        self,
        generations: Generations,
        server: Server,
        notes: ServerFile,
        *,
        clock: Clock,
        resolved: Resolve,
        timeout: float,
    ) -> None:
        """`timeout` is in seconds: at least so long, a configuration may take to be served."""
        self._generations = generations
        self._server = server
        self._file = notes
        self._clock = clock
        self._resolved = resolved
        self._timeout = timeout

    def is_served(self, run: Run) -> bool:
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
            raise Ended(Ending.NOT_RELOADED, "Apache is not running")

    def reload(self, run: Run) -> None:
        """8. Reload Apache, for the same bytes at most twice."""
        self._unless_stopped()
        digest, by = self._generations.digest(run.number), self._server.fingerprint(process=True)
        notes = self._file.read()
        before = notes.reloads if (notes.reloaded, notes.reloaded_by) == (digest, by) else 0
        if before >= _MAX_RELOADS:
            message = f"{run.said}; it was reloaded {before} times for that, and is only asked now"
            raise Ended(Ending.NOT_RELOADED, message)
        # Beforehand: whatever ends this process meanwhile, the next one knows.
        self._note_reload(run, by, before + 1)
        try:
            self._server.reload()
        except CommandError as error:
            self._file.note(reloads=before)
            self._after_failed_reload(run, f"reload failed: {error}")

    def _note_reload(self, run: Run, by: str, reloads: int) -> None:
        self._file.note(
            reloaded=self._generations.digest(run.number),
            reloaded_by=by,
            reloads=reloads,
            reloaded_at=self._clock.now(),
            seen=None,
        )
        run.reloaded = True

    def _after_failed_reload(self, run: Run, message: str) -> None:
        """A bad configuration goes back, which Apache could not start with; all else is retried."""
        run.reloaded = False
        fault = None
        with contextlib.suppress(TestUnavailableError):
            fault = self._server.test_in_place()
        if fault is None:
            raise Ended(Ending.NOT_RELOADED, message)
        back = run.before if run.published else self._file.read().verified
        if back == run.number or (back is None and not run.published):
            raise Ended(Ending.NOT_RELOADED, f"{message}; in place: {fault}")
        self.go_back(run, back)
        raise Ended(Ending.REFUSED_BY_TEST, f"{message}; in place: {fault}")

    def verify(self, run: Run) -> None:
        """9. See that it is served."""
        assert run.number is not None
        allow = self._allow
        began = self._clock.now()  # the command's own configuration test stalls nobody
        answer = self._server.wait(self._asked(run.number), allow=allow)
        if answer.served:
            self._seen(run.number)
            self._file.note(stall=self._clock.now() - began, refused=None)
            return
        if answer.silent and self._server.running():
            message = f"Apache runs, and {answer.said} within {allow:g} s"
            raise Ended(Ending.NOT_RELOADED, message)
        if run.number == self._file.read().verified:
            # These bytes were served once: what is wrong now is not theirs.
            raise Ended(Ending.NOT_RELOADED, f"{answer.said}; it was served before")
        self._put_back(run, answer)

    def _put_back(self, run: Run, answer: Answer) -> None:
        """Return to the last verified generation, or the one before, and see that it is served."""
        message = "Apache ended at the reload"
        if not answer.silent:
            message = f"Apache was reloaded, and {answer.said}"
            if "/.slp/app/" not in answer.said:
                message += ": is `IncludeOptional django.conf` in the site that `verify_url` asks?"
        self.refuse(run, Ending.PUT_BACK, message, process=not answer.silent)
        verified = self._file.read().verified
        if verified is None and run.published:  # the notes were lost, or nothing was seen yet
            verified = run.before
        self.go_back(run, verified)
        if not answer.silent:
            by = self._server.fingerprint(process=True)
            self._note_reload(run, by, 1)
            try:
                self._server.reload()
            except CommandError as error:
                message += f"; and the reload of what was put back failed: {error}"
            if run.number is not None:
                again = self._server.wait(self._asked(run.number), allow=self._allow)
                if again.served:
                    self._seen(run.number)
                else:
                    message += f"; nor is what was put back: {again.said}"
        raise Ended(Ending.PUT_BACK, message)

    def go_back(self, run: Run, number: int | None) -> None:
        """Make an earlier generation current, less the accounts that are gone, or others, since.

        To name one that is gone is fatal to Apache at its next start; one made anew with another's
        uid would run as the other.
        """
        good = None if number is None else self._generations.read(number)
        if good is None:
            number = None
        else:
            now = self._resolved(good.stanzas)
            same = {n for n, s in good.stanzas.items() if n in now and s.ids in {None, now[n]}}
            if len(same) < len(good.stanzas):
                verified = number == self._file.read().verified
                number = self._generations.create(good.only(same))
                if verified:
                    self._file.note(verified=number)
        self._generations.switch(number)
        self._file.note(seen=None)
        run.number, run.published = number, False

    def refuse(self, run: Run, ending: Ending, why: str, *, process: bool) -> None:
        """Remember that this Apache, with this process or any, is not to have these bytes again."""
        self._file.note(
            refused=self._generations.digest(run.number),
            refused_by=self._server.fingerprint(process=process),
            refused_as=ending.value,
            refused_why=why,
        )

    def _seen(self, number: int) -> None:
        self._file.note(verified=number, seen=number, reloads=0)

    @property
    def _allow(self) -> float:
        return max(self._timeout, 5 * self._file.read().stall)

    def _asked(self, number: int) -> Asked:
        digest = self._generations.digest(number) or ""
        found = self._generations.read(number)
        canary = self._server.canary(BLANK_DIGEST)
        return Asked(digest, found is not None and any(canary in text for text in found.head))
