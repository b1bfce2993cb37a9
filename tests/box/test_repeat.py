"""The same world gives the same bytes, and the second time nothing at all."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

BACKWARDS = """\
import os

scandir, listdir = os.scandir, os.listdir
turn = os.environ["ORDER"] == "backwards"

class Entries:
    def __init__(self, path="."):
        with scandir(path) as entries:
            self.entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=turn))
    def __enter__(self):
        return self
    def __exit__(self, *_):
        return None
    def __iter__(self):
        return self.entries
    def __next__(self):
        return next(self.entries)
    def close(self):
        return None

os.scandir = Entries
os.listdir = lambda path=".": sorted(listdir(path), reverse=turn)
"""
"""A `sitecustomize.py` after which directories are read in an order of ours."""


def populate(homes: Homes) -> None:
    """Make homes with several scripts of one age, several virtualenvs, warnings and faults."""
    for name in ("alice", "bob", "carol", "dave"):
        homes.create(name)
        for project in ("one", "two"):
            homes.bare(name, project)
            homes.sh(name, f"mkdir -p {project}/static; touch -d 2024-01-01 {project}/{project}/*")
            for place in (".venv", "env"):
                homes.sh(name, f"python3 -m venv --without-pip {project}/{place}")
    homes.bare("carol", "zero", source="def x(:\n")
    homes.write("dave", ".slp.toml", "script = 3\n")


@pytest.mark.box
def test_the_order_in_which_directories_are_read_changes_no_byte(
    server: Server, homes: Homes, program: Program
) -> None:
    """Forwards, and backwards with the account database turned as well: the same files and sets."""
    populate(homes)
    aside = Path("/root/site")
    aside.mkdir()
    (aside / "sitecustomize.py").write_text(BACKWARDS)
    published, listings = [], []
    for order in ("forwards", "backwards"):
        env = os.environ | {"PYTHONPATH": str(aside), "ORDER": order}
        # The program's own interpreter reads directories that way, or this test is none.
        code = (
            "import os; print(*os.listdir('/home/slp'), *(e.name for e in os.scandir('/home/slp')))"
        )
        listings.append(
            subprocess.run(
                [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
            ).stdout.split()
        )
        shutil.rmtree(program.state, ignore_errors=True)
        program.once("--no-reload", env=env)
        files = {
            str(path.relative_to(program.state)): path.read_bytes()
            for name in (
                "current/",
                "apps/alice/",
                "apps/bob/",
                "apps/carol/",
                "apps/dave/",
                "pages/",
            )
            for path in sorted((program.state / name).iterdir())
            if path.is_file() and path.name != ".status.html"
        }
        links = {link.name: os.readlink(link) for link in (program.state / "apps").iterdir()}
        published.append((files, links, told(program)))
        for path in (Path("/etc/passwd"), Path("/etc/group")):
            path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    assert listings[0] == [*sorted(listings[0][:4]), *sorted(listings[0][:4])]
    assert listings[1] == [*listings[0][3::-1], *listings[0][3::-1]]
    assert published[0] == published[1]
    assert {"alice", "bob", "carol", "dave"} == set(published[0][1])
    assert b"slp-dave" in published[0][0]["current/server.conf"]


def told(program: Program) -> dict[str, object]:
    """Return what the status says of everybody, but for times."""
    timeless = {}
    for name, entry in program.status()["accounts"].items():
        health = entry["health"] and entry["health"] | {"since": None}
        timeless[name] = entry | {"since": None, "health": health}
    return timeless


def tree(program: Program) -> dict[str, tuple[object, ...]]:
    """Return every name below the state, with its inode, mtime and target or mode.

    Apart from `status.json` and the overview, which say when the last pass was, and the two
    directories that they are renamed in.
    """
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(program.state.rglob("*")):
        status, name = path.lstat(), str(path.relative_to(program.state))
        target = os.readlink(path) if stat.S_ISLNK(status.st_mode) else oct(status.st_mode)
        if name in {"status.json", "pages", "pages/.status.html"}:
            found[name] = (target,)
        else:
            found[name] = (target, status.st_ino, status.st_mtime_ns)
    return found


@pytest.mark.box
def test_a_second_pass_over_the_same_world_does_nothing(
    server: Server, homes: Homes, program: Program
) -> None:
    """No generation, no reload, no set, no page: not one name, inode or mtime differs."""
    populate(homes)
    program.once()
    before, reloads = tree(program), server.reloads()
    assert 1 == reloads

    again = program.once()

    assert before == tree(program)
    assert reloads == server.reloads()
    assert [] == again.events, "nothing is to be told"
    homes.sh("alice", "touch one/one/wsgi.py")
    program.once()
    changed = {name for name, found in tree(program).items() if before.get(name) != found}
    assert {"apps", "apps/alice", "sets/alice"} == {
        name for name in changed if name.count("/") < 2
    }, "and the comparison sees what does differ"
    assert reloads == server.reloads()
