"""A whole college under `isolated`: its apps come, change and go while others are visited.

Nobody's visit is to fail, Apache is never to be reloaded, and its configuration is to be the same,
byte by byte, throughout.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from tests.bench.figures import Figure, quantile
from tests.lab.apache import CONF, STATE, Server
from tests.lab.homes import Homes
from tests.lab.program import Program
from tests.lab.units import UNIT, ask, install, isolate
from tests.lab.units import run as command
from tests.lab.waiting import wait_for

FRONT = Path("/run/slp-reconciler/front")
NEIGHBOURS = ("alice", "bob")
SAMPLED = 50
"""So many of the class are asked for their app: each is a process that begins."""
SETTINGS = """\
[apache]
template_set = "isolated"
[probe]
enabled = false
[safety]
max_withdrawn_count = 100000
max_withdrawn_share = 1.0
"""
APP = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{}"]
"""
_TICKS = os.sysconf("SC_CLK_TCK")


class Visitor:
    """Asks for the neighbours' apps, again and again."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.took: list[float] = []
        self.failed = 0

    @contextmanager
    def visits(self) -> Iterator[None]:
        """Go on meanwhile."""
        self.took, over = [], threading.Event()

        def go_on() -> None:
            while not over.is_set():
                for name in NEIGHBOURS:
                    began = time.perf_counter()
                    try:
                        answer = self.server.get(f"/django/{name}/", timeout=10)
                        self.failed += (200, name) != (answer.status, answer.text)
                    except (OSError, HTTPException):
                        self.failed += 1
                    self.took.append((time.perf_counter() - began) * 1e3)
                over.wait(0.005)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def run(count: int) -> list[Figure]:
    """Let `count` accounts come, change and go."""
    server, homes, program = Server(), Homes(), Program()
    server.configure()
    isolate()
    names = [f"s{number}" for number in range(count)]
    homes.enrol(*NEIGHBOURS, *names)
    for name in NEIGHBOURS:
        homes.bare(name, body=name)
    server.start()
    program.write_settings(SETTINGS)
    install()
    command("systemctl", "start", UNIT)
    for name in NEIGHBOURS:
        wait_for(lambda n=name: server.get(f"/django/{n}/").text == n, 20, name)  # type: ignore[misc]
    visitor, reloads, text = Visitor(server), server.reloads(), _configuration()
    with visitor.visits():
        time.sleep(5)
    quiet = quantile(visitor.took, 0.99)
    memory, cpu = _memory(1), _cpu(1)
    found: list[Figure] = []

    def stage(what: str, act: Callable[[], object], is_done: Callable[[], bool]) -> None:
        before = _cpu(1), time.perf_counter()
        with visitor.visits():
            act()
            acted = time.perf_counter()
            wait_for(is_done, 600, what, every=0.05)
            ended = time.perf_counter()
        share, worst = (_cpu(1) - before[0]) / (ended - before[1]), quantile(visitor.took, 0.99)
        found.extend(
            [
                Figure(f"{what}: seconds that the students took", acted - before[1], "s"),
                Figure("and until the last of it was so", ended - acted, "s"),
                Figure("a neighbour's answer meanwhile, p99", worst, "ms", "before", quiet),
                Figure("PID 1's share of a processor", share, ""),
            ]
        )

    def write(text: str) -> None:
        for name in names:
            homes.bare(name, source=APP.format(text))

    def delete() -> None:
        for name in names:
            homes.delete(name, "mysite")

    def answers(text: str) -> bool:
        sampled = names[:: max(1, count // SAMPLED)]
        return all(server.get(f"/django/{n}/", timeout=60).text == text for n in sampled)

    def stand() -> int:
        return len(os.listdir(FRONT)) - len(NEIGHBOURS)

    stage(f"{count} first apps", lambda: write("first"), lambda: stand() == count)
    found.append(Figure("PID 1's memory for each of them", (_memory(1) - memory) / count, "KB"))
    began = time.perf_counter()
    assert answers("first")
    found.append(Figure(f"the first answers of {SAMPLED}", time.perf_counter() - began, "s"))
    stage(f"{count} changes", lambda: write("second"), lambda: answers("second"))
    stage(f"{count} withdrawals", delete, lambda: stand() == 0)
    resident = _memory(int(ask("MainPID"))) / 1024
    return [
        Figure("reloads of Apache for all of this", server.reloads() - reloads, ""),
        Figure("visits of neighbours that failed", visitor.failed, ""),
        Figure("files of Apache's configuration that differ", _configuration() != text, ""),
        *found,
        Figure("the daemon's memory", resident, "MB"),
        Figure("PID 1's time in all", _cpu(1) - cpu, "s"),
    ]


def _configuration() -> str:
    files = sorted(
        p for place in (CONF, STATE / "current/") for p in place.rglob("*") if p.is_file()
    )
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _memory(pid: int) -> int:
    """Return the kilobytes of memory that a process has to itself or with others."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))


def _cpu(pid: int) -> float:
    """Return the seconds of a processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
