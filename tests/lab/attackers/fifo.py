"""Swaps a static file of its own and a FIFO: who saw a file and opens the FIFO waits."""

import ctypes
import os
import threading

from own_memory import answering

AT_FDCWD = -100
RENAME_EXCHANGE = 2
STATIC = os.path.join(os.path.dirname(os.path.dirname(__file__)), "static")


def begin():
    """Swap them for as long as we live, as fast as the kernel does it."""
    fifo = os.path.join(STATIC, "fifo")
    if not os.path.exists(fifo):
        os.mkfifo(fifo)
    names = os.path.join(STATIC, "held.css").encode(), fifo.encode()
    threading.Thread(target=swap, args=names, daemon=True).start()
    return {}


def swap(one, other):
    """Exchange two names for ever."""
    rename = ctypes.CDLL(None).renameat2
    while True:
        rename(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)


application = answering(begin)
