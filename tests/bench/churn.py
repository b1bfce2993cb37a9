"""Minutes of churn under systemd, daemon and Apache killed at random: what fails, what is left."""

from __future__ import annotations

import sys

from tests.bench.figures import Figure
from tests.lab.churn import RESYNC, Churn

_SEED = 1


def run(seconds: int, accounts: int, seed: int = _SEED) -> list[Figure]:
    """Churn for so long over so many accounts; `tests/lab/churn.py` says what that is."""
    told = Churn(seed, accounts).run(seconds)
    for what in ("failed", "ended", "replaced", "wrong", "idle"):
        for line in getattr(told, what):
            print(f"{what}: {line}", file=sys.stderr)
    kills = told.kills["apache"] + told.kills["apache's parent"]
    return [
        Figure("operations", told.operations, ""),
        Figure("kills of the daemon", told.kills["daemon"], ""),
        Figure("kills of Apache", kills, ""),
        Figure("Apache was down", told.down, "s"),
        Figure("Apache ended by itself", len(told.ended), "", "wanted", 0),
        Figure("reloads", told.reloads, ""),
        Figure("requests to untouched apps", told.requests, ""),
        Figure("failed while Apache was down", told.excused, ""),
        Figure("failed while Apache was up", len(told.failed), "", "wanted", 0),
        Figure("of these, dropped by mod_wsgi in a reload", len(told.dropped), ""),
        Figure("of these, userdel ended Apache in a reload", len(told.bereft), ""),
        Figure("of these, for any other reason", len(told.unexplained), "", "wanted", 0),
        Figure("untouched processes replaced, no reload", len(told.replaced), "", "wanted", 0),
        Figure("after the last: right after", told.settled, "s", "one resync", RESYNC),
        Figure("after that: still wrong", len(told.wrong), "", "wanted", 0),
        Figure("after that: one more pass changes", len(told.idle), "", "wanted", 0),
    ]
