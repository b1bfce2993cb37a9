"""What looks must remember after a crash and is no set: one small file, `ledger.json`.

Losing it costs order, never what is published.
"""

from __future__ import annotations

import time

import msgspec

from reconciler.publish import files

_LIMIT = 64 * 1024 * 1024


class Ledger(msgspec.Struct):
    """The file. Times are Unix seconds."""

    first_script: dict[str, float] = {}
    origin: dict[str, str] = {}
    """Where each account was last found: "files" or "service"."""
    withdrawals: list[tuple[float, str]] = []


class Book:
    """The ledger and its file: what is noted is kept by the next `save`."""

    def __init__(self, state: str) -> None:
        self._path = f"{state}/ledger.json"
        self._touched = False
        self._stamp: tuple[int, ...] | None = None
        self.ledger = Ledger()
        self.refresh()

    def refresh(self) -> None:
        """Read the file again if another process wrote it."""
        stamp = files.stamp(self._path)
        if stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            data = files.read(self._path, limit=_LIMIT) or b""
            self.ledger = msgspec.json.decode(data, type=Ledger)
        except msgspec.DecodeError:
            self.ledger = Ledger()

    def save(self) -> None:
        """Write the ledger, if anything was noted."""
        if self._touched:
            data = msgspec.json.encode(self.ledger)
            # A power cut may cost the last notes, whose loss the next pass repairs.
            files.write(self._path, data, mode=0o600, durable=False)
            self._stamp = files.stamp(self._path)
            self._touched = False

    def found(self, name: str, origin: str, *, script: bool) -> None:
        """The account was found in `origin`; with a script in its home, or without."""
        if self.ledger.origin.get(name) != origin:
            self.ledger.origin[name] = origin
            self._touched = True
        if script and name not in self.ledger.first_script:
            self.ledger.first_script[name] = time.time()
            self._touched = True

    def forget(self, name: str) -> None:
        """The account is gone."""
        known = (self.ledger.origin, self.ledger.first_script)
        for table in known:
            if table.pop(name, None) is not None:
                self._touched = True

    def withdrew(self, name: str) -> None:
        """The account's app was taken down."""
        self.ledger.withdrawals.append((time.time(), name))
        self._touched = True

    def withdrawn_within(self, seconds: float) -> set[str]:
        """Return the accounts whose apps were taken down lately."""
        since = time.time() - seconds
        recent = [(at, name) for at, name in self.ledger.withdrawals if at > since]
        if len(recent) != len(self.ledger.withdrawals):
            self.ledger.withdrawals = recent
            self._touched = True
        return {name for _, name in recent}
