"""Steady work in a process of its own: what is measured must not wait for the measuring."""

from __future__ import annotations

import multiprocessing
import threading
import time
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
R = TypeVar("R")


class Aside(Generic[T]):
    """`work` goes on from a block's beginning to its end; what it returns is `heard` after it.

    Forked when the block is entered, so enter it before there are threads.
    """

    heard: T

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("fork")
        self.over = context.Event()
        self._pipe, there = context.Pipe(duplex=False)
        self._process = context.Process(target=lambda: there.send(self.work()), daemon=True)
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.heard = self._pipe.recv()
        self._process.join()

    def work(self) -> T:
        """Do it until `over` is set."""
        raise NotImplementedError

    def steadily(self, act: Callable[[int, float], R], *, rate: float, threads: int) -> list[R]:
        """Act `rate` times a second until it is over, in so many threads; return the results.

        `act` is given the number of its turn and when that was due, by the monotonic clock.
        """
        results: list[R] = []

        def turns(number: int) -> None:
            due = time.monotonic() + number / rate
            turn = number
            while not self.over.wait(max(0.0, due - time.monotonic())):
                results.append(act(turn, due))
                turn += threads
                due += threads / rate

        workers = [threading.Thread(target=turns, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return results
