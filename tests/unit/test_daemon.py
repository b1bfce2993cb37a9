"""The daemon: what it makes of events and signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.machine import Machine


def test_a_new_student_is_served(machine: Machine) -> None:
    """By the kernel's events alone."""
    with machine.daemon():
        machine.student("alice")
        machine.until(lambda: machine.serves("alice"))
