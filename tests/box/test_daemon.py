"""The daemon's life: it ends when told, hears when told, and outlives what fails around it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import STATE
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

STOP = 10.0
"""Seconds that a stop may take: five for the step in hand, and the program's own."""


@pytest.mark.box
def test_term_ends_it_even_in_the_middle_of_a_reload(
    server: Server, homes: Homes, program: Program
) -> None:
    """Status 0, soon; what it had published is there for the next one."""
    homes.create("alice")
    with program.daemon() as daemon:
        began = time.monotonic()
        assert 0 == daemon.stop()
        assert STOP > time.monotonic() - began
        assert 1 == len(daemon.events("daemon.stopped"))

    hang = 'reload = ["sh", "-c", "touch /root/reloading; exec sleep 1000"]\n'
    program.write_settings(f"[apache]\ntimeout = 60\n{hang}")
    homes.create("bob")
    homes.bare("bob")
    with program.daemon() as daemon:
        wait_for(Path("/root/reloading").exists, 60, "the reload to begin")
        began = time.monotonic()
        assert 0 == daemon.stop()
        assert STOP > time.monotonic() - began
    assert (STATE / "apps/bob").is_symlink()
    program.settings.unlink()
    program.once()
    assert "hello" == server.get("/django/bob/").text


@pytest.mark.box
def test_hup_reads_the_settings_again_and_bad_ones_change_nothing(
    server: Server, homes: Homes, program: Program
) -> None:
    """Another prefix moves the apps; a fault is told, and what held before holds on."""
    timing = "[timing]\nreload_interval = 0\n"
    program.write_settings(timing)
    homes.create("alice")
    homes.bare("alice")
    with program.daemon() as daemon:
        wait_for(lambda: server.get("/django/alice/").text == "hello", 60, "alice's app")

        program.write_settings(f'{timing}[urls]\nprefix = "/apps"\n')
        daemon.hang_up()
        wait_for(lambda: server.get("/apps/alice/").text == "hello", 60, "alice's app elsewhere")
        assert 404 == server.get("/django/alice/").status
        assert daemon.events("settings.reread")
        wait_for(lambda: program.account("alice")["url"].startswith("/apps/"), 10, "the status")

        since = daemon.mark()
        program.write_settings(f"{timing}[urls]\nprefix = 3\n")
        daemon.hang_up()
        assert "[urls] prefix" in daemon.wait_event("settings.invalid", since=since)["message"]
        homes.create("bob")
        homes.bare("bob", body="I am bob")
        wait_for(lambda: server.get("/apps/bob/").text == "I am bob", 60, "bob's app")
        assert "hello" == server.get("/apps/alice/").text

        since = daemon.mark()
        program.write_settings('[apache]\ntemplate_set = "missing"\n')
        daemon.hang_up()
        assert "missing" in daemon.wait_event("settings.invalid", since=since)["message"]
        homes.bare("bob", body="I am another")
        wait_for(lambda: server.get("/apps/bob/").text == "I am another", 60, "bob's new code")
        assert 0 == daemon.stop()


@pytest.mark.box
def test_killed_and_started_anew_it_catches_up(
    server: Server, homes: Homes, program: Program
) -> None:
    """What happened while nobody watched is found, and what did not change is left alone."""
    program.write_settings("[timing]\nreload_interval = 0\n")
    for name in ("alice", "bob"):
        homes.create(name)
        homes.bare(name, body=f"I am {name}")
    with program.daemon() as daemon:
        wait_for(lambda: server.get("/django/bob/").text == "I am bob", 60, "bob's app")
        daemon.kill()
    link = (STATE / "apps/bob").readlink()
    homes.bare("alice", body="I am another")
    homes.create("carol")
    homes.bare("carol", body="I am carol")
    with program.daemon() as daemon:
        wait_for(lambda: server.get("/django/carol/").text == "I am carol", 60, "carol's app")
        assert "I am another" == server.get("/django/alice/").text
        assert link == (STATE / "apps/bob").readlink()
        assert [] == [e for e in daemon.events() if e.get("account") == "bob"]


@pytest.mark.box
def test_a_full_disk_is_waited_out(server: Server, homes: Homes, program: Program) -> None:
    """While nothing can be written what is live stays; when there is room it goes on by itself."""
    program.write_settings("[timing]\nresync = 3600\nreload_interval = 0\n")
    STATE.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "s", STATE], check=True)
    homes.create("alice")
    homes.bare("alice", body="I am alice")
    with program.daemon() as daemon:
        wait_for(lambda: server.get("/django/alice/").text == "I am alice", 60, "alice's app")
        current = (STATE / "current").readlink()
        filler = STATE / "filler"
        subprocess.run(["cp", "/dev/zero", filler], check=False, capture_output=True)

        since = daemon.mark()
        homes.create("bob")
        homes.bare("bob", body="I am bob")
        homes.bare("alice", body="I am another")
        failed = daemon.wait_event("app.failed", since=since, account="bob")
        assert f"No space left on device: {STATE}" in failed["message"]
        assert "I am alice" == server.get("/django/alice/").text
        assert current == (STATE / "current").readlink()
        assert 1 == program.once(status=1).returncode
        assert "I am alice" == server.get("/django/alice/").text
        server.restart()  # which reads the script itself anew
        assert "I am another" == server.get("/django/alice/").text

        filler.unlink()
        wait_for(lambda: server.get("/django/bob/").text == "I am bob", 60, "bob's app")
    link = (STATE / "apps/alice").readlink()
    program.once()
    assert link == (STATE / "apps/alice").readlink(), "the daemon had published the change"
    assert [] == list(STATE.rglob("*.new"))
