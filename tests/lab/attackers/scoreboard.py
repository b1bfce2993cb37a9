"""Reads neighbours' request lines in the scoreboard, or stops the server by writing to it."""

import ctypes
import os
import re
import threading
import time

from own_memory import SHARED, answering, contents, regions

REQUEST = re.compile(rb"(?:GET|POST|HEAD) /[ -~]+")
END = b"$!"
"""What Apache's parent writes to the pipe at which its workers wait, so that one of them ends."""


def act(write=""):
    """Return the request lines seen; with `write`, also begin to write, for as long as we live."""
    if write:
        threading.Thread(target=overwrite, daemon=True).start()
    found = {line.decode() for data in contents(SHARED) for line in REQUEST.findall(data)}
    return {"requests": sorted(found)}


def overwrite():
    """Keep every place in the scoreboard taken, and tell workers to end: none takes theirs."""
    time.sleep(0.5)  # so that whoever asked has an answer
    while True:
        for begin, end in regions(SHARED):
            ctypes.memset(begin, 0xFF, end - begin)
        for name in os.listdir("/proc/self/fd"):
            try:
                if os.readlink(f"/proc/self/fd/{name}").startswith("pipe:"):
                    os.set_blocking(int(name), False)
                    os.write(int(name), END * 16)
            except OSError:  # the end for reading, or it is full
                continue
        time.sleep(0.05)


application = answering(act)
