"""What it costs that systemd runs the apps: each step under `isolated`, beside `stable`.

Both on the same machine, one after the other, with the units as they are shipped.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

from tests.bench.beside import rows
from tests.bench.figures import Figure
from tests.lab.apache import Server, all_pids, uid_of
from tests.lab.homes import Homes
from tests.lab.program import Program
from tests.lab.units import UNIT, install, isolate
from tests.lab.units import run as command
from tests.lab.waiting import wait_for

_WARM = 50
"""Requests for each sample of the others."""


def run(samples: int) -> list[Figure]:
    """Measure so many of each step under both template sets."""
    server, homes, program = Server(), Homes(), Program()
    server.configure()
    isolate()
    homes.create("zoe")
    server.start()
    install()
    found = {}
    for name in ("stable", "isolated"):
        program.write_settings(f'[apache]\ntemplate_set = "{name}"\n[probe]\nenabled = false\n')
        command("systemctl", "restart", UNIT)
        found[name] = dict(_steps(server, homes, name, samples))
    return [
        figure
        for step, ours in found["isolated"].items()
        for figure in rows(step, ours, "stable", found["stable"][step])
    ]


def _steps(
    server: Server, homes: Homes, prefix: str, samples: int
) -> Iterator[tuple[str, list[float]]]:
    names = [f"{prefix}{number}" for number in range(samples)]
    yield "an account's first app, to its first 200", [_new(server, homes, name) for name in names]
    last = names[-1]
    yield (
        "a script rewritten, to the new code",
        [
            _until(server, last, lambda n=n: homes.bare(last, body=f"change {n}"), f"change {n}")
            for n in range(samples)
        ],
    )
    yield (
        "a first request, of a process that is to be begun",
        [_until(server, last, lambda: _end(last), f"change {samples - 1}") for _ in range(samples)],
    )
    yield (
        "a request",
        [
            _until(server, last, lambda: None, f"change {samples - 1}")
            for _ in range(samples * _WARM)
        ],
    )


def _new(server: Server, homes: Homes, name: str) -> float:
    homes.create(name)
    return _until(server, name, lambda: homes.bare(name, body=name), name)


def _until(server: Server, name: str, act: Callable[[], object], text: str) -> float:
    """Return the milliseconds from when it was done until it is answered."""
    act()
    began = time.perf_counter()
    while server.get(f"/django/{name}/", timeout=60).text != text:
        time.sleep(0.002)
    return (time.perf_counter() - began) * 1e3


def _end(name: str) -> None:
    """End the account's processes, as `idle` does; mod_wsgi's are there again at once."""

    def own() -> list[int]:
        return [pid for pid in all_pids() if _uid(pid) == uid_of(name)]

    before = own()
    for pid in before:
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not set(before) & set(own()), 20, "them to end", every=0.01)
    time.sleep(0.5)


def _uid(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1
