"""An Apache that tests, reloads and answers as it is told: the one fake at the foreign boundary.

It reads what is really on disk: staged files, `current` at a reload. So a test says what Apache
takes offence at, and judges by what Apache runs in the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.clock import Clock
from reconciler.publish.apache import Answer, Asked, Tested, TestUnavailableError
from reconciler.publish.command import CommandError
from reconciler.publish.configuration import FILES, Configuration, parse
from reconciler.publish.outcome import Wanted
from reconciler.publish.protocol import Publisher
from reconciler.settings import Settings, StateDirectory

HEAD = "Alias /.slp/{} /marker\n".format("0" * 32)


class SetClock(Clock):
    """A clock that stands still until it is set."""

    def __init__(self, now: float = 1000.0, boot: str = "this boot") -> None:
        self.time = now
        self.id = boot

    def now(self) -> float:
        """Return what it was set to."""
        return self.time

    def boot(self) -> str:
        """Return the boot that it was set to."""
        return self.id


@dataclass
class FakeServer:
    """One Apache, and all that was asked of it."""

    state: Path
    calls: list[str] = field(default_factory=list)
    offends: str = "Bogus"
    """A word that no test lets through."""
    unread: frozenset[str] = frozenset()
    """Files that the test of what is staged does not read."""
    broken: str | None = None
    """A fault of Apache's own files: in every test."""
    untestable: str | None = None
    unreloadable: str | None = None
    alive: bool = True
    dies: bool = False
    """It ends at a reload."""
    deaf: bool = False
    """It does not answer."""
    strange: set[str] = field(default_factory=set)
    """Words with which it serves something else."""
    dead_apps: bool = False
    """The marker is served, and no app answers."""
    side: str = "as it is"
    runs: Configuration | None = None

    def test(self, generation: str) -> Tested:
        self.calls.append("test")
        if self.untestable:
            raise TestUnavailableError(self.untestable)
        read = set(FILES) - self.unread
        return Tested(self.broken or self._offence(Path(generation), read), self.unread)

    def test_in_place(self) -> str | None:
        self.calls.append("test in place")
        if self.untestable:
            raise TestUnavailableError(self.untestable)
        return self.broken or self._offence(self.state / "current", FILES)

    def _offence(self, where: Path, names: Iterable[str]) -> str | None:
        texts = [(where / name).read_text() for name in names if (where / name).exists()]
        return f"Invalid command '{self.offends}'" if self.offends in "".join(texts) else None

    def obstacle(self, unread: frozenset[str]) -> str | None:
        return f"apache2.conf, line 1: {sorted(unread)}" if len(unread) > 1 else None

    def running(self) -> bool:
        return self.alive

    def fingerprint(self, *, process: bool) -> str:
        return f"{self.side} {process}"

    def reload(self) -> None:
        self.calls.append("reload")
        if self.unreloadable:
            raise CommandError(self.unreloadable, status=1)
        self.alive = not self.dies
        self.runs = published(self.state)

    def marker(self, digest: str) -> str:
        return f"/.slp/{digest}"

    def canary(self, digest: str) -> str:
        return f"/.slp/app/{digest}"

    def look(self, asked: Asked) -> Answer:
        self.calls.append("look")
        return self._answer(asked)

    def wait(self, asked: Asked, *, allow: float) -> Answer:
        self.calls.append(f"wait {allow:g}")
        return self._answer(asked)

    def _answer(self, asked: Asked) -> Answer:
        if self.deaf or not self.alive:
            return Answer(False, "the marker did not answer", silent=True)
        text = "" if self.runs is None else str(self.runs.files)
        if self.runs is None or self.runs.digest != asked.digest:
            return Answer(False, "/.slp/ answered 404")
        if any(word in text for word in self.strange):
            return Answer(False, "/.slp/ answered 401")
        if asked.canary and self.dead_apps:
            return Answer(False, "/.slp/app/ answered 503")
        return Answer(True, "is served")

    def count(self, call: str) -> int:
        """Return how often it was asked for this, and forget it."""
        found = self.calls.count(call)
        self.calls = [one for one in self.calls if one != call]
        return found


def published(state: Path) -> Configuration | None:
    """Return what `current` says."""
    if not os.path.lexists(state / "current"):
        return None
    return parse({name: (state / "current" / name).read_bytes() for name in FILES})


def configuration(
    *names: str, head: str = "", ids: tuple[int, int] | None = None, **texts: str
) -> Configuration:
    """Return a configuration of these accounts, each with a text of its own or what is given."""
    stanzas = {name: f"Daemon {name}\n" for name in names} | texts
    row = "" if ids is None else " {}:{}".format(*ids)
    body = "".join(f"#= {name}{row} =#\n{text}" for name, text in sorted(stanzas.items()))
    mine, other = f"{HEAD}{head}{body}", HEAD
    return parse(dict(zip(FILES, (mine.encode(), other.encode(), b""), strict=True)))


class Side:
    """The configuring side of one machine, in one directory."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.server = FakeServer(state)
        self.clock = SetClock()
        self.gone: set[str] = set()
        self.ids: dict[str, tuple[int, int]] = {}
        """Uid and gid of who has others than 1 and 1."""
        self.settings = Settings(state=StateDirectory(directory=str(state), keep_generations=2))
        self.begin()

    def begin(self) -> None:
        """Be a process that has just started."""
        self.publisher = Publisher(
            self.settings,
            self.server,  # type: ignore[arg-type]
            clock=self.clock,
            resolved=lambda names: {
                name: self.ids.get(name, (1, 1)) for name in names if name not in self.gone
            },
        )

    def wanted(self, wanted: Configuration, **left_out: object) -> Wanted:
        """Return it as wanted over what is current now."""
        return Wanted(wanted, left_out, self.publisher.generations.current())  # type: ignore[arg-type]

    def publish(self, wanted: Configuration, *, reload: bool = True):  # type: ignore[no-untyped-def]
        """Publish it over what is current now."""
        return self.publisher.configure(self.wanted(wanted), reload=reload)
