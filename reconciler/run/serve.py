"""Serve: an app's own process answers by itself, by waitress, on the socket that systemd holds.

What mod_wsgi does for an app under `stable`: it loads once, answers by a few threads, gives its
memory back when nobody asks any more, and ends itself where all its threads are held. What
connects is the relay alone, which Apache asks; so what the first segment of a path says is what
Apache knows, and no client can say it: `/https-host/…` came by https, to the account's own host.
"""

import _thread
import logging
import os
import signal
import socket
import sys
import threading
import time

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server

from . import start
from .process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

for _name in [name for name in sys.modules if name.partition(".")[0] == "waitress"]:
    del sys.modules[_name]  # an app may bring another one

_BACKLOG = 64
_CONNECTIONS = 200  # more than the relay lets through
_LOOK = 1.0  # seconds between looks at whether it is idle, or held
_DRAIN = 5.0  # seconds that answers have to be finished
_ASKS_WITHIN = 1.0  # seconds in which a connection that was accepted has to ask
_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_SERVER")
"""Apache's own: a client's were taken away before. Under mod_wsgi there are none."""
_OF_THE_CONNECTION = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers",
    "transfer-encoding", "upgrade",
}  # fmt: skip
"""What an app has no say in: waitress would refuse the answer, where Apache passes over it."""


def serve(app: "dict[str, Any]", descriptor: int, threads: int, request_timeout: float) -> None:
    """Answer for the app on a listening socket, until it is to end."""
    Server(app, socket.socket(fileno=descriptor), threads, request_timeout).run()


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection; since when a thread is at its request is known."""

    def service(self) -> None:
        """Answer one request, wholly."""
        busy, thread = self.server.busy, _thread.get_ident()
        busy[thread] = time.monotonic()
        try:
            super().service()
        finally:
            del busy[thread]


class Server:
    """One process of an app."""

    def __init__(
        self, app: "dict[str, Any]", listener: socket.socket, threads: int, request_timeout: float
    ) -> None:
        self._app, self._threads, self._limit = app, threads, request_timeout
        self._process = Process(app)
        self._application: Callable[..., Any]
        self._loaded = _thread.allocate_lock()
        self._loaded.acquire()
        self._ends = False
        self._last = time.monotonic()
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue is no fault
        self._server = create_server(
            self._answer, sockets=[listener], threads=threads, backlog=_BACKLOG, ident=None,
            connection_limit=_CONNECTIONS, clear_untrusted_proxy_headers=False,
        )  # fmt: skip
        self._server.channel_class, self._server.busy = _Channel, {}

    def run(self) -> None:
        """Load the app, answer, and end."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        # As mod_wsgi has it: an app's handler is not installed, and the app may think that it was.
        # Python would raise, as the app is not loaded by the first thread.
        signal.signal = lambda number, _: signal.getsignal(number)  # type: ignore[assignment]
        # Not by this thread, which accepts meanwhile: whoever waits when the load ends the process
        # is told so at once, and does not wait for the next one. Nor does mod_wsgi load by it.
        self._turn(0.0)  # whoever comes first is there before the process is
        threading.Thread(target=self._load, daemon=True).start()
        while not self._ends:
            self._turn(_LOOK)
            self._look()
        self._drain()
        self._end()

    # ---- answers -------------------------------------------------------------------------------

    def _load(self) -> None:
        namespace: dict[str, Any] = {"__name__": "_slp_app"}
        start(self._app, namespace, self._process)
        self._application = namespace["application"]
        self._loaded.release()

    def _answer(self, environ: "dict[str, Any]", start_response: "Callable[..., Any]") -> "Any":
        with self._loaded:
            pass
        self._last = time.monotonic()
        self._address(environ)

        def start(status: str, headers: "list[tuple[str, str]]", *more: "Any") -> "Any":
            ours = [each for each in headers if each[0].lower() not in _OF_THE_CONNECTION]
            return start_response(status, ours, *more)

        return self._application(environ, start)

    def _address(self, environ: "dict[str, Any]") -> None:
        """Say what was asked as mod_wsgi says it."""
        form, _, path = environ["PATH_INFO"][1:].partition("/")
        scheme, _, kind = form.partition("-")
        url, path = self._app["run"]["url"] if kind == "path" else "", f"/{path}"
        if not f"{path}/".startswith(f"{url}/"):
            url = ""
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = url, path[len(url) :]
        environ["REQUEST_URI"] = environ["REQUEST_URI"][len(form) + 1 :]
        environ["wsgi.url_scheme"], environ["SERVER_SOFTWARE"] = scheme, "waitress"
        if scheme == "https":
            environ["HTTPS"] = "1"
        client = environ.get(_HEADERS[0], "").rpartition(",")[2].strip()
        for name in _HEADERS:
            environ.pop(name, None)
        environ["REMOTE_ADDR"] = client
        environ.pop("REMOTE_HOST", None)
        environ.pop("REMOTE_PORT", None)
        host = environ.get("HTTP_HOST", "")
        name, colon, port = host.rpartition(":")
        if not colon or not port.isdigit():
            name, port = host, "443" if scheme == "https" else "80"
        environ["SERVER_NAME"], environ["SERVER_PORT"] = name, port

    # ---- its end -------------------------------------------------------------------------------

    def _stop(self, *_: "Any") -> None:
        self._ends = True
        self._server.pull_trigger()

    def _turn(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._server._map, count=1)

    def _look(self) -> None:
        """End where nobody asks any more; or at once, where every thread is held."""
        now, idle = time.monotonic(), self._app["run"]["idle"]
        since = list(self._server.busy.values())
        if sum(now - each >= self._limit > 0 for each in since) >= self._threads:
            self._process.log.say(f"all threads were held for {self._limit:g} s: it is ended")
            self._process.errors.flush()
            os._exit(1)
        if idle and not self._server.active_channels and now - self._last >= idle:
            self._ends = True

    def _drain(self) -> None:
        """Accept nobody more, who then waits for the next process; finish what was begun."""
        self._server.del_channel()
        began = time.monotonic()
        while self._server.active_channels and time.monotonic() - began < _DRAIN:
            for channel in list(self._server.active_channels.values()):
                is_silent = channel.request is None and not channel.requests
                is_silent = is_silent and not channel.total_outbufs_len
                if is_silent and time.monotonic() - began >= _ASKS_WITHIN:
                    channel.will_close = True
            self._turn(0.05)

    def _end(self) -> None:
        """Let the app say farewell, and end, whatever it does."""
        import atexit

        timer = threading.Timer(_DRAIN, os._exit, (0,))
        timer.daemon = True
        timer.start()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(0)
