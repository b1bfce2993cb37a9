"""From a script renamed into place to its first answer; against the floor, and a reload by hand."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable
from pathlib import Path

from reconciler.publish.sets import Sets
from tests.bench import rivals, school
from tests.bench.figures import Figure, quantile
from tests.lab.apache import Server
from tests.lab.program import STATE, Program

_PAUSE = 0.0005
"""Seconds between two requests: one who asks without a pause takes a core from who is measured."""


def run(declared: int, samples: int, homes: int, django: int = 0) -> list[Figure]:
    """Measure with so many daemons declared of so many homes; each sample is an idle daemon's.

    With `django`, each app is what `startproject` makes, and the rivals are left out: what they
    would take longer is lost in what Django takes to start.
    """
    server = Server()
    server.configure()
    server.start()
    school.enroll(homes)
    school.settings(f'[daemons]\ndeclare = "apps"\nbudget = {declared}\n[timing]\nresync = 3600\n')
    for index in range(declared):  # each has its place from the script it once had
        os.rename(school.put(index, "old", "old"), school.ROOT / school.name(index) / "old/wsgi.py")
    program = Program()
    program.once(timeout=300)
    sets = Sets(str(STATE))
    ready = school.django_project if django else _bare
    ours: list[float] = []
    floor: list[float] = []
    while len(ours) < samples:
        _clear(declared, program, server)
        with program.daemon(timeout=120):
            time.sleep(1)
            ours += [_sample(index, os.rename, ready) for index in range(declared)]
        _clear(declared, program, server)
        floor += [_sample(index, _by_hand(sets, index), ready) for index in range(declared)]
    beside = {"floor: a set's rename + request": floor}
    some = min(samples, 10)  # each takes seconds
    after = declared  # accounts without a stanza of ours
    if not django:
        beside["uWSGI Emperor, emperor-freq 1"] = rivals.emperor(after, some, "--emperor-freq", "1")
        beside["uWSGI Emperor"] = rivals.emperor(after + some, some)
        beside["by hand, and a reload"] = rivals.graceful(after + 2 * some, min(some, 5))
    what = "publish Django" if django else "publish"
    return [
        Figure(
            f"{what}, {declared} declared of {homes}: {share}",
            quantile(ours, at),
            "ms",
            against,
            quantile(other, at),
        )
        for against, other in beside.items()
        for share, at in (("p50", 0.5), ("p99", 0.99))
    ]


def _clear(declared: int, program: Program, server: Server) -> None:
    """Take every app down, and give each account a daemon that has not loaded anything."""
    for index in range(declared):
        for pattern in ("*/wsgi.py", "*/*/wsgi.py"):
            for script in (school.ROOT / school.name(index)).glob(pattern):
                script.unlink()
    program.once("--force", timeout=300)
    server.restart()
    time.sleep(2)


def _by_hand(sets: Sets, index: int) -> Callable[[Path, Path], None]:
    """Return what makes the set of an app and renames its link: no less will do."""

    def act(draft: Path, place: Path) -> None:
        os.rename(draft, place)
        sets.publish(school.app(index, place))

    return act


def _bare(index: int) -> tuple[Path, Path]:
    """Give an account a bare script, beside its place; return both."""
    draft = school.put(index, school.name(index))
    return draft, draft.with_name("wsgi.py")


def _sample(
    index: int,
    act: Callable[[Path, Path], None],
    ready: Callable[[int], tuple[Path, Path]],
) -> float:
    draft, place = ready(index)
    time.sleep(0.15)  # the directory's own event is not what is measured
    connection = http.client.HTTPConnection("127.0.0.1")
    wanted = school.name(index).encode()
    started = time.perf_counter()
    act(draft, place)
    while True:
        connection.request("GET", f"/django/{school.name(index)}/")
        if connection.getresponse().read() == wanted:
            break
        if time.perf_counter() - started > 30:
            raise TimeoutError(school.name(index))
        time.sleep(_PAUSE)
    taken = (time.perf_counter() - started) * 1e3
    connection.close()
    return taken
