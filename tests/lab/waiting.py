"""Waiting for the state of the world, never for a time."""

from __future__ import annotations

import time
from http.client import HTTPException
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait_for(
    predicate: Callable[[], T], timeout: float = 10.0, what: str = "", *, every: float = 0.02
) -> T:
    """Return the first true value of `predicate`, asked every `every` seconds.

    A refused connection, a missing file or an `assert` that does not hold yet in `predicate` means
    "not yet".

    Raises:
        AssertionError: It was not true within `timeout` seconds; names `what` and the last answer.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            last: object = predicate()
        except (OSError, HTTPException, AssertionError, LookupError) as problem:
            last = problem
        else:
            if last:
                return last  # type: ignore[return-value]
        if time.monotonic() >= end:
            name = what or getattr(predicate, "__name__", "it")
            raise AssertionError(
                f"waited {timeout:g} s in vain for {name}; the last answer was {last!r}"
            )
        time.sleep(every)
