"""Memory of many Django apps: before anybody asked, all loaded, and forgotten again."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench import load, school
from tests.bench.figures import Figure
from tests.bench.first import own_memory, processes
from tests.lab.apache import Server
from tests.lab.program import Program
from tests.lab.waiting import wait_for

_TOGETHER = 4
"""Apps that are loaded at a time."""


def run(apps: int, idle: int) -> list[Figure]:
    """Measure the daemons' own memory, an app's share of it; `idle` is in seconds."""
    school.enroll(apps)
    for index in range(apps):
        draft, script = school.django_project(index)
        draft.rename(script)
    school.settings(
        f"[daemons]\nbudget = {apps}\n[timing]\nresync = 3600\n[probe]\nenabled = false\n"
        f"[apps]\nidle = {idle}\n"
    )
    server = Server()
    server.configure()
    program = Program()
    program.once("--no-reload", timeout=300)
    server.start()
    with program.daemon(timeout=300):
        wait_for(lambda: all(map(processes, range(apps))), 120, "every daemon", every=1)
        time.sleep(5)
        before = _weight(apps)
        began = time.monotonic()
        with ThreadPoolExecutor(_TOGETHER) as visitors:
            paths = [f"/django/{school.name(index)}/" for index in range(apps)]
            assert {200} == {code for code, _ in visitors.map(load.get, paths)}
        took = time.monotonic() - began
        assert took < idle, f"the first is forgotten before the last is loaded: {took:.0f} s"
        loaded = _weight(apps)
        wait_for(lambda: _weight(apps) < (before + loaded) / 2, 4 * idle, "most to end", every=2)
        time.sleep(took + 5)  # as far apart as they were asked
        after = _weight(apps)
    return [
        Figure(f"{apps} Django apps, loaded: an app", loaded / apps, "MB",
               "before anybody asked", before / apps),
        Figure(f"{apps} Django apps, forgotten after {idle} s: an app", after / apps, "MB",
               "before anybody asked", before / apps),
        Figure("all of them, loaded", loaded, "MB", "forgotten", after),
    ]  # fmt: skip


def _weight(apps: int) -> float:
    total = 0.0
    for index in range(apps):
        for pid in processes(index):
            try:
                total += own_memory(pid)
            except OSError:  # it ended just now
                continue
    return total
