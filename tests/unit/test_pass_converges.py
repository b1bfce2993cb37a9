"""What was found by attacking whole passes: each ends in the right state, and says so once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from reconciler import passes
from reconciler.once import Exit

if TYPE_CHECKING:
    from reconciler.decide.verdict import Context
    from reconciler.model import Home, Verdict
    from tests.unit.machine import Faults, Machine

BRAKE = {"max_withdrawn_count": 1, "max_withdrawn_share": 0.25}


@pytest.mark.parametrize("with_accounts", [False, True])
def test_that_withdrawals_are_held_is_in_the_status_at_once(
    machine: Machine, with_accounts: bool
) -> None:
    """Nothing else has changed for whoever is held; and it ends in the status as it began."""
    machine.configure(safety=BRAKE)
    names = [f"s{n}" for n in range(8)]
    machine.students(*names)
    machine.once()
    rows = dict(machine.rows)
    with machine.daemon():
        with machine.no_looks():
            for name in names[:5]:
                (machine.root / name).rename(machine.home / name)
                if with_accounts:
                    del machine.rows[name]
            machine.database()
        machine.until(lambda: machine.log.of("withdrawal.held"))
        machine.until(lambda: machine.status["held"] is not None, "the status to say so")
        with machine.no_looks():
            for name in names[:5]:
                (machine.home / name).rename(machine.root / name)
            machine.rows = rows
            machine.database()
        machine.until(lambda: machine.status["held"] is None, "the status to say that it is over")


def test_notes_that_cannot_be_written_hide_nothing_that_was_done(
    machine: Machine, faults: Faults
) -> None:
    """The app is up and told of; the notes are written as soon as they can be."""
    machine.students("alice")
    machine.once()
    with machine.daemon():
        faults.where("accounts.json")
        machine.students("bob")
        machine.until(lambda: machine.log.of("notes.failed"))
        machine.until(lambda: machine.app("bob"))
        faults.heal()
        machine.until(lambda: '"bob"' in (machine.state / "accounts.json").read_text())
    assert 1 == len([e for e in machine.log.of("app.published") if e["account"] == "bob"])


def test_a_full_disk_makes_no_daemon_busy(machine: Machine, faults: Faults) -> None:
    """The notes are tried later each time, and it is said once that they cannot be written."""
    machine.students("alice")
    machine.once()
    with machine.daemon():
        faults.where("accounts.json")
        machine.students("bob")
        machine.until(lambda: machine.log.of("notes.failed"))
        before = machine.log.passes
        machine.stays(lambda: machine.log.passes - before <= 4, during=3.0)
        assert 1 == len(machine.log.of("notes.failed"))
        faults.heal()


def test_a_fault_of_ours_that_one_home_finds_is_that_homes_alone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had published stays, and it says so; the others come and go."""
    machine.students("alice", "bob")
    machine.once()
    real = passes.judge

    def judge(home: Home, context: Context) -> Verdict | None:
        if home.name == "bob" and home.scripts:
            raise ZeroDivisionError("division by zero")
        return real(home, context)

    monkeypatch.setattr(passes, "judge", judge)
    machine.project("bob", "mysite", "application = 7\n")
    machine.student("carol")
    assert Exit.CONVERGED == machine.once()
    assert {"alice", "bob", "carol"} == machine.published
    assert "unreadable" == machine.code("bob")


def test_a_pass_whose_notes_cannot_be_written_says_so_by_its_status(
    machine: Machine, faults: Faults
) -> None:
    """And the next one counts what it withdrew, as far as it was noted."""
    machine.students("alice")
    faults.where("accounts.json")
    assert Exit.UNEXPECTED == machine.once()
    assert machine.serves("alice")
    faults.heal()
    assert Exit.CONVERGED == machine.once()


def test_a_trouble_that_is_over_is_not_told_again(machine: Machine, faults: Faults) -> None:
    """What could not be published is not wanted any more: there is nothing left to fail."""
    machine.students("alice")
    machine.once()
    with machine.daemon():
        faults.where("/sets/bob")
        machine.student("bob")
        machine.until(lambda: machine.log.of("app.failed"))
        machine.remove("bob", "mysite")
        faults.heal()
        machine.until(lambda: machine.entry("bob")["state"] == "empty")
        before = len(machine.log.of("app.failed"))
        machine.stays(lambda: len(machine.log.of("app.failed")) == before, during=1.5)


def test_a_configuration_that_cannot_be_told_ends_no_daemon(machine: Machine) -> None:
    """Somebody put a directory where `current` was: it is an error of the log, until it is not."""
    machine.configure(timing={"reload_interval": 0.3})
    machine.students("alice")
    machine.once()
    current = machine.state / "current"
    with machine.daemon() as running:
        machine.students("bob")
        machine.until(lambda: machine.app("bob"))
        target = current.readlink()
        current.unlink()
        current.mkdir()
        machine.stays(lambda: running.alive, during=1.0)
        current.rmdir()
        current.symlink_to(target)
        machine.until(lambda: machine.serves("bob"), "bob to be served", within=10)


def test_a_row_without_a_name_is_nobody(machine: Machine) -> None:
    """A blank line of `passwd` with colons in it keeps no other account from its app."""
    machine.students("alice")
    machine.once()
    with machine.daemon():
        machine.account("")
        machine.student("bob")
        machine.until(lambda: machine.app("bob"))


def test_an_account_may_be_called_like_what_is_being_written(machine: Machine) -> None:
    """`bob.new` is a name; what a crash left over is hidden, and no account's."""
    machine.students("alice", "bob.new")
    assert Exit.CONVERGED == machine.once()
    assert {"alice", "bob.new"} == machine.published
    machine.once()
    assert {"alice", "bob.new"} == machine.published


@pytest.mark.parametrize(
    "file",
    ["status.json", "accounts.json", "server.json", "current/django.conf", "apps/alice/app.json"],
)
def test_a_damaged_file_of_ours_is_made_anew(machine: Machine, file: str) -> None:
    """Whatever a disk did to it, even if it is no text any more."""
    machine.students("alice")
    machine.once()
    (machine.state / file).write_bytes(b'{"a": "\xff\xfe"}')
    assert Exit.CONVERGED == machine.once()
    assert machine.serves("alice")


@pytest.mark.parametrize("seconds", [2**63 - 1, -(2**62)])
def test_a_time_that_no_calendar_has_is_only_an_order(machine: Machine, seconds: int) -> None:
    """A tmpfs takes any: neither that home nor another is lost for it."""
    machine.students("alice", "mallory")
    os.utime(machine.root / "mallory/mysite/mysite/wsgi.py", (seconds, seconds))
    assert Exit.CONVERGED == machine.once()
    assert {"alice", "mallory"} == machine.published
