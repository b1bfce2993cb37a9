"""The one clock that intervals are measured by, and the wall's, which is for people alone.

A wall clock jumps. *Measured*: withdrawals that were noted by one ten years ahead held every later
one. CLOCK_BOOTTIME neither jumps nor stops, also while the machine sleeps, and is the same for all
processes; but it begins anew with each boot, so whoever writes its times down writes the boot's id
beside them, and forgets them when the id is another (rule 14 of the design).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Clock:
    """The machine's clock. Tests put one of their own in its place."""

    def now(self) -> float:
        """Return seconds since the boot, as CLOCK_BOOTTIME counts them."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot(self) -> str:
        """Return which boot that is; "" where that is not told, as under `ProcSubset=pid`."""
        return _boot()

    def knows(self, at: float, boot: str) -> bool:
        """Whether a time that was noted under `boot` is one of this boot's, and past.

        Where a boot has no id, a time counts if it can be this one's.
        """
        same = boot in {self.boot(), ""} or not self.boot()
        return same and at <= self.now()

    def wall(self) -> str:
        """Return the time as people read it: ISO 8601, UTC, whole seconds."""
        return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@cache
def _boot() -> str:
    try:
        with open(_BOOT_ID) as stream:
            return stream.read(64).strip()
    except OSError:
        return ""
