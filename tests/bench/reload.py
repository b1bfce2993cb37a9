"""How long a graceful reload stalls everybody: as shipped, and with other switches."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

from reconciler.publish.render import shipped
from tests.bench import load, rivals, school
from tests.bench.figures import Figure
from tests.lab.apache import Server
from tests.lab.program import Program

_TEMPLATES = Path("/etc/slp-reconciler/templates")
_RELOADS = 3
_RATE = 50.0
_UP = 10.0
"""Seconds in which all daemons are there after a start."""
_OVER = 15.0
"""Seconds in which a reload's stall is over."""


def run(declared: int) -> list[Figure]:
    """Measure with so many idle daemons declared: what the slowest request for a page took."""
    school.enroll(declared)
    school.settings(f'[daemons]\ndeclare = "homes"\nbudget = {declared}\n')
    server = Server()
    server.configure()
    stalls = {
        "as shipped": _stall(server, []),
        "WSGIDestroyInterpreter On": _stall(server, ["WSGIDestroyInterpreter On"]),
        "WSGILazyInitialization Off": _stall(server, ["WSGILazyInitialization Off"]),
    }
    ours = stalls.pop("as shipped")
    return [
        Figure(f"a reload of {declared} stalls for", ours, "s", against, other)
        for against, other in stalls.items()
    ]


def _stall(server: Server, lines: list[str]) -> float:
    """Return the median of several reloads, with lines of the head put in the place of ours."""
    shutil.rmtree(_TEMPLATES, ignore_errors=True)
    shutil.copytree(shipped() / "templates/stable", _TEMPLATES / "stable")
    head = _TEMPLATES / "stable/server.conf.head.j2"
    text = head.read_text()
    for line in lines:
        text = re.sub(rf"^{line.split()[0]} .*\n", "", text, flags=re.MULTILINE) + f"{line}\n"
    head.write_text(text)
    Program().once("--no-reload", timeout=120)
    server.restart()
    time.sleep(_UP)
    taken = []
    for _ in range(_RELOADS):
        with load.Load(["/"], rate=_RATE) as pressure:
            time.sleep(1)
            rivals.reload()
            time.sleep(_OVER)
        taken.append(max(pressure.heard.ms) / 1e3)
    return sorted(taken)[len(taken) // 2]
