"""`--dry-run` says all and does nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import STATE

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

CALLS = Path("/root/calls")
ROOTS = (STATE, Path("/etc"), Path("/home"), Path("/run"), Path("/tmp"), Path("/var/tmp"))
CHANGING = re.compile(
    r"(?P<name>rename|renameat|renameat2|unlink|unlinkat|rmdir|mkdir|mkdirat|symlink|symlinkat"
    r"|link|linkat|truncate|ftruncate|mknod|mknodat|utimensat"
    r"|f?chmod|fchmodat2?|[fl]?chown|fchownat)\("
)
WRITING = re.compile(r"open(at)?\(.*O_(WRONLY|RDWR|CREAT|TMPFILE|TRUNC)")
SIGNALLING = re.compile(r"(kill|tgkill|tkill|rt_sigqueueinfo|pidfd_send_signal)\((-?\d+)")


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Return everything below `root`: what it is, whose, since when, and what is in it."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *root.rglob("*")]:
        if not os.path.lexists(path):
            continue
        told = path.lstat()
        data: object = None
        if path.is_symlink():
            data = os.readlink(path)
        elif path.is_file():
            data = path.read_bytes()
        found[str(path)] = (told.st_mode, told.st_uid, told.st_ino, told.st_mtime_ns, data)
    return found


def dry_run(program: Program) -> str:
    """Run it under strace, with all its helpers; check the calls, and return what it printed."""
    before = {root: tree(root) for root in ROOTS}
    done = subprocess.run(
        ["strace", "-f", "-y", "-o", CALLS, program.executable, "--once", "--dry-run"],
        # Without coverage, which writes files of its own.
        env={k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
        | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    lines = CALLS.read_text().splitlines()
    # The program itself and those that it started.
    own = {line.split()[0] for line in lines}
    assert [] == [s[0] for line in lines if (s := SIGNALLING.search(line)) and s[2] not in own]
    assert [] == [line for line in lines if CHANGING.search(line) and " = 0" in line]
    assert [] == [line for line in lines if WRITING.search(line) and "/dev/null" not in line]
    assert before == {root: tree(root) for root in ROOTS}
    return done.stdout


@pytest.mark.box
def test_a_dry_run_prints_what_a_pass_would_do(
    server: Server, homes: Homes, program: Program
) -> None:
    """A unified diff and a list of sets, without any state and with; nothing is touched."""
    for name in ("alice", "bob"):
        homes.create(name)
        homes.bare(name)

    printed = dry_run(program)
    assert not STATE.exists()
    assert "--- current/django.conf" in printed
    assert '+WSGIScriptAlias "/django/alice"' in printed
    assert "app.published alice /home/slp/alice/mysite/mysite/wsgi.py" in printed
    assert 0 == server.reloads()

    program.once()
    homes.bare("alice", body="another")
    homes.delete("bob", "mysite")
    homes.create("carol")
    homes.bare("carol")
    printed = dry_run(program)
    assert '+WSGIScriptAlias "/django/carol"' in printed
    assert '+WSGIScriptAlias "/django/alice"' not in printed
    sets = [line for line in printed.splitlines() if line.startswith("app.")]
    assert ["app.changed alice", "app.withdrawn bob", "app.published carol"] == [
        " ".join(line.split()[:2]) for line in sets
    ]
    assert 1 == server.reloads()

    program.once()
    assert "" == dry_run(program)
    shutil.rmtree(STATE / "pages")
    assert "" == dry_run(program)
