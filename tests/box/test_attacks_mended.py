"""What SECURITY.md tells an administrator to do against an attack ends it, at the cost it tells."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.lab import mends, units
from tests.lab.attacks import ATTACKS, reaches_anothers_requests
from tests.lab.ground import Ground
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

BY_ID = {attack.id: attack for attack in ATTACKS}
MENDED = [
    ("A1", mends.end_tls_elsewhere),
    ("A2", mends.end_tls_elsewhere),
    ("A4", mends.pipe_logs),
    ("A6", mends.keep_no_request_lines),
    ("A10", mends.shut_homes),
    ("A11", mends.hide_processes),
    ("A12", mends.make_files_private),
    ("A13", mends.follow_no_links_in_homes),
    ("A14", mends.take_passwords_away),
]


@pytest.fixture
def ground(apache: Server, homes: Homes, program: Program) -> Ground:
    """A class in which mallory attacks."""
    return Ground(apache, homes, program)


@pytest.mark.box
@pytest.mark.parametrize(
    ("attack", "mend"), MENDED, ids=[f"{attack}-{mend.__name__}" for attack, mend in MENDED]
)
def test_an_attack_fails_after_its_mend(
    attack: str, mend: Callable[[Ground], None], ground: Ground
) -> None:
    """The same attack that succeeds in test_attacks.py fails, and apps still answer."""
    ground.set_up(BY_ID[attack].script)
    mend(ground)
    assert not BY_ID[attack].succeeds(ground)
    assert ground.server.get("/django/alice/").status in {200, 401}


@pytest.mark.box
def test_behind_pipes_logs_can_still_be_forged(ground: Ground) -> None:
    """An app then holds pipes alone; what it writes there is a line like any other."""
    ground.set_up("logs")
    mends.pipe_logs(ground)
    assert {"pipe"} == {path.split(":")[0] for path in ground.ask()["opened"]}
    assert BY_ID["A5"].succeeds(ground)


@pytest.mark.box
def test_a_mount_without_links_is_without_the_students_own(ground: Ground) -> None:
    """`nosymfollow` costs every link in the homes, such as a virtualenv's `bin/python`."""
    ground.set_up("powers")
    ground.homes.sh("alice", "ln -s diary link && cat link")
    mends.follow_no_links_in_homes(ground)
    done = ground.homes.sh("alice", "cat link", check=False)
    assert "Too many levels of symbolic links" in done.stderr


def as_shipped(ground: Ground) -> None:
    """Start Apache as its unit's drop-in has it; its configuration is as shipped already."""
    units.ship(units.DROP_IN)
    ground.server.restart()


@pytest.mark.box(systemd=True, timeout=180)
def test_an_apache_that_an_app_ended_comes_back(ground: Ground) -> None:
    """As it is shipped, six times one after the other: systemd's own limit would be five."""
    ground.set_up("exit_status")
    as_shipped(ground)
    for _ in range(6):
        before = ground.server.running()
        ground.server.get("/django/mallory/")
        wait_for(lambda before=before: ground.server.running() != before, 20, "another Apache")
        page = wait_for(lambda: ground.server.get("/django/alice/", timeout=2), 10, "alice")
        assert "hello" == page.text


@pytest.mark.box(systemd=True)
def test_an_administrator_still_stops_it(ground: Ground) -> None:
    """A stop holds: while all is well, and while systemd is about to start it once more."""
    ground.set_up("exit_status")
    as_shipped(ground)
    for is_ending in (False, True):
        if is_ending:
            ground.server.get("/django/mallory/")
            wait_for(lambda: units.ask("SubState", units.APACHE) == "auto-restart", 20, "its end")
        units.run("systemctl", "stop", "apache2")
        time.sleep(3)  # three times RestartSec
        assert "inactive" == units.ask("ActiveState", units.APACHE)
        assert ground.server.parent() is None
        ground.server.start()
        assert "hello" == ground.server.get("/django/alice/").text


@pytest.mark.box(systemd=True, timeout=180)
@pytest.mark.parametrize("attack", ["A8", "A9"])
def test_an_administrator_gets_the_server_back(attack: str, ground: Ground) -> None:
    """Who stands in the settings as not enabled is gone after a restart of Apache's."""
    ground.set_up(BY_ID[attack].script)
    as_shipped(ground)
    assert BY_ID[attack].succeeds(ground)
    ground.program.write_settings("[accounts.mallory]\nenabled = false\n")
    ground.program.once("--no-reload", status=None)
    ground.server.command("systemctl", "restart", "apache2")
    ground.program.once()
    assert "hello" == ground.server.get("/django/alice/").text
    assert 404 == ground.server.get("/django/mallory/").status


@pytest.mark.box
def test_what_must_fail_would_be_seen_to_succeed(ground: Ground) -> None:
    """Where a machine is set up wrongly, those attacks that hold elsewhere are seen to succeed."""
    ground.set_up("files")
    ground.homes.home("bob").chmod(0o755)
    assert BY_ID["A15"].succeeds(ground)
    ground.program.state.chmod(0o777)
    assert BY_ID["A18"].succeeds(ground)

    ground.arm("sockets")
    wait_for(lambda: "known" in ground.ask(), 5, "the other app")
    for path in ground.ask()["known"]:
        subprocess.run(["chmod", "0666", path], check=True)
    assert reaches_anothers_requests(ground)
