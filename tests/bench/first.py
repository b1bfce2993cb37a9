"""What the runner adds to an app's first request, and to what a loaded app weighs.

Beside the bare script, which mod_wsgi loads by itself: in both a daemon process that is up and has
loaded nothing is asked once.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.bench import load, save, school
from tests.bench.beside import Pair, pairs, rows, turn_by_turn
from tests.bench.figures import Figure, quantile
from tests.lab.apache import all_pids
from tests.lab.waiting import wait_for

_ACCOUNTS = 10
"""Of each kind; each is asked for the first time again and again."""
_SETTLED = 0.5
"""Seconds after which a new daemon process has started its interpreter."""


def run(samples: int, django: int = 0) -> list[Figure]:
    """Measure so many first requests of each kind, in turn; with `django`, of its projects."""
    ready = _project if django else save.ready  # no virtualenv, of which the bare one knows nothing
    ours: list[float] = []
    theirs: list[float] = []
    weight: dict[bool, list[float]] = {True: [], False: []}
    with pairs(_ACCOUNTS, ready, "[probe]\nenabled = false\n") as pair:
        while len(ours) < samples:
            mine, bare = turn_by_turn(pair, lambda index, _: _sample(pair, index, weight))
            ours += mine
            theirs += bare
    what = "Django's first request" if django else "a first request"
    return [
        *rows(f"{what}, {samples} samples", ours, "the bare script", theirs),
        Figure(f"{what}: the process then weighs", quantile(weight[True], 0.5), "MB",
               "the bare script", quantile(weight[False], 0.5)),
    ]  # fmt: skip


def _project(index: int) -> None:
    draft, script = school.django_project(index)
    draft.rename(script)


def _sample(pair: Pair, index: int, weight: dict[bool, list[float]]) -> float:
    def own() -> list[int]:
        # One that a stanza by hand has no name for; the other, which nobody asks, is called slp-….
        return [pid for pid in processes(index) if named(pid) == (index in pair.ours)]

    for pid in own():
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists(), 20, "it to end", every=0.01)
    (pid,) = wait_for(own, 20, "another process", every=0.01)
    time.sleep(_SETTLED)
    started = time.perf_counter()
    code, _ = load.get(pair.url(index))
    taken = (time.perf_counter() - started) * 1e3
    assert code == 200
    time.sleep(0.1)  # what the runner does once it has loaded
    weight[index in pair.ours].append(own_memory(pid))
    return taken


def processes(index: int) -> list[int]:
    """Return the pids of an account's daemon processes, by their uid."""
    found = []
    for pid in all_pids():
        try:
            if os.stat(f"/proc/{pid}").st_uid == school.FIRST_UID + index:
                found.append(pid)
        except OSError:
            continue
    return found


def named(pid: int) -> bool:
    """Whether it is a daemon process that has a name of its own."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"(wsgi:")


def own_memory(pid: int) -> float:
    """Return what a process has that is nobody else's, in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kb = sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))
    return kb / 1024
