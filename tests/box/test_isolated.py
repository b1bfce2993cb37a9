"""`isolated`: each app is a unit of systemd's, and Apache knows of none."""

from __future__ import annotations

import pwd
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import STATE
from tests.lab.units import UNIT, ask, install, isolate, journal, run
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

SETTINGS = '[apache]\ntemplate_set = "isolated"\n'


@pytest.fixture
def isolated(apache: Server, homes: Homes, program: Program) -> Server:
    """Return an Apache that is set up for it, running, with the daemon beside it."""
    homes.create("zoe")
    isolate()
    apache.start()
    program.write_settings(SETTINGS)
    install()
    run("systemctl", "start", UNIT)
    assert (STATE / "current").exists(), journal()
    return apache


def unit(account: str) -> str:
    """Return the name of an account's app as systemd has it."""
    return f"slp-app@{account}.service"


@pytest.mark.box(systemd=True, timeout=300)
def test_apps_come_change_and_go_and_apache_is_never_reloaded(
    isolated: Server, homes: Homes
) -> None:
    """And nobody's process is another's to end."""
    before = isolated.reloads()
    bytes_of = (STATE / "current/django.conf").read_bytes()
    for name in ("alice", "bob"):
        homes.create(name)
        homes.bare(name, body=f"I am {name}")
        wait_for(
            lambda name=name: isolated.get(f"/django/{name}/").text == f"I am {name}", 20, name
        )
    pid = ask("MainPID", unit("bob"))
    assert str(pwd.getpwnam("bob").pw_uid) in run("ps", "-o", "uid=", "-p", pid)
    homes.bare("alice", body="another")
    wait_for(lambda: isolated.get("/django/alice/").text == "another", 20, "the change")
    homes.delete("alice", "mysite")
    wait_for(lambda: isolated.get("/django/alice/").status == 404, 20, "its end")
    wait_for(lambda: ask("ActiveState", unit("alice")) == "inactive", 20, "its process's")
    wait_for(lambda: ask("ActiveState", "slp-front@alice.socket") == "inactive", 20, "its socket's")
    homes.remove("alice")
    assert pid == ask("MainPID", unit("bob"))
    assert before == isolated.reloads()
    assert bytes_of == (STATE / "current/django.conf").read_bytes()
