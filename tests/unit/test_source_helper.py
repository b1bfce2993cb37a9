"""How a parser's helper lives and dies, and who is blamed for it: real processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.observe.helper import AHEAD, Helper, HelperDied, HelperError
from reconciler.observe.source import Parser, Source

BINDS = Source(None, None, True)
DOES_NOT = Source(None, None, False)
SOUND = b"""\
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_wsgi_application()
"""


@pytest.fixture(scope="module")
def own() -> Iterator[Parser]:
    """A helper under the Python that runs the tests."""
    parser = Parser(sys.executable)
    yield parser
    parser.close()


# A Python with trap-doors: it runs what it is sent, but for what is taken over here. The jail,
# the frames and the answers to other requests are the real ones.
TRAPPED = """\
#!{python}
import os, sys, time
text, size = b"", int.from_bytes(os.read(0, 4), "big")
while len(text) < size:
    text += os.read(0, size - len(text))
jail = {{"__name__": "jail"}}
for part in text.split(b"\\0"):
    exec(compile(part, "jail.py", "exec"), jail)
real = jail["examine"]
def raw(body):
    os.write(1, body)
    time.sleep(9)
def nul():
    time.sleep(9)
def burn():
    while True: pass
full = False
def trapped(data):
    global full
    if full:
        raise MemoryError
    full = data == b"fill = 1"
    action = {{
        b"die": lambda: os._exit(7),
        b"segv": lambda: os.kill(os.getpid(), 11),
        b"sleep": nul,
        b"burn": burn,
        b"huge": lambda: raw(b"\\x7f\\xff\\xff\\xff" + b"x" * 9999),
        b"empty": lambda: raw(b"\\0\\0\\0\\0"),
        b"short": lambda: (os.write(1, b"\\0\\0\\0\\x09[1"), os._exit(0)),
        b"text": lambda: raw(b"\\0\\0\\0\\x04oops"),
        b"deep": lambda: raw(b"\\0\\0\\x10\\0" + b"[" * 4096),
        b"binary": lambda: raw(b"\\0\\0\\0\\x04\\xff\\xfe\\xfd\\xfc"),
        b"shape": lambda: {{"encoding": None}},
        b"line": lambda: (None, 10**9, "x", False),
        b"boolean line": lambda: (None, True, "x", False),
        b"escape": lambda: (None, 1, "\\x1b[2J", False),
        b"long": lambda: (None, 1, "x" * 201, False),
        b"contradiction": lambda: ("x", 1, "x", True),
    }}.get(data)
    return action() if action else real(data)
jail["examine"] = trapped
jail["main"](*sys.argv[-2:])
"""


def _executable(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def trapped(tmp_path: Path) -> Iterator[Parser]:
    """A helper that misbehaves when asked to, with two seconds of patience."""
    program = _executable(tmp_path / "python", TRAPPED.format(python=sys.executable))
    parser = Parser(program, timeout=2.0)
    yield parser
    parser.close()


def test_what_was_foreseen_is_told_of_whom_it_is_asked(own: Parser) -> None:
    """In whatever order, and however many nobody asks about, or that are too long to be sent."""
    texts = {f"application = {n}\n".encode(): BINDS for n in range(20)}
    texts |= {f"other = {n}\n".encode(): DOES_NOT for n in range(20)}
    texts[b"#" * 60_000] = DOES_NOT
    orders = [list(texts), list(reversed(texts)), sorted(texts, key=hash)]
    for foreseen, asked in zip(orders, reversed(orders), strict=True):
        for ahead, text in zip(foreseen, asked, strict=True):
            own.foresee(ahead)
            assert texts[text] == own.examine(text)


def test_long_answers_to_many_requests_made_ahead_find_room() -> None:
    """A helper that waits for room for its answers would not read, and we would wait for it."""
    name = "\N{DESERET SMALL LETTER LONG I}" * 150  # each 12 bytes of the answer
    texts = [f"def f():\n nonlocal {name}{number:05}\n".encode() for number in range(AHEAD)]
    helper = Helper(sys.executable, "parser", "2", timeout=2.0)
    for text in texts:
        helper.foresee(text)
    # It was not sent ahead, and comes behind all the others.
    assert [None, None, None, True] == helper.ask(SOUND + b"#" * 60_000)
    for number, text in enumerate(texts):
        answer = helper.ask(text)
        assert isinstance(answer, list)
        assert (2, True) == (answer[1], f"{number:05}" in answer[2])
    helper.close()


@pytest.mark.parametrize("poison", [b"die", b"burn", b"huge", b"empty", b"text", b"shape", b"line"])
def test_who_is_asked_about_meanwhile_is_not_blamed(trapped: Parser, poison: bytes) -> None:
    """The helper dies of a text that was sent ahead: the other has its own answer, and it too."""
    gone = Source(None, (1, "Python could not parse it within 2 s and 256 MiB"), False)
    assert BINDS == trapped.examine(SOUND)
    trapped.foresee(poison)
    assert DOES_NOT == trapped.examine(b"other = 1\n")
    trapped.foresee(SOUND)
    assert gone == trapped.examine(poison)
    assert BINDS == trapped.examine(SOUND)


@pytest.mark.parametrize(
    "poison",
    [b"die", b"segv", b"burn", b"huge", b"empty", b"short", b"text", b"deep", b"binary", b"shape",
     b"line", b"boolean line", b"escape", b"long", b"contradiction"],
)  # fmt: skip
def test_a_text_that_ends_the_helper_is_blamed_and_nobody_else(
    trapped: Parser, poison: bytes
) -> None:
    """Death, a busy loop or nonsense, twice: a fact. The homes before and after get the truth."""
    gone = Source(None, (1, "Python could not parse it within 2 s and 256 MiB"), False)
    assert BINDS == trapped.examine(SOUND)
    assert gone == trapped.examine(poison)
    assert BINDS == trapped.examine(SOUND)
    assert DOES_NOT == trapped.examine(b"app = 1")


def test_memory_filled_by_neighbours_is_not_the_next_ones_fault(trapped: Parser) -> None:
    """Python 3.12 never frees a name: only a new helper may say that a script is too large."""
    assert DOES_NOT == trapped.examine(b"fill = 1")
    assert BINDS == trapped.examine(SOUND)


def test_a_helper_that_is_given_no_time_blames_nobody(trapped: Parser) -> None:
    """It slept, it did not work: a machine too busy to tell is no student's fault."""
    with pytest.raises(HelperError, match="no time"):
        trapped.examine(b"sleep")
    assert BINDS == trapped.examine(SOUND)


