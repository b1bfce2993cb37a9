"""What must outlive a crash and is neither a set nor a generation: one small file, `ledger.json`.

Losing it costs order and memory of refusals, never what is published.
"""

from __future__ import annotations

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
    verified: int | None = None
    """The last generation that Apache was seen to serve."""
    stall: float = 0.0
    """Seconds that the last reload took until it was seen."""
    reloaded_at: float = 0.0


class LedgerFile:
    """The ledger's place on disk."""

    def __init__(self, state: str) -> None:
        self._path = f"{state}/ledger.json"
        self._touched = False

    def read(self) -> Ledger:
        """Return what was written last; an empty ledger where it is absent or damaged."""
        try:
            return msgspec.json.decode(files.read(self._path, limit=_LIMIT) or b"", type=Ledger)
        except msgspec.DecodeError:
            return Ledger()

    def touch(self) -> None:
        """Say that the ledger differs from what was written."""
        self._touched = True

    def write(self, ledger: Ledger) -> None:
        """Keep it, if it was touched."""
        if self._touched:
            files.write(self._path, msgspec.json.encode(ledger), mode=0o600)
            self._touched = False
