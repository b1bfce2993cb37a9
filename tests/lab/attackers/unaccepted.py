"""Lets nobody wait in its socket and accepts nobody: who connects there waits in the kernel."""

import os
import signal
import socket
import threading

from own_memory import answering


def begin():
    """Find the sockets at which this process listens, give them no backlog, and stop."""
    found = []
    for fd in range(3, 64):
        try:
            listener = socket.socket(fileno=fd)
        except OSError:  # no socket
            continue
        if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.listen(0)
            found.append(fd)
        listener.detach()
    # Once whoever asked has an answer.
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGSTOP)).start()
    return {"found": found}


application = answering(begin)
