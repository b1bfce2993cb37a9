"""Sends signals to other processes, and looks into them."""

import ctypes
import os

from own_memory import answering

PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
PRIVATE = ("mem", "environ", "maps", "fd")


def act(pids):
    """Return which of `pids` a signal or a debugger reaches, and what can be opened of them."""
    reached, opened = [], []
    trace = ctypes.CDLL(None).ptrace
    for pid in pids.split(","):
        try:
            os.kill(int(pid), 0)
            reached.append(pid)
        except PermissionError:
            pass
        if trace(PTRACE_SEIZE, int(pid), 0, 0) == 0:
            trace(PTRACE_DETACH, int(pid), 0, 0)
            reached.append(pid)
        for name in PRIVATE:
            path = f"/proc/{pid}/{name}"
            try:
                os.listdir(path) if name == "fd" else open(path, "rb").close()
                opened.append(path)
            except OSError:
                pass
    return {"reached": reached, "opened": opened}


application = answering(act)
