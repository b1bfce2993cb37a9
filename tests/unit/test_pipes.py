"""Pipes to helpers that do not read, do not write, or are gone."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from reconciler.observe import pipes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOON = 0.2
"""Seconds."""


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """Return the two ends of a pipe, which do not block."""
    ends = list(os.pipe())
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        os.close(end)


def test_whoever_says_nothing_is_waited_for_until_the_deadline(pipe: list[int]) -> None:
    """Neither longer nor less."""
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"^it did not answer in time$"):
        pipes.read(pipe[0], began + SOON)
    assert SOON <= time.monotonic() - began < SOON + 2
    os.write(pipe[1], b"late")
    assert b"late" == pipes.read(pipe[0], began), "what is there needs no waiting"


def test_a_wait_takes_no_time_of_the_processors_and_ends_with_what_comes(pipe: list[int]) -> None:
    """Both ways: for an answer, and for room."""

    def later(act: Callable[[], object]) -> threading.Timer:
        timer = threading.Timer(SOON, act)
        timer.start()
        return timer

    began = time.thread_time()
    timer = later(lambda: os.write(pipe[1], b"an answer"))
    assert b"an answer" == pipes.read(pipe[0], time.monotonic() + 60)
    timer.join()
    size = pipes.widened(pipe[1], 4096)
    timer = later(lambda: os.read(pipe[0], 4096))
    pipes.write(pipe[1], b"x" * (size + 4096), time.monotonic() + 60)
    timer.join()
    assert SOON / 2 > time.thread_time() - began


def test_whoever_does_not_read_is_waited_for_until_the_deadline(pipe: list[int]) -> None:
    """What a pipe takes is written; the rest would hold us for ever."""
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        pipes.write(pipe[1], b"x" * 200_000, began + SOON)
    assert SOON <= time.monotonic() - began < SOON + 2
    assert 65536 == len(pipes.read(pipe[0], began))


def test_a_closed_end_is_no_wait(pipe: list[int]) -> None:
    """It reads as nothing, and a write to it fails."""
    os.close(pipe[1])
    assert b"" == pipes.read(pipe[0], time.monotonic() + 60)
    pipe[1] = os.open("/dev/null", os.O_WRONLY)
    there, mine = os.pipe()
    os.close(there)
    with pytest.raises(BrokenPipeError):
        pipes.write(mine, b"x", time.monotonic() + 60)
    os.close(mine)


def test_a_pipe_is_widened_as_far_as_may_be(pipe: list[int]) -> None:
    """And its size is told, whatever it is."""
    assert 1 << 18 == pipes.widened(pipe[0], 1 << 18)
    assert 1 << 18 == pipes.widened(pipe[0], -1), "no such size"
    pipes.write(pipe[1], b"x" * 65_537, time.monotonic() + 60)
    assert [65_536, 1] == [len(pipes.read(pipe[0], 0.0)) for _ in range(2)], (
        "in parts, all the same"
    )


def test_a_frame_says_its_length() -> None:
    """In four bytes, the high one first."""
    assert b"\0\0\1\2" + b"x" * 258 == pipes.framed(b"x" * 258)
