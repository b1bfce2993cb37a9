"""Slow things, beside the thread that looks: a frozen value in, a frozen value out by the inbox."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Something to be done in a thread of its own."""

    name: str
    work: Callable[[], Any]
    """Touches nothing that belongs to another thread."""
    then: Callable[[Any], None]
    """Called with what `work` returned, or the exception that it raised, by whoever takes `Ended`
    from the inbox: in the thread that looks, which alone may touch cases."""
    limit: float | None = None
    """Seconds after which `then` gets a TimeoutError instead, and what `work` returns is dropped.
    A thread cannot be ended from outside, so what it waits for must have bounds of its own."""
    may_be_left: bool = False
    """Nothing is lost if it never ends: neither a stop nor another life waits for it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The message that a job has ended."""

    job: Job
    result: Any


class Jobs:
    """The jobs under way. All but the work itself is for the thread that made this."""

    def __init__(self, send: Callable[[Ended], None]) -> None:
        """`send` puts a message into the inbox, from any thread."""
        self._send = send
        self._running: dict[Job, threading.Thread] = {}

    def start(self, job: Job) -> None:
        """Start a job; its end comes as a message."""

        def work() -> None:
            try:
                result = job.work()
            except Exception as error:  # noqa: BLE001  a thread has nobody else to tell
                result = error
            self._send(Ended(job, result))

        thread = threading.Thread(target=work, name=job.name, daemon=True)
        thread.start()  # first: where it cannot be, nothing is under way
        self._running[job] = thread
        if job.limit is not None:
            late = Ended(job, TimeoutError(f"{job.name} took longer than {job.limit:g} s"))
            timer = threading.Timer(job.limit, self._send, [late])
            timer.daemon = True
            timer.start()

    def take(self, ended: Ended) -> None:
        """Take an end from the inbox; the first one of a job counts."""
        if self._running.pop(ended.job, None) is not None:
            ended.job.then(ended.result)

    @property
    def running(self) -> frozenset[str]:
        """The names of those under way that are to be waited for."""
        return frozenset(job.name for job in self._running if not job.may_be_left)

    def join(self, seconds: float) -> None:
        """Wait for what is to be waited for, at most so many seconds each."""
        for job, thread in self._running.items():
            if not job.may_be_left:
                thread.join(seconds)
