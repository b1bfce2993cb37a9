"""What must outlive a crash and is neither a set nor a generation: small files of notes.

Each has one writer, who holds a lock of its own; whoever reads needs none. `NotesFile` is any of
them; `ServerNotes` are those of the side that configures. Losing them costs a look at Apache and
memory of refusals, never what is published.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from reconciler.clock import Clock
from reconciler.publish import files

_LIMIT = 64 * 1024 * 1024

T = TypeVar("T")


class Quarantine(Struct, frozen=True):
    """Why an account has no stanza, for as long as its stanza would be the same."""

    stanza: str
    """The digest of the text that Apache refused."""
    why: str


class ServerNotes(Struct, frozen=True):
    """`server.json`. Times are seconds of CLOCK_BOOTTIME, and mean nothing under another boot."""

    quarantined: dict[str, Quarantine] = {}
    verified: int | None = None
    """The last generation that Apache was seen to serve: what is gone back to."""
    seen: int | None = None
    """The generation that it was seen to serve when it was last looked at; None: unknown."""
    refused: str | None = None
    """The digest of a configuration that the test let through and Apache did not serve."""
    refused_by: str = ""
    """What Apache's own side was then: a change of it is a reason to try again."""
    refused_as: str = ""
    """How that ended: the value of an `Ending`."""
    refused_why: str = ""
    reloaded: str | None = None
    """The digest for which Apache was last reloaded, …"""
    reloaded_by: str = ""
    """… what Apache's own side was then, …"""
    reloads: int = 0
    """… how often, until it was seen to be served, …"""
    reloaded_at: float | None = None
    """… and when; None where it was under another boot, or never."""
    stall: float = 0.0
    """Seconds that the last reload took until it was seen."""
    boot: str = ""
    """Under which boot `reloaded_at` was."""


class NotesFile(Generic[T]):
    """One file of notes, of one frozen type; read again when another process has written it."""

    def __init__(self, path: str, absent: T) -> None:
        """`absent` is what is known where there is no such file, or none that can be read."""
        self._path = path
        self._absent = absent
        self._read: tuple[files.Stamp | None, T] = (None, absent)
        """In one value, which threads hand on whole."""

    def read(self) -> T:
        """Return the notes as they are on disk now."""
        stamp = files.stamp(self._path)
        known, notes = self._read
        if stamp != known:
            notes = self._absent if stamp is None else decode(self._path, self._absent)
            self._read = stamp, notes
        return notes

    def write(self, notes: T) -> None:
        """Put the notes on disk, in one step; for whoever holds their lock.

        Not durably: a power cut may cost the last ones, whose loss the next pass repairs.

        Raises:
            OSError: the state directory cannot be written.
        """
        files.write(self._path, msgspec.json.encode(notes), mode=0o600, durable=False)
        self._read = files.stamp(self._path), notes


def decode(path: str, absent: T) -> T:
    """Return a file's notes, of `absent`'s type; `absent` where there are none."""
    data = files.read(path, limit=_LIMIT)
    if data is None:
        return absent
    try:
        return msgspec.json.decode(data, type=type(absent))
    except (msgspec.DecodeError, ValueError, RecursionError):  # damaged
        return absent


class ServerFile:
    """`server.json` below a state directory, written by the configuring side alone."""

    def __init__(self, state: str, clock: Clock) -> None:
        self._clock = clock
        # 0.1.0 kept both sides' notes in one file. Taken over once, until there is one of ours: an
        # upgrade must not lose what can be gone back to. Its times were none of a boot's.
        self._file = NotesFile(
            f"{state}/server.json", decode(f"{state}/ledger.json", ServerNotes())
        )

    def read(self) -> ServerNotes:
        """Return the notes; what was noted under another boot has lost its time."""
        notes = self._file.read()
        at = notes.reloaded_at
        if at is None or self._clock.knows(at, notes.boot):
            return notes
        return msgspec.structs.replace(notes, reloaded_at=None)

    def note(self, **changes: Any) -> ServerNotes:
        """Change some of the notes, and return them all."""
        before = self.read()
        boot = self._clock.boot() or before.boot
        notes = msgspec.structs.replace(before, boot=boot, **changes)
        if notes != before:
            self._file.write(notes)
        return notes
