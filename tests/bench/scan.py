"""The first pass and an unchanged resync, against `find` over the same tree."""

from __future__ import annotations

import subprocess
import time

from reconciler.reconcile import Reconciler
from reconciler.settings import load
from tests.bench import school
from tests.bench.figures import Figure, seconds

FIND = ["find", str(school.ROOT), "-maxdepth", "4", "-name", "wsgi.py"]


def run(homes: int) -> list[Figure]:
    """Measure over so many homes, each with a Django project and a real virtualenv."""
    school.enroll(homes)
    for index in range(homes):
        school.studio(index)
    school.settings('[daemons]\nbudget = 20000\n[apache]\nconfigtest = ["true"]\n')
    find = seconds(lambda: subprocess.run(FIND, stdout=subprocess.DEVNULL, check=True))
    reconciler = Reconciler(load())
    started = time.perf_counter()
    found = reconciler.look()
    first = time.perf_counter() - started
    reconciler.note(reconciler.configure(found.configuration, reload=False))
    time.sleep(0.2)  # what changed within a tick of the clock is looked at once more
    resync = seconds(reconciler.look)
    whole = seconds(lambda: subprocess.run(ONCE, check=True, capture_output=True), times=3)
    reconciler.close()
    return [
        Figure(f"first pass, {homes} homes, publishing all", first, "s", "find", find),
        Figure(f"unchanged resync, {homes} homes", resync, "s", "find", find),
        Figure(f"--once --no-reload, {homes} homes, unchanged", whole, "s", "find", find),
    ]


ONCE = [".venv/bin/slp-reconciler", "--once", "--no-reload"]
