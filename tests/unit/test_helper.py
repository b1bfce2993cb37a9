"""The side of a helper that is ours: bounds, deadlines and blame, with one that does as told."""

from __future__ import annotations

import json
import select
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.observe import helper as module
from reconciler.observe import jail, roots
from reconciler.observe.helper import AHEAD, Helper, HelperDied, HelperError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# It speaks in frames as jail.py does, and answers what the request says.
OBEDIENT = """\
#!{python} -ISB
import json, os, signal, sys, time
def read(size):
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            os._exit(0)
        data += part
    return data
def frame():
    return read(int.from_bytes(read(4), "big"))
def send(body):
    os.write(1, len(body).to_bytes(4, "big") + body)
program = frame()
send({hello})
while True:
    word, _, rest = frame().decode().partition(" ")
    if word == "echo":
        send(json.dumps(rest[:99]).encode())
    elif word == "size":
        send(b'"' + b"x" * (int(rest) - 2) + b'"' if int(rest) > 1 else b"1" * int(rest))
    elif word == "about":
        send(json.dumps([
            len(program), sys.argv[1:5], sys.argv[6:], os.getcwd(), dict(os.environ),
            os.getsid(0) == os.getpid(), os.readlink("/proc/self/fd/2"),
        ]).encode())
    elif word == "spin":
        while time.process_time() < 0.3:
            pass
        send(b"1")
    elif word == "slow":
        for byte in b"\\0\\0\\0\\5\\"abc\\"":
            os.write(1, bytes([byte]))
            time.sleep(0.01)
    elif word == "half":
        os.write(1, b"\\0\\0\\0\\5\\"a")
        time.sleep(60)
    elif word == "deaf":
        send(b"1")
        time.sleep(60)
    elif word == "sleep":
        time.sleep(60)
    elif word == "die":
        os._exit(7)
"""


def program(place: Path, hello: str = "b'[\"ready\"]'") -> str:
    """Write a helper, and return its path."""
    (place / "python").write_text(OBEDIENT.format(python=sys.executable, hello=hello))
    (place / "python").chmod(0o755)
    return str(place / "python")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Helper]]:
    """Return what makes helpers, which are ended after the test."""
    made: list[Helper] = []

    def make(timeout: float = 20.0, path: str | None = None) -> Helper:
        made.append(Helper(path or program(tmp_path), "role", "argument", timeout=timeout))
        return made[-1]

    yield make
    for each in made:
        each._kill()


def test_a_helper_is_started_with_as_little_as_can_be(make: Callable[..., Helper]) -> None:
    """The program comes through the pipe; no session, directory, environment or log of ours."""
    helper = make()
    about = helper.ask(b"about")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    length = sum(len(Path(part.__file__).read_bytes()) for part in (roots, jail)) + 1
    arguments = [["-I", "-S", "-B", "-c"], ["role", "argument"]]
    assert [length, *arguments, "/", environment, True, "/dev/null"] == about


@pytest.mark.parametrize("size", [1, 4096])
def test_an_answer_may_be_as_long_as_the_bound(make: Callable[..., Helper], size: int) -> None:
    """4 KiB, and the next one is its own."""
    helper = make()
    assert size == len(json.dumps(helper.ask(f"size {size}".encode())))
    assert "x" == helper.ask(b"echo x")


@pytest.mark.parametrize("size", [0, 4097])
def test_a_longer_one_is_the_end_of_the_helper(make: Callable[..., Helper], size: int) -> None:
    """And that request's fault."""
    helper = make()
    with pytest.raises(HelperDied, match=r"^a helper died: its answer is too long$"):
        helper.ask(f"size {size}".encode())
    assert "x" == helper.ask(b"echo x")


@pytest.mark.parametrize(
    ("used", "ahead", "blamed"),
    [(0.15, False, True), (0.149, False, False), (9.0, False, True), (9.0, True, False)],
)
def test_who_gets_no_answer_is_blamed_where_the_processor_was_used(
    make: Callable[..., Helper],
    monkeypatch: pytest.MonkeyPatch,
    used: float,
    *,
    ahead: bool,
    blamed: bool,
) -> None:
    """Half of the time at least, and on no other's request; a machine may be busy."""
    helper = make(0.3)
    helper._timeout = 20.0
    helper.start()
    helper._timeout = 0.3
    real = helper._kill
    monkeypatch.setattr(helper, "_kill", lambda: (real(), used)[1])
    began = time.monotonic()
    if ahead:
        helper.foresee(b"sleep")
    with pytest.raises(HelperError) as told:
        helper.ask(b"sleep too")
    assert 0.3 <= time.monotonic() - began < 10
    assert blamed == isinstance(told.value, HelperDied)
    says = "a helper did not answer within 0.3 s" if blamed else "a helper was given no time"
    assert str(told.value).startswith(says)


