"""Takes every connection that Apache offers, past all limits of mod_wsgi's, and never answers one.

The limits are kept by mod_wsgi's own code in this very process, which is ours.
"""

import contextlib
import socket
import threading

from own_memory import answering

held = []


def hold(listener):
    """Accept for ever."""
    while True:
        held.append(listener.accept()[0])


def begin():
    """Find the socket at which this daemon listens, and let nobody else answer there."""
    for fd in range(3, 64):
        try:
            listener = socket.socket(fileno=fd)
        except OSError:  # no socket
            continue
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.detach()
            continue
        held.append(listener)  # its end would be the end of the descriptor, which is not its own
        listener.listen(4096)
        listener.setblocking(True)
        with contextlib.suppress(RuntimeError):  # as many threads as there may be
            for _ in range(8):
                threading.Thread(target=hold, args=(listener,), daemon=True).start()
        return {"listens": listener.getsockname()}
    return {"listens": None}


application = answering(begin)
