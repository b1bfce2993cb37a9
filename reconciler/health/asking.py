"""One request to this machine's Apache, whose answer is bounded in bytes and in time.

HTTP/1.0, and no compression: a body is then what comes until the end, without chunks to be decoded
and without bombs. An answer may drip, never end, or lie about its length: of its head and its body
so many bytes are read, by one deadline. *Measured*: the standard library's client waits for as long
as each byte comes within the timeout, and for as many `100 Continue` as are sent.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_HEAD = 64 * 1024
MAX_BODY = 256 * 1024
"""Bytes: what a page loads and leads to is told in fewer."""
PORTS = {"http": 80, "https": 443}
_AGENT = "slp-reconciler (asks once after a change)"
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |\Z)")


@dataclass(frozen=True, slots=True)
class Place:
    """What is asked for. All of it is printable ASCII, without spaces: a request's line has it."""

    scheme: str
    host: str
    """As the header has it, maybe with a port."""
    path: str
    """With its query."""

    @property
    def url(self) -> str:
        """The address as a browser shows it."""
        return f"{self.scheme}://{self.host}{self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came."""

    status: int
    location: str
    is_page: bool
    """It says that it is HTML, and is not compressed all the same."""
    body: bytes
    """Its beginning."""


class SilenceError(OSError):
    """Nothing came that is an answer; the text says what did."""


class Address:
    """Where Apache listens: the only address that is ever connected to."""

    def __init__(self, url: str) -> None:
        """`url` is `verify_url`: scheme, address and maybe a port."""
        parts = urlsplit(url)
        self.scheme, self._host = parts.scheme, parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]

    def port(self, scheme: str) -> int:
        """Return where it speaks `scheme`: its own port, or the usual one of the other."""
        return self._port if scheme == self.scheme else PORTS[scheme]

    def ask(self, method: str, place: Place, deadline: float) -> Answer:
        """Ask once, until `deadline` (by time.monotonic).

        Raises:
            SilenceError: something listens, and did not answer.
            OSError: nothing listens.
        """
        request = (
            f"{method} {place.path} HTTP/1.0\r\nHost: {place.host}\r\nUser-Agent: {_AGENT}\r\n"
            "Accept: text/html,*/*;q=0.8\r\nAccept-Encoding: identity\r\n\r\n"
        ).encode("ascii")
        with contextlib.ExitStack() as stack:
            address = self._host, self.port(place.scheme)
            sock = stack.enter_context(socket.create_connection(address, _left(deadline)))
            try:
                if place.scheme == "https":
                    name = urlsplit(f"//{place.host}").hostname
                    sock = stack.enter_context(_anybody().wrap_socket(sock, server_hostname=name))
                sock.sendall(request)
                return _parsed(_received(sock, deadline))
            except TimeoutError:
                raise SilenceError("it did not answer in time") from None
            except OSError as error:
                raise SilenceError(error.strerror or str(error)) from error


def _received(sock: socket.socket, deadline: float) -> bytes:
    """Return what came until the end, the deadline or the bound; of an answer cut off, its part."""
    data = bytearray()
    try:
        while len(data) < MAX_HEAD + MAX_BODY:
            sock.settimeout(_left(deadline))
            more = sock.recv(65536)
            if not more:
                break
            data += more
    except TimeoutError:
        if not _head(bytes(data)):
            raise
    return bytes(data)


def _head(data: bytes) -> tuple[bytes, bytes] | None:
    """Return head and body; those of answers that only announce another are left out."""
    start = 0
    while True:
        end = data.find(b"\r\n\r\n", start, MAX_HEAD)
        if end < 0:
            return None
        status = _STATUS.match(data[start:end].partition(b"\r\n")[0])
        if status is None or not status[1].startswith(b"1"):
            return data[start:end], data[end + 4 :]
        start = end + 4


def _parsed(data: bytes) -> Answer:
    found = _head(data)
    if found is None:
        raise SilenceError("it answered nothing" if not data else "its answer's head has no end")
    head, body = found
    first, *lines = head.split(b"\r\n")
    status = _STATUS.match(first)
    if status is None:
        raise SilenceError("its answer is no HTTP")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    plain = headers.get("content-encoding", "identity").lower() == "identity"
    is_page = plain and kind in {"text/html", "application/xhtml+xml"}
    return Answer(int(status[1]), headers.get("location", ""), is_page, body[:MAX_BODY])


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _anybody() -> ssl.SSLContext:
    """Return a context that trusts anybody: this machine is asked, maybe by a self-signed name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
