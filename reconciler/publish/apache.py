"""Apache from outside: test what is staged, reload, and see what it serves. Never starts it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass

from reconciler.publish import command, staging, unit
from reconciler.publish.command import CommandError
from reconciler.publish.staging import INCLUDES
from reconciler.publish.verify import MARKER, Answer, Asked, Verifier
from reconciler.settings import Apache

__all__ = ["MARKER", "Answer", "Asked", "Server", "TestUnavailableError", "Tested"]


class TestUnavailableError(Exception):
    """The configuration test itself could not be run: that blames nobody."""

    __test__ = False


@dataclass(frozen=True, slots=True)
class Tested:
    """What a configuration test said of what is staged."""

    fault: str | None
    """None: it is good, as far as it was read."""
    unread: frozenset[str] = frozenset()
    """Generated files that it did not read, or not where they are staged."""


class Server:
    """One Apache, as the settings describe it."""

    def __init__(self, settings: Apache, *, prefix: str, state: str) -> None:
        self._settings = settings
        self._state = state
        self._verifier = Verifier(
            settings.verify_url, settings.verify_host, prefix=prefix, running=self.running
        )

    # ---- test ------------------------------------------------------------------------------

    def test(self, generation: str) -> Tested:
        """Return what the configuration test says against the files in `generation`.

        Raises:
            TestUnavailableError: the test cannot be run, or does not end.
            OSError: the state directory cannot be written.
        """
        real = self._settings.confdir
        if not os.path.isdir(real):
            raise TestUnavailableError(f"{real}: there is no such directory")
        # Beside the generations: what a crash leaves there is removed under the same lock.
        with staging.staged(real, generation, within=os.path.dirname(generation)) as staged:
            fault, said = self._configtest({"APACHE_CONFDIR": staged})
        if fault is None:
            return Tested(None, staging.unread(said))
        words = fault.replace(f"{staged}/", "").replace(f"{generation}/", "")
        return Tested(words, staging.unread(said))

    def test_in_place(self) -> str | None:
        """Return what the configuration test says against what is published; None if it is good.

        Raises:
            TestUnavailableError: as for `test`.
        """
        return self._configtest({})[0]

    def _configtest(self, environment: dict[str, str]) -> tuple[str | None, str]:
        words, timeout = self._settings.configtest, self._settings.timeout
        try:
            return None, command.run(words, timeout=timeout, environment=environment)
        except CommandError as error:
            if error.status is None:
                raise TestUnavailableError(str(error)) from error
            return " ".join(staging.cleaned(error.said).split()) or str(error), error.said

    def obstacle(self, unread: frozenset[str]) -> str | None:
        """Return why staged files were not read, in a sentence; None where no site has them."""
        found = staging.obstacle(self._settings.confdir, unread, state=self._state)
        if found is not None:
            return f"{found} keeps the configuration test from what is staged"
        if len(unread) < len(INCLUDES):
            return None
        words = " ".join(self._settings.configtest)
        return (
            f"`{words}` did not read what is staged: does it heed APACHE_CONFDIR, "
            f"and do Apache's files include {', '.join(INCLUDES.values())}?"
        )

    # ---- reload ----------------------------------------------------------------------------

    def running(self) -> bool:
        """Whether the pid file names a live Apache."""
        try:
            with open(self._settings.pid_file) as stream:
                pid = int(stream.read(32))
            with open(f"/proc/{pid}/stat") as stream:
                # pid (comm) state …: a recycled pid has another comm, a dead one is a zombie.
                comm, _, rest = stream.read(512).partition("(")[2].rpartition(")")
        except (OSError, ValueError):
            return False
        return comm in {"apache2", "httpd"} and rest.split()[0] not in "ZX"

    def fingerprint(self, *, process: bool) -> str:
        """Return what Apache's own side is: its configuration's files, whom to ask, its process.

        A refusal holds for just this. It is no judgement of what the files say. Without `process`,
        it holds whoever starts Apache again: of a configuration that ended it.
        """
        digest = hashlib.sha256(
            f"{self._settings.verify_url} {self._settings.verify_host}".encode()
        )
        if process:
            with contextlib.suppress(OSError), open(self._settings.pid_file, "rb") as stream:
                digest.update(stream.read(32))
        ours = set(INCLUDES.values())
        for where, _, names in os.walk(self._settings.confdir):
            for name in sorted(set(names) - ours):
                with contextlib.suppress(OSError):
                    status = os.stat(f"{where}/{name}")
                    digest.update(f"{where}/{name} {status.st_mtime_ns} {status.st_ino}".encode())
        return digest.hexdigest()[:32]

    def reload(self) -> None:
        """Ask for a graceful reload.

        Raises:
            CommandError: the command failed or hung, or Apache is being started or stopped.
        """
        timeout = self._settings.timeout
        if isinstance(self._settings.reload, list):
            command.run(self._settings.reload, timeout=timeout)
        elif not (unit.is_there() and unit.reload(timeout=timeout)):
            # On a stopped Apache this would start one, in our own cgroup: ask `running` first.
            command.run(["apachectl", "graceful"], timeout=timeout)

    # ---- see -------------------------------------------------------------------------------

    def marker(self, digest: str) -> str:
        """Return the marker's path for a configuration's digest."""
        return self._verifier.marker(digest)

    def canary(self, digest: str) -> str:
        """Return the canary's."""
        return self._verifier.canary(digest)

    def look(self, asked: Asked) -> Answer:
        """See once whether a configuration is served."""
        return self._verifier.look(asked, timeout=self._settings.timeout)

    def wait(self, asked: Asked, *, allow: float) -> Answer:
        """See whether it is, for at most `allow` seconds; return what was seen last."""
        return self._verifier.wait(asked, allow=allow, timeout=self._settings.timeout)
