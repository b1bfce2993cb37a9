"""An outage is not a deletion: what is published stays, and all is well when the world is back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import STATE
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

PASSWD = Path("/etc/passwd")
SETTINGS = "[timing]\nresync = 1\ngrace = 0.2\nreload_interval = 0\n"
STUDENTS = [f"s{number}" for number in range(8)]


def enrol(homes: Homes, *students: str) -> None:
    """Students come, with apps."""
    for student in students:
        homes.create(student)
        homes.bare(student, body=f"I am {student}")


def served(server: Server, students: list[str]) -> list[str]:
    """Return those whose own app answers."""
    return [n for n in students if server.get(f"/django/{n}/").text == f"I am {n}"]


def published() -> dict[str, str]:
    """Return every link, and where it points."""
    return {name: os.readlink(STATE / "apps" / name) for name in os.listdir(STATE / "apps")}


@pytest.mark.box
def test_without_the_account_database_nothing_moves(
    server: Server, homes: Homes, program: Program
) -> None:
    """It is gone, or comes back without the students: every link stays."""
    program.write_settings(SETTINGS)
    enrol(homes, *STUDENTS)
    with program.daemon() as daemon:
        wait_for(lambda: served(server, STUDENTS) == STUDENTS, 60, "everyone's app")
        before = published()
        whole = PASSWD.read_text()

        PASSWD.rename("/etc/passwd.away")
        for _ in range(2):
            program.once(status=None)
            assert before == published()
        assert STUDENTS == served(server, STUDENTS)
        Path("/etc/passwd.away").rename(PASSWD)

        # A restore from before the term: no student in it, and then it is put right.
        PASSWD.write_text("".join(x for x in whole.splitlines(True) if "/home/slp/" not in x))
        assert program.once(status=6).named("withdrawal.held")
        daemon.wait_event("withdrawal.held")
        assert before == published()
        wait_for(lambda: "s0" in (program.status()["held"] or ""), 10, "the state to say it")
        PASSWD.write_text(whole)

        wait_for(lambda: served(server, STUDENTS) == STUDENTS, 60, "everyone's app again")
        wait_for(lambda: program.status()["held"] is None, 10, "nothing to be held any more")
        assert before == published()
        assert [] == daemon.events("app.withdrawn")
        enrol(homes, "newcomer")
        wait_for(lambda: served(server, ["newcomer"]), 60, "a newcomer's app")
    program.once()
    server.restart()
    assert STUDENTS == served(server, STUDENTS)


@pytest.mark.box
def test_an_unmounted_root_of_the_homes_withdraws_nobody(
    server: Server, homes: Homes, program: Program
) -> None:
    """Empty, missing, or back: the links stay, and the daemon sees what happened meanwhile."""
    program.write_settings(SETTINGS)
    enrol(homes, *STUDENTS)
    with program.daemon() as daemon:
        wait_for(lambda: served(server, STUDENTS) == STUDENTS, 60, "everyone's app")
        before = published()

        subprocess.run(["mount", "-t", "tmpfs", "away", homes.root], check=True)
        daemon.wait_event("pass.failed")
        assert "empty" in program.once(status=1).stderr
        assert before == published()
        subprocess.run(["umount", homes.root], check=True)
        assert before == published()
        homes.bare("s0", body="I am back")
        wait_for(lambda: server.get("/django/s0/").text == "I am back", 60, "s0's new code")

        before = published()
        since = daemon.mark()
        homes.root.rename("/home/away")
        daemon.wait_event("pass.failed", since=since)
        program.once(status=1)
        assert before == published()
        Path("/home/away").rename(homes.root)
        homes.bare("s0", body="I am back again")
        wait_for(lambda: server.get("/django/s0/").text == "I am back again", 60, "s0's new code")
        enrol(homes, "newcomer")
        wait_for(lambda: served(server, ["newcomer"]), 60, "a newcomer's app")
        assert [] == daemon.events("app.withdrawn")


@pytest.mark.box
def test_a_home_that_cannot_be_read_keeps_its_app(
    server: Server, homes: Homes, program: Program
) -> None:
    """An I/O error in one home (made by strace, as a disk's would be) is that home's alone."""
    enrol(homes, "alice", "bob")
    program.once()
    before = published()
    homes.delete("alice", "mysite")  # which nobody can know while the disk does not answer
    homes.bare("bob", body="I am new")

    strace = ["strace", "-f", "-o", "/root/calls", "-P", "alice", "-P", f"{homes.root}/alice"]
    done = subprocess.run(
        [*strace, "-e", "inject=openat:error=EIO", program.executable, "--once"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "EIO" in Path("/root/calls").read_text()
    assert 0 == done.returncode, done.stderr
    assert before["alice"] == published()["alice"]
    assert before["bob"] != published()["bob"]
    assert "served" == program.account("alice")["state"]
    assert "unreadable" == program.account("alice")["reason"]["code"]
    program.once()
    assert ["bob"] == sorted(published())


@pytest.mark.box
def test_a_mass_deletion_is_held_until_somebody_says_so(
    server: Server, homes: Homes, program: Program
) -> None:
    """A few may go; many at once are held; those that are unsafe go whatever their number."""
    students = [f"s{number:02}" for number in range(20)]
    enrol(homes, *students)
    program.once()
    assert 20 == len(published())

    def hide(names: list[str]) -> None:
        for name in names:
            os.rename(homes.root / name / "mysite", homes.root / name / ".mysite")

    def show(names: list[str]) -> None:
        for name in names:
            os.rename(homes.root / name / ".mysite", homes.root / name / "mysite")

    hide(students[:5])
    program.once()
    assert students[5:] == sorted(published())
    show(students[:5])
    program.once()

    hide(students)
    before = published()
    result = program.once(status=6)
    assert 1 == len(result.named("withdrawal.held"))
    assert before == published()
    assert "20 withdrawals" in program.status()["held"]
    assert "served" == program.account("s07")["state"]
    show(students[10:])
    program.once(status=6)
    assert before == published(), "those that came back are untouched, the others are held"
    assert "10 withdrawals" in program.status()["held"]

    result = program.once("--force")
    assert students[:10] == [e["account"] for e in result.named("app.withdrawn")]
    assert students[10:] == sorted(published())
    assert program.status()["held"] is None
    assert 404 == server.get("/django/s07/").status
    show(students[:10])
    program.once()

    for name in students:
        (homes.root / name).chmod(0o777)
    result = program.once()
    assert 20 == len(result.named("app.withdrawn", code="writable-by-others"))
    assert {} == published()
