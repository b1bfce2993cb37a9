"""A machine for each test that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.machine import Faults, Machine, memory
from tests.unit.machine.machine import temporary

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Return a machine without students, whose Apache runs and has read nothing of ours."""
    memory.remember(monkeypatch)
    with temporary() as home:
        made = Machine(home, monkeypatch)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def faults(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Return the faults of the machine's state directory; none is armed."""
    return Faults(monkeypatch, machine.state)
