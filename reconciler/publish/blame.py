"""Whose text it is that the configuration test refuses: theirs, or nobody's.

A search by halves. It knows no Apache: it is handed something that tests, so that its every path is
tested without one.
"""

from __future__ import annotations

from collections.abc import Callable, Set

from reconciler.publish.configuration import Configuration
from reconciler.settings import Safety

_MAX_TESTS = 64
"""Tests in one search: three accounts at fault of a thousand take about 40."""

Test = Callable[[Configuration], str | None]
"""Return what is wrong with a configuration, None if nothing is."""


def find(
    wanted: Configuration, good: Configuration | None, test: Test, safety: Safety
) -> dict[str, str] | None:
    """Return the accounts at fault in `wanted`, and why; None where nobody is to be blamed.

    Nobody is where what Apache runs, `good`, fails as well, or the heads alone do; where all are at
    fault, or more than the brake on withdrawals lets through; and where it takes too many tests to
    know. *Measured*: one typing error in the template took down all eight apps of a class.
    """
    if good is not None and test(good) is not None:
        return None
    sound = {
        name
        for name, stanza in wanted.stanzas.items()
        if good is not None and good.stanzas.get(name) == stanza
    }
    if test(wanted.only(sound)) is not None:
        return None
    search = _Search(wanted, test, most(len(wanted.stanzas), safety))
    return search.run(sound, sorted(wanted.stanzas.keys() - sound))


def most(declared: int, safety: Safety) -> int:
    """Return how many of the accounts declared may be at fault before the fault is nobody's."""
    share = int(safety.max_withdrawn_share * declared)
    return min(max(safety.max_withdrawn_count, share), declared - 1)


class _Search:
    """One search; for one at fault of n it takes log2(n) + 1 tests."""

    def __init__(self, wanted: Configuration, test: Test, limit: int) -> None:
        self._wanted = wanted
        self._test = test
        self._limit = limit
        self._tests = 0

    def run(self, sound: set[str], suspects: list[str]) -> dict[str, str] | None:
        """Return those of `suspects` at fault, at most so many; `sound` passes, all do not."""
        found: dict[str, str] = {}
        why: str | None = ""
        while why is not None:
            if len(found) == self._limit or self._tests > _MAX_TESTS:
                return None
            first, why = self._first(sound, suspects)
            found[suspects[first]] = why
            sound |= set(suspects[:first])
            suspects = suspects[first + 1 :]
            why = self._fault(sound, suspects)
        return found

    def _first(self, sound: Set[str], suspects: list[str]) -> tuple[int, str]:
        """Return which of `suspects` ends their shortest prefix that fails, and why it does."""
        low, high = 0, len(suspects)  # the first `low` pass; the first `high` fail
        why = None
        while high - low > 1:
            middle = (low + high) // 2
            said = self._fault(sound, suspects[:middle])
            low, high = (middle, high) if said is None else (low, middle)
            why = said or why
        return low, why or self._fault(sound, suspects[:high]) or ""

    def _fault(self, sound: Set[str], suspects: list[str]) -> str | None:
        self._tests += 1
        return self._test(self._wanted.only(sound | set(suspects)))
