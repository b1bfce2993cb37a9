"""The log: one event is one line, whatever a name has in it, in each of the formats."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from reconciler.report import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTILE = [
    "two\nlines",
    "carriage\rreturn",
    "\x1b]0;title\x07\x1b[31m",
    "\x9b31m",
    "\x7f\x08",
    "\u2028\u2029\x85",
    "\u202eevil",
    "\udcff",
    '" level=error event="forged',
    "{}[]'\\",
]
BREAKS = set(map(chr, [*range(32), *range(127, 160), 0x2028, 0x2029, 0x202E]))


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    """Leave structlog as it was."""
    yield
    structlog.reset_defaults()


def written(form: str, level: str = "info", **keys: Any) -> str:
    """Return what one event leaves in the log."""
    stream = io.StringIO()
    logs.configure(form, level, stream)
    structlog.get_logger().warning("app.rejected", **keys)
    return stream.getvalue()


@pytest.mark.parametrize("form", ["console", "json", "logfmt", "auto"])
@pytest.mark.parametrize("value", HOSTILE)
def test_no_value_ends_the_line_or_speaks_to_the_terminal(form: str, value: str) -> None:
    """One line with its end, and bytes that UTF-8 has."""
    line = written(form, message=value, account=value)
    assert line.endswith("\n")
    assert not BREAKS & set(line[:-1])
    assert line.encode()


@given(st.text())
def test_json_can_be_read_again(value: str) -> None:
    """The event's keys are those that were given, and no other."""
    event = json.loads(written("json", message=value))
    assert {"event", "level", "timestamp", "message"} == event.keys()
    assert ("app.rejected", "warning") == (event["event"], event["level"])
    if value.isprintable():
        assert value == event["message"]


@pytest.mark.parametrize("value", HOSTILE)
def test_logfmt_has_no_forged_key(value: str) -> None:
    """A quote in a value is escaped: the level is said once."""
    line = written("logfmt", message=value)
    unquoted = []
    inside = escaped = False
    for letter in line:
        if letter == '"' and not escaped:
            inside = not inside
        elif not inside:
            unquoted.append(letter)
        escaped = letter == "\\" and not escaped
    assert 1 == "".join(unquoted).count("level=")
    assert not inside


def test_below_the_level_nothing_is_written() -> None:
    """`--log-level error` is silent about a warning."""
    assert "" == written("json", "error", message="x")
    assert written("json", "warning", message="x")


def test_a_file_is_not_coloured_and_auto_is_json_there() -> None:
    """Colours are for terminals."""
    assert "\x1b" not in written("console", message="x")
    assert {"event"} <= json.loads(written("auto", message="x")).keys()


def test_a_traceback_does_not_break_the_line() -> None:
    """What went wrong is in one event, as text."""
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    try:
        raise ValueError("in\nthe\x1bmiddle")
    except ValueError:
        structlog.get_logger().exception("pass.failed")
    event = json.loads(stream.getvalue())
    assert "ValueError" in event["exception"]
    assert 1 == len(stream.getvalue().splitlines())
