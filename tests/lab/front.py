"""A stand-in for what Apache asks when apps are isolated: a socket that tells what it was asked."""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import BinaryIO

FRONT = Path("/run/slp-reconciler/front")


class Teller(socketserver.StreamRequestHandler):
    """Answers one request with what it was, as JSON, or as its header `X-Answer` has it.

    `{"status": …, "headers": [[name, value], …], "body": …}`; `"close"` closes without an answer,
    and `"wait"` gives none.
    """

    server: Front

    def handle(self) -> None:
        """Answer, and close."""
        first = self.rfile.readline().decode("latin-1").rstrip("\r\n")
        if not first:
            return
        self.server.asked.append(first)
        method, path, version = first.split(" ")
        headers = []
        while (line := self.rfile.readline().decode("latin-1").rstrip("\r\n")) != "":
            name, _, value = line.partition(":")
            headers.append([name.lower(), value.strip()])
        given = dict(headers)
        wanted = json.loads(given.get("x-answer", "{}"))
        if given.get("upgrade", "").lower() == "websocket":
            upgraded = (
                f"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n{path}\n"
            )
            self.wfile.write(upgraded.encode())
            self.wfile.write(self.rfile.readline().upper())
            return
        if given.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = content(self.rfile, given)
        if wanted == "wait":
            self.server.over.wait(30)
        if wanted in ("wait", "close"):
            return
        told = {"method": method, "path": path, "version": version, "headers": headers}
        text = json.dumps({**told, "body": body.decode("latin-1"), "by": self.server.name})
        said = wanted.get("body", text).encode()
        lines = [f"HTTP/1.1 {wanted.get('status', 200)} Said", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in wanted.get("headers", [])]
        lines += [f"Content-Length: {len(said)}", "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1"))
        if method != "HEAD":
            self.wfile.write(said)


def content(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    """Return a request's body, whichever way it says its length."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return stream.read(int(headers.get("content-length", "0")))
    found = b""
    while size := int(stream.readline().split(b";")[0], 16):
        found += stream.read(size)
        stream.readline()
    stream.readline()
    return found


class Front(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """An account's socket, and who listens there."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, name: str, directory: Path = FRONT) -> None:
        self.name = name
        self.path = directory / name
        self.asked: list[str] = []
        self.over = threading.Event()
        directory.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        super().__init__(str(self.path), Teller)
        shutil.chown(self.path, "www-data")
        self.path.chmod(0o600)
        serve = {"target": self.serve_forever, "kwargs": {"poll_interval": 0.05}}
        threading.Thread(**serve, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """Whoever went away is no matter."""

    def die(self, *, leave: bool = True) -> None:
        """End; the socket is left behind, as after a crash, or not."""
        self.over.set()
        self.shutdown()
        self.server_close()
        if not leave:
            os.unlink(self.path)
