"""An app tells how it is by a socket of its account's own: to its student, and for nobody else."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

TOLD = Path("/run/slp-reconciler/told")
BROKEN = "import crispy_forms\n\ndef application(environ, start_response):\n    return []\n"
GOOD = """\
import page

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [page.TEXT]
"""
FORGE = """\
import os, socket
told = "/run/slp-reconciler/told"
own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
tries = (
    lambda: own.sendto(b'{"event": "loaded"}', f"{told}/alice"),
    lambda: os.listdir(told),
    lambda: os.rename(f"{told}/mallory", f"{told}/alice"),
    lambda: os.symlink("/etc/passwd", f"{told}/new"),
    lambda: os.chmod(f"{told}/alice", 0o666),
)
for number, attempt in enumerate(tries):
    try:
        attempt()
    except PermissionError:
        continue
    raise SystemExit(f"attempt {number} went through")
"""
"""What a student tries at the socket of another."""


@pytest.mark.box
def test_an_app_tells_its_own_health_and_nobody_elses(
    server: Server, homes: Homes, program: Program
) -> None:
    """A module that is missing, told and mended; forgers refused; remembered by the next daemon."""
    program.write_settings("[timing]\nreload_interval = 0\n[probe]\nenabled = false\n")
    homes.enrol("alice", "mallory")
    homes.bare("alice", source=BROKEN)
    homes.bare("mallory")

    def health() -> dict[str, Any]:
        return program.account("alice")["health"] or {}

    def asks_until(state: str) -> None:
        def is_so() -> bool:
            server.get("/django/alice/")
            return bool(state == health().get("state"))

        wait_for(is_so, 15, f"alice's app to be {state}")

    with program.daemon() as daemon:
        daemon.wait_event("apache.reloaded", timeout=60)
        assert 0o711 == stat.S_IMODE(TOLD.stat().st_mode)
        for name in ("alice", "mallory"):
            found = (TOLD / name).stat()
            owner = homes.home(name).stat().st_uid
            assert (owner, 0o600) == (found.st_uid, stat.S_IMODE(found.st_mode))
        asks_until("failing")
        assert "missing-module" == health()["code"]
        assert "django-crispy-forms" in health()["fix"]
        assert health()["where"].endswith("wsgi.py:1")
        daemon.wait_event("app.failing", account="alice", code="missing-module")
        homes.run("mallory", "python3", "-c", FORGE)
        assert "failing" == health()["state"]
        assert 0 == daemon.stop()
    before = health()
    with program.daemon() as daemon:
        daemon.wait_event("pass.done")
        wait_for(lambda: health() == before, 10, "the health that was remembered")
        homes.write("alice", "mysite/page.py", "TEXT = b'mended'\n")
        homes.bare("alice", source=GOOD)
        wait_for(lambda: server.get("/django/alice/").text == "mended", 15, "the mend to be seen")
        asks_until("working")
        daemon.wait_event("app.working", account="alice")
        homes.write("alice", "mysite/page.py", "TEXT = 1 /\n")
        asks_until("failing")
        assert ("syntax-error", "mysite/page.py:1") == (health()["code"], health()["where"])
        assert health()["worked_until"]
        assert "mysite/page.py:1" in (program.state / "pages/alice.html").read_text()
