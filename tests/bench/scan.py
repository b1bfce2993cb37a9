"""The first pass and an unchanged resync, against `find` over the same tree."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time

from reconciler.outside import Outside
from reconciler.passes import Passes
from reconciler.settings import load
from tests.bench import school
from tests.bench.figures import Figure, seconds
from tests.lab.aside import Aside
from tests.lab.program import STATE

FIND = ["find", str(school.ROOT), "-maxdepth", "4", "-name", "wsgi.py"]
ONCE = [".venv/bin/slp-reconciler", "--once", "--no-reload"]
_ROUNDS = 5


def run(homes: int) -> list[Figure]:
    """Measure over so many homes, each with a Django project and a real virtualenv."""
    school.enroll(homes)
    for index in range(homes):
        school.studio(index)
    school.settings('[daemons]\nbudget = 20000\n[apache]\nconfigtest = ["true"]\n')
    finds, firsts = [], []
    for _ in range(_ROUNDS):
        finds.append(seconds(_find, times=1))
        shutil.rmtree(STATE, ignore_errors=True)
        with _FirstPass() as one:
            pass
        firsts.append(one.heard)
    find, first = statistics.median(finds), statistics.median(firsts)
    passes = Passes(load(), Outside())
    passes.configure(passes.look().wanted, reload=False)
    time.sleep(0.2)  # what changed within a tick of the clock is looked at once more
    resync = seconds(passes.look)
    whole = seconds(lambda: subprocess.run(ONCE, check=True, capture_output=True), times=3)
    passes.close()
    return [
        Figure(f"first pass, {homes} homes, publishing all", first, "s", "find", find),
        Figure(f"unchanged resync, {homes} homes", resync, "s", "find", find),
        Figure(f"--once --no-reload, {homes} homes, unchanged", whole, "s", "find", find),
    ]


class _FirstPass(Aside[float]):
    """One in a process that never made another; what is heard is its seconds."""

    def work(self) -> float:
        passes = Passes(load(), Outside())
        started = time.perf_counter()
        passes.look()
        taken = time.perf_counter() - started
        passes.close()
        return taken


def _find() -> None:
    subprocess.run(FIND, stdout=subprocess.DEVNULL, check=True)
