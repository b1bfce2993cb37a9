"""Tells how an app's process ended that could not say so itself: by a signal, or for its memory.

    python <runner>/slp_runner/ended.py <runtime>/told/<account>

systemd runs it after such a process, as root and outside of the sandbox, with `SERVICE_RESULT` and
`EXIT_STATUS`: so it reads nothing of the student's. Then it waits a moment, since whoever waits in
the socket begins the next process at once.
"""

import os
import sys
import time

_SPACE = 1.0
"""Seconds. *Measured* without: an app that fails at once was begun a thousand times a second."""
_CODES = {"oom-kill": "memory", "signal": "exits", "core-dump": "exits"}


def main(told: str) -> None:
    """Tell, and wait."""
    result = os.environ.get("SERVICE_RESULT", "")
    if result in _CODES:
        sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        from slp_runner.tell import tell  # type: ignore[import-not-found]

        kind = "MemoryError" if result == "oom-kill" else "SIG" + os.environ.get("EXIT_STATUS", "")
        tell(told, {"event": "failed", "code": _CODES[result], "kind": kind})
    time.sleep(_SPACE)


if __name__ == "__main__":
    main(*sys.argv[1:])
