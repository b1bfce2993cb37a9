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

from tests.lab.apache import CONF, LOOPBACK, anybody

if TYPE_CHECKING:
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
    """Alice is the neighbour, whose home is open; bob keeps his shut; mallory attacks."""

    def __init__(self, server: Server, homes: Homes, program: Program) -> None:
        self.server = server
        self.homes = homes
        self.program = program
        self.secret = secrets.token_hex(8)
        """What nobody but its owner can know: a test finds by it what an attack has got hold of."""

    def set_up(self, script: str, template_set: str = "stable") -> None:
        """Start Apache, make the class with mallory's app, and have all of it served."""
        self.make_key()
        root_only = CONF / "conf-enabled/lab-secret.conf"
        root_only.write_text(f'SetEnv LAB_PASSWORD "lab-password-{self.secret}"\n')
        root_only.chmod(0o600)
        self.server.start()
        for account, mode in {"alice": 0o755, "bob": 0o700, "mallory": 0o711}.items():
            self.homes.create(account, mode=mode)
        for account in ("alice", "bob"):
            self.homes.bare(account)
            self.homes.write(account, "diary", self.secret)
        self.homes.write("mallory", "mysite/own_memory.py", attacker("own_memory"))
        self.program.write_settings(f'[apache]\ntemplate_set = "{template_set}"\n')
        self.arm(script)
        assert "hello" == self.server.get("/django/alice/").text

    def arm(self, script: str) -> None:
        """Make `attackers/SCRIPT.py` mallory's app."""
        self.homes.bare("mallory", source=attacker(script))
        self.program.once()

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

    def ask(self, **words: object) -> dict[str, Any]:
        """Ask mallory's app, which answers as `own_memory.answering` says."""
        answer = self.server.get(f"/django/mallory/?{urlencode(words)}", timeout=30)
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
