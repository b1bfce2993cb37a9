"""Holds a lease on a static file of its own: whoever opens it waits until the kernel ends it."""

import ctypes
import fcntl
import os
import signal
import threading
import time

from own_memory import answering

FILE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "static", "held.css")
BREAK = 46.0
"""Seconds after which the kernel has taken it away: one more than `fs.lease-break-time` is."""


def begin():
    """Take a lease, and take it again whenever the kernel took it away."""
    # It would end the process; and no thread but the first may say so by Python.
    ctypes.CDLL(None).signal(signal.SIGIO, ctypes.c_void_p(1))  # SIG_IGN
    threading.Thread(target=hold, daemon=True).start()
    time.sleep(0.2)
    return {}


def hold():
    """Keep it for ever."""
    while True:
        descriptor = os.open(FILE, os.O_WRONLY)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            while fcntl.fcntl(descriptor, fcntl.F_GETLEASE) == fcntl.F_WRLCK:
                time.sleep(0.01)
            time.sleep(BREAK)  # somebody waits to open it
        except OSError:  # somebody has it open
            pass
        os.close(descriptor)


application = answering(begin)
