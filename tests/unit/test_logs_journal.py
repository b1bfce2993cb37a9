"""The log in systemd's journal: its time and its priorities, and not ours beside them."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest
import structlog

from reconciler.report import logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    """Leave structlog as it was."""
    yield
    structlog.reset_defaults()


def written(path: Path, monkeypatch: pytest.MonkeyPatch, form: str, *, journal: bool) -> list[str]:
    """Return the log of one event a level, in a file that JOURNAL_STREAM names or does not."""
    with path.open("w") as stream:
        found = os.fstat(stream.fileno())
        inode = found.st_ino if journal else found.st_ino + 1  # of whoever started us
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{inode}")
        logs.configure(form, "debug", stream)
        log = structlog.get_logger()
        log.debug("pass.done")
        log.info("app.published", account="alice")
        log.warning("app.rejected")
        log.error("pass.failed")
        try:
            raise ValueError("in\nthe middle")
        except ValueError:
            log.exception("pass.failed")
    return path.read_text().splitlines()


def test_auto_is_logfmt_without_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line an event, a traceback's too, each with syslog's priority in front."""
    lines = written(tmp_path / "log", monkeypatch, "auto", journal=True)
    assert "<6>level=info event=app.published account=alice" == lines[1]
    assert ["<7>", "<6>", "<4>", "<3>", "<3>"] == [line[:3] for line in lines]


def test_json_keeps_its_time_for_the_machine_that_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for by name, a format is what it is elsewhere; the journal takes the priority off."""
    lines = written(tmp_path / "log", monkeypatch, "json", journal=True)
    assert "<4>" == lines[2][:3]
    assert {"event", "level", "timestamp"} == json.loads(lines[2][3:]).keys()


@pytest.mark.parametrize("form", ["auto", "json", "logfmt"])
def test_elsewhere_a_line_has_its_time_and_no_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A unit's variable goes down to whatever it starts; a file is not the journal for that."""
    lines = written(tmp_path / "log", monkeypatch, form, journal=False)
    assert [] == [line for line in lines if line.startswith("<")]
    assert [] == [line for line in lines if not re.search(r"timestamp\W+20\d\d-", line)]
