"""Sees what an Apache serves, as a visitor of this machine would: the marker, and the canary.

The marker's URL carries a configuration's digest and is an alias in that configuration's own text,
so that no other configuration answers there. It shows that Apache runs this one, and not that any
app of it can run: *measured*, `threads = 0` passes every test and serves nobody. So an app of ours,
run as nobody with the options that all daemons have, is asked too.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

MARKER = "slp-reconciler\n"
"""What the marker's URL answers."""
CANARY = "slp-reconciler canary\n"
"""What the canary's does: `canary.wsgi`."""

_HOPS = 3  # requests for one answer: http, https, https under the name that the site prefers
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_PAUSES = 0.01, 1.0
"""Seconds before the second try, and the most before any: each is half as long again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: that a configuration is served."""

    digest: str
    canary: bool
    """Whether it has one: a template set of an administrator's own need not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was seen."""

    served: bool
    said: str
    """In words: the address, and what it answered."""
    silent: bool = False
    """It did not answer at all: stopped, hung or slow."""


class Verifier:
    """Asks one Apache, at one address."""

    def __init__(self, url: str, host: str, *, prefix: str, running: Callable[[], bool]) -> None:
        """`url` is scheme and address; `host` what to ask for there, "" for what `url` says."""
        self._url = url
        self._host = host or urlsplit(url).netloc
        self._prefix = prefix
        self._running = running

    def marker(self, digest: str) -> str:
        """Return the marker's path for a configuration's digest."""
        return f"{self._prefix}/.slp/{digest}"

    def canary(self, digest: str) -> str:
        """Return the canary's."""
        return f"{self._prefix}/.slp/app/{digest}"

    def look(self, asked: Asked, *, timeout: float) -> Answer:
        """Ask once; a canary whose marker is served has `timeout` seconds to start."""
        answer = self._ask(self.marker(asked.digest), MARKER, timeout)
        return self._with_canary(answer, asked, timeout)

    def wait(self, asked: Asked, *, allow: float, timeout: float) -> Answer:
        """Ask until it is served, at most `allow` seconds, each time at most `timeout`.

        Returns:
            what was seen last.
        """
        answer = self._wait(self.marker(asked.digest), MARKER, allow, timeout)
        return self._with_canary(answer, asked, allow)

    def _with_canary(self, marker: Answer, asked: Asked, allow: float) -> Answer:
        if not (marker.served and asked.canary):
            return marker
        # Each request gets all the time there is: one that hangs holds a worker of Apache's.
        answer = self._wait(self.canary(asked.digest), CANARY, allow, allow)
        if answer.silent:  # an app that hangs, or an Apache that does?
            again = self._ask(self.marker(asked.digest), MARKER, allow)
            return Answer(False, answer.said) if again.served else again
        return answer

    def _wait(self, path: str, text: str, allow: float, timeout: float) -> Answer:
        deadline = time.monotonic() + allow
        pause, most = _PAUSES
        while True:
            left = deadline - time.monotonic()
            answer = self._ask(path, text, max(0.05, min(left, timeout)))
            if answer.served or time.monotonic() + pause >= deadline:
                return answer
            if not self._running():
                return Answer(False, "Apache ended", silent=True)
            time.sleep(pause)
            pause = min(most, pause * 1.5)

    def _ask(self, path: str, text: str, timeout: float) -> Answer:
        """Ask for `path`, and follow where the site leads, at the same address always.

        A site may redirect to https, under its public name: this machine is asked for that name,
        whatever it resolves to. Led elsewhere, as to a login, is an answer as any other.
        """
        url = urlsplit(f"{self._url}{path}")
        address, host, said = url.hostname or "", self._host, ""
        for _ in range(_HOPS):
            where = _words(url, host)
            try:
                status, location, body = _get(url, address, host, timeout)
                target = urlsplit(location)
                port = target.port  # it may be no number at all
            except (OSError, http.client.HTTPException, ValueError) as error:
                why = str(error) or type(error).__name__
                silent = isinstance(error, OSError)
                return Answer(False, f"{said}{where} did not answer: {why}", silent=silent)
            if status == 200 and body == text.encode():
                return Answer(True, f"{said}{where} is served")
            said += f"{where} answered {status}"
            if status not in _REDIRECTS or target.path != path or target.scheme not in _PORTS:
                break
            said += f" to {target.scheme}://{target.netloc}; "
            host = _bracketed(target.hostname or "") + (f":{port}" if port else "")
            at = f"{_bracketed(address)}:{port or _PORTS[target.scheme]}"
            url = SplitResult(target.scheme, at, path, "", "")
        else:
            return Answer(False, f"{said}and so on")
        return Answer(False, f"{said} to {location}" if location else said)


def _get(url: SplitResult, address: str, host: str, timeout: float) -> tuple[int, str, bytes]:
    """Return the status, the Location and the beginning of what `address` answers for `host`."""
    port = url.port or _PORTS[url.scheme]
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_connection((address, port), timeout))
        if url.scheme == "https":
            name = urlsplit(f"//{host}").hostname
            sock = stack.enter_context(_anybody().wrap_socket(sock, server_hostname=name))
        connection = http.client.HTTPConnection(address, port, timeout=timeout)
        connection.sock = sock
        connection.request("GET", url.path, headers={"Host": host, "Connection": "close"})
        with connection.getresponse() as answer:
            return answer.status, answer.getheader("Location") or "", answer.read(1024)


def _anybody() -> ssl.SSLContext:
    """Return a context that trusts anybody: this machine is asked, maybe by a self-signed name."""
    # Without the system's list of authorities, whose loading took 30 times as long.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _words(url: SplitResult, host: str) -> str:
    address = f"{url.scheme}://{url.netloc}{url.path}"
    return address if host == url.netloc else f"{address} (as {host})"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
