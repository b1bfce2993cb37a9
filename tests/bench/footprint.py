"""Memory, threads, descriptors, watches and idle CPU of the daemon; against one recursive watch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from reconciler.publish.verify import CANARY
from tests.bench import school
from tests.bench.figures import Figure
from tests.lab.apache import CONF, Server
from tests.lab.program import STATE, Program

_RECURSIVE = """
import sys, time
from watchdog.observers import Observer
from watchdog.events import FileSystemEventHandler
started = time.time()
observer = Observer()
observer.schedule(FileSystemEventHandler(), sys.argv[1], recursive=True)
observer.start()
print(time.time() - started, flush=True)
time.sleep(600)
"""


def run(homes: int, idle: float) -> list[Figure]:
    """Measure a daemon over so many homes, idle for `idle` seconds; the rival over the same."""
    school.enroll(homes)
    for index in range(homes):
        school.project(index, packages=30)
    school.settings(
        "[daemons]\nbudget = 20000\n[timing]\nresync = 3600\n"
        '[apache]\nconfigtest = ["true"]\nreload = ["true"]\n'
    )
    # An Apache that answers for every marker and canary, and has none of the daemons: one has not
    # room for them.
    server = Server()
    server.configure(includes=False)
    canary = Path("/srv/canary")
    canary.write_text(CANARY)
    (CONF / "conf-enabled/marker.conf").write_text(
        f"AliasMatch ^/django/.slp/app/ {canary}\nAliasMatch ^/django/.slp/ {STATE}/pages/.marker\n"
        f"<Directory {STATE}/pages>\nRequire all granted\n</Directory>\n"
        f"<Directory {canary.parent}>\nRequire all granted\n</Directory>\n"
    )
    server.start()
    program = Program()
    with program.daemon(timeout=300) as daemon:
        daemon.wait_event("generation.published", timeout=60)
        time.sleep(5)
        before = _cpu(daemon.pid)
        time.sleep(idle)
        cpu = (_cpu(daemon.pid) - before) * 60 / idle
        ours = _size(daemon.pid)
    rival = subprocess.Popen(
        [sys.executable, "-c", _RECURSIVE, str(school.ROOT)], stdout=subprocess.PIPE, text=True
    )
    assert rival.stdout is not None
    started = float(rival.stdout.readline())
    theirs = _size(rival.pid)
    rival.kill()
    rival.wait()
    against = "one recursive watch"
    rows = [
        Figure(f"{what}, {homes} homes", ours[what], unit, against, theirs[what])
        for what, unit in (("memory", "MB"), ("threads", ""), ("descriptors", ""), ("watches", ""))
    ]
    rows.append(Figure("watches a home", ours["watches"] / homes, ""))
    rows.append(Figure("idle CPU a minute, outside the resync", cpu * 1e3, "ms"))
    rows.append(Figure("(the recursive watch needs to start)", started, "s"))
    return rows


def _size(pid: int) -> dict[str, float]:
    with open(f"/proc/{pid}/status") as status:
        told = dict(line.split(":", 1) for line in status)
    watches = 0
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        with open(f"/proc/{pid}/fdinfo/{fd}") as info:
            watches += sum(line.startswith("inotify") for line in info)
    return {
        "memory": int(told["VmRSS"].split()[0]) / 1024,
        "threads": int(told["Threads"]),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "watches": watches,
    }


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
