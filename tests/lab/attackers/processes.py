"""Sends signals to other processes, and looks into them."""

import os

from own_memory import answering

PRIVATE = ("mem", "environ", "maps", "fd")


def act(pids):
    """Return which of `pids` a signal would reach, and what could be opened of them."""
    reached, opened = [], []
    for pid in pids.split(","):
        try:
            os.kill(int(pid), 0)
            reached.append(pid)
        except PermissionError:
            pass
        for name in PRIVATE:
            path = f"/proc/{pid}/{name}"
            try:
                os.listdir(path) if name == "fd" else open(path, "rb").close()
                opened.append(path)
            except OSError:
                pass
    return {"reached": reached, "opened": opened}


application = answering(act)
