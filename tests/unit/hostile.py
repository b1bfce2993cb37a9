"""A server that answers with whatever bytes a test says, as students and attackers do."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

Play = bytes | str | Callable[[], Iterable[bytes]]
"""What is sent: at once, or piece by piece for as long as it is taken."""


def page(body: str, status: str = "200 OK", *headers: str) -> str:
    """Return the answer that is this page."""
    head = "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: text/html; charset=utf-8", *headers])
    return f"{head}\r\n\r\n{body}"


def to(location: str, status: str = "302 Found") -> str:
    """Return a redirect."""
    return f"HTTP/1.1 {status}\r\nLocation: {location}\r\n\r\n"


def drip(data: bytes, every: float = 0.02) -> Callable[[], Iterable[bytes]]:
    """Return a play that sends a byte at a time."""

    def play() -> Iterator[bytes]:
        for n in range(len(data)):
            yield data[n : n + 1]
            time.sleep(every)

    return play


def without_end(start: bytes, piece: bytes) -> Callable[[], Iterable[bytes]]:
    """Return a play that never ends by itself."""

    def play() -> Iterator[bytes]:
        yield start
        while True:
            yield piece

    return play


class Stage:
    """A server at an address of this machine's; what it does not know is not found."""

    def __init__(self) -> None:
        self.plays: dict[str, Play] = {}
        """By path with its query; "*" is for all others."""
        self.asked: list[tuple[str, str, str]] = []
        """Method, path and Host of each request, in order."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def heads(self) -> list[str]:
        """Return the paths that were asked for by HEAD."""
        return [path for method, path, _ in self.asked if method == "HEAD"]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                more = connection.recv(65536)
                if not more:
                    return
                request += more
            head, *lines = request.decode("latin-1").split("\r\n")
            method, path, _ = head.split(" ")
            (host,) = (line.partition(": ")[2] for line in lines if line.startswith("Host: "))
            self.asked.append((method, path, host))
            missing = page("", "404 Not Found")
            play = self.plays.get(path, self.plays.get("*", missing))
            if callable(play):
                for piece in play():
                    connection.sendall(piece)
            else:
                data = play.encode() if isinstance(play, str) else play
                connection.sendall(
                    data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else data
                )
