"""Looks for the sockets at which other apps get their requests."""

import socket

from own_memory import answering


def look():
    """Return at which sockets this process listens, and which others of mod_wsgi's it can reach."""
    listens, reached, known = set(), [], set()
    for fd in range(3, 64):
        try:
            inherited = socket.socket(fileno=fd)
        except OSError:  # no socket
            continue
        if inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listens.add(str(inherited.getsockname()))
        inherited.detach()
    with open("/proc/net/unix") as stream:
        known = {line.split()[-1] for line in stream if "/wsgi." in line}
    for path in sorted(known):
        with socket.socket(socket.AF_UNIX) as own:
            try:
                own.connect(path)
            except OSError:
                continue
            reached.append(path)
    return {"known": sorted(known), "listens": sorted(listens), "reached": reached}


application = answering(look)
