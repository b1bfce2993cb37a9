"""20,000 creations over 500 homes at once, with and without an overflow of the kernel's queue."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

import msgspec

from tests.bench import school
from tests.bench.figures import Figure
from tests.lab.program import STATE, Daemon, Program

_MOST = 60
"""Seconds until a state that is still not right is given up: far above the limit, and below the
resync, which would mend it."""


def run(homes: int, creations: int) -> list[Figure]:
    """Measure seconds from the last creation until every link is as it should be."""
    school.enroll(homes)
    for index in range(homes):
        school.project(index, packages=2)
    school.settings(
        "[daemons]\nbudget = 20000\n[timing]\nresync = 3600\n"
        '[apache]\nconfigtest = ["true"]\nreload = ["true"]\n'
    )
    rows = []
    with Program().daemon(timeout=120) as daemon:
        time.sleep(3)
        for what, paused in (("burst", False), ("burst with an overflow", True)):
            before = _memory(daemon)
            created, settled, overflows = _burst(daemon, homes, creations, what, paused=paused)
            rows += [
                Figure(f"{what}: {creations} creations took", created, "s"),
                Figure(f"{what}: right after the last", settled, "s", "the limit", 5),
                Figure(f"{what}: memory", _memory(daemon), "MB", "before", before),
                Figure(f"{what}: overflows seen", overflows, ""),
            ]
    return rows


def _burst(
    daemon: Daemon, homes: int, creations: int, text: str, *, paused: bool
) -> tuple[float, float, int]:
    """Return seconds of the burst, seconds until right after it, and overflows told of."""
    seen = len(daemon.events("watch.overflow"))
    if paused:  # nobody reads the queue, whose 16,384 places are then too few
        os.kill(daemon.pid, signal.SIGSTOP)
    began = time.perf_counter()
    for number in range(creations // homes):
        for index in range(homes):
            uid = school.FIRST_UID + index
            package = school.ROOT / school.name(index) / f"p{number % 4}"
            if not package.is_dir():
                package.mkdir()
                os.chown(package, uid, uid)
            draft = package / ".draft"
            draft.write_text(school.SCRIPT % f"{text} {number}")
            os.chown(draft, uid, uid)
            os.rename(draft, package / "wsgi.py")
    # The app of each home is the one that it had; its last change is this one.
    right: dict[str, tuple[int, int, int]] = {}
    for index in range(homes):
        draft = school.put(index, text)
        place = draft.parent / "mysite/wsgi.py"
        os.rename(draft, place)
        told = os.stat(place)
        right[school.name(index)] = (told.st_ino, told.st_size, told.st_mtime_ns)
    created = time.perf_counter() - began
    if paused:
        os.kill(daemon.pid, signal.SIGCONT)
    last = time.perf_counter()
    while wrong := _wrong(right):
        if time.perf_counter() - last > _MOST:
            told = {name: Program().account(name) for name in wrong[:3]}
            raise TimeoutError(f"{len(wrong)} are wrong, among them {told}\n{daemon.tail()}")
        time.sleep(0.05)
    settled = time.perf_counter() - last
    return created, settled, len(daemon.events("watch.overflow")) - seen


def _wrong(right: Mapping[str, tuple[int, int, int]]) -> list[str]:
    """Return the accounts whose set is not of the script that is there."""
    wrong = []
    for name, identity in right.items():
        try:
            app = msgspec.json.decode((STATE / "apps" / name / "app.json").read_bytes())
        except OSError:
            app = {"identity": None}
        if app["identity"] != list(identity):
            wrong.append(name)
    return wrong


def _memory(daemon: Daemon) -> float:
    with open(f"/proc/{daemon.pid}/status") as status:
        told = dict(line.split(":", 1) for line in status)
    return int(told["VmHWM"].split()[0]) / 1024
