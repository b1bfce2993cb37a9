"""No interval is measured by the wall's clock: it may be ahead, jump back, or be another boot's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.once import Exit

if TYPE_CHECKING:
    from tests.unit.machine import Machine

YEARS = 10 * 365 * 86400.0
CLASS = [f"s{number:02}" for number in range(12)]


@pytest.fixture(autouse=True)
def braked(machine: Machine) -> None:
    """Twelve students, of whom three may be withdrawn within a minute."""
    machine.configure(safety={"max_withdrawn_count": 1, "max_withdrawn_share": 0.25})
    machine.students(*CLASS)


def withdraw(machine: Machine, *numbers: int) -> Exit:
    """Have these students remove their projects, and look at once."""
    for number in numbers:
        machine.remove(CLASS[number], "mysite")
    return machine.once()


def test_withdrawals_noted_by_a_clock_that_was_ahead_hold_nobody_for_ever(machine: Machine) -> None:
    """Ten years, which then were none: after a minute they are forgotten."""
    machine.wall(YEARS)
    machine.once()
    assert Exit.CONVERGED == withdraw(machine, 0, 1)
    machine.wall(0)
    machine.later(61)
    assert Exit.CONVERGED == withdraw(machine, 2, 3)


def test_a_clock_that_jumps_ahead_forgets_no_withdrawal(machine: Machine) -> None:
    """An hour by the wall is a moment by the machine."""
    machine.once()
    withdraw(machine, 0, 1)
    machine.wall(3600)
    assert Exit.HELD == withdraw(machine, 2, 3)


def test_a_clock_that_jumps_back_lets_a_minute_pass(machine: Machine) -> None:
    """An hour back: a minute later, the withdrawals of before are a minute old."""
    machine.once()
    withdraw(machine, 0, 1)
    machine.wall(-3600)
    machine.later(61)
    assert Exit.CONVERGED == withdraw(machine, 2, 3)


def test_another_boot_remembers_no_withdrawal(machine: Machine) -> None:
    """Its seconds count from anew, and those of before mean nothing."""
    machine.once()
    withdraw(machine, 0, 1)
    machine.clock.boot_id = "another"
    assert Exit.CONVERGED == withdraw(machine, 2, 3)


def test_since_is_what_people_read(machine: Machine) -> None:
    """The state's beginning by the wall, kept while state and script are the same."""
    machine.once()
    since = machine.entry(CLASS[0])["since"]
    machine.later(86400)
    withdraw(machine, 1)
    assert since == machine.entry(CLASS[0])["since"]
    assert since.endswith("Z")
    assert 20 == len(since)


def test_a_daemon_is_not_disturbed_by_a_clock_that_jumps(machine: Machine) -> None:
    """Ahead and back while it runs: whatever is due comes when it is due."""
    machine.configure(timing={"grace": 0.2})
    with machine.daemon():
        for wrong in (YEARS, -YEARS, 0.0):
            machine.wall(wrong)
            machine.project("s00", text="def application(:\n")
            machine.until(lambda: machine.entry("s00")["reason"] or not machine.serves("s00"))
            machine.until(lambda: not machine.serves("s00"))
            machine.project("s00")
            machine.until(lambda: machine.serves("s00"))
