"""Steady load on some apps while others change twice a second; against reloads that do the same."""

from __future__ import annotations

import contextlib
import http.client
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.publish.sets import Sets
from tests.bench import load, rivals, school
from tests.bench.figures import Figure, quantile
from tests.lab.apache import Server, all_pids
from tests.lab.program import STATE, Program

_RATE = 100.0
_EVERY = 0.5
_SOON = 0.1
"""Seconds until somebody looks at what has changed."""
_ROUNDS = 2
"""Times that each phase comes round: a machine is not the same throughout."""


@dataclass(slots=True)
class Phase:
    """What was heard of the neighbours while others changed in one way."""

    ms: list[float] = field(default_factory=list)
    failures: int = 0
    restarted: int = 0


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
    asked, changing = range(third), range(third, 2 * third)
    for index in (*asked, *changing):
        load.until(f"/django/{school.name(index)}/", school.name(index).encode())
    calm, ours, visited, floor, theirs = (Phase() for _ in range(5))
    each = seconds / _ROUNDS
    for _ in range(_ROUNDS):
        _phase(calm, asked, changing, each)
        with program.daemon(timeout=60):
            time.sleep(2)
            _phase(ours, asked, changing, each, _change)
            _settle(changing)
            _phase(visited, asked, changing, each, _visited)
            _settle(changing)
        _phase(floor, asked, changing, each, _by_hand)
        _settle(changing)
    _phase(theirs, asked, changing, min(seconds, 20), _reloaded)
    what, also = "2 changes a second", "the same, each visited"
    return [
        row
        for title, mine, against, other in (
            (what, ours, "no changes", calm),
            (also, visited, "no changes", calm),
            (also, visited, "floor: sets by hand", floor),
            (also, visited, "a reload for each", theirs),
        )
        for row in _rows(title, mine, against, other)
    ]


def _rows(what: str, ours: Phase, against: str, other: Phase) -> Iterator[Figure]:
    yield Figure(f"{what}: failed", ours.failures, "", against, other.failures)
    yield Figure(f"{what}: restarted", ours.restarted, "", against, other.restarted)
    for share in (0.5, 0.99):
        mine, theirs = (quantile(phase.ms, share) for phase in (ours, other))
        yield Figure(f"{what}: p{share * 100:g}", mine, "ms", against, theirs)


def _phase(
    heard: Phase,
    asked: range,
    changing: range,
    seconds: float,
    change: Callable[[int], object] = lambda index: None,
) -> None:
    """Add what is heard of those asked while the others change one by one."""
    before = _processes(asked)
    with load.Load([f"/django/{school.name(i)}/" for i in asked], rate=_RATE) as pressure:
        began = time.monotonic()
        turn = 0
        while time.monotonic() - began < seconds:
            change(changing[turn % len(changing)])
            turn += 1
            time.sleep(max(0.0, began + turn * _EVERY - time.monotonic()))
    heard.ms += pressure.heard.ms
    heard.failures += pressure.heard.failures
    heard.restarted += len(before - _processes(asked))


def _change(index: int) -> Path:
    """Give an app another script, and return where that is."""
    place = school.ROOT / school.name(index) / "mysite/mysite/wsgi.py"
    os.rename(school.put(index, f"{time.monotonic_ns()}"), place)
    return place


def _visited(index: int) -> None:
    _change(index)
    _visit_soon(index)


def _by_hand(index: int) -> None:
    """Do what cannot be less: the script, its set, and a visit. mod_wsgi's restart is in it too."""
    Sets(str(STATE)).publish(school.app(index, _change(index)))
    _visit_soon(index)


def _reloaded(index: int) -> None:
    _change(index)
    rivals.reload()
    _visit_soon(index)


def _settle(changing: range) -> None:
    """Ask for each that changed: a restart that is due must not fall into the next phase."""
    for index in changing:
        _visit(index)


def _visit_soon(index: int) -> None:
    threading.Timer(_SOON, _visit, args=(index,)).start()


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
