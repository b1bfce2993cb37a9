"""Accounts come and go under the running daemon, and Apache survives the going."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import units
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

SOON = """\
[apache]
reload = ["pkill", "-USR1", "--pidfile", "/run/apache2/apache2.pid"]

[timing]
reload_interval = 1
"""
"""Without the seconds between two reloads, of which `apachectl graceful` makes more."""


def run(*command: str, text: str = "") -> None:
    """Run an administrator's command, which must succeed."""
    subprocess.run(command, input=text, check=True, capture_output=True, text=True)


def answers(server: Server, account: str, text: str) -> None:
    """Wait until the account's URL answers this."""

    def look() -> bool:
        answer = server.get(f"/django/{account}/")
        assert (200, text) == (answer.status, answer.text)
        return True

    wait_for(look, 60, f"{account} to answer {text!r}")


def declared(program: Program) -> list[str]:
    """Return the accounts that Apache has a daemon for, in the files' order."""
    text = (program.state / "current/server.conf").read_text()
    return re.findall(r"^WSGIDaemonProcess slp-(\S+) user=\1 ", text, re.M)


@pytest.mark.box(timeout=240)
def test_accounts_made_and_unmade_are_followed_with_a_reload_each(
    server: Server, homes: Homes, program: Program
) -> None:
    """Account first or home first, a deletion, fifty at once: each costs one reload."""
    program.write_settings(SOON)
    homes.create("alice")
    homes.bare("alice", body="I am alice")
    with program.daemon() as daemon:
        daemon.wait_event("apache.reloaded", timeout=60)
        answers(server, "alice", "I am alice")

        reloads = server.reloads()
        run("useradd", "--no-create-home", "--home-dir", "/home/slp/bob", "bob")
        assert ["alice"] == declared(program), "there is nothing to serve in no home"
        bob = pwd.getpwnam("bob")
        home = homes.home("bob")
        home.mkdir(mode=0o700)
        os.chown(home, bob.pw_uid, bob.pw_gid)
        homes.bare("bob", body="account first")
        answers(server, "bob", "account first")
        wait_for(lambda: 2 == len(daemon.events("apache.reloaded")), 20, "the verification")
        assert reloads + 1 == server.reloads()

        home = homes.home("carol")
        shutil.copytree(homes.home("bob"), home)
        script = home / "mysite/mysite/wsgi.py"
        script.write_text(script.read_text().replace("account first", "home first"))
        run("chown", "-R", "4321:4321", str(home))
        wait_for(lambda: program.account("carol")["reason"]["code"] == "no-account", 10, "carol")
        run("groupadd", "--gid", "4321", "carol")
        run("useradd", "-M", "-d", str(home), "-u", "4321", "-g", "4321", "carol")
        answers(server, "carol", "home first")
        wait_for(lambda: 3 == len(daemon.events("apache.reloaded")), 20, "the verification")
        assert reloads + 2 == server.reloads()

        assert 8 == homes.remove("bob", check=False).returncode, "it has a process: the daemon"
        run("userdel", "--force", "--remove", "bob")
        wait_for(lambda: ["alice", "carol"] == declared(program), 60, "bob to leave")
        wait_for(lambda: 404 == server.get("/django/bob/").status, 20, "nobody at bob's URL")
        wait_for(lambda: "bob" not in program.status()["accounts"], 10, "no word of bob")
        answers(server, "alice", "I am alice")
        wait_for(lambda: not processes_of(bob.pw_uid), 20, "bob's daemon to end")
        assert reloads + 3 == server.reloads()

        names = [f"n{number:02}" for number in range(50)]
        reloads = server.reloads()
        rows = [f"{name}:x::::/home/slp/{name}:/bin/sh\n" for name in names]
        run("newusers", text="".join(rows))
        for name in names:
            homes.bare(name, body=f"I am {name}")
        for name in names:
            answers(server, name, f"I am {name}")
        assert 0 < server.reloads() - reloads <= 2
        assert sorted(["alice", "carol", *names]) == declared(program)


def processes_of(uid: int) -> list[str]:
    """Return the processes that run with this uid."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}").st_uid == uid:
                found.append(pid)
        except OSError:
            continue
    return found


@pytest.mark.box(systemd=True, timeout=240)
def test_apache_starts_right_after_an_account_was_deleted(
    server: Server, homes: Homes, program: Program
) -> None:
    """Its unit takes dead accounts out before it starts, beside the daemon and without one."""
    names = ["alice", "bob", "carol", "dave", "erin"]
    for name in names:
        homes.create(name)
        homes.bare(name, body=f"I am {name}")
    program.once()
    assert names == declared(program)

    run("userdel", "--force", "bob")
    with pytest.raises(AssertionError, match="systemctl restart"):
        server.control("restart")
    assert "active" != units.ask("ActiveState", units.APACHE), "this is what the drop-in is for"
    units.ship(units.DROP_IN)
    server.start()
    assert ["alice", "carol", "dave", "erin"] == declared(program)
    answers(server, "alice", "I am alice")

    run("userdel", "--force", "carol")
    server.control("restart")
    assert "active" == units.ask("ActiveState", units.APACHE)
    assert ["alice", "dave", "erin"] == declared(program)
    answers(server, "alice", "I am alice")

    # A restart that waits for the daemon, while that waits for the restart, would take this long.
    program.write_settings("[apache]\ntimeout = 60\n")
    with program.daemon():
        for name, ready in (("dave", False), ("erin", True)):
            current = os.readlink(program.state / "current")
            run("userdel", "--force", name)
            if ready:  # the daemon is about to reload
                wait_for(lambda: os.readlink(program.state / "current") != current, 60, every=0.002)  # noqa: B023
            began = time.monotonic()
            server.control("restart")
            assert 30 > time.monotonic() - began
            assert "active" == units.ask("ActiveState", units.APACHE)
            wait_for(lambda: name not in declared(program), 20, f"{name} to go")  # noqa: B023
            answers(server, "alice", "I am alice")
            unit = Path(f"/proc/{server.running()}/cgroup").read_text()
            assert unit.strip().endswith("/apache2.service"), "it was systemd that started it"
    assert ["alice"] == declared(program)
