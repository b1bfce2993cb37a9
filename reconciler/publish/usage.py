"""What apps use, where systemd runs them: the kernel counts it for each unit, for all to read."""

from __future__ import annotations

import os
import re

from reconciler.model import Usage
from reconciler.publish import files

SLICE = "/sys/fs/cgroup/slp.slice/slp-apps.slice"
"""Where the units of apps are (cgroup v2)."""
_APP = re.compile(r"slp-app@(.+)\.service")
_CPU = re.compile(rb"^usage_usec (\d+)$", re.MULTILINE)
_LIMIT = 4096


def usage() -> dict[str, Usage]:
    """Return by account what those apps use that have a process at the moment.

    Nothing where apps are run by somebody else, or where a kernel counts otherwise.
    """
    try:
        units = filter(None, map(_APP.fullmatch, os.listdir(SLICE)))
    except OSError:
        return {}
    found = {unit[1]: _counted(unit[0]) for unit in units}
    return {name: used for name, used in found.items() if (used.memory, used.cpu) != (None, None)}


def _counted(unit: str) -> Usage:
    memory = re.fullmatch(rb"(\d+)\n", _read(f"{unit}/memory.current"))
    cpu = _CPU.search(_read(f"{unit}/cpu.stat"))
    return Usage(int(memory[1]) if memory else None, int(cpu[1]) / 1e6 if cpu else None)


def _read(name: str) -> bytes:
    """Return one of the kernel's files; nothing where it counts no such thing, or any more."""
    try:
        return files.read(f"{SLICE}/{name}", limit=_LIMIT) or b""
    except OSError:  # the unit has just ended
        return b""
