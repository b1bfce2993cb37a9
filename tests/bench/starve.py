"""One app whose clients all sleep, and what its neighbours feel; against mod_wsgi's defaults."""

from __future__ import annotations

import contextlib
import socket
import time

from tests.bench import load, school
from tests.bench.figures import Figure, quantile
from tests.lab.apache import Server
from tests.lab.program import Program

_NEIGHBOURS = 10
_SLEEPER = """\
import time
def application(environ, start_response):
    time.sleep(3600)
"""
_DEFAULTS = """\
[daemons.options]
threads = 15
listen-backlog = 100
connect-timeout = 15
queue-timeout = 0
request-timeout = 60
socket-timeout = 60
"""
"""What mod_wsgi does where it is told nothing."""


def run(clients: int, seconds: float) -> list[Figure]:
    """Measure with so many clients, who leave when they are turned away, or come back at once."""
    school.enroll(_NEIGHBOURS + 1)
    for index in range(_NEIGHBOURS + 1):
        school.project(index, packages=2)
    script = school.ROOT / school.name(_NEIGHBOURS) / "mysite/mysite/wsgi.py"
    script.write_text(_SLEEPER)
    server = Server()
    server.configure()
    rows = []
    for they, again in (("leave", False), ("come back", True)):
        ours = _measure(server, "", clients, seconds, again=again)
        theirs = _measure(server, _DEFAULTS, clients, seconds, again=again)
        rows += [
            Figure(
                f"{clients} clients that {they}: {name}", mine, unit, "mod_wsgi's defaults", other
            )
            for name, unit, mine, other in zip(
                ("neighbours asked", "failed", "p50", "p99"),
                ("", "", "ms", "ms"),
                ours,
                theirs,
                strict=True,
            )
        ]
    return rows


def _measure(
    server: Server, options: str, clients: int, seconds: float, *, again: bool
) -> tuple[float, ...]:
    school.settings(options)
    Program().once("--no-reload", timeout=60)
    server.restart()
    paths = [f"/django/{school.name(index)}/" for index in range(_NEIGHBOURS)]
    for path in paths:
        load.until(path, path.split("/")[2].encode())
    crowd: list[socket.socket] = []
    came = 0
    with load.Load(paths, rate=50) as pressure:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            crowd = [one for one in crowd if _waits(one)]
            with contextlib.suppress(OSError):  # nobody takes more: that is crowd enough
                while len(crowd) < clients and (again or came < clients):
                    crowd.append(_client())
                    came += 1
            time.sleep(0.1)
    for one in crowd:
        one.close()
    ms = pressure.heard.ms
    return len(ms), pressure.heard.failures, quantile(ms, 0.5), quantile(ms, 0.99)


def _client() -> socket.socket:
    one = socket.create_connection(("127.0.0.1", 80), timeout=5)
    one.sendall(f"GET /django/{school.name(_NEIGHBOURS)}/ HTTP/1.0\r\n\r\n".encode())
    one.setblocking(False)
    return one


def _waits(one: socket.socket) -> bool:
    """Whether nobody has answered it yet."""
    try:
        one.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        pass
    one.close()
    return False
