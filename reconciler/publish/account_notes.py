"""What looks must remember beyond a crash, and is no set: one small file, `accounts.json`.

Written under the lock of looks alone. Losing it costs order and memory, never what is published.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from reconciler.clock import Clock
from reconciler.publish.notes import NotesFile, decode


class _File(Struct):
    origin: dict[str, str] = {}
    places: dict[str, int] = {}
    next_place: int = 1
    boot: str = ""
    """The boot whose seconds the withdrawals' times are."""
    withdrawals: list[tuple[float, str]] = []


class _Ledger(Struct):
    """What 0.1.0 kept of this, in `ledger.json`: by the wall's clock."""

    origin: dict[str, str] = {}
    first_script: dict[str, float] = {}


class AccountNotes:
    """The file as it is now; what is noted is kept by the next `save`."""

    def __init__(self, state: str, clock: Clock) -> None:
        self._clock = clock
        self._touched = False
        before = decode(f"{state}/ledger.json", _Ledger())
        order = sorted(before.first_script, key=lambda name: (before.first_script[name], name))
        places = {name: place for place, name in enumerate(order, 1)}
        absent = _File(before.origin, places, next_place=len(places) + 1)
        self._disk = NotesFile(f"{state}/accounts.json", absent)
        self._file = absent
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
        self._file = self._disk.read()
        self._file.withdrawals = [  # times of another boot say nothing now
            (at, name)
            for at, name in self._file.withdrawals
            if self._clock.knows(at, self._file.boot)
        ]
        self._file.boot = self._clock.boot() or self._file.boot

    def save(self) -> None:
        """Write the file, if anything was noted.

        Raises:
            OSError: the state directory cannot be written.
        """
        if self._touched:
            self._disk.write(self._file)
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
