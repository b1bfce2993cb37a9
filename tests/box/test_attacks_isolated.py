"""What a student's app can do under `isolated`, and from A21 on under `stable` as well.

As in test_attacks.py, what SECURITY.md says succeeds is asserted to. A machine with systemd takes a
second and more to begin, so attacks share one: each has a mallory of its own, and what would stop
the server comes last.
"""

from __future__ import annotations

import contextlib
import copy
import os
import re
import signal
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import mends
from tests.lab.apache import all_pids
from tests.lab.attacks import ATTACKS, SUCCEEDS, Attack, uid, uid_of_process, visited
from tests.lab.attacks_further import FURTHER
from tests.lab.ground import Ground, attacker
from tests.lab.units import ask, run
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

ALL = {attack.id: attack for attack in (*ATTACKS, *FURTHER)}
FLOODS = ("A7", "A8", "A9", "A20", "A25", "A30")
"""What would stop the server: where none is to succeed, all at once."""
STOPS = ("A26", "A31", "A27")
"""What does stop it, one after the other: A27 last, since who waited is waited for."""
PATIENCE = 6.0
"""Seconds. Visitors come all at once, and what has no limit is held from the first one on."""
RELAYED = 24
"""Connections that a relay lets through."""
RING = """\
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
said = libc.syscall(425, 1, ctypes.create_string_buffer(120))  # io_uring_setup
name = errno.errorcode[ctypes.get_errno()] if said < 0 else "a ring"
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [name.encode()]
"""
STUDENTS = 1000
"""From this uid on they begin."""
SLOW = 1.0
"""Seconds for a neighbour's answer, on a busy machine; it takes a millisecond or two."""


@pytest.fixture
def ground(apache: Server, homes: Homes, program: Program) -> Ground:
    """A class, and Apache."""
    ground = Ground(apache, homes, program)
    ground.patience = PATIENCE
    return ground


def enlist(ground: Ground, ids: Iterable[str]) -> dict[str, Ground]:
    """Give each attack a mallory of its own; return each one's ground."""
    attacks = {id: ALL[id] for id in ids}
    ground.enlist({mallory(attack): attack.script for attack in attacks.values()})
    grounds = {id: copy.copy(ground) for id in attacks}
    for id, one in grounds.items():
        one.mallory = mallory(attacks[id])
    return grounds


def mallory(attack: Attack) -> str:
    """Return the account of an attack."""
    return f"mallory-{attack.id.lower()}"


def succeeded(grounds: dict[str, Ground], ids: Collection[str]) -> set[str]:
    """Carry these out, one after the other; return which succeeded."""
    return {id for id in ids if ALL[id].succeeds(grounds[id])}


def flooded(grounds: dict[str, Ground], ids: Collection[str]) -> set[str]:
    """Carry these out all at once; return which succeeded, or seemed to by another's doing."""
    with ThreadPoolExecutor(len(ids)) as pool:
        outcomes = pool.map(lambda id: ALL[id].succeeds(grounds[id]), ids)
        return {id for id, outcome in zip(ids, outcomes, strict=True) if outcome}


def expected(template_set: str, ids: Iterable[str]) -> set[str]:
    """Return which of them SECURITY.md says succeed."""
    return set(ids) & SUCCEEDS[template_set]


@pytest.mark.box(systemd=True, timeout=180)
def test_what_is_others_stays_theirs_but_for_what_security_md_says(ground: Ground) -> None:
    """Apache's memory, descriptors and logs, neighbours' homes and requests, the machine."""
    ground.open("isolated")
    ids = sorted(ALL.keys() - {*FLOODS, *STOPS, "A14"})
    grounds = enlist(ground, [*ids, "A14"])
    assert expected("isolated", ids) == succeeded(grounds, ids)
    mends.keep_no_request_lines(ground)
    assert set() == succeeded(grounds, ["A21"])
    assert {"A14"} == succeeded(grounds, ["A14"]), "which asks the whole site for a password"


@pytest.mark.box(systemd=True, timeout=240)
def test_no_apps_process_alone_stops_the_server(
    ground: Ground, request: pytest.FixtureRequest
) -> None:
    """Nor do six that do their worst at once, of 400 visitors each; what does is told."""
    ground.open("isolated")
    grounds = enlist(ground, [*FLOODS, *STOPS])
    request.addfinalizer(lambda: end_all(ground))
    assert set() == flooded(grounds, FLOODS)

    # Who sleeps, and who lets nobody connect, with 300 visitors: what that costs neighbours.
    paths = [f"/django/{mallory(ALL[id])}/" for id in ("A20", "A25")]
    with visited(paths, 300):
        wait_for(lambda: busy(ground) >= RELAYED, 10, "the visitors")
        failed, took = visit_neighbours(ground)
    assert ([], True) == (failed, max(took) < SLOW), took
    assert statistics.median(took) < SLOW / 10
    # They are gone, and Apache has its workers back but those that a relay let through: of these
    # two apps, and of A9 before. It has 150.
    wait_for(lambda: busy(ground) <= 3 * RELAYED + 3, 3, "Apache's workers")
    assert [] == visit_neighbours(ground, seconds=0.5)[0]

    assert expected("isolated", STOPS) == succeeded(grounds, STOPS)


def end_all(ground: Ground) -> None:
    """End Apache and students' processes, for which the machine's own end would wait 15 s."""
    of_apache = ground.server.processes()
    for pid in all_pids():
        if pid in of_apache or uid_of_process(pid) >= STUDENTS:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def busy(ground: Ground) -> int:
    """Return how many of Apache's workers are not idle."""
    text = ground.server.get("/server-status?auto").text
    found = re.search(r"^BusyWorkers: (\d+)", text, re.MULTILINE)
    assert found, text
    return int(found[1])


