"""One pass at a time, whoever makes it; and what `--once` says before it makes any."""

from __future__ import annotations

import fcntl
import time
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import STATE
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program


@pytest.mark.box
def test_a_pass_waits_for_the_lock_and_no_longer_than_timeout(
    server: Server, homes: Homes, program: Program
) -> None:
    """Status 5 while somebody else holds the lock, and nothing is changed; then as ever."""
    program.write_settings("[apache]\ntimeout = 2\n")
    homes.create("alice")
    homes.bare("alice")
    STATE.mkdir(parents=True)
    with (STATE / "looks.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        assert program.once(status=5).named("pass.locked_out")
        assert 2 <= time.monotonic() - began
        assert not (STATE / "apps/alice").is_symlink()
    program.once()
    assert "hello" == server.get("/django/alice/").text


@pytest.mark.box
def test_once_beside_a_daemon_agrees_with_it(
    server: Server, homes: Homes, program: Program
) -> None:
    """Passes of both, any number and at once: nothing that one did does the other undo."""
    program.write_settings("[timing]\nresync = 1\nreload_interval = 0\n")
    students = ["alice", "bob", "carol"]
    homes.root.mkdir()
    with program.daemon() as daemon:
        for name in students:
            homes.create(name)
            homes.bare(name, body=f"I am {name}")
            program.once()
            assert f"I am {name}" == server.get(f"/django/{name}/").text
        homes.bare("alice", body="I am another")
        program.once()
        wait_for(lambda: server.get("/django/alice/").text == "I am another", 10, "new code")
        homes.delete("bob", "mysite")
        program.once()
        assert 404 == server.get("/django/bob/").status

        # The daemon's own next passes find all as it ought to be, and do what comes later.
        reloads = server.reloads()
        homes.bare("bob", body="I am bob again")
        wait_for(lambda: server.get("/django/bob/").text == "I am bob again", 10, "bob's app")
        wait_for(lambda: program.account("bob")["state"] == "served", 10, "the status")
        assert "I am another" == server.get("/django/alice/").text
        assert reloads == server.reloads()
        assert [] == [e for e in daemon.events("app.withdrawn") if e["account"] != "bob"]
        failures = {"pass.failed", "generation.failed", "generation.rolled_back"}
        assert [] == [e for e in daemon.events() if e["event"] in failures]


@pytest.mark.box
def test_bad_settings_and_bad_usage_end_with_2(program: Program) -> None:
    """The key is named, nothing is written, and neither is anything else tried."""
    bad = {
        "[homes]\nrot = 1\n": "rot",
        "[homes]\nmin_uid = 'many'\n": "[homes] min_uid",
        "[timing]\ngrace = -1\n": "[timing] grace",
        "[apache]\nreload = 'now'\n": "reload",
        "[accounts.alice]\nenabled = 3\n": "[accounts.alice] enabled",
        "[urls]\nprefix = 'django'\n": "[urls] prefix",
        "homes = [\n": "not TOML",
    }
    for text, key in bad.items():
        program.write_settings(text)
        assert key in program.once(status=2).stderr
    assert "not TOML" in program.run(status=2).stderr, "the daemon as well"
    assert "/nowhere.toml" in program.once("--config", "/nowhere.toml", status=2).stderr
    program.settings.unlink()
    for words in (["--dry-run"], ["--force"], ["--nonsense"], ["nonsense"], ["--once", "status"]):
        program.run(*words, status=2)
    assert not STATE.exists()
