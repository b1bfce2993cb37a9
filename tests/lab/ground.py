"""Where a student's app attacks: a class on an Apache with TLS, served by the program."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import socket
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.lab.apache import CONF, LOOPBACK, STATE, anybody
from tests.lab.units import UNIT, install, isolate, run
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

ATTACKERS = Path(__file__).with_name("attackers")
KEY, CERTIFICATE = CONF / "lab.key", CONF / "lab.pem"
MAKE_KEY = shlex.split(
    "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
    "-addext basicConstraints=CA:FALSE"
)
SECRET = Path("/srv/lab/secret")
"""What Apache's user may read, and no student."""


class Ground:
    """Alice is the neighbour, whose home is open; bob keeps his shut; mallory attacks.

    Where many attacks share a machine, each has a mallory of its own (`enlist`).
    """

    def __init__(self, server: Server, homes: Homes, program: Program) -> None:
        self.server = server
        self.homes = homes
        self.program = program
        self.secret = secrets.token_hex(8)
        """What nobody but its owner can know: a test finds by it what an attack has got hold of."""
        self.mallory = "mallory"
        """Whose attack is carried out."""
        self.is_isolated = False
        """Whether apps are systemd's, and the daemon runs."""
        self.patience = 20.0
        """Seconds in which a server that is to stand still does."""

    def set_up(self, script: str, template_set: str = "stable") -> None:
        """Start Apache, make the class with mallory's app, and have all of it served."""
        self.open(template_set)
        self.enlist({"mallory": script})
        assert "hello" == self.server.get("/django/alice/").text

    def open(self, template_set: str, more: str = "") -> None:
        """Start Apache, and make the class without mallory; `more` are settings."""
        self.make_key()
        root_only = CONF / "conf-enabled/lab-secret.conf"
        root_only.write_text(f'SetEnv LAB_PASSWORD "lab-password-{self.secret}"\n')
        root_only.chmod(0o600)
        self.is_isolated = template_set == "isolated"
        if self.is_isolated:
            isolate()
        self.server.start()
        for account, mode in {"alice": 0o755, "bob": 0o700}.items():
            self.homes.create(account, mode=mode)
            self.homes.bare(account)
            self.homes.write(account, "diary", self.secret)
        self.program.write_settings(f'[apache]\ntemplate_set = "{template_set}"\n{more}')
        if self.is_isolated:
            install()
            run("systemctl", "start", UNIT)

    def enlist(self, scripts: Mapping[str, str]) -> None:
        """Make an account for each, whose app is `attackers/SCRIPT.py`, and have them served."""
        for account, script in scripts.items():
            self.homes.create(account, mode=0o711)
            self.homes.write(account, "mysite/own_memory.py", attacker("own_memory"))
            self.homes.bare(account, source=attacker(script))
        self.publish()
        for account in scripts:
            wait_for(lambda account=account: self.is_served(account), 20, account)

    def arm(self, script: str) -> None:
        """Make `attackers/SCRIPT.py` mallory's app."""
        self.homes.bare(self.mallory, source=attacker(script))
        self.publish()

    def publish(self) -> None:
        """Have what stands in the homes served; where the daemon runs, it does so by itself."""
        if not self.is_isolated:
            self.program.once()

    def is_served(self, account: str) -> bool:
        """Whether an account's app can be asked, as far as the program goes."""
        front = Path("/run/slp-reconciler/front") / account
        return (STATE / "apps" / account).exists() and (front.exists() or not self.is_isolated)

    @staticmethod
    def make_key() -> None:
        """Give the https site a key of its own, which root alone can read."""
        subprocess.run(
            [*MAKE_KEY, "-keyout", str(KEY), "-out", str(CERTIFICATE)],
            check=True,
            capture_output=True,
        )
        KEY.chmod(0o600)
        site = CONF / "sites-available/default-ssl.conf"
        text = site.read_text().replace("/etc/ssl/private/ssl-cert-snakeoil.key", str(KEY))
        site.write_text(text.replace("/etc/ssl/certs/ssl-cert-snakeoil.pem", str(CERTIFICATE)))

    def ask(self, *, timeout: float = 30.0, **words: object) -> dict[str, Any]:
        """Ask mallory's app, which answers as `own_memory.answering` says."""
        answer = self.server.get(f"/django/{self.mallory}/?{urlencode(words)}", timeout=timeout)
        assert 200 == answer.status, answer.text
        found: dict[str, Any] = json.loads(answer.text)
        return found

    def visit_over_tls(self) -> str:
        """Visit alice over TLS 1.2, without a ticket; return the session's master secret."""
        context = anybody()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_TICKET
        context.keylog_filename = "/root/tls-keys"
        plain = socket.create_connection((LOOPBACK, self.server.https_port or 0), 10)
        with context.wrap_socket(plain, server_hostname="localhost") as stream:
            stream.sendall(b"GET /django/alice/ HTTP/1.0\r\nHost: localhost\r\n\r\n")
            while stream.recv(4096):
                pass
        line = Path("/root/tls-keys").read_text().split("\n")[-2]
        return line.split()[-1]

    def keep_for_apache(self) -> None:
        """Make the file that Apache's user may read and students may not."""
        SECRET.parent.mkdir(parents=True)
        SECRET.write_text(self.secret)
        os.chmod(SECRET.parent, 0o750)
        subprocess.run(["chgrp", "-R", "www-data", str(SECRET.parent)], check=True)
        os.chmod(SECRET, 0o640)


def attacker(name: str) -> str:
    """Return the text of one of the attackers' files."""
    return (ATTACKERS / f"{name}.py").read_text()
