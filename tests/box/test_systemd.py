"""The units as they are shipped, under a real systemd: what a machine's boot and a bad day do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import STATE, all_pids, uid_of
from tests.lab.units import SHIPPED, UNIT, UNITS, ask, install, journal, run
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

EXPOSURE = 2.3
"""What the unit's own comment says."""
ENDS = Path("/root/ends")
"""Where a drop-in notes how each of the daemon's processes ended, in systemd's words."""
RELOADED = 60.0
"""Seconds that a second reload may be put off: twenty times the first one's stall, on a busy CI."""
STOP = 10.0
"""Seconds that a stop may take: five for the step in hand, and the program's own."""
BOMB = """\
import os, time
def application(environ, start_response):
    made = 0
    try:
        while made < 5000:
            if os.fork() == 0:
                os.closerange(0, 4096)
                time.sleep(600)
                os._exit(0)
            made += 1
    except OSError as error:
        said = f"{made} {error.strerror}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [said.encode()]
"""


def fresh_pid(before: int) -> int:
    """Return the daemon's process if it is ready and another than `before`, else 0."""
    pid = int(ask("MainPID"))
    return pid if pid != before and ask("ActiveState") == "active" else 0


@pytest.mark.box(systemd=True)
def test_within_its_bounds_it_does_all_its_work(
    server: Server, homes: Homes, program: Program
) -> None:
    """Publishing, reloading Apache, a new account, new settings, a stop: the unit allows it all."""
    program.write_settings("[timing]\nreload_interval = 0\n")
    homes.create("alice")  # 0700: to be read as the student, since root may not
    homes.bare("alice")
    homes.create("bob")
    homes.bare("bob", source="def (\n")
    install()

    run("systemctl", "start", UNIT)  # returns when it is ready, so nothing is waited for here
    assert "hello" == server.get("/django/alice/").text
    assert "syntax-error" in server.get("/django/bob/").text
    assert "1 apps, 1 rejected, generation 1" == ask("StatusText")
    assert 1 == server.reloads()

    homes.create("carol", mode=0o755)
    homes.write("carol", "mysite/static/x.txt", "from carol's static directory")
    homes.bare("carol", body="I am carol")
    wait_for(lambda: server.get("/django/carol/").text == "I am carol", RELOADED, "a new app")
    wait_for(
        lambda: server.get("/django/carol/static/x.txt").text == "from carol's static directory",
        10,
        "a file through a link that is the student's",
    )
    assert 2 == server.reloads()
    assert uid_of("carol") == (STATE / "apps/carol/static").lstat().st_uid
    wait_for(lambda: ask("StatusText") == "2 apps, 1 rejected, generation 2", 10, "the text")

    program.write_settings('[timing]\nreload_interval = 0\n[urls]\nprefix = "/apps"\n')
    run("systemctl", "reload", UNIT)
    wait_for(lambda: server.get("/apps/alice/").text == "hello", RELOADED, "the new settings")
    assert "0" == ask("NRestarts")

    published = next(line for line in journal("-o", "cat") if "account=alice" in line)
    assert published.startswith("level=info event=app.published account=alice")
    warned = journal("-o", "cat", "-p", "warning")
    assert ["app.rejected"] == sorted({re.findall(r"event=(\S+)", line)[0] for line in warned})

    began = time.monotonic()
    run("systemctl", "stop", UNIT)
    assert STOP > time.monotonic() - began
    assert "success" == ask("Result")
    assert "daemon.stopped" in journal("-o", "cat")[-1]
    assert "hello" == server.get("/apps/alice/").text


@pytest.mark.box(systemd=True, timeout=300)
def test_dead_hung_or_deaf_it_is_started_anew(
    server: Server, homes: Homes, program: Program
) -> None:
    """After a KILL, a STOP, and a watcher that no longer hears; each time the state comes right."""
    program.write_settings("[timing]\nreload_interval = 0\n")
    homes.create("alice")
    note = f"+/bin/sh -c 'echo $$SERVICE_RESULT >>{ENDS}'"
    install("RestartSec=100ms", "WatchdogSec=6", f"ExecStopPost={note}")
    run("systemctl", "start", UNIT)
    pid = fresh_pid(0)
    for _ in range(6):  # twice the watchdog's time, in its own pings
        last = ask("WatchdogTimestampMonotonic")
        wait_for(lambda last=last: ask("WatchdogTimestampMonotonic") != last, 10, "a ping")
    assert pid == fresh_pid(0), "it lives, and is let live"

    for number in range(6):  # more often than systemd's own patience of five in ten seconds
        os.kill(pid, signal.SIGKILL)
        homes.bare("alice", body=f"version {number}")
        pid = wait_for(lambda pid=pid: fresh_pid(pid), 90, "it to be ready again")
        assert (STATE / "apps/alice").exists()
    wait_for(lambda: server.get("/django/alice/").text == "version 5", 20, "what was missed")

    os.kill(pid, signal.SIGSTOP)
    homes.bare("alice", body="while it hung")
    pid = wait_for(lambda: fresh_pid(pid), 90, "the watchdog to start another")
    assert ["signal"] * 6 + ["watchdog"] == ENDS.read_text().split()
    wait_for(lambda: server.get("/django/alice/").text == "while it hung", 20, "what was missed")

    with deafened(pid):  # the loop goes round and writes its canary; nobody tells it so
        wait_for(lambda: ask("SubState") == "stop-watchdog", 90, "the watchdog to end it")
    pid = wait_for(lambda: fresh_pid(pid), 90, "another to be ready")
    assert ["watchdog"] * 2 == ENDS.read_text().split()[6:]
    homes.bare("alice", body="heard again")
    wait_for(lambda: server.get("/django/alice/").text == "heard again", 20, "it to hear")


