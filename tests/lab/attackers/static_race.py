"""Swaps a directory of the app's own and a link to `target`, as fast as the kernel does it."""

import ctypes
import os
import threading

from own_memory import answering

AT_FDCWD = -100
RENAME_EXCHANGE = 2


def begin(target):
    """Swap `static/d` and a link for as long as we live; both hold a file `secret`."""
    static = os.path.join(os.path.dirname(os.path.dirname(__file__)), "static")
    directory, link = os.path.join(static, "d"), os.path.join(static, "link")
    os.makedirs(directory)
    with open(os.path.join(directory, "secret"), "w") as stream:
        stream.write("mine")
    os.symlink(target, link)
    threading.Thread(target=swap, args=(directory.encode(), link.encode()), daemon=True).start()
    return {}


def swap(one, other):
    """Exchange two names for ever."""
    rename = ctypes.CDLL(None).renameat2
    while True:
        rename(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)


application = answering(begin)