@pytest.mark.parametrize("request_", [b"half", b"deaf"])
def test_who_answers_by_halves_or_does_not_read_is_waited_for_until_the_deadline(
    make: Callable[..., Helper], request_: bytes
) -> None:
    """And an answer that comes byte by byte is one."""
    helper = make()
    assert "abc" == helper.ask(b"slow")
    helper._timeout = 0.3
    began = time.monotonic()
    with pytest.raises(HelperError, match=r"^a helper was given no time to answer$"):
        list(map(helper.ask, (request_, b"x" * 200_000)))  # more than a pipe takes
    assert 0.3 <= time.monotonic() - began < 10


@pytest.mark.parametrize("ahead", [True, False])
def test_whose_request_ended_it_is_blamed_and_nobody_else(
    make: Callable[..., Helper], *, ahead: bool
) -> None:
    """It may have died of what was sent ahead."""
    helper = make()
    helper.start()
    if ahead:
        helper.foresee(b"die")
    with pytest.raises(HelperError, match=r"^a helper died: it ended without an answer$") as told:
        helper.ask(b"echo x" if ahead else b"die")
    assert ahead != isinstance(told.value, HelperDied)
    assert "x" == helper.ask(b"echo x")


def test_whatever_breaks_in_on_a_request_is_the_end_of_the_helper(
    make: Callable[..., Helper], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C in mid-frame, the next answer would be another's."""
    helper = make()
    helper.start()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for place in ("_answer", "_spawn"):
        with monkeypatch.context() as patch:
            patch.setattr(helper, place, interrupted)
            with pytest.raises(KeyboardInterrupt):
                helper.ask(b"echo x")
        assert helper._process is None
    with monkeypatch.context() as patch:
        patch.setattr(module.pipes, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            helper.start()
        assert helper._process is None
    assert "x" == helper.ask(b"echo x")


# ---- requests made ahead -------------------------------------------------------------------------


def test_ahead_goes_what_a_pipe_takes_as_a_whole(make: Callable[..., Helper]) -> None:
    """4,096 bytes with its length, together with others; a longer one is sent when it is asked."""
    helper = make()
    helper.foresee(b"echo x")
    assert helper._process is None, "none is started for it"
    helper.start()
    most = select.PIPE_BUF - 4
    helper.foresee(b"echo " + b"l" * (most - 4))
    assert 0 == len(helper._ahead)
    helper.foresee(b"echo " + b"a" * (most - 5))
    assert (1, 4096) == (len(helper._ahead), len(helper._unsent))
    helper.foresee(b"echo " + b"a" * (most - 5))
    assert (1, 4096) == (len(helper._ahead), len(helper._unsent)), "once is enough"
    helper.foresee(b"echo b")
    assert (2, 10) == (len(helper._ahead), len(helper._unsent)), "the first was sent"
    helper.foresee(b"echo " + b"c" * (most - 5 - 10))
    assert (3, 4096) == (len(helper._ahead), len(helper._unsent)), "both go at once"
    assert "b" == helper.ask(b"echo b")
    assert "c" * 99 == helper.ask(b"echo " + b"c" * (most - 5 - 10))
    assert "a" * 99 == helper.ask(b"echo " + b"a" * (most - 5))
    assert ({}, 0, b"") == (helper._answers, len(helper._ahead), helper._unsent)


def test_ahead_goes_no_more_than_its_answers_have_room_for(make: Callable[..., Helper]) -> None:
    """A helper that waits for room does not read."""
    helper = make()
    helper.start()
    assert AHEAD == helper._room
    for number in range(AHEAD + 1):
        helper.foresee(f"echo {number}".encode())
    assert AHEAD == len(helper._answers)
    assert ["7", "256", "0"] == [helper.ask(f"echo {n}".encode()) for n in (7, 256, 0)]


def test_what_is_foreseen_of_a_dead_helper_is_heard_of_by_who_asks(
    make: Callable[..., Helper],
) -> None:
    """Whoever foresees may be a student just now, and starts nothing."""
    helper = make()
    helper.start()
    process = helper._process
    assert process is not None
    process.kill()
    process.wait()
    for number in range(3):
        helper.foresee(f"echo {number}".encode() + b" " * 3000)
    assert process is helper._process
    with pytest.raises(HelperError, match="a helper died") as told:
        helper.ask(b"echo x")
    assert not isinstance(told.value, HelperDied)
    assert "x" == helper.ask(b"echo x")


# ---- its beginning and its end -------------------------------------------------------------------


def test_a_start_that_fails_is_not_tried_again_at_once(
    make: Callable[..., Helper], monkeypatch: pytest.MonkeyPatch
) -> None:
    """But after as long as a request may take; until then everybody hears the same."""
    now, tried = [100.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    real = module.subprocess.Popen

    def popen(*arguments: Any, **more: Any) -> Any:
        tried.append(now[0])
        return real(*arguments, **more)

    monkeypatch.setattr(module.subprocess, "Popen", popen)
    helper = make(5.0, "/no/such/python")
    for at in (100.0, 104.5, 105.0, 109.5, 110.0):
        now[0] = at
        with pytest.raises(HelperError) as told:
            helper.start()
        why = "[Errno 2] No such file or directory: '/no/such/python'"
        assert f"a helper cannot be started (/no/such/python): {why}" == str(told.value)
    assert [100.0, 105.0, 110.0] == tried
    helper.begin()
    assert [100.0, 105.0, 110.0] == tried, "and whoever only begins hears nothing"


def test_what_is_begun_is_the_one_that_is_started(make: Callable[..., Helper]) -> None:
    """And it is greeted once."""
    helper = make()
    helper.begin()
    process = helper._process
    assert process is not None
    for _ in range(2):
        helper.begin()
        helper.start()
        assert process is helper._process
    assert "x" == helper.ask(b"echo x")
    process.kill()
    process.wait()
    helper.start()
    assert process is not helper._process, "it died between two requests: nobody's fault"
    assert "x" == helper.ask(b"echo x")


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        ('b\'["failed", "no such user\\\\u001b"]\'', "no such user?"),
        ("b'[\"failed\", 5]'", "it does not speak our language"),
        ("b'[\"ready\", 1]'", "it does not speak our language"),
        ("b'{}'", "it does not speak our language"),
        ("b'oops'", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_a_helper_that_does_not_say_that_it_is_ready_is_none(
    tmp_path: Path, make: Callable[..., Helper], hello: str, why: str
) -> None:
    """Its reason is told, in characters that can be printed."""
    path = program(tmp_path, hello)
    helper = make(20.0, path)
    with pytest.raises(HelperError) as told:
        helper.start()
    assert f"a helper cannot be started ({path}): {why}" == str(told.value)
    assert helper._process is None


def test_closing_waits_for_its_end_and_not_for_ever(
    make: Callable[..., Helper], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a second to end by itself."""
    assert 1.0 == module.GOODBYE
    monkeypatch.setattr(module, "GOODBYE", 0.5)
    helper = make()
    helper.close()
    helper.start()
    process = helper._process
    helper.close()
    assert process is not None
    assert (0, None) == (process.returncode, helper._process)
    assert 1 == helper.ask(b"deaf")
    process = helper._process
    began = time.monotonic()
    helper.close()
    assert 0.5 <= time.monotonic() - began < 10
    assert process is not None
    assert (-signal.SIGKILL, None) == (process.returncode, helper._process)


def test_the_end_of_a_helper_tells_what_it_used(make: Callable[..., Helper]) -> None:
    """By that it is judged whether it was given any time; one that was gone before used none."""
    helper = make()
    assert 0.0 == helper._kill()
    assert 1 == helper.ask(b"spin")
    process = helper._process
    assert process is not None
    assert 0.25 <= helper._kill() < 5
    assert (-signal.SIGKILL, None) == (process.returncode, helper._process)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdin.closed
    assert process.stdout.closed
    helper.start()
    process = helper._process
    assert process is not None
    process.kill()
    process.wait()
    assert 0.0 == helper._kill()


@pytest.mark.parametrize("trouble", ["no power", "reaped", "stuck"])
def test_a_helper_that_cannot_be_ended_holds_nobody(
    make: Callable[..., Helper], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """Without the power to kill it, or where somebody else heard of its end, or on a dead mount."""
    monkeypatch.setattr(module, "GOODBYE", 0.2)
    helper = make()
    helper.start()
    process = helper._process
    assert process is not None

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    def gone(*_: object) -> None:
        raise ChildProcessError(10, "No child processes")

    began = time.monotonic()
    with monkeypatch.context() as patch:
        if trouble == "no power":
            patch.setattr(process, "kill", refuse)
        elif trouble == "reaped":
            patch.setattr(module.os, "wait4", gone)
        else:
            patch.setattr(module.os, "wait4", lambda *_: (0, 0, None))
        used = helper._kill()
    took = time.monotonic() - began
    assert helper._process is None
    if trouble == "no power":
        assert 0 == process.returncode, "it ends by its closed input"
    else:
        assert 0.0 == used
        assert (took >= 0.2) == (trouble == "stuck")
    assert took < 5
    process.wait()
