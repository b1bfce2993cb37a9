"""From a script rewritten to the new code's answer; against mod_wsgi's own restart on `touch`."""

from __future__ import annotations

import os
import random
import time

from tests.bench import load, rivals, school
from tests.bench.figures import Figure, quantile
from tests.lab.apache import CONF, Server
from tests.lab.program import Program


def run(samples: int) -> list[Figure]:
    """Measure turn by turn, an account of ours and one of the manual's own stanza."""
    ours, theirs = range(samples), range(samples, 2 * samples)
    school.enroll(2 * samples)
    for index in (*ours, *theirs):
        school.project(index, packages=2)
    with (CONF / "conf-enabled/zz-by-hand.conf").open("w") as file:
        for index in theirs:
            home = school.ROOT / school.name(index)
            file.write(rivals.STANZA.format(name=school.name(index), home=home))
    school.settings(f"[daemons]\nbudget = {2 * samples}\n[timing]\nresync = 3600\n")
    server = Server()
    server.configure()
    program = Program()
    program.once("--no-reload", timeout=120)
    server.start()
    chance = random.Random(7)
    taken: dict[bool, list[float]] = {True: [], False: []}
    with program.daemon(timeout=60):
        time.sleep(3)
        for pair in zip(ours, theirs, strict=True):
            for index in pair:
                taken[index in ours].append(
                    _sample(index, "django" if index in ours else "hand", chance.random())
                )
    against = "mod_wsgi's own, on touch"
    return [
        Figure(f"change, {samples} samples: {share}",
               quantile(taken[True], at), "ms", against, quantile(taken[False], at))
        for share, at in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    ]  # fmt: skip


def _sample(index: int, prefix: str, phase: float) -> float:
    path = f"/{prefix}/{school.name(index)}/"
    load.until(path, school.name(index).encode())
    draft = school.put(index, f"{school.name(index)} anew")
    time.sleep(0.3 + phase)  # anywhere in the second in which Apache looks at its children
    started = time.perf_counter()
    os.rename(draft, draft.parent / "mysite/wsgi.py")
    load.until(path, f"{school.name(index)} anew".encode(), pause=0.002)
    return (time.perf_counter() - started) * 1e3
