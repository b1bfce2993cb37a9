"""What systemd is told: ready, status text, and that the loop and the watcher both live.

A ping is no proof by itself: a loop that goes round with a deaf watcher would ping for ever. So the
loop writes a canary file, and pings when the watcher reports it.
"""

from __future__ import annotations

import os
import socket

from reconciler.publish import files


class Supervisor:
    """systemd's notification socket, where there is one; else it does nothing."""

    def __init__(self, state: str) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        own = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval = float(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 if own else 0.0
        self.beat_every = interval / 3 if interval > 0 else None
        """Seconds between two beats; None where nobody waits for them."""
        self._directory = f"{state}/canary"
        self.canary = f"{self._directory}/beat"

    def tell(self, **values: str) -> None:
        """Send `KEY=value` lines. A supervisor that does not listen is not our failure."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        text = "\n".join(f"{key}={value}" for key, value in values.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(text.encode(), address)
            except OSError:
                return

    def prepare(self) -> None:
        """Make the canary's directory, before it is watched."""
        if self.beat_every is not None:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)

    def beat(self) -> None:
        """Write the canary: the loop has gone round.

        Raises:
            OSError: the state directory cannot be written.
        """
        files.write(self.canary, b"", durable=False)

    def heard(self) -> None:
        """The watcher has reported the canary: ping."""
        self.tell(WATCHDOG="1")
