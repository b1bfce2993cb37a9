"""What is made of a parser's answers, and of those that never came."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from reconciler.observe.helper import HelperDied, HelperError
from reconciler.observe.source import Parser, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

SAYS_NOTHING = "a helper answered what no parser says"


class Saying:
    """Stands for a helper that answers, or fails, in turn."""

    def __init__(self, *answers: object) -> None:
        self.left = list(answers)
        self.asked: list[bytes] = []
        self.closed = 0

    def ask(self, request: bytes) -> object:
        """Note it, and answer as is next."""
        self.asked.append(request)
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Note it."""
        self.closed += 1


@pytest.fixture
def parser() -> Iterator[Parser]:
    """Return one whose helper was not started."""
    made = Parser(sys.executable)
    yield made
    made.close()


def answered(parser: Parser, monkeypatch: pytest.MonkeyPatch, *answers: object) -> Saying:
    """Let the parser's helper say that."""
    saying = Saying(*answers)
    monkeypatch.setattr(parser._helper, "ask", saying.ask)
    monkeypatch.setattr(parser._helper, "close", saying.close)
    return saying


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        ([None, None, None, True], Source(None, None, True)),
        ([None, None, None, False], Source(None, None, False)),
        (["not utf-8", None, None, False], Source("not utf-8", None, False)),
        (["x" * 200, None, None, False], Source("x" * 200, None, False)),
        (["x", None, None, False], Source("x", None, False)),
        ([None, 1, "invalid syntax", False], Source(None, (1, "invalid syntax"), False)),
        ([None, 65537, "x", False], Source(None, (65537, "x"), False)),
    ],
)
def test_an_answer_in_its_bounds_is_a_fact(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, answer: object, facts: Source
) -> None:
    """A line up to the one after the last that a text can have; 200 characters that print."""
    saying = answered(parser, monkeypatch, answer)
    assert facts == parser.examine(b"text")
    assert ([b"text"], 0) == (saying.asked, saying.closed)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        "xxxx",
        [None, None, None, None],
        [None, None, None, 1],
        [None, None, None, True, None],
        ["x" * 201, None, None, False],
        ["", None, None, False],
        ["\x1b", None, None, False],
        ["x", None, None, True],
        ["x", 1, "x", False],
        [None, 0, "x", False],
        [None, -1, "x", False],
        [None, True, "x", False],
        [None, 1.0, "x", False],
        [None, 65538, "x", False],
        [None, 1, "", False],
        [None, 1, "a\nb", False],
        [None, 1, "x" * 201, False],
        [None, 1, "x", True],
        [None, 1, None, False],
    ],
)
def test_any_other_answer_is_as_good_as_none(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    """A text may have taken the helper over: another is asked, and then it is the text's fault."""
    saying = answered(parser, monkeypatch, answer, answer)
    fault = (1, "Python could not parse it within 2 s and 256 MiB")
    assert Source(None, fault, False) == parser.examine(b"text")
    assert ([b"text", b"text"], 2) == (saying.asked, saying.closed)
    answered(parser, monkeypatch, answer, [None, None, None, True])
    assert Source(None, None, True) == parser.examine(b"text"), "the second has a say"


@pytest.mark.parametrize(
    ("timeout", "limit"), [(0.5, "0.5 s"), (1.9, "1.9 s"), (2.0, "2 s"), (9, "2 s")]
)
def test_a_text_that_ends_two_helpers_is_told_so_with_its_limits(
    monkeypatch: pytest.MonkeyPatch, timeout: float, limit: str
) -> None:
    """Of the time and of the processor, the shorter."""
    parser = Parser(sys.executable, timeout=timeout)
    assert (timeout, ["parser", "2"]) == (parser._helper._timeout, parser._helper._command[-2:])
    assert sys.executable == parser._helper._command[0]
    answered(parser, monkeypatch, HelperDied("1"), HelperDied("2"))
    fault = (1, f"Python could not parse it within {limit} and 256 MiB")
    assert Source(None, fault, False) == parser.examine(b"")


def test_what_is_nobodys_fault_is_unknown(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the second cannot be asked either; that a first one died says nothing."""
    for first in (HelperDied("1"), HelperError("1")):
        answered(parser, monkeypatch, first, HelperError("no time"))
        with pytest.raises(HelperError, match=r"^no time$"):
            parser.examine(b"")
    assert 5.0 == parser._helper._timeout
    answered(parser, monkeypatch, HelperError("1"), HelperDied("2"))
    assert parser.examine(b"").syntax


def test_a_text_has_64_kib_at_most(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is longer was to be left out before."""
    answered(parser, monkeypatch, [None, None, None, True])
    assert parser.examine(b"#" * 65536).binds_application
    why = r"^a source of 65537 bytes is longer than 65536$"
    with pytest.raises(ValueError, match=why):
        parser.examine(b"#" * 65537)


def test_nonsense_is_said_to_be_that(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    """To whoever reads the log."""
    answered(parser, monkeypatch, "nonsense")
    with pytest.raises(HelperDied, match=rf"^{SAYS_NOTHING}$"):
        parser._ask(b"")


def test_a_parser_is_begun_started_and_asked_ahead(parser: Parser) -> None:
    """By its one helper, the real one."""
    parser.begin()
    process = parser._helper._process
    assert process is not None
    parser.start()
    assert parser._helper._greeted
    parser.foresee(b"application = 1")
    assert [b"application = 1"] == list(parser._helper._ahead)
    assert Source(None, None, True) == parser.examine(b"application = 1")
    parser.close()
    assert 0 == process.returncode