@contextmanager
def deafened(pid: int) -> Iterator[None]:
    """Hold the one thread of a daemon that reads the kernel's events, and no other."""
    tasks = Path(f"/proc/{pid}/task")

    def polls() -> list[Path]:
        # Not who listens to apps, and waits in an epoll.
        tells = ((task, (task / "wchan").read_text()) for task in tasks.iterdir())
        return [task for task, where in tells if where.startswith("poll_schedule")]

    wait_for(lambda: len(polls()) == 1, 10, "the reader alone to wait: no app is being visited")
    (reader,) = polls()
    # Its tracer has to let it go on at each system call; and does not.
    tracer = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", reader.name])
    try:
        wait_for(lambda: f"TracerPid:\t{tracer.pid}" in (reader / "status").read_text(), 10)
        tracer.send_signal(signal.SIGSTOP)
        yield
    finally:
        tracer.kill()
        tracer.wait()


@pytest.mark.box(systemd=True)
def test_it_and_apache_start_in_any_order(apache: Server, homes: Homes, program: Program) -> None:
    """Before Apache's first start, both at once, and after a `userdel` while both were down."""
    program.write_settings("[timing]\nreload_interval = 0\n")
    for name in ("alice", "bob"):
        homes.create(name)
        homes.bare(name, body=f"I am {name}")
    install()

    run("systemctl", "start", UNIT)
    assert apache.parent() is None, "a stopped Apache is never started by us"
    assert "2 apps, 0 rejected, generation 1" == ask("StatusText")
    apache.start()
    assert "I am alice" == apache.get("/django/alice/").text
    assert "I am bob" == apache.get("/django/bob/").text

    for order in ([UNIT, "apache2"], ["apache2", UNIT]):
        run("systemctl", "stop", *order)
        homes.bare("alice", body=f"{order[0]} was named first")
        run("systemctl", "start", *order)
        assert f"{order[0]} was named first" == apache.get("/django/alice/").text
        assert "success" == ask("Result")

    run("systemctl", "stop", UNIT, "apache2")
    # bob's daemon outlives Apache's parent by a moment, and userdel says that bob is logged in.
    wait_for(lambda: homes.remove("bob", check=False).returncode in {0, 6}, 20, "bob to be gone")
    run("systemctl", "start", "apache2")  # an unknown `user=` would be the end of this
    assert f"{order[0]} was named first" == apache.get("/django/alice/").text
    assert 404 == apache.get("/django/bob/").status


@pytest.mark.box(systemd=True)
def test_a_fork_bomb_ends_at_its_students_limit(
    apache: Server, homes: Homes, program: Program
) -> None:
    """It is per uid: no more processes for that student, and neighbours are served."""
    homes.create("alice")
    homes.bare("alice")
    homes.create("eve")
    homes.bare("eve", source=BOMB)
    install()
    limit = int(re.findall(r"^LimitNPROC=(\d+)", run("systemctl", "cat", "apache2"), re.M)[0])
    program.once("--no-reload")
    apache.start()

    made, why = apache.get("/django/eve/", timeout=60).text.split(" ", 1)

    assert "Resource temporarily unavailable" == why
    assert limit - 30 < int(made) < limit
    assert "hello" == apache.get("/django/alice/").text
    uid = uid_of("eve")
    mine = [pid for pid in all_pids() if Path(f"/proc/{pid}").stat().st_uid == uid]
    assert limit >= len(mine)
    for pid in mine:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.box(systemd=True)
def test_its_exposure_is_what_it_says() -> None:
    """By systemd's own judgement, of the unit as shipped; the lines are all understood."""
    install()
    said = run("systemd-analyze", "security", "--no-pager", UNIT)
    score = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)[0]
    assert float(score) <= EXPOSURE
    assert f"says {EXPOSURE}" in (SHIPPED / UNIT).read_text()
    assert "" == run("systemd-analyze", "verify", str(UNITS / UNIT))
