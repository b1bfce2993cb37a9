"""An app that raises without end, and one that sets traps for the runner, harm nobody else."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import ERROR_LOG
from tests.lab.homes import APP
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

SECONDS = 5
MOST_LOGGED = 1 << 20
"""Bytes that an app may add to Apache's log in a test, whatever it does."""
LOG_BYTES = 262_144
"""What `~/.slp/app.log` may have, and its predecessor again: the default of `[apps] log_bytes`."""

WORKS = APP.format(body="It works.")
RAISES = """\
import logging
import sys
import threading
import time


def endless():
    raise RuntimeError("again " * 20)


def loudly():
    while True:
        time.sleep(0.001)
        try:
            endless()
        except RuntimeError:
            logging.exception("it raised")
        print("and again", file=sys.stderr)


threading.Thread(target=loudly, daemon=True).start()


def application(environ, start_response):
    endless()
"""
"""A thousand times a second by itself, and once for each request as well."""

OVERWRITES = """\
import gc
import os
import signal
import socket
import sys
import threading
import time
import types


def worthless(*args, **words):
    raise OSError("not today")


def overwrite():
    while True:
        for thing in gc.get_objects():
            if isinstance(thing, types.FunctionType) and "/runner/" in thing.__code__.co_filename:
                own = thing.__globals__
                own.update({name: worthless for name in own if name[:2] != "__"})
        os.write = os.open = os.read = os._exit = os.kill = worthless
        socket.socket = threading.Thread = time.time = worthless
        signal.signal = worthless
        sys._current_frames = sys.excepthook = worthless
        time.sleep(0.05)


threading.Thread(target=overwrite, daemon=True).start()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"It works."]
"""
"""Writes over the runner's functions, and over what they call, again and again."""

FLOOD = """\
import json, os, socket, sys
for _ in range(10):
    if os.fork() == 0:
        break
ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ours.setblocking(False)
report = json.dumps({"event": "failed", "code": "raises", "name": "\\x1b[2J\\0"}).encode()
while True:
    for account, size in (("mallory", 1), ("alice", 1), ("mallory", 500), ("mallory", 2000)):
        try:
            ours.sendto(report * size, "/run/slp-reconciler/told/" + account)
        except OSError:
            pass
"""
"""Ten processes that tell as fast as they can, of others too, and more than a datagram may have."""

TRAPS = {
    "linkto": "mkdir .slp; ln -s /srv/precious .slp/app.log",
    "linkdir": "ln -s /srv/theirs .slp",
    "pipe": "mkdir .slp; mkfifo .slp/app.log",
    "folder": "mkdir -p .slp/app.log",
    "shut": "mkdir .slp; chmod 000 .slp",
    "file": "echo >.slp",
    "device": "mkdir .slp",
    "full": "mkdir .slp; cat /dev/zero >.slp/rest 2>/dev/null || :",
}
"""What lies where the log would; root's part is in `set_traps`."""


@contextmanager
def set_traps(homes: Homes) -> Iterator[None]:
    """Lay them, with root's help where it takes that."""
    Path("/srv/precious").write_text("precious")
    os.chmod("/srv/precious", 0o666)
    Path("/srv/theirs").mkdir(mode=0o777)
    os.chmod("/srv/theirs", 0o777)
    disk = homes.home("full")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", disk], check=True)
    shutil.chown(disk, "full", "full")
    for account, trap in TRAPS.items():
        if account != "full":
            homes.sh(account, trap)
    homes.bare("full", source="print('It speaks.')\n" + WORKS)
    homes.sh("full", TRAPS["full"])
    device = homes.home("device") / ".slp/app.log"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
    shutil.chown(device, "device", "device")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def answers(server: Server, account: str) -> bool:
    """Assert that an app works; return True."""
    answer = server.get(f"/django/{account}/")
    assert (200, "It works.") == (answer.status, answer.text)
    return True


def latency(server: Server, account: str, seconds: float) -> float:
    """Return how long 99 % of an account's answers took at most, in ms; each must be right."""
    end, taken = time.monotonic() + seconds, []
    while time.monotonic() < end:
        answer = server.get(f"/django/{account}/")
        assert 200 == answer.status
        taken.append(answer.ms)
        time.sleep(0.01)
    return quantiles(taken, n=100)[98]


