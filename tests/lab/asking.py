"""Requests from a process of its own, which remembers what failed, when, and who answered."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.lab.aside import Aside
from tests.lab.homes import Homes

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from tests.lab.apache import Server

APP = """\
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{name} {os.getpid()}".encode()]
"""
"""Says its name, put in below, and its process."""
THREADS = 16
LOOK_EVERY = 0.02
"""Seconds between two looks at Apache itself, by a static page."""
NOTICED = 3.0
"""Seconds after a reload in which the processes before it may still be the ones that answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for an account's app; times are of the monotonic clock."""

    account: str
    sent: float
    ended: float
    process: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """Apache answered for its static page; `parent` was its parent before it was asked."""

    sent: float
    ended: float
    parent: int


@dataclass
class Heard:
    """All that was asked, in the order in which it was sent."""

    asked: list[Asked] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    def outage(self, killed: float, parent: int) -> tuple[float, float]:
        """Return from when to when there was no Apache: until another parent's page was seen."""
        back = (s.ended for s in self.seen if s.sent > killed and s.parent != parent)
        return killed, next(back, float("inf"))

    def parents(self) -> list[tuple[float, int]]:
        """Return each parent that Apache had, and when it was first seen to answer."""
        groups = itertools.groupby(self.seen, key=lambda seen: seen.parent)
        return [(next(seen).ended, parent) for parent, seen in groups]

    def deaths(self, killed: Set[int]) -> list[tuple[float, float]]:
        """Return from when to when there was no Apache, as one ended that is none of the killed."""
        pairs = itertools.pairwise(self.seen)
        return [
            (last.sent, first.ended)
            for last, first in pairs
            if last.parent != first.parent and last.parent not in killed
        ]

    def failed(self, outages: Sequence[tuple[float, float]]) -> list[Asked]:
        """Return the requests that failed with no moment of them in an outage."""
        return [
            asked
            for asked in self.asked
            if asked.failure and not overlaps(asked.sent, asked.ended, outages)
        ]

    def replaced(self, excuses: Sequence[float]) -> list[tuple[Asked, Asked]]:
        """Return answers of one app by different processes, with no start or reload between."""
        windows = [(at, at + NOTICED) for at in excuses]
        found = []
        ordered = sorted((a for a in self.asked if a.process), key=lambda a: (a.account, a.ended))
        for before, after in itertools.pairwise(ordered):
            same = before.account == after.account
            if same and before.process != after.process:
                found.append((before, after))
        return [(b, a) for b, a in found if not overlaps(b.sent, a.ended, windows)]


def overlaps(begin: float, end: float, windows: Sequence[tuple[float, float]]) -> bool:
    """Whether any of these has a moment in common with the time from `begin` to `end`."""
    return any(begin <= last and end >= first for first, last in windows)


class Asking(Aside[Heard]):
    """`rate` GETs a second, round robin over the accounts; one in four by https."""

    def __init__(self, server: Server, accounts: Sequence[str], *, rate: float) -> None:
        self.server = server
        self.accounts = accounts
        self.rate = rate

    def work(self) -> Heard:
        """Ask until it is over, and return what was heard."""
        seen: list[Seen] = []
        looking = threading.Thread(target=self.look, args=(seen,))
        looking.start()
        asked = self.steadily(
            lambda turn, _: self.once(self.accounts[turn % len(self.accounts)], turn // 7 % 4 == 0),
            rate=self.rate,
            threads=THREADS,
        )
        looking.join()
        return Heard(sorted(asked, key=lambda a: a.sent), seen)

    def once(self, account: str, https: bool) -> Asked:
        """Ask once."""
        sent = time.monotonic()
        scheme = "https" if https else "http"
        try:
            answer = self.server.get(f"/django/{account}/", https=https)
        except (OSError, http.client.HTTPException) as problem:
            return Asked(account, sent, time.monotonic(), failure=f"{scheme} {problem!r}")
        ended = time.monotonic()
        name, _, process = answer.text.partition(" ")
        if answer.status == 200 and name == account:
            return Asked(account, sent, ended, process=int(process))
        said = f"{scheme} {answer.status} {answer.text[:200]!r}"
        return Asked(account, sent, ended, failure=said)

    def look(self, seen: list[Seen]) -> None:
        """Look whether Apache answers, and who its parent is."""
        while not self.over.wait(LOOK_EVERY):
            parent, sent = self.server.parent(), time.monotonic()
            try:
                good = self.server.get("/", timeout=1).status == 200
            except (OSError, http.client.HTTPException):
                continue
            if parent and good:
                seen.append(Seen(sent, time.monotonic(), parent))


def make_untouched(homes: Homes, account: str) -> None:
    """Give an account the app that is asked for."""
    homes.bare(account, source=APP.replace("{name}", account))
