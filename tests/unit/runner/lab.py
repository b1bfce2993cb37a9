"""A student's home, the set that a program makes of it, and processes that run it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from reconciler.model import App, Run
from reconciler.publish.sets import Sets

HOST = Path(__file__).with_name("host.py")


def pythons() -> list[str]:
    """Return ours, and the oldest and newest from 3.9 on that this machine has; or all of them.

    All, with SLP_EVERY_PYTHON set: that takes a minute and a half for five.
    """
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for path in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3.*")):
        version = path.name.removeprefix("python")
        if version.replace(".", "").isdigit():
            found.setdefault(version, str(path))
    for minor in range(9, 20):
        if path_of := shutil.which(f"python3.{minor}"):
            found.setdefault(f"3.{minor}", path_of)
    versions = sorted(found, key=lambda version: int(version.split(".")[1]))
    all_of_them = [found[version] for version in versions if int(version.split(".")[1]) >= 9]
    if os.environ.get("SLP_EVERY_PYTHON"):
        return all_of_them
    return list(dict.fromkeys([sys.executable, all_of_them[0], all_of_them[-1]]))


class Student:
    """A home with a project `shop`, its set, its socket."""

    def __init__(self, place: Path, python: str = sys.executable) -> None:
        self.place, self.python = place, python
        self.home = place / "home"
        self.project = self.home / "shop"
        self.told_at = str(place / "told")
        self.listen()
        self.app = App(
            "alice", os.getuid(), os.getgid(), str(self.project / "shop/wsgi.py"),
            str(self.project), str(self.project / "shop"), (), None, None, (1, 2, 3),
            run=Run(url="/django/alice", told=self.told_at),
        )  # fmt: skip
        self.processes: list[Host] = []

    def listen(self) -> None:
        """Be the daemon."""
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(self.told_at)

    def stop_listening(self) -> None:
        """Be a daemon that ends; its socket's name stays."""
        self._ear.close()

    def save(self, path: str, text: str) -> Path:
        """Write a file of the project as an editor does."""
        file = self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f".{file.name}.new")
        new.write_text(text)
        return new.rename(file)

    def start(self, **run: Any) -> Host:
        """Publish the app, and start a process for it, which loads nothing yet."""
        from msgspec.structs import replace

        sets = Sets(str(self.place / "state"))
        sets.prepare()
        sets.publish(replace(self.app, run=replace(self.app.run, **run)))
        host = Host(self, self.place / f"socket{len(self.processes)}")
        self.processes.append(host)
        return host

    def told(self, event: str | None = None, within: float = 10.0) -> dict[str, Any]:
        """Return the next report, or the next one of this event."""
        end = time.monotonic() + within
        while True:
            self._ear.settimeout(max(0.01, end - time.monotonic()))
            said: dict[str, Any] = json.loads(self._ear.recv(8192))
            if event in (None, said["event"]):
                return said

    @property
    def log(self) -> str:
        """What `~/.slp/app.log` says."""
        file = self.home / ".slp/app.log"
        return file.read_text() if file.exists() else ""

    def close(self) -> None:
        """End the processes that are left."""
        for host in self.processes:
            host.process.kill()
            host.process.communicate()
        self._ear.close()


class Host:
    """A process that loads and runs the app."""

    def __init__(self, student: Student, place: Path) -> None:
        self._place = str(place)
        wsgi = student.place / "state/apps/alice/app.wsgi"
        environment = {"HOME": str(student.home), "PYTHONWARNINGS": "error", "LANG": "C.UTF-8"}
        self.stderr = student.place / f"{place.name}.stderr"
        with self.stderr.open("wb") as errors:
            self.process = subprocess.Popen(
                [student.python, str(HOST), str(wsgi), self._place],
                stdout=subprocess.PIPE, stderr=errors, env=environment, cwd="/",
            )  # fmt: skip
        assert self.process.stdout is not None
        assert b"ready\n" == self.process.stdout.readline(), self.stderr.read_text()

    def ask(self, within: float = 30.0, **environ: str) -> dict[str, Any]:
        """Ask for a page; return status, headers, body, pid. {} where the process ends over it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(within)
            client.connect(self._place)
            client.sendall(json.dumps(environ).encode() + b"\n")
            try:
                with client.makefile("rb") as stream:
                    line = stream.readline()
            except ConnectionResetError:
                line = b""
        return json.loads(line) if line else {}

    def ended(self, within: float = 10.0) -> int:
        """Wait for its end; return its status."""
        return self.process.wait(within)

    def is_there(self, during: float) -> bool:
        """Whether it is still there after so many seconds."""
        try:
            self.process.wait(during)
        except subprocess.TimeoutExpired:
            return True
        return False
