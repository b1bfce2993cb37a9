"""Generations: numbered, complete, immutable directories of configuration, and `current`.

The current generation need not be the latest one: a generation that Apache refused is later than
the one that was put back.
"""

from __future__ import annotations

import contextlib
import os
import shutil

from reconciler.publish import configuration, files
from reconciler.publish.configuration import FILES, Configuration

_LIMIT = 256 * 1024 * 1024  # ten thousand stanzas are under 16 MiB


class Generations:
    """The generations below one state directory."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._home = f"{state}/generations"
        self._digest: tuple[int, str] | None = None
        """The last number read or written, and its digest: the text itself would be megabytes."""

    def prepare(self) -> None:
        """Make the directory; every pass may call it."""
        files.prepare(self._home)

    def find(self) -> list[int]:
        """Return the numbers of all that are whole, in order."""
        try:
            names = os.listdir(self._home)
        except FileNotFoundError:
            return []
        return sorted(int(name) for name in names if name.isdecimal())

    def current(self) -> int | None:
        """Return the number that `current` points to."""
        target = files.target(f"{self._state}/current")
        name = os.path.basename(target or "")
        return int(name) if name.isdecimal() else None

    def path(self, number: int) -> str:
        """Return a generation's directory."""
        return f"{self._home}/{number}"

    def read(self, number: int) -> Configuration | None:
        """Return what a generation says; None where it is not there, or not as it was written."""
        texts = {name: files.read(f"{self.path(number)}/{name}", limit=_LIMIT) for name in FILES}
        whole = {name: text for name, text in texts.items() if text is not None}
        if len(whole) != len(FILES):
            return None
        try:
            found = configuration.parse(whole)
        except ValueError:  # not even text
            return None
        if found.files != whole:
            return None
        self._digest = (number, found.digest)
        return found

    def digest(self, number: int | None) -> str | None:
        """Return the digest of a generation; None where it is not there, or not as it was written.

        It is read once: what is changed by hand later shows at the next start.
        """
        if number is None:
            return None
        known = self._digest  # once: another thread may be creating the next
        if known is not None and known[0] == number:
            return known[1]
        found = self.read(number)
        return None if found is None else found.digest

    def create(self, wanted: Configuration, *, durable: bool = True) -> int:
        """Write the next generation and return its number. `current` stays.

        Without `durable`, it may not outlive a power cut: one that is tested and discarded.

        Raises:
            OSError: the disk is full, or not writable.
        """
        number = max([*self.find(), self.current() or 0], default=0) + 1
        temporary = f"{self._home}/.{number}.new"
        shutil.rmtree(temporary, ignore_errors=True)  # a crash's
        os.mkdir(temporary, 0o755)
        for name, data in wanted.files.items():
            files.create(f"{temporary}/{name}", data, durable=durable)
        line = f"{number} {wanted.digest}\n".encode()
        files.create(f"{temporary}/generation", line, durable=durable)
        if durable:
            files.sync_directory(temporary)
        os.rename(temporary, self.path(number))
        if durable:
            files.sync_directory(self._home)
        self._digest = (number, wanted.digest)
        return number

    def discard(self, number: int) -> None:
        """Remove a generation that never was current."""
        self._digest = None  # its number will be another's
        shutil.rmtree(self.path(number), ignore_errors=True)

    def switch(self, number: int | None) -> None:
        """Make `current` point to a generation, durably; None: to none at all."""
        if number is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._state}/current")
        else:
            files.link(f"generations/{number}", f"{self._state}/current")
        files.sync_directory(self._state)

    def prune(self, *, keep: int, spare: frozenset[int]) -> None:
        """Remove all but the last `keep`, the current one, and those to `spare`."""
        numbers = self.find()
        spared = {*numbers[-keep:], self.current(), *spare}
        for number in numbers:
            if number not in spared:
                shutil.rmtree(self.path(number), ignore_errors=True)
        files.remove_leftovers(self._home)
        files.remove_leftovers(self._state, of=("current.", "server.json."))
