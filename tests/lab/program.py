"""The program under test, run as it is installed: once, or as a daemon."""

from __future__ import annotations

import itertools
import json
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

EXECUTABLE = Path(sys.prefix) / "bin" / "slp-reconciler"
SETTINGS = Path("/etc/slp-reconciler/reconciler.toml")
STATE = Path("/var/lib/slp-reconciler")
LOGS = Path("/var/log/slp-lab")

Event = dict[str, Any]


def parse(text: str) -> list[Event]:
    """Return the log's events; lines that are no JSON objects (a traceback's) are left out."""
    events = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events


def matches(event: Event, name: str, keys: dict[str, object]) -> bool:
    """Whether an event has this name and these values."""
    return event.get("event") == name and all(
        event.get(key) == value for key, value in keys.items()
    )


@dataclass(frozen=True)
class Result:
    """One finished call of the program."""

    args: list[str]
    returncode: int
    stdout: str
    stderr: str
    events: list[Event] = field(repr=False)

    def named(self, name: str, **keys: object) -> list[Event]:
        """Return the events of this name with these values."""
        return [event for event in self.events if matches(event, name, keys)]


class Daemon:
    """The program running as a daemon, with its JSON log in a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return self.process.pid

    def events(self, name: str | None = None, **keys: object) -> list[Event]:
        """Return the log's events so far, or those of one name with these values."""
        found = parse(self.log.read_text(errors="replace"))
        return found if name is None else [event for event in found if matches(event, name, keys)]

    def mark(self) -> int:
        """Return the log's length in events, to be given to `wait_event` as `since`."""
        return len(self.events())

    def wait_event(
        self, name: str, *, timeout: float = 15.0, since: int = 0, **keys: object
    ) -> Event:
        """Return the first event of this name with these values, waiting for it.

        Events before `since` (see `mark`) do not count. Fails at once if the daemon has ended.
        """

        def look() -> Event | None:
            ended = self.process.poll()
            found = next((e for e in self.events()[since:] if matches(e, name, keys)), None)
            if found is None and ended is not None:
                # Not an AssertionError, which would mean "not yet".
                raise RuntimeError(f"the daemon ended with status {ended}:\n{self.tail()}")
            return found

        try:
            found = wait_for(look, timeout, f"event {name} {keys}")
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.tail()}") from None
        assert found
        return found

    def tail(self, lines: int = 25) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def hang_up(self) -> None:
        """HUP: settings are read again, and all is looked at."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self, timeout: float = 15.0) -> int:
        """TERM, and return the exit status; fails if it takes longer than `timeout` seconds."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"the daemon ignored TERM for {timeout:g} s\n{self.tail()}"
            ) from None

    def kill(self) -> None:
        """KILL: a crash, at whatever point it is."""
        self.process.kill()
        self.process.wait()


class Program:
    """Runs the program, and reads and writes what is its outside."""

    def __init__(
        self, executable: Path = EXECUTABLE, state: Path = STATE, settings: Path = SETTINGS
    ) -> None:
        self.executable = executable
        self.state = state
        self.settings = settings
        self.numbers = itertools.count(1)

    def run(
        self,
        *args: str,
        status: int | None = None,
        timeout: float = 60.0,
        env: dict[str, str] | None = None,
    ) -> Result:
        """Call the program with exactly these arguments; `status` is the one it must end with."""
        command = [str(self.executable), *args]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env=env,
            stdin=subprocess.DEVNULL,
        )
        result = Result(command, done.returncode, done.stdout, done.stderr, parse(done.stderr))
        if status is not None and done.returncode != status:
            raise AssertionError(
                f"{shlex.join(command)}: status {done.returncode}, expected {status}\n"
                f"{done.stdout}{done.stderr}"
            )
        return result

    def once(
        self,
        *args: str,
        status: int | None = 0,
        timeout: float = 60.0,
        env: dict[str, str] | None = None,
    ) -> Result:
        """`--once` with these arguments and the log as JSON; `status=None` allows any status."""
        return self.run(
            "--once", "--log-format", "json", *args, status=status, timeout=timeout, env=env
        )

    @contextmanager
    def daemon(
        self,
        *args: str,
        ready: str | None = "pass.done",
        timeout: float = 20.0,
        env: dict[str, str] | None = None,
    ) -> Iterator[Daemon]:
        """Run the daemon until the block's end; the block begins at its first event `ready`."""
        LOGS.mkdir(parents=True, exist_ok=True)
        log = LOGS / f"daemon-{next(self.numbers)}-{time.monotonic_ns()}.jsonl"
        command = [str(self.executable), "--log-format", "json", *args]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env
            )
        daemon = Daemon(process, log)
        try:
            if ready:
                daemon.wait_event(ready, timeout=timeout)
            yield daemon
        finally:
            if process.poll() is None:
                # TERM first, so that what it measured of its own coverage is written.
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    daemon.kill()

    def write_settings(self, toml: str) -> Path:
        """Write the settings file; return it."""
        self.settings.parent.mkdir(parents=True, exist_ok=True)
        self.settings.write_text(toml)
        return self.settings

    def status(self) -> dict[str, Any]:
        """Return `status.json` as it is now."""
        status: dict[str, Any] = json.loads((self.state / "status.json").read_text())
        return status

    def account(self, account: str) -> dict[str, Any]:
        """Return one account's part of `status.json`; a KeyError where it has none."""
        part: dict[str, Any] = self.status()["accounts"][account]
        return part
