"""What is believed of a report, and what a report makes of an app's health."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.decide import ailments
from reconciler.health import reports
from reconciler.health.reports import FAILURES, MOST_BYTES, Event, Report, latest, read
from reconciler.model import Failure


def datagram(**keys: Any) -> bytes:
    """Return a report's bytes."""
    return json.dumps(keys).encode()


def test_a_whole_report_is_read() -> None:
    """Every field that says how the app is; keys of a later runner are passed over."""
    whole = datagram(
        event="failed", set="3f2a", pid=7, took=0.5, code="missing-module",
        kind="ModuleNotFoundError", message="No module named 'crispy_forms'",
        where="shop/views.py:12", name="crispy_forms", changed=["shop/views.py"], news=[1],
    )  # fmt: skip
    failure = Failure(
        "missing-module", "ModuleNotFoundError", "crispy_forms", "shop/views.py:12",
        "No module named 'crispy_forms'",
    )  # fmt: skip
    assert Report(Event.FAILED, "3f2a", failure, ("shop/views.py",)) == read(whole)


def test_an_event_alone_is_a_report() -> None:
    """Everything else may be left out, or null."""
    assert Report(Event.LOADED) == read(datagram(event="loaded"))
    assert Report(Event.ENDS) == read(datagram(event="ends", why="idle", set=None, changed=None))
    assert Report(Event.ENDS, is_outdated=True) == read(datagram(event="ends", why="changed"))
    failed = read(datagram(event="raised"))
    assert failed == Report(Event.RAISED, failure=Failure("raises", "Exception"))


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"null",
        b"loaded",
        b'"loaded"',
        b"[]",
        b"{}",
        b'{"event": "exploded"}',
        b'{"event": ["loaded"]}',
        b'{"event": "failed", "code": 7}',
        b'{"event": "failed", "where": {"a": 1}}',
        b'{"event": "failed", "changed": "shop/views.py"}',
        b'{"event": "failed", "changed": [1, 2]}',
        b'{"event": "loaded"',
        b'{"event": "loaded"} {"event": "failed"}',
        b'{"event": "loaded", "set": "\xff"}',
        b'{"event": "loaded", "set": "\\ud800"}',
        b'{"event": "loaded", "more": ' + b"[" * 4000 + b"}",
        b'{"event": "loaded", "more": ' + b'{"a":' * 800 + b"}",
        b'{"event": "loaded", "set": "' + b"x" * MOST_BYTES + b'"}',
        b"\x00" * 512,
    ],
)
def test_what_is_no_report_is_none(hostile: bytes) -> None:
    """Wrong types, half a document, two of them, bad text, nested too deep, too long."""
    assert read(hostile) is None


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    """Whatever a student's process sends, the thread that listens to all goes on."""
    read(data)


@given(
    st.fixed_dictionaries(
        {"event": st.sampled_from(["failed", "raised", "loaded", "ends"])},
        optional={
            **dict.fromkeys(("code", "kind", "message", "where", "name", "set"), st.text()),
            "changed": st.lists(st.text(), max_size=30),
        },
    )
)
def test_all_that_is_believed_prints_and_has_a_bound(keys: dict[str, Any]) -> None:
    """For a log, a terminal, JSON and HTML, whatever an exception was called."""
    report = read(datagram(**keys))
    if report is None:
        assert len(datagram(**keys)) > MOST_BYTES or "\\ud" in json.dumps(keys)
        return
    texts = [report.set, *report.changed]
    if report.failure is not None:
        failure = report.failure
        assert failure.code in FAILURES
        texts += [failure.kind, failure.name, failure.where, failure.message]
    assert all(text.isprintable() and len(text) <= 500 for text in texts)
    assert len(report.changed) <= 10


def test_control_characters_are_shown_and_never_sent() -> None:
    """A terminal's commands, a line of a log that is not ours, a text that runs backwards."""
    report = read(
        datagram(
            event="failed", code="missing-file", where="a\x1b[2J\n<7>app.published", name="b\u202ec"
        )
    )
    assert report is not None
    assert report.failure is not None
    assert r"a\x1b[2J\n<7>app.published" == report.failure.where
    assert r"b\u202ec" == report.failure.name


def test_what_may_carry_a_secret_is_not_kept() -> None:
    """A password stands in the messages of databases and in keys; never in a syntax error."""
    for code in FAILURES | {"made-up"}:
        said = read(datagram(event="failed", code=code, kind="E", message="pass", name="token"))
        assert said is not None
        assert said.failure is not None
        is_public = code in reports.PUBLIC
        assert ("pass" if is_public else "") == said.failure.message
    assert not reports.PUBLIC & {"raises", "database", "settings", "memory"}
    raised = read(datagram(event="raised", code="raises", kind="KeyError", name="token"))
    assert raised is not None
    assert Failure("raises", "KeyError") == raised.failure


def test_a_code_that_is_not_known_is_any_exception() -> None:
    """And what is no name of a class is none: `kind` is a word in our sentences."""
    said = read(datagram(event="failed", code="rm -rf", kind="x; rm -rf ~"))
    assert said is not None
    assert Failure("raises", "Exception") == said.failure


def test_every_code_of_a_failure_has_a_sentence() -> None:
    """In the one table of them."""
    assert FAILURES <= ailments.CODES


# ---- room for one --------------------------------------------------------------------------------


def test_the_last_of_two_counts() -> None:
    """It says how the app is now."""
    loaded, failed = Report(Event.LOADED), Report(Event.FAILED, failure=Failure("exits"))
    assert failed == latest(loaded, failed)
    assert loaded == latest(failed, loaded)
    assert loaded == latest(None, loaded)


def test_an_end_does_not_push_out_what_was_told_before() -> None:
    """A process that says why it could not load ends a second later, and says so."""
    failed, ends = Report(Event.FAILED, failure=Failure("exits")), Report(Event.ENDS)
    assert failed == latest(failed, ends)
    assert ends == latest(None, ends)
    outdated = Report(Event.ENDS, is_outdated=True)
    assert outdated == latest(failed, outdated)