def visited(account: str, seconds: float) -> subprocess.Popen[bytes]:
    """Have an app visited by four who come back at once, for so long."""
    command = ["wrk", "-t1", "-c4", f"-d{seconds}s", f"http://127.0.0.1/django/{account}/"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


@pytest.mark.box
def test_an_app_that_raises_a_thousand_times_a_second_fills_no_disk_no_log_and_no_queue(
    server: Server, homes: Homes, program: Program
) -> None:
    """Its own log is bounded, Apache's and ours nearly still, a neighbour as with a mute app."""
    homes.enrol("alice", "mute", "loud")
    homes.bare("alice", source=WORKS)
    homes.bare("mute", source=WORKS)
    with program.daemon() as daemon:
        for account in ("alice", "mute"):
            wait_for(lambda account=account: answers(server, account), 20)  # type: ignore[misc]
        with visited("mute", SECONDS):
            calm = latency(server, "alice", SECONDS - 1)

        homes.bare("loud", source=RAISES)
        wait_for(lambda: 500 == server.get("/django/loud/").status, 20, "it to raise")
        before, told = ERROR_LOG.stat().st_size, daemon.mark()
        with visited("loud", SECONDS):
            beside = latency(server, "alice", SECONDS - 1)
        logged = ERROR_LOG.stat().st_size - before
        own = sum(file.stat().st_size for file in (homes.home("loud") / ".slp").iterdir())

    print(f"p99 {calm:.1f} -> {beside:.1f} ms, Apache's log {logged}, its own {own} bytes")
    assert logged < MOST_LOGGED
    assert LOG_BYTES / 4 < own <= 2 * LOG_BYTES + 65_536
    assert len(daemon.events()) - told <= 10
    # Two cores for visitors, Apache and the app that shouts: a factor says more than a number.
    assert beside < 3 * calm + 20


@pytest.mark.box
def test_a_trap_in_place_of_the_log_and_a_runner_overwritten_hurt_their_own_account_alone(
    server: Server, homes: Homes, program: Program
) -> None:
    """Each app answers, nothing of others is written, and a neighbour's failure is told in time."""
    homes.enrol("alice", "mallory", *TRAPS)
    with set_traps(homes), program.daemon():
        for account in TRAPS.keys() - {"full"}:
            homes.bare(account, source="print('It speaks.')\n" + WORKS)
        homes.bare("alice", source=WORKS)
        homes.bare("mallory", source=OVERWRITES)
        # What it has done to itself is its own affair; it runs.
        wait_for(lambda: 404 != server.get("/django/mallory/").status, 20, "mallory")
        for account in (*TRAPS, "alice"):
            wait_for(lambda account=account: answers(server, account), 20, account)  # type: ignore[misc]
        assert "precious" == Path("/srv/precious").read_text()
        assert [] == os.listdir("/srv/theirs")

        flood = subprocess.Popen(
            ["/sbin/runuser", "-u", "mallory", "--", "/usr/bin/python3", "-c", FLOOD],
            start_new_session=True,
        )
        try:
            failing_is_told_and_mended_is_back(server, homes, program)
        finally:
            os.killpg(flood.pid, signal.SIGKILL)
            flood.wait()
        homes.bare("mallory", source=WORKS.replace("It works.", "It is mended."))
        # A process that cannot end itself any more is ended by mod_wsgi's timeouts, of 5 s each.
        wait_for(lambda: "It is mended." == server.get("/django/mallory/").text, 30, "mallory")


def failing_is_told_and_mended_is_back(server: Server, homes: Homes, program: Program) -> None:
    """Alice makes a mistake and mends it; both are seen within ten seconds."""
    homes.bare("alice", source="import nowhere\n" + WORKS)
    wait_for(
        lambda: (
            500 == server.get("/django/alice/").status
            and "missing-module" == program.account("alice")["health"]["code"]
        ),
        10,
        "alice's failure to be told",
    )
    homes.bare("alice", source=WORKS)
    wait_for(
        lambda: (
            answers(server, "alice") and "working" == program.account("alice")["health"]["state"]
        ),
        10,
        "alice's app to be back",
    )
