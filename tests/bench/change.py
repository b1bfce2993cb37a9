"""From a script rewritten to the new code's answer; against mod_wsgi's own restart on `touch`."""

from __future__ import annotations

import os
import time

from tests.bench import load, school
from tests.bench.beside import Pair, pairs, rows, turn_by_turn
from tests.bench.figures import Figure


def run(samples: int) -> list[Figure]:
    """Measure turn by turn, an account of ours and one of the manual's own stanza."""
    with pairs(samples, lambda index: school.project(index, packages=2)) as pair:
        ours, theirs = turn_by_turn(pair, lambda index, phase: _sample(pair, index, phase))
    return rows(f"change, {samples} samples", ours, "mod_wsgi's own, on touch", theirs)


def _sample(pair: Pair, index: int, phase: float) -> float:
    load.until(pair.url(index), school.name(index).encode())
    draft = school.put(index, f"{school.name(index)} anew")
    time.sleep(0.3 + phase)
    started = time.perf_counter()
    os.rename(draft, draft.parent / "mysite/wsgi.py")
    load.until(pair.url(index), f"{school.name(index)} anew".encode(), pause=0.002)
    return (time.perf_counter() - started) * 1e3
