"""Apache's unit as Debian's next one has it, which makes the homes read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab import units

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

SID = """\
[Service]
DevicePolicy=closed
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
PrivateDevices=yes
PrivateTmp=true
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=full
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
ProtectProc=invisible
ProcSubset=pid
ReadWritePaths=-/var/log/apache2
ReadWritePaths=-/var/cache/apache2/mod_cache_disk
InaccessiblePaths=/boot
InaccessiblePaths=/root
"""
"""What apache2 2.4.69-1 of Debian sid has in its own unit, and that of Debian 12 has not."""

NOTES = """\
import sqlite3

def application(environ, start_response):
    with sqlite3.connect("notes.sqlite3") as notes:
        notes.execute("CREATE TABLE IF NOT EXISTS note (text)")
        notes.execute("INSERT INTO note VALUES ('x')")
        [count] = notes.execute("SELECT count(*) FROM note").fetchone()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{count} notes".encode()]
"""
"""Writes a database beside its `manage.py`, named by a relative path."""


@pytest.mark.box(systemd=True)
def test_an_app_writes_in_its_home_though_apaches_unit_protects_homes(
    apache: Server, homes: Homes, program: Program
) -> None:
    """The drop-in gives the homes back, also one that is made later; the rest stays protected."""
    (drop_ins := units.UNITS / f"{units.APACHE}.d").mkdir()
    (drop_ins / "00-sid.conf").write_text(SID)
    homes.create("alice")
    homes.bare("alice", source=NOTES)
    program.once("--no-reload")
    units.run("systemctl", "daemon-reload")
    apache.start()
    assert 500 == apache.get("/django/alice/").status, "this is what the drop-in is for"
    assert "OperationalError" in apache.error_log()

    units.ship(units.DROP_IN)
    apache.restart()
    assert ["1 notes", "2 notes"] == [apache.get("/django/alice/").text for _ in range(2)]
    homes.create("bob")
    homes.bare("bob", source=NOTES)
    program.once()
    assert "1 notes" == apache.get("/django/bob/").text
    assert (homes.home("bob") / "mysite/notes.sqlite3").stat().st_size
    assert ["no", "full"] == [
        units.ask(name, units.APACHE) for name in ("ProtectHome", "ProtectSystem")
    ]
