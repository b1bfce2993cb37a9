"""Accounts of ours and of the manual's own stanzas, on one Apache, side by side."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench import rivals, school
from tests.bench.figures import Figure, quantile
from tests.lab.apache import CONF, Server
from tests.lab.program import Daemon, Program

SHARES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two kinds of account; an account is its number in the school."""

    ours: range
    theirs: range
    daemon: Daemon

    def url(self, index: int, below: str = "") -> str:
        """Return where an account's app answers."""
        prefix = "django" if index in self.ours else "hand"
        return f"/{prefix}/{school.name(index)}/{below}"


@contextmanager
def pairs(count: int, ready: Callable[[int], object], settings: str = "") -> Iterator[Pair]:
    """Have `count` accounts of each kind, made by `ready`, an Apache with both, and our daemon."""
    ours, theirs = range(count), range(count, 2 * count)
    school.enroll(2 * count)
    for index in (*ours, *theirs):
        ready(index)
        school.own(school.ROOT / school.name(index), index)
    with (CONF / "conf-enabled/zz-by-hand.conf").open("w") as file:
        for index in theirs:
            home = school.ROOT / school.name(index)
            file.write(rivals.STANZA.format(name=school.name(index), home=home))
            # Only ours are looked at by the program.
            (home / ".slp.toml").write_text("enabled = false\n")
            school.own(home, index)
    school.settings(f"[daemons]\nbudget = {2 * count}\n[timing]\nresync = 3600\n{settings}")
    server = Server()
    server.configure()
    program = Program()
    program.once("--no-reload", timeout=300)
    server.start()
    with program.daemon(timeout=120) as daemon:
        time.sleep(3)  # what is due at its start is over
        yield Pair(ours, theirs, daemon)


def turn_by_turn(
    pair: Pair, sample: Callable[[int, float], float]
) -> tuple[list[float], list[float]]:
    """Return the samples of ours and of theirs, taken one after the other.

    `sample` is given an account and how many seconds to wait, under one: the same for both of a
    turn, and anywhere in the second in which Apache looks at its children.
    """
    chance = random.Random(7)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for both in zip(pair.ours, pair.theirs, strict=True):
        phase = chance.random()
        for index in both:
            taken[index in pair.ours].append(sample(index, phase))
    return taken[True], taken[False]


def rows(what: str, ours: Sequence[float], against: str, theirs: Sequence[float]) -> list[Figure]:
    """Return the figures of two kinds of samples, in ms."""
    return [
        Figure(f"{what}: {share}", quantile(ours, at), "ms", against, quantile(theirs, at))
        for share, at in SHARES
    ]
