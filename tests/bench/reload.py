"""How long a graceful reload stalls everybody: as shipped, and with other switches."""

from __future__ import annotations

import re
import shutil
import statistics
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
        line: _stall(server, line)
        for line in ("", "WSGIDestroyInterpreter On", "WSGILazyInitialization Off")
    }
    ours = stalls.pop("")
    return [
        Figure(f"a reload of {declared} stalls for", ours, "s", against, other)
        for against, other in stalls.items()
    ]


def _stall(server: Server, line: str) -> float:
    """Return the median of several reloads, with a line in the place of the head's own, if any."""
    shutil.rmtree(_TEMPLATES, ignore_errors=True)
    shutil.copytree(shipped() / "templates/stable", _TEMPLATES / "stable")
    head = _TEMPLATES / "stable/server.conf.head.j2"
    if line:
        text = re.sub(
            rf"^{line.split(maxsplit=1)[0]} .*\n", "", head.read_text(), flags=re.MULTILINE
        )
        head.write_text(f"{text}{line}\n")
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
    return statistics.median(taken)
