"""Who is at fault, found by halves: with a test that is a function, for any class."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from reconciler.publish import blame
from reconciler.publish.configuration import Configuration
from reconciler.settings import Safety
from tests.unit.servers import configuration

SIZES = st.integers(2, 60)


class Offended:
    """Refuses whatever names one of the guilty, and counts."""

    def __init__(self, guilty: set[str]) -> None:
        self.guilty = guilty
        self.tests = 0

    def __call__(self, staged: Configuration) -> str | None:
        self.tests += 1
        bad = sorted(self.guilty & set(staged.stanzas))
        return f"for {bad[0]}" if bad else None


@given(st.data(), SIZES)
def test_whoever_is_at_fault_is_found_and_nobody_else(data: st.DataObject, size: int) -> None:
    """Up to the brake, in few tests each, with the words of the test for each; else nobody."""
    names = [f"s{number:02}" for number in range(size)]
    guilty = set(data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=8, unique=True)))
    test = Offended(guilty)

    found = blame.find(configuration(*names), None, test, Safety())

    if len(guilty) > min(max(5, int(0.2 * size)), size - 1):
        assert found is None
    elif test.tests <= 64:
        assert guilty == set(found or {})
        assert all(f"for {name}" == why for name, why in (found or {}).items())
    assert test.tests <= 1 + (len(guilty) + 1) * (math.log2(size) + 3)


def test_the_newcomers_alone_are_suspected() -> None:
    """Whose text is current passes unasked: a newcomer costs four tests, whoever else is there."""
    names = [f"s{number:03}" for number in range(500)]
    test = Offended({"mallory"})
    found = blame.find(configuration(*names, "mallory"), configuration(*names), test, Safety())
    assert {"mallory": "for mallory"} == found
    assert test.tests <= 4


def test_a_thousand_at_fault_take_no_thousand_tests() -> None:
    """It gives up: whoever is at fault in such numbers is not."""
    names = [f"s{number:04}" for number in range(1000)]
    test = Offended(set(names))
    assert None is blame.find(configuration(*names), None, test, Safety())
    assert test.tests <= 64 + 12
