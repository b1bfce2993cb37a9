"""Slow things beside the thread that looks: their ends come as messages, once each."""

from __future__ import annotations

import queue
import threading

import pytest

from reconciler.jobs import Ended, Job, Jobs


def test_what_work_returns_is_taken_by_the_thread_that_takes_messages() -> None:
    """Never by the job's own: only one thread touches cases."""
    inbox: queue.SimpleQueue[Ended] = queue.SimpleQueue()
    jobs = Jobs(inbox.put)
    took: list[tuple[object, threading.Thread]] = []
    where: list[threading.Thread] = []

    def work() -> int:
        where.append(threading.current_thread())
        return 7

    jobs.start(Job("sum", work, lambda result: took.append((result, threading.current_thread()))))
    assert {"sum"} == jobs.running
    jobs.take(inbox.get(timeout=10))
    assert [(7, threading.current_thread())] == took
    assert [threading.current_thread()] != where
    assert frozenset() == jobs.running


def test_what_work_raises_is_its_result() -> None:
    """A thread has nobody else to tell."""
    inbox: queue.SimpleQueue[Ended] = queue.SimpleQueue()
    jobs = Jobs(inbox.put)
    took: list[object] = []
    jobs.start(Job("divide", lambda: 1 // 0, took.append))
    jobs.take(inbox.get(timeout=10))
    assert [ZeroDivisionError] == [type(error) for error in took]


def test_one_that_takes_too_long_ends_without_its_result() -> None:
    """The first end counts; what comes later is dropped."""
    inbox: queue.SimpleQueue[Ended] = queue.SimpleQueue()
    jobs = Jobs(inbox.put)
    took: list[object] = []
    go = threading.Event()
    jobs.start(Job("slow", lambda: go.wait(10), took.append, limit=0.02))
    jobs.take(inbox.get(timeout=10))
    assert ["slow took longer than 0.02 s"] == [str(error) for error in took]
    assert frozenset() == jobs.running
    go.set()
    jobs.take(inbox.get(timeout=10))
    assert 1 == len(took)


def test_one_in_time_is_not_told_of_twice() -> None:
    """Its limit, when it comes, says nothing."""
    inbox: queue.SimpleQueue[Ended] = queue.SimpleQueue()
    jobs = Jobs(inbox.put)
    took: list[object] = []
    jobs.start(Job("quick", lambda: 1, took.append, limit=0.05))
    jobs.take(inbox.get(timeout=10))
    jobs.take(inbox.get(timeout=10))
    assert [1] == took


def test_one_that_cannot_begin_is_not_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine gives no thread: whoever asked is told, and may ask again."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    jobs = Jobs(lambda _: None)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        jobs.start(Job("sum", lambda: 7, lambda _: None))
    assert frozenset() == jobs.running
