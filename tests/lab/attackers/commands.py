"""Reads the command lines of all processes."""

import os

from own_memory import answering


def read():
    """Return those that can be read."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                found.append(stream.read().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # gone, or not for us
            continue
    return {"commands": found}


application = answering(read)