def visit_neighbours(ground: Ground, seconds: float = 2.0) -> tuple[list[str], list[float]]:
    """Visit alice and bob, again and again; return what failed, and how many seconds each took."""
    failed, took = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for account in ("alice", "bob"):
            began = time.monotonic()
            try:
                answer = ground.server.get(f"/django/{account}/", timeout=5)
                if answer.status != 200:
                    failed.append(f"{account}: {answer.status}")
            except (OSError, HTTPException) as problem:
                failed.append(f"{account}: {problem!r}")
            took.append(time.monotonic() - began)
        time.sleep(0.01)
    return failed, took


@pytest.mark.box(systemd=True, timeout=240)
def test_under_stable_the_further_attacks_end_as_security_md_says(
    ground: Ground, request: pytest.FixtureRequest
) -> None:
    """From A21 on; those before are in test_attacks.py."""
    ground.open("stable")
    request.addfinalizer(lambda: end_all(ground))
    stops = STOPS if os.environ.get("SLP_THOROUGH") else ()
    ids = [attack.id for attack in FURTHER if attack.id not in {*STOPS} - {*stops}]
    grounds = enlist(ground, ids)
    quiet = [id for id in ids if id not in {*FLOODS, *STOPS}]
    floods = [id for id in ids if id in FLOODS]
    found = succeeded(grounds, quiet) | flooded(grounds, floods) | succeeded(grounds, stops)
    assert expected("stable", ids) == found


@pytest.mark.box(systemd=True, timeout=120)
def test_an_app_has_its_share_of_the_machine_as_the_settings_say(ground: Ground) -> None:
    """Processes, memory and processor, of one app and of all together; a test's kernel bounds none.

    So what is looked at is what systemd would tell the kernel.
    """
    ground.open("isolated", '[apps]\nmemory = "300M"\ncpu = "50%"\ntasks = 32\n')
    ground.homes.bare("alice", source=RING)
    wait_for(lambda: ground.server.get("/django/alice/").text == "EPERM", 20, "no io_uring")
    unit = "slp-app@alice.service"
    names = ("MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec", "TasksMax", "LimitCORE", "Slice")
    wanted = [str(300 << 20), "0", "500ms", "32", "0", "slp-apps.slice"]
    assert wanted == [ask(name, unit) for name in names]
    all_of_them = "slp-apps.slice"
    assert "50" == ask("CPUWeight", all_of_them)
    for name in ("MemoryMax", "TasksMax"):
        assert ask(name, all_of_them).isdigit(), "bounded"
    kept_out = ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "PrivateIPC", "RestrictSUIDSGID")
    assert {"yes"} == {ask(name, unit) for name in kept_out}
    assert ["", "invisible"] == [ask(n, unit) for n in ("CapabilityBoundingSet", "ProtectProc")]


@pytest.mark.box(systemd=True, timeout=120)
def test_accounts_that_go_under_their_visitors_hurt_nobody_else(ground: Ground) -> None:
    """A home renamed, an account removed by force: no neighbour fails, and nothing runs on."""
    ground.open("isolated")
    ground.enlist({"mallory": "echo", "mona": "echo"})
    for name in ("mallory", "mona"):
        assert 200 == ground.server.get(f"/django/{name}/").status
    gone = uid("mona")
    with ThreadPoolExecutor(1) as pool, visited(["/django/mallory/", "/django/mona/"], 30):
        neighbours = pool.submit(visit_neighbours, ground, 4.0)
        time.sleep(0.2)
        home = ground.homes.home("mallory")
        home.rename(home.with_name("renamed"))
        ground.homes.expel("mona")
        failed, took = neighbours.result()
    assert ([], True) == (failed, max(took) < SLOW)
    wait_for(lambda: ground.server.get("/django/mona/").status == 404, 20, "her app's end")
    wait_for(lambda: not [p for p in all_pids() if uid_of_process(p) == gone], 20, "her processes'")
    home.with_name("renamed").rename(home)
    wait_for(lambda: ground.server.get("/django/mallory/").status == 200, 40, "his app again")


@pytest.mark.box(systemd=True, timeout=120)
def test_a_name_of_digits_is_nobody_elses_uid(ground: Ground) -> None:
    """`User=30001` is a uid for systemd: such an account has no app, and its unit begins none."""
    ground.open("isolated")
    ground.homes.create("victim")
    run("usermod", "--uid", "30001", "victim")
    home = ground.homes.home("30001")
    with open("/etc/passwd", "a") as passwd, open("/etc/group", "a") as group:
        passwd.write(f"30001:x:30002:30002::{home}:/bin/bash\n")
        group.write("30001:x:30002:\n")
    script = home / "mysite/mysite/wsgi.py"
    script.parent.mkdir(parents=True)
    script.write_text(attacker("echo"))
    run("chown", "-R", "30002:30002", str(home))
    ground.homes.bare("victim")

    def reason() -> str:
        code: str = ground.program.account("30001")["reason"]["code"]
        return code

    wait_for(lambda: ground.server.get("/django/victim/").status == 200, 20, "the victim's app")
    wait_for(lambda: reason() == "unsafe-name", 20, "the rejection")
    assert 200 != ground.server.get("/django/30001/").status
    assert not Path("/run/slp-reconciler/front/30001").exists()
    # Whoever begins it by hand.
    run("systemctl", "start", "slp-app@30001.socket")
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect("/run/slp-reconciler/app/30001")
        wait_for(lambda: ask("Result", "slp-app@30001.service") == "exit-code", 20, "its failure")
