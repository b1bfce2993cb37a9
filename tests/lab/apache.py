"""A real Apache, set up as an administrator would by the course's manual."""

from __future__ import annotations

import http.client
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab.waiting import wait_for

CONF = Path("/etc/apache2")
SHIPPED = Path(__file__).resolve().parents[2] / "conf/apache/slp-reconciler.conf"
STATE = Path("/var/lib/slp-reconciler")
ERROR_LOG = Path("/var/log/apache2/error.log")
PID_FILE = Path("/run/apache2/apache2.pid")
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """What the server answered; `ms` is the time to the last byte."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    ms: float

    @property
    def text(self) -> str:
        """The body, as text."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True)
class Daemon:
    """One of mod_wsgi's daemon processes and whom it runs as."""

    pid: int
    uid: int
    gid: int


GLOBAL = """\
# Without it each start says that it could not find out the server's name.
ServerName localhost
# A child costs 0.1 s of a processor, at each start and reload. The most there may be is Debian's.
StartServers 1
MinSpareThreads 5
"""


class Server:
    """Apache with an http and an https site that include what the program generates."""

    def __init__(self) -> None:
        self.http_port = 80
        self.https_port: int | None = 443

    # --- set-up ---------------------------------------------------------------------------------

    def configure(
        self,
        *,
        http_name: str = "",
        https_name: str = "",
        http_port: int = 80,
        https_port: int | None = 443,
        includes: bool = True,
    ) -> None:
        """Write Debian's two sites anew, with the manual's includes right above `</VirtualHost>`.

        The names are the sites' ServerName; `https_port=None` leaves the SSL site out; without
        `includes` the sites are as Debian ships them (for tests of `setup-apache`). Does not start
        or reload anything.
        """
        self.http_port, self.https_port = http_port, https_port
        modules = ["wsgi", "headers", "alias", "rewrite", *(["ssl"] if https_port else [])]
        self.command("a2enmod", "-q", *modules)
        ports = f"Listen {LOOPBACK}:{http_port}\n"
        if https_port:
            ports += f"Listen {LOOPBACK}:{https_port}\n"
            self.command("a2ensite", "-q", "default-ssl")
        (CONF / "ports.conf").write_text(ports)
        (CONF / "conf-enabled/lab.conf").write_text(GLOBAL)
        self.site("000-default.conf", http_port, http_name, "django.conf" if includes else "")
        self.site("default-ssl.conf", https_port, https_name, "django-ssl.conf" if includes else "")
        if includes:
            shutil.copy(SHIPPED, CONF / "conf-enabled/slp-reconciler.conf")
            links = {"django.conf": "django.conf", "django-ssl.conf": "django-ssl.conf"}
            for name, target in (links | {"slp-server.conf": "server.conf"}).items():
                (CONF / name).unlink(missing_ok=True)
                (CONF / name).symlink_to(STATE / "current" / target)

    @staticmethod
    def site(name: str, port: int | None, server_name: str, include: str) -> None:
        """Edit one of Debian's sites: its port, its ServerName, our include as its last line."""
        path = CONF / "sites-available" / name
        lines = [
            line
            for line in path.read_text().splitlines()
            if not re.match(r"\s*(ServerName|IncludeOptional django)", line)
        ]
        text = "\n".join(lines) + "\n"
        text = re.sub(r"<VirtualHost (\S+):\d+>", rf"<VirtualHost \1:{port}>", text)
        if server_name:
            text = re.sub(r"(<VirtualHost .*>\n)", rf"\1\tServerName {server_name}\n", text)
        if include:
            text = re.sub(
                r"^(\s*)</VirtualHost>",
                rf"\1\tIncludeOptional {include}\n\1</VirtualHost>",
                text,
                flags=re.M,
            )
        path.write_text(text)

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start Apache, by systemd where it runs, and wait until it answers."""
        self.control("start")
        wait_for(lambda: self.parent() and self.answers(), 15, "Apache to listen")

    def stop(self) -> None:
        """Stop Apache and wait until its parent and all its children are gone.

        Asked once more after a while: *measured*, 28 of 100 TERMs within 1.5 ms of a reload's
        signal were lost on it.
        """
        pids = self.processes()

        def has_ended() -> bool:
            return not any(map(alive, pids))

        self.control("stop")
        try:
            wait_for(has_ended, 5)
        except AssertionError:
            self.control("stop")
            wait_for(has_ended, 15, "Apache to end")

    def restart(self) -> None:
        """Stop Apache if it runs, and start it."""
        if self.parent():
            self.stop()
        self.start()

    def reload(self) -> None:
        """Reload gracefully, as an administrator would."""
        self.control("reload" if systemd() else "graceful")

    def pause(self) -> None:
        """SIGSTOP Apache and all its children: it listens, and answers nobody."""
        os.killpg(os.getpgid(self.running()), signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused Apache go on."""
        os.killpg(os.getpgid(self.running()), signal.SIGCONT)

    def configtest(self) -> subprocess.CompletedProcess[str]:
        """`apachectl configtest`; its report is on stderr."""
        return subprocess.run(
            ["apachectl", "configtest"], capture_output=True, text=True, check=False
        )

    def control(self, verb: str) -> None:
        """Start, stop or reload by systemctl under systemd, by apachectl elsewhere."""
        self.command(*(["systemctl", verb, "apache2"] if systemd() else ["apachectl", verb]))

    # --- questions ------------------------------------------------------------------------------

    def get(
        self,
        path: str,
        *,
        https: bool = False,
        host: str | None = None,
        headers: dict[str, str] | None = None,
        method: str = "GET",
        body: bytes | None = None,
        timeout: float = 10.0,
    ) -> Answer:
        """Ask for `path`; redirects are not followed. `host` is the Host header and the TLS name.

        Raises:
            OSError, http.client.HTTPException: There was no answer, or none within `timeout`.
        """
        began = time.perf_counter()
        port = self.https_port if https else self.http_port
        name = host or LOOPBACK
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
        try:
            plain = socket.create_connection((LOOPBACK, port or 0), timeout)
            connection.sock = anybody().wrap_socket(plain, server_hostname=name) if https else plain
            default = port in {80, 443}
            sent = {"Host": name if default else f"{name}:{port}", "Connection": "close"}
            connection.request(method, path, body=body, headers=sent | (headers or {}))
            response = connection.getresponse()
            content = response.read()
            ms = (time.perf_counter() - began) * 1000
            return Answer(response.status, response.headers, content, ms)
        finally:
            connection.close()

    def pids(self, account: str) -> list[Daemon]:
        """Return mod_wsgi's daemons for an account, by their display name `(wsgi:slp-ACCOUNT)`.

        *Measured*: mod_wsgi writes the name over `/usr/sbin/apache2` and cuts it to those 17 bytes,
        so for an account of more than six letters the uid has to tell the namesakes apart.
        """
        name = f"(wsgi:slp-{account})"
        found = []
        for pid in all_pids():
            try:
                title = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().strip()
                status = Path(f"/proc/{pid}/status").read_text()
            except (OSError, UnicodeDecodeError):
                continue
            if not title.startswith("(wsgi:") or not name.startswith(title):
                continue
            uid, gid = (int(field) for field in re.findall(r"^(?:Uid|Gid):\s+(\d+)", status, re.M))
            if title == name or uid == uid_of(account):
                found.append(Daemon(pid, uid, gid))
        return found

    def reloads(self) -> int:
        """Return how many graceful reloads the error log tells of."""
        return self.error_log().count("AH00493:")

    def error_log(self) -> str:
        """Return the error log so far."""
        return ERROR_LOG.read_text(errors="replace") if ERROR_LOG.exists() else ""

    def parent(self) -> int | None:
        """Return the parent's pid if the pid file names a live process."""
        try:
            pid = int(PID_FILE.read_text())
        except (OSError, ValueError):
            return None
        return pid if alive(pid) else None

    def running(self) -> int:
        """Return the parent's pid; an AssertionError where there is none."""
        pid = self.parent()
        assert pid, "Apache is not running"
        return pid

    def processes(self) -> list[int]:
        """Return the pids of Apache's parent and all its children, the WSGI daemons included."""
        pid = self.parent()
        group = os.getpgid(pid) if pid else None
        return [p for p in all_pids() if group is not None and process_group(p) == group]

    def answers(self) -> bool:
        """Whether Apache accepts connections on each of its ports."""
        for port in filter(None, (self.http_port, self.https_port)):
            socket.create_connection((LOOPBACK, port), 5).close()
        return True

    @staticmethod
    def command(*argv: str) -> None:
        """Run a command that must succeed."""
        # Not a pipe: Apache would inherit it, and we would wait for Apache to close it.
        with open("/var/log/apache2/lab-command.log", "w+") as log:
            status = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            ).returncode
            log.seek(0)
            assert status == 0, f"{' '.join(argv)}: status {status}\n{log.read()}"


def systemd() -> bool:
    """Whether PID 1 is systemd."""
    return Path("/run/systemd/system").is_dir()


def anybody() -> ssl.SSLContext:
    """Return a TLS context that trusts anybody: the certificate is a snakeoil one."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def all_pids() -> list[int]:
    """Return the pids of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def process_group(pid: int) -> int | None:
    """Return a process's group, None if it is gone."""
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def uid_of(account: str) -> int | None:
    """Return an account's uid, None if there is no such account."""
    try:
        return pwd.getpwnam(account).pw_uid
    except KeyError:
        return None


def alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
