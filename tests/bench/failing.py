"""From a save that breaks an app until its student is told; against Apache's bare 500."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable

from tests.bench import load, school
from tests.bench.beside import Pair, pairs, rows, turn_by_turn
from tests.bench.figures import Figure
from tests.bench.save import put, ready, save
from tests.lab.program import STATE

_BROKEN = "import rest_framework\n"
_MODULE = b"rest_framework"
_MOST = 60.0
"""Seconds."""


def run(samples: int) -> list[Figure]:
    """Measure turn by turn: the save, then its URL, asked all the time; and the status of ours."""
    status: list[float] = []
    with pairs(samples, ready) as pair:
        ours, theirs = turn_by_turn(pair, lambda index, phase: _sample(pair, index, phase, status))
    what = f"a load fails, {samples} samples"
    against = "Apache's bare 500, after a touch"
    return [
        *rows(f"{what}, told at its URL", ours, against, theirs),
        *rows(f"{what}, told in the status", status, against, theirs),
    ]


def _sample(pair: Pair, index: int, phase: float, status: list[float]) -> float:
    url = pair.url(index)
    load.until(url, school.name(index).encode())
    draft = put(index, _BROKEN)
    time.sleep(0.5 + phase)
    started = time.perf_counter()
    save(pair, index, draft)

    def at_its_url() -> bool:
        code, body = load.get(url)
        return code == 500 and (index in pair.theirs or _MODULE in body)

    until(at_its_url)
    taken = (time.perf_counter() - started) * 1e3
    if index in pair.ours:
        until(lambda: _state(index) == "failing")
        status.append((time.perf_counter() - started) * 1e3)
    return taken


def _state(index: int) -> str:
    told = json.loads((STATE / "status.json").read_bytes())["accounts"][school.name(index)]
    return str((told["health"] or {}).get("state"))


def until(told: Callable[[], bool]) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + _MOST
    while time.monotonic() < deadline:
        try:
            if told():
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.002)
    raise TimeoutError(f"not told within {_MOST} s")
