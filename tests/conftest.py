"""Lets a test marked `box` run on a disposable machine of its own (see tests/lab/boxes.py)."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from tests.lab import boxes

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, also where `--strict-markers` is set."""
    config.addinivalue_line(
        "markers",
        "box(systemd=False, timeout=120): runs as root on a disposable machine of its own; with "
        "systemd=True its PID 1 is systemd; timeout is in seconds",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Outside a box, put in place of each box test one that starts a box for it.

    Replaced at collection and last, so that neither the test nor any of its fixtures is ever set up
    on this machine, and `-k` and `-m` have chosen already.
    """
    if boxes.inside():
        return
    items[:] = [boxes.outer(item) if item.get_closest_marker("box") else item for item in items]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Inside a box, end a test that takes longer than it may."""
    with boxes.alarm(boxes.seconds(item)) if boxes.inside() else nullcontext():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Inside a box, tell the outside of a skip, and show the machine's logs with a failure."""
    report = yield
    if boxes.inside():
        boxes.tell(report)
        if report.failed:
            report.sections += boxes.logs()
    return report


def pytest_sessionstart() -> None:
    """Inside a box, what is written is for all to read unless a test says otherwise."""
    if boxes.inside():
        os.umask(0o022)
