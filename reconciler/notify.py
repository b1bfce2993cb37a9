"""What systemd is told: ready, a status text, and that we live."""

from __future__ import annotations

import contextlib
import os
import socket


class Supervisor:
    """systemd's notification socket, where there is one; else it does nothing."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        own = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval = float(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 if own else 0.0
        self.beat_every = interval / 3 if interval > 0 else None
        """Seconds between two signs of life; None where nobody waits for them."""

    def tell(self, **values: str) -> None:
        """Send `KEY=value` lines. A supervisor that does not listen is not our failure."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        text = "\n".join(f"{key}={value}" for key, value in values.items())
        # No descriptor left, nobody there, a full queue: none is a reason to end.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(text.encode(), address)
