"""`isolated`: each app is a unit of systemd's, and Apache knows of none."""

from __future__ import annotations

import pwd
import time
from pathlib import Path
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
    isolated: Server, homes: Homes, program: Program
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
    program.write_settings(SETTINGS + '[accounts.bob]\nmemory = "300M"\n')
    run("systemctl", "reload", UNIT)
    wait_for(lambda: ask("MemoryMax", unit("bob")) == str(300 << 20), 20, "bob's own limit")
    assert ask("MemoryMax", unit("carol")) == str(400 << 20)
    assert pid == ask("MainPID", unit("bob"))
    assert before == isolated.reloads()
    assert bytes_of == (STATE / "current/django.conf").read_bytes()


STUBBORN = """\
import os, signal
os.kill = lambda *_: None
number = os.getuid()
def application(environ, start_response):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(number).encode()]
"""


@pytest.mark.box(systemd=True, timeout=300)
def test_an_account_made_anew_is_not_answered_for_by_who_had_the_name(
    isolated: Server, homes: Homes
) -> None:
    """Whose process would not end, whatever it is told."""
    homes.create("alice")
    homes.bare("alice", source=STUBBORN)
    before = str(pwd.getpwnam("alice").pw_uid)
    wait_for(lambda: isolated.get("/django/alice/").text == before, 20, "who was there first")
    file = Path("/etc/passwd")
    file.write_text(file.read_text().replace(f"alice:x:{before}:", "alice:x:4321:"))
    run("chown", "-R", "4321", str(homes.home("alice")))
    wait_for(lambda: isolated.get("/django/alice/").text == "4321", 40, "who is there now")


@pytest.mark.box(systemd=True, timeout=300)
def test_a_process_that_a_signal_ends_is_told_of_and_comes_back(
    isolated: Server, homes: Homes, program: Program
) -> None:
    """At its URL, in its health, and with the next good answer no more; each a second apart."""
    homes.create("alice")
    homes.bare("alice", body="hello")
    wait_for(lambda: isolated.get("/django/alice/").text == "hello", 20, "alice's app")
    crash = "import os, time\nos.kill(os.getpid(), 11)\ntime.sleep(9)\napplication = 1\n"
    homes.bare("alice", source=crash)

    def health() -> str | None:
        code: str | None = program.account("alice")["health"]["code"]
        return code

    wait_for(lambda: isolated.get("/django/alice/").status == 502 and health(), 30, "the crash")
    assert "exits" == health()
    wait_for(lambda: "SIGSEGV" in isolated.get("/django/alice/").text, 20, "alice's page")
    began = time.monotonic()
    assert {502} == {isolated.get("/django/alice/").status for _ in range(5)}
    assert time.monotonic() - began > 3, "one load a second"
    homes.bare("alice", body="again")
    wait_for(lambda: isolated.get("/django/alice/").text == "again", 20, "the mended app")
    wait_for(lambda: health() is None, 20, "it to be told well")
