"""Homes and accounts that are made anew under names that Apache already runs daemons for."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

WHO = """\
import os, pwd

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{pwd.getpwuid(os.getuid()).pw_name} {os.getgid()} {os.getcwd()}".encode()]
"""


def make(name: str, uid: int) -> None:
    """Make an account with this uid and gid, and a home of its own."""
    home = f"/home/slp/{name}"
    subprocess.run(["groupadd", "--gid", str(uid), name], check=True)
    subprocess.run(
        ["useradd", "-m", "-d", home, "-u", str(uid), "-g", str(uid), name],
        check=True,
        capture_output=True,
    )


@pytest.mark.box
def test_a_home_made_anew_under_an_idle_daemon_is_served(
    server: Server, homes: Homes, program: Program
) -> None:
    """A daemon that began in the home that is gone would have no working directory."""
    home = homes.create("alice", mode=0o711)
    homes.bare("alice", source=WHO)
    program.once()
    assert wait_for(lambda: server.pids("alice"), 10, "the daemon")

    row = pwd.getpwnam("alice")
    shutil.rmtree(home)
    home.mkdir()
    os.chown(home, row.pw_uid, row.pw_gid)
    home.chmod(0o711)
    homes.bare("alice", source=WHO)
    program.once()

    answer = server.get("/django/alice/")
    uid, gid = row.pw_uid, row.pw_gid
    assert (200, f"alice {gid} {home}/mysite") == (answer.status, answer.text)
    assert [(uid, gid)] == [(daemon.uid, daemon.gid) for daemon in server.pids("alice")]


@pytest.mark.box
@pytest.mark.parametrize("template_set", ["stable", "classic"])
def test_accounts_made_anew_with_each_others_uid_run_as_themselves(
    server: Server, homes: Homes, program: Program, template_set: str
) -> None:
    """No name changes, and so no line of Apache's own: what the names stand for does."""
    program.write_settings(f'[apache]\ntemplate_set = "{template_set}"\n')
    for uids in ({"alice": 3001, "bob": 3002}, {"alice": 3002, "bob": 3001}):
        for name, uid in uids.items():
            make(name, uid)
            homes.home(name).chmod(0o711)
            homes.bare(name, source=WHO)
        program.once()
        for name, uid in uids.items():
            answer = server.get(f"/django/{name}/")
            assert (200, [name, str(uid)]) == (answer.status, answer.text.split()[:2])
        for name in uids:
            homes.expel(name)
    assert 2 == server.reloads()
