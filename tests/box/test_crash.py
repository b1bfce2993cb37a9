"""Killed between any two steps, the program leaves old or new, whole, and the next pass goes on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.publish.configuration import FILES, parse
from tests.lab.apache import STATE
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

BEFORE = Path("/root/before")
SET = "[daemons.options]\nmaximum-requests = {}\n"
"""Another number is another configuration, so that no run finds its own already served."""
RUN = """\
import importlib, os, sys
from reconciler.cli import main
from reconciler.publish import files
sys.argv = ["slp-reconciler", "--once"]
while True:
    if not (child := os.fork()):
        if not sys.stdin.readline():
            break
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        importlib.reload(files)  # names its temporary files as no other process does
        main()
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""`slp-reconciler --once` again and again, with all imported before: that is most of its work.

Each tells its process, begins when it is told to, and tells its status.
"""
NAMES = ("rename", "symlink", "mkdir", "unlink", "unlinkat", "rmdir")
REST = ("write", "lchown", "vfork", "connect")
"""A file that was just created, a command about to run, the verification.

What `fsync` adds only a power cut can show; a kill there is one at the call that follows it.
"""
SHARE = 1 if os.environ.get("SLP_THOROUGH") else 3
"""One of so many steps is killed at: all of them are a tenth of what `make test` takes."""


@dataclass
class World:
    """A pass with every kind of step in it, which can be had any number of times.

    From before to after: alice's script changes, bob's is opened to all and must go, carol's comes,
    dave's home comes and asks for a stanza; erin minds her own business.
    """

    homes: Homes
    server: Server
    program: Program
    passes: subprocess.Popen[str]
    numbers: int = 1000
    seen: set[object] = field(default_factory=set)
    """The states between old and new in which Apache was started anew."""

    def make(self) -> None:
        """Bring about the state before, published."""
        for name in ("alice", "bob", "carol", "dave", "erin"):
            self.homes.create(name)
            self.homes.sh(name, "mkdir -p mysite/static")
            self.homes.bare(name, body=f"{name} before")
        # Renamed to and fro, they keep what a set is named by: inode, size and mtime.
        self.homes.write("alice", "two.py", (self.script).read_text().replace("before", "after"))
        os.rename(self.home("carol/mysite"), self.home("carol/.mysite"))
        self.homes.delete("dave", "mysite")
        os.rename(self.home("dave"), "/home/dave")
        self.program.write_settings(SET.format(self.numbers))
        self.program.once()
        assert {"alice before", "bob before", "erin before"} == {
            self.server.get(f"/django/{name}/").text for name in ("alice", "bob", "erin")
        }
        subprocess.run(["cp", "-a", STATE, BEFORE], check=True)
        self.move()

    def home(self, path: str) -> Path:
        return self.homes.root / path

    @property
    def script(self) -> Path:
        return self.home("alice/mysite/mysite/wsgi.py")

    def move(self) -> None:
        """The students do what the pass is to publish."""
        self.numbers += 1
        self.program.write_settings(SET.format(self.numbers))
        os.rename(self.script, self.home("alice/one.py"))
        os.rename(self.home("alice/two.py"), self.script)
        self.home("bob/mysite/mysite/wsgi.py").chmod(0o666)
        os.rename(self.home("carol/.mysite"), self.home("carol/mysite"))
        os.rename("/home/dave", self.home("dave"))

    def again(self) -> None:
        """Go back, on the disk, to the moment before the pass."""
        os.rename(self.script, self.home("alice/two.py"))
        os.rename(self.home("alice/one.py"), self.script)
        self.home("bob/mysite/mysite/wsgi.py").chmod(0o644)
        os.rename(self.home("carol/mysite"), self.home("carol/.mysite"))
        os.rename(self.home("dave"), "/home/dave")
        shutil.rmtree(STATE)
        subprocess.run(["cp", "-a", BEFORE, STATE], check=True)
        self.move()

    def run(self, *options: str) -> int:
        """Run `--once`, with such options under strace; helpers are not followed."""
        passes = self.passes
        assert passes.stdin
        assert passes.stdout
        child = int(passes.stdout.readline())
        command = ["strace", "-y", "-s", "256", "-o", "/root/calls", "-p", str(child), *options]
        with ExitStack() as stack:
            if options:
                strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
                stack.enter_context(strace)
                assert strace.stderr
                assert "attached" in strace.stderr.readline()
            passes.stdin.write("go\n")
            passes.stdin.flush()
            return int(passes.stdout.readline())

    def steps(self, calls: tuple[str, ...]) -> list[tuple[str, int]]:
        """Let one pass through, and return which calls of it, and the how-manieth, change things.

        Of those alike in one temporary directory or in old sets, the first and the last.
        """
        assert 0 == self.run("-e", f"trace={','.join(calls)}")
        found: dict[tuple[str, str], list[tuple[str, int]]] = {}
        counts = dict.fromkeys(calls, 0)
        for line in Path("/root/calls").read_text().splitlines():
            call = re.match(r"(\w+)\((.*)\)\s+= (-?\d+)", line)
            if call is None:
                continue
            name, words, result = call.groups()
            counts[name] += 1
            if name in {"vfork", "connect"} or (int(result) >= 0 and f"{STATE}" in words):
                new = re.search(r"(?:(?:sets/\w+|generations)/[\w.]+|/tmp\w+)\.new[/>]", words)
                old = re.search(r"sets/\w+/[0-9a-f]{24}[\">]", words)
                where = new[0] if new else "an old set" if old else str(counts[name])
                found.setdefault((name, where), []).append((name, counts[name]))
        self.check_after()
        return sorted({end for row in found.values() for end in (row[0], row[-1])})

    def stage(self) -> object:
        """Return what of the new is there already."""
        links = [os.path.lexists(STATE / "apps" / name) for name in ("bob", "carol")]
        return (
            os.readlink(STATE / "current") != os.readlink(BEFORE / "current"),
            os.readlink(STATE / "apps/alice") != os.readlink(BEFORE / "apps/alice"),
            *links,
        )

    def check_between(self) -> None:
        """Whatever can be reached is whole, Apache can start with it, and apps are old or new."""
        files = {name: (STATE / "current" / name).read_bytes() for name in FILES}
        assert files == parse(files).files, "the digest in the files is that of the files"
        for name in ("status.json", "accounts.json", "server.json"):
            json.loads((STATE / name).read_text())
        for app in ("alice", "bob", "carol", "erin"):
            assert self.is_whole(app)
        if self.stage() not in self.seen:
            self.seen.add(self.stage())
            assert 0 == self.server.configtest().returncode
            self.server.restart()
        assert self.server.get("/django/alice/").text in {"alice before", "alice after"}
        assert "erin before" == self.server.get("/django/erin/").text
        for name in ("bob", "carol"):
            answer = self.server.get(f"/django/{name}/")
            assert (200, f"{name} before") == (answer.status, answer.text) or (
                404 == answer.status and name in answer.text and "</html>" in answer.text
            )
        assert 404 == self.server.get("/django/dave/").status

    @staticmethod
    def is_whole(app: str) -> bool:
        """Whether an account has no link, or one to a set with all that belongs in it."""
        if not os.path.lexists(STATE / "apps" / app):
            return True
        directory = (STATE / "apps" / app).resolve(strict=True)
        json.loads((directory / "app.json").read_text())
        wsgi = (BEFORE / "apps/erin/app.wsgi").read_bytes()
        owner = (directory / "static").lstat().st_uid
        return wsgi == (directory / "app.wsgi").read_bytes() and 0 != owner

    def check_after(self) -> None:
        """The new is there, and nothing else."""

        def text(name: str) -> str:
            return self.server.get(f"/django/{name}/").text

        wait_for(lambda: text("alice") == "alice after", 10, "alice's new code")
        assert ["carol before", "erin before"] == [text("carol"), text("erin")]
        for name in ("bob", "dave"):
            assert 404 == self.server.get(f"/django/{name}/").status
            assert name in text(name)
        assert f"maximum-requests={self.numbers}" in (STATE / "current/server.conf").read_text()
        states = {n: a["state"] for n, a in self.program.status()["accounts"].items()}
        assert {"bob": "rejected", "dave": "empty"} | dict.fromkeys(
            ("alice", "carol", "erin"), "served"
        ) == states
        leftovers = [*STATE.rglob("*.new"), STATE / "pages/carol.html"]
        assert [] == [path for path in leftovers if os.path.lexists(path)]
        assert ["alice", "carol", "erin"] == sorted(os.listdir(STATE / "sets"))


@pytest.fixture
def world(server: Server, homes: Homes, program: Program) -> Iterator[World]:
    """The state before, published, and a pass that can begin."""
    pipe, command = subprocess.PIPE, [sys.executable, "-c", RUN]
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as passes:
        world = World(homes, server, program, passes)
        world.make()
        yield world


@pytest.mark.box(timeout=300)
@pytest.mark.parametrize("calls", [NAMES, REST], ids=["names", "contents-and-processes"])
def test_killed_before_any_step_the_next_pass_goes_on(world: World, calls: tuple[str, ...]) -> None:
    """At each system call that changes something, SIGKILL in place of the call."""
    steps = world.steps(calls)
    assert set(calls) == {name for name, _ in steps}, "the pass has every kind of step in it"

    for name, number in steps[::SHARE]:
        world.again()
        ended = world.run("-e", f"trace={name}", f"-einject={name}:signal=KILL:when={number}")
        assert -9 == ended, (name, number)
        try:
            world.check_between()
            assert 0 == world.run()
            world.check_after()
        except Exception as problem:
            call = Path("/root/calls").read_text().splitlines()[-2]
            raise AssertionError(f"after a kill at {name} {number}, {call}: {problem}") from problem
    assert 1 < len(world.seen), "Apache was started anew between old and new"


@pytest.mark.box
@pytest.mark.parametrize("when", ["configtest", "reload"])
def test_killed_while_a_command_runs_the_next_pass_goes_on(
    world: World, program: Program, when: str
) -> None:
    """The command ends by itself, and nothing that it holds is in the way of the next pass."""
    command = "configtest" if when == "configtest" else "graceful"
    program.write_settings(
        SET.format(world.numbers)
        + f'[apache]\n{when} = ["sh", "-c", "kill -9 $PPID; exec apachectl {command}"]\n'
    )
    assert -9 == program.once(status=None).returncode
    world.check_between()

    program.write_settings(SET.format(world.numbers))
    program.once()
    world.check_after()
