"""What looks must remember beyond a crash, and is no set: one small file, `accounts.json`.

Written under the lock of looks alone. Losing it costs order and memory, never what is published.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from reconciler.clock import Clock
from reconciler.publish import files

_LIMIT = 64 * 1024 * 1024


class _File(msgspec.Struct):
    origin: dict[str, str] = {}
    places: dict[str, int] = {}
    next_place: int = 1
    boot: str = ""
    """The boot whose seconds the withdrawals' times are."""
    withdrawals: list[tuple[float, str]] = []


class AccountNotes:
    """The file as it is now; what is noted is kept by the next `save`."""

    def __init__(self, state: str, clock: Clock) -> None:
        self._path = f"{state}/accounts.json"
        self._clock = clock
        self._touched = False
        self._stamp: files.Stamp | None = None
        self._file = _File()
        self.refresh()

    @property
    def origin(self) -> Mapping[str, str]:
        """Where each account was last found: "files" or "service"."""
        return self._file.origin

    def place(self, name: str) -> int | None:
        """Return the account's place in the queue for daemons; None: it never had a script."""
        return self._file.places.get(name)

    def refresh(self) -> None:
        """Read the file again if another process wrote it."""
        stamp = files.stamp(self._path)
        if stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        data = files.read(self._path, limit=_LIMIT) or b""
        try:
            self._file = msgspec.json.decode(data, type=_File)
        except msgspec.DecodeError:
            self._file = _File()
        if self._file.boot != self._clock.boot():  # times of another boot say nothing now
            self._file.boot = self._clock.boot()
            self._file.withdrawals = []

    def save(self) -> None:
        """Write the file, if anything was noted.

        Raises:
            OSError: the state directory cannot be written.
        """
        if self._touched:
            self._file.boot = self._clock.boot()
            # A power cut may cost the last notes, whose loss the next pass repairs.
            files.write(self._path, msgspec.json.encode(self._file), mode=0o600, durable=False)
            self._stamp = files.stamp(self._path)
            self._touched = False

    def found(self, name: str, origin: str, *, script: bool) -> None:
        """The account was found in `origin`; with a script in its home, or without.

        Its first script gives it a place in the queue, an ordinal that it keeps: whatever a clock
        says, who came later stays behind.
        """
        if self._file.origin.get(name) != origin:
            self._file.origin[name] = origin
            self._touched = True
        if script and name not in self._file.places:
            self._file.places[name] = self._file.next_place
            self._file.next_place += 1
            self._touched = True

    def forget(self, name: str) -> None:
        """The account is gone."""
        had_origin = self._file.origin.pop(name, None) is not None
        had_place = self._file.places.pop(name, None) is not None
        self._touched |= had_origin or had_place

    def withdrew(self, name: str) -> None:
        """The account's app was taken down."""
        self._file.withdrawals.append((self._clock.now(), name))
        self._touched = True

    def withdrawn_within(self, seconds: float) -> set[str]:
        """Return the accounts whose apps were taken down lately; those before are forgotten."""
        since = self._clock.now() - seconds
        recent = [(at, name) for at, name in self._file.withdrawals if at > since]
        self._touched |= len(recent) != len(self._file.withdrawals)
        self._file.withdrawals = recent
        return {name for _, name in recent}
