"""What must outlive a crash and is neither a set nor a generation: one small file, `ledger.json`.

Losing it costs order and memory of refusals, never what is published.
"""

from __future__ import annotations

import time

import msgspec

from reconciler.publish import files

_LIMIT = 64 * 1024 * 1024


class Quarantine(msgspec.Struct, frozen=True):
    """Why an account has no stanza, until its stanza's text changes."""

    stanza: str
    """The digest of the text that Apache refused."""
    why: str


class Ledger(msgspec.Struct):
    """The file. Times are Unix seconds."""

    first_script: dict[str, float] = {}
    origin: dict[str, str] = {}
    """Where each account was last found: "files" or "service"."""
    withdrawals: list[tuple[float, str]] = []
    quarantined: dict[str, Quarantine] = {}
    refused: str | None = None
    """The digest of a configuration that Apache took and did not serve."""
    refused_by: str = ""
    """What Apache's own side was then: a change of it is a reason to try again."""
    verified: int | None = None
    """The last generation that Apache was seen to serve: what is gone back to."""
    seen: int | None = None
    """The generation that it was seen to serve when it was last looked at; None: unknown."""
    stall: float = 0.0
    """Seconds that the last reload took until it was seen."""


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
        known = (self.ledger.origin, self.ledger.first_script, self.ledger.quarantined)
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

    def quarantine(self, name: str, held: Quarantine) -> None:
        """Apache refuses an account's text."""
        self.ledger.quarantined[name] = held
        self._touched = True

    def release(self, name: str, stanza: str) -> bool:
        """The account's text is now this; return whether that ends a quarantine."""
        held = self.ledger.quarantined.get(name)
        if held is None or held.stanza == stanza:
            return False
        del self.ledger.quarantined[name]
        self._touched = True
        return True

    def served(self, outcome: Ledger) -> None:
        """Take over what a publication of configuration, given a copy, has noted in it."""
        for name in ("refused", "refused_by", "verified", "seen", "stall"):
            noted = getattr(outcome, name)
            self._touched |= noted != getattr(self.ledger, name)
            setattr(self.ledger, name, noted)
