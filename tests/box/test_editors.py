"""How editors and uploads save: whatever they do in between, the site stays up and ends up new."""

from __future__ import annotations

import os
import pty
import select
import threading
import time
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest

from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

TIMES = 60
SCRIPT = """\
BODY = "start"
# {filler}

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [BODY.encode()]
"""
WSGI = "mysite/mysite/wsgi.py"


class Visitor:
    """Three people who reload the page all the time, and note what is not an answer."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.answers: list[int] = []
        self.bad: list[str] = []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.visit) for _ in range(3)]

    def visit(self) -> None:
        """Ask until told to stop."""
        while not self.stop.is_set():
            try:
                answer = self.server.get("/django/alice/")
            except (OSError, HTTPException) as problem:
                self.bad.append(repr(problem))
                continue
            self.answers.append(answer.status)
            if answer.status != 200:
                self.bad.append(f"{answer.status} {answer.text[:300]}")
            time.sleep(0.01)

    def leave(self) -> None:
        """Stop, having had all answers."""
        self.stop.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def edited(server: Server, homes: Homes, program: Program) -> Iterator[Callable[[str], None]]:
    """Alice's app under a running daemon and a visitor's eyes; call it with the text at the end."""
    home = homes.create("alice")
    homes.write("alice", WSGI, SCRIPT.format(filler=""))
    with program.daemon() as daemon, visiting(server) as visitor:
        seen = len(daemon.events())

        def ended(body: str) -> None:
            wait_for(lambda: server.get("/django/alice/").text == body, 15, f"{body!r} served")
            visitor.leave()
            # A process that began meanwhile has the new text before the daemon has told of it.
            daemon.wait_event("app.changed", since=seen)
            events = daemon.events()[seen:]
            gone = [e for e in events if e["event"] in {"app.withdrawn", "app.switched"}]
            assert [] == gone
            assert len(visitor.answers) > 1, "the visitor saw too little to say anything"
            assert [] == visitor.bad
            assert (home / WSGI).stat().st_uid == home.stat().st_uid

        yield ended


@contextmanager
def visiting(server: Server) -> Iterator[Visitor]:
    """Have a visitor while the block runs, from the first time that the app answers."""
    wait_for(lambda: server.get("/django/alice/").text == "start", 15, "the first answer")
    visitor = Visitor(server)
    for thread in visitor.threads:
        thread.start()
    try:
        yield visitor
    finally:
        visitor.leave()


@pytest.mark.box
@pytest.mark.parametrize("backupcopy", ["yes", "no"])
def test_vim(edited: Callable[[str], None], homes: Homes, backupcopy: str) -> None:
    """Vim writes in place over a copy (`yes`), or renames the old file away (`no`)."""
    for turn in range(TIMES):
        commands = (f"set backupcopy={backupcopy} backup", f'1s/".*"/"turn {turn}"/', "wq")
        options = [word for command in commands for word in ("-c", command)]
        homes.run("alice", "vim", "-es", *options, WSGI)
    edited(f"turn {TIMES - 1}")


@pytest.mark.box
def test_nano(edited: Callable[[str], None], homes: Homes) -> None:
    """Nano truncates and writes in place; here one session saves after each letter."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(homes.home("alice"))
        environment = {"TERM": "xterm", "HOME": str(homes.home("alice")), "PATH": "/usr/bin:/bin"}
        command = ["runuser", "-u", "alice", "--", "nano", "--ignorercfiles", "+1,9", WSGI]
        os.execve("/sbin/runuser", command, environment)
    try:
        screen(terminal, b"GNU nano")
        for _ in range(TIMES):
            os.write(terminal, b"x\x0f")
            screen(terminal, b"File Name to Write")
            os.write(terminal, b"\r")
            screen(terminal, b"Wrote")
        os.write(terminal, b"\x18")
    finally:
        os.waitpid(pid, 0)
        os.close(terminal)
    edited("x" * TIMES + "start")


def screen(terminal: int, words: bytes) -> None:
    """Read what is drawn until it has these words."""
    drawn = b""
    while words not in drawn:
        assert select.select([terminal], [], [], 10)[0], (words, drawn)
        drawn += os.read(terminal, 65536)


@pytest.mark.box
@pytest.mark.parametrize("atomic", [False, True])
def test_vs_code(edited: Callable[[str], None], homes: Homes, atomic: bool) -> None:
    """VS Code truncates and writes in place, or writes beside and renames where it may."""
    save = f"""
import os, sys, time
path, atomic = {WSGI!r}, {atomic}
text = open(path).read()
for turn in range({TIMES}):
    new = text.replace("start", f"turn {{turn}}", 1).encode()
    beside = path + ".vsctmp" if atomic else path
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | (0 if atomic else os.O_TRUNC), 0o644)
    time.sleep(0.01)
    os.write(fd, new[:40])
    time.sleep(0.01)
    os.write(fd, new[40:])
    os.fsync(fd)
    os.close(fd)
    if atomic:
        os.rename(beside, path)
    time.sleep(turn % 7 * 0.01)  # so that a look, 0.05 s after the last event, meets any state
"""
    homes.run("alice", "python3", "-c", save)
    edited(f"turn {TIMES - 1}")


@pytest.mark.box
def test_git_checkout(edited: Callable[[str], None], homes: Homes) -> None:
    """Another branch has no project at all; what comes back is the app again, and its news."""
    homes.sh(
        "alice",
        f"""
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        git init -q -b main . && git add {WSGI} && git commit -q -m project
        git checkout -q -b empty && git rm -q -r mysite && git commit -q --allow-empty -m nothing
        git checkout -q main && sed -i s/start/committed/ {WSGI} && git commit -q -a -m news
        for i in $(seq {TIMES}); do git checkout -q empty; git checkout -q main; done
        """,
    )
    edited("committed")


@pytest.mark.box
def test_sftp(edited: Callable[[str], None], homes: Homes, tmp_path: Path) -> None:
    """An upload arrives in pieces, into the file that is being served."""
    tmp_path.chmod(0o755)
    batch = []
    for turn in range(TIMES):
        text = SCRIPT.replace("start", f"turn {turn}", 1).format(filler="." * 8000)
        (tmp_path / f"{turn}.py").write_text(text)
        batch.append(f"put {tmp_path / f'{turn}.py'} {WSGI}")
    for path in [tmp_path, *tmp_path.parents]:
        path.chmod(path.stat().st_mode | 0o055)
    server = "/usr/lib/openssh/sftp-server"
    command = ["sftp", "-q", "-b", "-", "-B", "400", "-R", "1", "-D", server]
    homes.run("alice", *command, text="\n".join(batch))
    edited(f"turn {TIMES - 1}")
