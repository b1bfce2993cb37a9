"""Apache from outside: test what is staged, reload, and see what it serves. Never starts it."""

from __future__ import annotations

import contextlib
import enum
import hashlib
import http.client
import os
import ssl
import tempfile
import time
from urllib.parse import urlsplit

from reconciler.publish import command, unit
from reconciler.publish.command import CommandError
from reconciler.settings import Apache

INCLUDES = {
    "server.conf": "slp-server.conf",
    "django.conf": "django.conf",
    "django-ssl.conf": "django-ssl.conf",
}
"""Generated file → its name below Apache's configuration directory."""

MARKER = "slp-reconciler\n"
"""What the marker's URL answers."""


class TestUnavailableError(Exception):
    """The configuration test itself could not be run: that blames nobody."""

    __test__ = False


class Sight(enum.Enum):
    """What was seen at the marker's URL."""

    SERVED = "served"
    OTHER = "other"
    """Apache answers, and not with this configuration."""
    SILENT = "silent"
    """It does not answer at all: stopped, hung or slow."""


class Server:
    """One Apache, as the settings describe it."""

    def __init__(self, settings: Apache, *, prefix: str, state: str) -> None:
        self._settings = settings
        self._prefix = prefix
        self._state = state

    def test(self, generation: str) -> str | None:
        """Return what the configuration test says against the files in `generation`, None if good.

        `apachectl configtest` alone would read what is published, not what is staged: so it is
        given a configuration directory of links to the real one's entries, with ours in place.

        Raises:
            TestUnavailableError: the test cannot be run, or does not end.
        """
        real = self._settings.confdir
        with tempfile.TemporaryDirectory(suffix=".new", dir=self._state) as staged:
            try:
                entries = os.listdir(real)
            except OSError as error:
                raise TestUnavailableError(f"{real}: {error.strerror}") from error
            for name in set(entries) - set(INCLUDES.values()):
                os.symlink(f"{real}/{name}", f"{staged}/{name}")
            for file, name in INCLUDES.items():
                os.symlink(f"{generation}/{file}", f"{staged}/{name}")
            try:
                command.run(
                    self._settings.configtest,
                    timeout=self._settings.timeout,
                    environment={"APACHE_CONFDIR": staged},
                )
            except CommandError as error:
                if error.status is None:
                    raise TestUnavailableError(str(error)) from error
                return str(error).replace(f"{staged}/", "")
        return None

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

    def marker(self, digest: str) -> str:
        """Return the marker's path for a configuration's digest."""
        return f"{self._prefix}/.slp/{digest}"

    def await_sight(self, digest: str, *, allow: float) -> Sight:
        """Look at the marker until it is served, for at most `allow` seconds.

        Returns:
            what was seen last.
        """
        deadline = time.monotonic() + allow
        pause = 0.01
        while True:
            left = deadline - time.monotonic()
            seen = self.look(digest, timeout=max(0.05, min(left, self._settings.timeout)))
            if seen is Sight.SERVED or time.monotonic() + pause >= deadline:
                return seen
            if not self.running():
                return Sight.SILENT
            time.sleep(pause)
            pause = min(0.25, pause * 1.5)

    def look(self, digest: str, *, timeout: float) -> Sight:
        """Ask once for the marker, following one redirect to https on the same host."""
        url = f"{self._settings.verify_url}{self.marker(digest)}"
        for _ in range(2):
            try:
                status, location, body = self._get(url, timeout)
            except (OSError, http.client.HTTPException):
                return Sight.SILENT
            if status == 200 and body == MARKER.encode():
                return Sight.SERVED
            if status not in {301, 302, 303, 307, 308} or not location.startswith("https://"):
                return Sight.OTHER
            target, here = urlsplit(location), urlsplit(url)
            if target.hostname not in {here.hostname, urlsplit(f"//{self._host(url)}").hostname}:
                return Sight.OTHER
            # The same machine as before, whatever its name resolves to.
            url = f"https://{here.hostname}:{target.port or 443}{target.path}"
        return Sight.OTHER

    def _host(self, url: str) -> str:
        return self._settings.verify_host or urlsplit(url).netloc

    def _get(self, url: str, timeout: float) -> tuple[int, str, bytes]:
        parts = urlsplit(url)
        host = parts.hostname or "127.0.0.1"
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            # It is this machine that is asked, and it may well have a self-signed certificate.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = http.client.HTTPSConnection(
                host, parts.port, timeout=timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=timeout)
        try:
            headers = {"Host": self._host(url), "Connection": "close"}
            connection.request("GET", parts.path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location") or "", answer.read(1024)
        finally:
            connection.close()
