"""Steady load on some apps while others change twice a second; against reloads that do the same."""

from __future__ import annotations

import contextlib
import http.client
import os
import threading
import time
from collections.abc import Callable

from tests.bench import load, rivals, school
from tests.bench.figures import Figure, quantile
from tests.lab.apache import Server, all_pids
from tests.lab.program import Program

_RATE = 100.0
_EVERY = 0.5


def run(declared: int, seconds: float) -> list[Figure]:
    """Measure with so many apps served: a third of them is asked, another third changes."""
    third = declared // 3
    school.enroll(declared)
    for index in range(declared):
        school.project(index, packages=2)
    school.settings(f"[daemons]\nbudget = {declared}\n[timing]\nresync = 60\n")
    server = Server()
    server.configure()
    program = Program()
    program.once("--no-reload", timeout=120)
    server.start()
    neighbours, changing = range(third), range(third, 2 * third)
    for index in (*neighbours, *changing):
        load.until(f"/django/{school.name(index)}/", school.name(index).encode())
    calm = _phase(neighbours, changing, seconds, None)
    with program.daemon(timeout=60):
        time.sleep(2)
        ours = _phase(neighbours, changing, seconds, lambda: None)
    theirs = _phase(neighbours, changing, seconds, rivals.reload)
    what = f"neighbours of {declared} apps, 2 changes a second: "
    rows = []
    for against, other in (("no changes", calm), ("a reload for each", theirs)):
        rows += [
            Figure(f"{what}failed", ours[0], "", against, other[0]),
            Figure(f"{what}p99", ours[1], "ms", against, other[1]),
            Figure(f"{what}slowest", ours[2], "ms", against, other[2]),
            Figure(f"{what}processes restarted", ours[3], "", against, other[3]),
        ]
    return rows


def _phase(
    asked: range, changing: range, seconds: float, then: Callable[[], None] | None
) -> tuple[float, ...]:
    """Return failures, p99, the slowest, and how many processes of those asked are others now."""
    before = _processes(asked)
    with load.Load([f"/django/{school.name(i)}/" for i in asked], rate=_RATE) as pressure:
        began = time.monotonic()
        turn = 0
        while time.monotonic() - began < seconds:
            if then is not None:
                index = changing[turn % len(changing)]
                draft = school.put(index, f"{school.name(index)} {turn}")
                os.rename(draft, draft.parent / "mysite/wsgi.py")
                then()
                threading.Thread(target=_visit, args=(index,)).start()
            turn += 1
            time.sleep(max(0.0, began + turn * _EVERY - time.monotonic()))
    heard = pressure.heard
    after = _processes(asked)
    slow = max(heard.ms)
    return heard.failures, quantile(heard.ms, 0.99), slow, len(before - after)


def _visit(index: int) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        load.get(f"/django/{school.name(index)}/")


def _processes(accounts: range) -> set[int]:
    uids = {school.FIRST_UID + index for index in accounts}
    found = set()
    for pid in all_pids():
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid in uids:
                found.add(pid)
    return found
