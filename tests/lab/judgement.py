"""What failed in a churn, and whose fault it was.

Apache is down from just before it is killed until another parent of it lives and its static page,
asked for after that, has come. A failure that has a moment in common with that does not count.

*Measured*, without any daemon of ours, on a busy machine: 20 times `systemctl reload apache2` over
40 idle apps and 60 requests a second failed 3, 26 and 41 of 3,000. mod_wsgi's graceful restart
takes away the sockets to which workers that have accepted a request are about to connect ("No such
file or directory"), and ends the processes that have it ("Truncated"). With `WSGISocketRotation
Off` it happened in each of three runs as well.

And a `userdel` between Apache's own test of a configuration, at a reload, and its reading ends it
("bad user name"), until its unit's `Restart=` starts it without that account.

Both count as failures, and are told apart by what the error log says of that very time.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tests.lab.asking import overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.apache import Server
    from tests.lab.asking import Asked, Heard

BEFORE = 1.0
"""Seconds before a request was sent in which a reload may have been the cause of its failure."""
DROPPED = re.compile(
    r"No such file or directory: .* Unable to connect to WSGI daemon process 'slp-(\w+)'"
    r"|Truncated or oversized response headers received from daemon process 'slp-(\w+)'"
)


@dataclass
class Told:
    """What came of a churn."""

    operations: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    revived: int = 0
    """How often Apache had to be started, as systemd's `Restart=` did not."""
    reloads: int = 0
    requests: int = 0
    excused: int = 0
    """Requests that failed while Apache was down."""
    down: float = 0.0
    """Seconds in which it was."""
    failed: list[str] = field(default_factory=list)
    """Requests that failed while it was up: when, how, and what was done then."""
    dropped: list[str] = field(default_factory=list)
    """Those of them that mod_wsgi dropped in a graceful reload."""
    bereft: list[str] = field(default_factory=list)
    """Those of them that met no Apache, as a `userdel` at a reload had ended it."""
    ended: list[str] = field(default_factory=list)
    """Times at which Apache ended, and was not killed."""
    replaced: list[str] = field(default_factory=list)
    """Processes of untouched apps that were others, with neither a start nor a reload between."""
    allowed: float = 0.0
    """Seconds within which the state had to be right: a resync, a reload's pause, and `SETTLE`."""
    settled: float = 0.0
    """Seconds after which it was."""
    wrong: list[str] = field(default_factory=list)
    """What was still wrong after those."""
    idle: list[str] = field(default_factory=list)
    """What one more pass, by `--once`, found to do."""

    @property
    def unexplained(self) -> list[str]:
        """Failures that are neither of these two: there are to be none."""
        return [text for text in self.failed if text not in {*self.dropped, *self.bereft}]


class Log:
    """Apache's error log and what the churn did, both by the monotonic clock."""

    def __init__(self, server: Server, diary: Sequence[tuple[float, str]]) -> None:
        ahead = time.time() - time.monotonic()
        self.lines: list[tuple[float, str]] = []
        for line in server.error_log().splitlines():
            if found := re.match(r"\[(\w+ \w+ \d+ [\d:.]+ \d+)\] ", line):
                at = datetime.strptime(found[1], "%a %b %d %H:%M:%S.%f %Y").astimezone()
                self.lines.append((at.timestamp() - ahead, line))
            elif self.lines:  # Apache's last words have no time: that of the line before
                self.lines.append((self.lines[-1][0], line))
        self.reloads = [at for at, line in self.lines if "AH00493:" in line]
        self.diary = sorted([*diary, *((at, "RELOAD") for at in self.reloads)])

    def around(self, begin: float, end: float) -> str:
        """Return what was done then."""
        return ", ".join(f"{at:.3f} {what}" for at, what in self.diary if begin <= at <= end)

    def has_dropped(self, asked: Asked) -> bool:
        """Whether it was mod_wsgi's graceful restart that made this request fail."""
        if not any(asked.sent - BEFORE <= at <= asked.ended for at in self.reloads):
            return False
        lines = (line for at, line in self.lines if asked.sent <= at <= asked.ended)
        return any(asked.account in m.groups() for m in map(DROPPED.search, lines) if m)

    def has_ended_by_userdel(self, begin: float, end: float) -> bool:
        """Whether it was an account's end that ended Apache then."""
        return any("bad user name" in line for at, line in self.lines if begin - 3 <= at <= end)


def judge(told: Told, heard: Heard, killed: Sequence[tuple[float, int]], log: Log) -> None:
    """Tell the failures that count from those that do not; `killed` is when, and which parent."""
    outages = [heard.outage(at, parent) for at, parent in killed]
    failed = heard.failed(outages)
    deaths = heard.deaths({parent for _, parent in killed})
    userdels = [(a, b) for a, b in deaths if log.has_ended_by_userdel(a, b)]
    told.requests = len(heard.asked)
    told.excused = sum(bool(asked.failure) for asked in heard.asked) - len(failed)
    told.down = sum(last - first for first, last in outages)
    for asked in failed:
        text = (
            f"{asked.account} {asked.sent:.3f} to {asked.ended:.3f}: {asked.failure}; "
            f"{log.around(asked.sent - 2, asked.ended)}"
        )
        told.failed.append(text)
        if overlaps(asked.sent, asked.ended, userdels):
            told.bereft.append(text)
        elif log.has_dropped(asked):
            told.dropped.append(text)
    told.ended = [f"{a:.3f} to {b:.3f}: {log.around(a - 3, b)}" for a, b in deaths]
    lives = (at for at, _ in heard.parents())
    excuses = [*log.reloads, *(at for at, _ in killed), *lives]
    told.replaced = [
        f"{before.account}: {before.process} at {before.ended:.3f}, {after.process} at "
        f"{after.ended:.3f}; {log.around(before.sent, after.ended)}"
        for before, after in heard.replaced(excuses)
    ]
