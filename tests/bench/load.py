"""Steady requests, and how long each took."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.lab.aside import Aside

_THREADS = 32
_TIMEOUT = 10.0
"""Seconds after which a request has failed."""


@dataclass(slots=True)
class Heard:
    """What became of the requests; `ms` counts from when each was due, not when it was sent."""

    ms: list[float]
    failures: int


class Load(Aside[Heard]):
    """`rate` GETs a second, round robin over `paths`, from the block's beginning to its end."""

    def __init__(self, paths: Sequence[str], *, rate: float) -> None:
        self._paths = paths
        self._rate = rate

    def work(self) -> Heard:
        """Ask until it is over, and return what became of it.

        Before all else that runs here, as if from a machine of its own: who asks does not wait.
        """
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        heard = self.steadily(self._ask, rate=self._rate, threads=_THREADS)
        return Heard([ms for ms, _ in heard], sum(not good for _, good in heard))

    def _ask(self, turn: int, due: float) -> tuple[float, bool]:
        try:
            good = get(self._paths[turn % len(self._paths)])[0] == 200
        except (OSError, http.client.HTTPException):
            good = False
        return (time.monotonic() - due) * 1e3, good


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