def test_a_helper_killed_between_two_requests_is_replaced(own: Parser) -> None:
    """By the out-of-memory killer, say; twelve times over."""
    for _ in range(12):
        assert BINDS == own.examine(SOUND)
        process = own._helper._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)


def test_a_text_that_was_never_sent_is_not_blamed() -> None:
    """The helper was killed while idle, and the first to hear of it is who had a text waiting."""
    helper = Helper(sys.executable, "parser", "2", timeout=2.0)
    helper.start()
    assert helper._process is not None
    os.kill(helper._process.pid, signal.SIGKILL)
    helper._process.wait()
    helper.foresee(SOUND)
    with pytest.raises(HelperError) as told:
        helper.ask(SOUND)
    assert not isinstance(told.value, HelperDied)
    assert [None, None, None, True] == helper.ask(SOUND)
    helper.close()


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (None, "No such file"),
        ("#!/bin/sh\nexit 3\n", "ended without|Broken pipe"),
        ("#!/bin/sh\necho Welcome to Python\nsleep 9\n", "too long"),
        ("#!/bin/sh\nexec sleep 9\n", "in time"),
        ("#!/no/such/interpreter\n", "No such file"),
    ],
)
def test_what_cannot_be_started_is_unknown_and_not_waited_for_twice(
    tmp_path: Path, program: str | None, why: str
) -> None:
    """A thousand homes must not wait a thousand times for a Python that hangs."""
    path = tmp_path / "python"
    if program is not None:
        _executable(path, program)
    parser = Parser(str(path), timeout=0.5)
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(HelperError, match=why):
            parser.examine(b"application = 1")
    assert time.monotonic() - began < 2
    parser.close()


def test_a_python_put_right_is_started_again(tmp_path: Path) -> None:
    """As after an upgrade of the distribution."""
    path = tmp_path / "python"
    parser = Parser(str(path), timeout=0.2)
    with pytest.raises(HelperError):
        parser.examine(b"")
    path.symlink_to(sys.executable)
    time.sleep(0.25)
    parser._helper._timeout = 5.0
    assert DOES_NOT == parser.examine(b"")
    parser.close()


def test_closing_takes_no_signal_and_a_closed_parser_may_be_used_again() -> None:
    """It ends by itself, with status 0, when its input does."""
    parser = Parser(sys.executable)
    parser.close()
    for _ in range(2):
        assert BINDS == parser.examine(b"application = 1")
        process = parser._helper._process
        assert process is not None
        parser.close()
        assert 0 == process.returncode
    parser.close()


def test_threads_share_a_parser(own: Parser) -> None:
    """Each gets the answer to its own question."""
    wrong: list[Source] = []

    def ask(number: int) -> None:
        for turn in range(50):
            fact = own.examine(b"\n" * (number * 50 + turn) + b")")
            if fact.syntax is None or fact.syntax[0] != number * 50 + turn + 1:
                wrong.append(fact)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


def test_a_usual_script_takes_well_below_a_millisecond(own: Parser) -> None:
    """Measured: 0.2 ms; the median, since a test machine has other things to do."""
    took = []
    for _ in range(200):
        began = time.perf_counter()
        own.examine(SOUND)
        took.append(time.perf_counter() - began)
    assert sorted(took)[100] < 0.002
