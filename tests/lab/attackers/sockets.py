"""Looks for the sockets at which other apps get their requests, or tell how they are."""

import os
import pwd
import socket

from own_memory import answering


def look():
    """Return at which sockets this process listens, and which others it can reach."""
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
        known = {line.split()[-1] for line in stream if "/wsgi." in line or "/slp-" in line}
    mine = f"/told/{pwd.getpwuid(os.getuid()).pw_name}"
    for path in sorted(known):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_UNIX, kind) as own:
                try:
                    own.connect(path)
                except OSError:
                    continue
                if not path.endswith(mine):
                    reached.append(path)
    return {"known": sorted(known), "listens": sorted(listens), "reached": reached}


application = answering(look)
