"""Steady requests, from a process of its own: what is measured must not wait for the measuring."""

from __future__ import annotations

import http.client
import multiprocessing
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

_THREADS = 32
_TIMEOUT = 10.0
"""Seconds after which a request has failed."""


@dataclass(slots=True)
class Heard:
    """What became of the requests; `ms` counts from when each was due, not when it was sent."""

    ms: list[float]
    failures: int


class Load:
    """`rate` GETs a second, round robin over `paths`, from the block's beginning to its end."""

    def __init__(self, paths: Sequence[str], *, rate: float) -> None:
        self._paths = paths
        self._rate = rate
        self.heard = Heard([], 0)

    def __enter__(self) -> Load:
        context = multiprocessing.get_context("fork")
        self._stop = context.Event()
        self._answer, there = context.Pipe(duplex=False)
        self._process = context.Process(target=self._work, args=(there,), daemon=True)
        self._process.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        ms, failures = self._answer.recv()
        self.heard = Heard(ms, failures)
        self._process.join()

    def _work(self, there: multiprocessing.connection.Connection) -> None:
        heard = [Heard([], 0) for _ in range(_THREADS)]
        threads = [
            threading.Thread(target=self._one, args=(number, heard[number]))
            for number in range(_THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        there.send(([ms for each in heard for ms in each.ms], sum(e.failures for e in heard)))

    def _one(self, number: int, heard: Heard) -> None:
        every = _THREADS / self._rate
        due = time.perf_counter() + every * number / _THREADS
        turn = number
        while not self._stop.wait(max(0.0, due - time.perf_counter())):
            try:
                good = get(self._paths[turn % len(self._paths)])[0] == 200
            except (OSError, http.client.HTTPException):
                good = False
            heard.ms.append((time.perf_counter() - due) * 1e3)
            heard.failures += not good
            turn += _THREADS
            due += every


def get(path: str, *, port: int = 80, timeout: float = _TIMEOUT) -> tuple[int, bytes]:
    """Return the status and the body. Raises OSError or HTTPException where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def until(
    path: str, wanted: bytes, *, port: int = 80, pause: float = 0.0, most: float = 60
) -> None:
    """Ask until the answer is `wanted`."""
    deadline = time.monotonic() + most
    while time.monotonic() < deadline:
        try:
            if get(path, port=port)[1] == wanted:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(pause)
    raise TimeoutError(f"{path}: no {wanted!r} within {most} s")
