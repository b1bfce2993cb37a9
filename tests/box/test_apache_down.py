"""Apache stopped, hung or slow: what is published stays, and converges when it is back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import STATE, alive, all_pids
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

TIMEOUT = 3.0
BOUND = 3 * TIMEOUT + 3
"""Seconds: a test, a reload and its verification within `timeout` each, and the program's own."""


def enrol(homes: Homes, student: str) -> None:
    """A student comes, with an app: that takes a reload."""
    homes.create(student)
    homes.bare(student, body=f"I am {student}")


def commands() -> list[str]:
    """Return the command lines of all processes."""
    found = []
    for pid in filter(alive, all_pids()):
        try:
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (OSError, UnicodeDecodeError):
            continue
    return found


def servers() -> list[str]:
    """Return the command lines of Apaches, configuration tests aside."""
    return [line for line in commands() if "sbin/apache2" in line and " -t" not in line]


@pytest.mark.box
def test_a_stopped_apache_is_published_to_and_never_started(
    apache: Server, homes: Homes, program: Program
) -> None:
    """Status 4; whoever starts Apache finds everything in place."""
    enrol(homes, "alice")

    program.once(status=4)

    assert [] == servers()
    assert (STATE / "apps/alice/app.wsgi").is_file()
    with program.daemon() as daemon:
        daemon.wait_event("apache.unreachable")
        enrol(homes, "bob")
        daemon.wait_event("app.published", account="bob")
        assert [] == servers()
        apache.start()
        wait_for(lambda: apache.get("/django/bob/").text == "I am bob", 60, "bob's app")
        assert "I am alice" == apache.get("/django/alice/").text
        enrol(homes, "carol")
        wait_for(lambda: apache.get("/django/carol/").text == "I am carol", 60, "carol's app")
    program.once()


@pytest.mark.box
def test_nothing_that_hangs_holds_a_pass_up(server: Server, homes: Homes, program: Program) -> None:
    """A paused Apache and a reload command without an end each give status 4 in bounded time."""
    settings = f"[apache]\ntimeout = {TIMEOUT}\n"
    program.write_settings(settings)
    enrol(homes, "alice")
    program.once()

    enrol(homes, "bob")
    server.pause()
    began = time.monotonic()
    program.once(status=4)
    assert BOUND > time.monotonic() - began
    assert (STATE / "apps/bob").is_symlink()
    server.resume()
    program.once()
    assert "I am bob" == server.get("/django/bob/").text

    enrol(homes, "carol")
    program.write_settings(settings + 'reload = ["sh", "-c", "sleep 1000 & wait"]\n')
    began = time.monotonic()
    program.once(status=4)
    assert BOUND > time.monotonic() - began
    assert [] == [line for line in commands() if "sleep 1000" in line]
    assert ["I am alice", "I am bob"] == [
        server.get(f"/django/{name}/").text for name in ("alice", "bob")
    ]
    program.write_settings(settings)
    program.once()
    assert "I am carol" == server.get("/django/carol/").text


@pytest.mark.box(timeout=300)
def test_the_daemon_tries_again_until_apache_is_back(
    server: Server, homes: Homes, program: Program
) -> None:
    """First the reload fails, then Apache hangs; each time it converges without any event."""
    program.write_settings(
        f"[apache]\ntimeout = {TIMEOUT}\n"
        'reload = ["sh", "-c", "test ! -e /root/broken && exec apachectl graceful"]\n'
        "[timing]\nreload_interval = 0\nresync = 3600\n"
    )
    enrol(homes, "alice")
    with program.daemon() as daemon:
        wait_for(lambda: server.get("/django/alice/").text == "I am alice", 60, "alice's app")

        Path("/root/broken").touch()
        enrol(homes, "bob")
        daemon.wait_event("apache.unreachable", timeout=60)  # twenty times the first one's stall
        assert 404 == server.get("/django/bob/").status
        Path("/root/broken").unlink()
        wait_for(lambda: server.get("/django/bob/").text == "I am bob", 60, "bob's app")

        since = daemon.mark()
        server.pause()
        enrol(homes, "carol")
        daemon.wait_event("apache.unreachable", since=since, timeout=60)
        since = daemon.mark()
        server.resume()
        wait_for(lambda: server.get("/django/carol/").text == "I am carol", 60, "carol's app")
        enrol(homes, "dave")
        wait_for(lambda: server.get("/django/dave/").text == "I am dave", 60, "dave's app")
        assert [] == daemon.events("generation.rolled_back")
    program.once()
