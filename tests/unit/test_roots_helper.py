"""The same of settings on every Python, asked in a process that can do no harm (see test_roots)."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from reconciler.observe.source import Parser, Roots, settings_request
from tests.unit.test_roots import HERE, PACKAGE, PACKAGE_SAYS, PATHLIB, UNKNOWN, USUAL, usual
from tests.unit.test_source import _pythons

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=_pythons(), ids=os.path.basename, scope="module")
def parser(request: pytest.FixtureRequest) -> Iterator[Parser]:
    """A helper under each Python that is installed."""
    made = Parser(request.param)
    yield made
    made.close()


def asked(parser: Parser, text: str) -> Roots:
    """Return what the helper says of settings with this text."""
    return parser.roots(settings_request([(HERE, text.encode())]))


def test_every_python_understands_the_same(parser: Parser) -> None:
    """The usual expressions, all others, and what a package imports of itself."""
    for start, texts in USUAL.items():
        for text in texts:
            found = asked(parser, usual(start, text, "\r\n"))
            assert Roots("/~/shop/public", None, None, "/up/") == found, text
    for text in UNKNOWN:
        assert Roots(media_root="") == asked(parser, f"{PATHLIB}MEDIA_ROOT = {text}"), text
    files = settings_request((path, text.encode()) for path, text in PACKAGE.items())
    assert PACKAGE_SAYS == parser.roots(files)


NASTY = {
    "doubling": "x = 'x'\n" + "x = x + x\n" * 5000,
    "joining": f"x = '{'a/' * 400}'\nSTATIC_ROOT = f(" + "x, " * 20000 + ")\n",
    "one f-string": f"x = '{'a/' * 400}'\nSTATIC_ROOT = f'" + "{x}" * 20000 + "'\n",
    "brackets": "STATIC_ROOT = " + "(" * 30000 + ")" * 30000,
    "a sum": "STATIC_ROOT = " + "'a' + " * 10000 + "'a'\n",
    "parents": "STATIC_ROOT = __file__" + ".parent" * 9000,
    "ifs": "".join(" " * n + "if x:\n" for n in range(90)) + " " * 90 + "STATIC_ROOT = 'x'\n",
    "names": "STATIC_ROOT = x\n" * 4000,
    "a number": "STATIC_ROOT = 9" + "9" * 60000,
    "nul": "STATIC_ROOT = '\0'\n",
    "percent": "x = '%s'\n" + "x = x % x\n" * 6000 + "STATIC_ROOT = x\n",
    "surrogates": "STATIC_ROOT = '\\ud800'\n",
}


@pytest.mark.parametrize("name", NASTY)
def test_hostile_settings_cost_little_and_say_nothing(parser: Parser, name: str) -> None:
    """Whatever they are made of: the bounds of the helper's, and those of `roots.py`, hold."""
    text = NASTY[name].encode()[:65536]
    began = time.monotonic()
    found = parser.roots(settings_request([(HERE, text)]))
    assert time.monotonic() - began < 9, "two helpers' limits, on a busy machine"
    assert found.static_root in {None, "", "x", "%s"}
    good = parser.roots(settings_request([(HERE, b"STATIC_URL = '/s/'")]))
    assert Roots(static_url="/s/") == good, "and the next one is told"


def test_a_text_that_ends_the_helper_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does an answer that is none: another helper is asked, and then it is as if silent."""
    own = Parser(sys.executable)
    for answer in (
        [None] * 3,
        [None] * 5,
        [1, None, None, None],
        ["\n", None, None, None],
        {},
        "xxxx",
    ):
        asked: list[bytes] = []
        monkeypatch.setattr(
            own._helper,
            "ask",
            lambda request, told=answer, seen=asked: (seen.append(request), told)[1],
        )
        assert Roots() == own.roots(b"\0a\0b")
        assert 2 == len(asked)
    own.close()
