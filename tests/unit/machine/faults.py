"""A disk that fails: every write below one directory, counted, and any of them made to raise."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

_CREATES = os.O_CREAT


class Faults:
    """Counts what makes, renames and opens for writing; a fault is armed by `at` or `where`."""

    def __init__(self, patch: pytest.MonkeyPatch, below: Path) -> None:
        self._below = str(below)
        self._at: int | None = None
        self._lasting = False
        self._where: str | None = None
        self.count = 0
        """Writes since a fault was armed."""
        self.hits = 0
        """How many of them failed."""
        for name in ("mkdir", "rename", "symlink", "open"):
            patch.setattr(os, name, self._failing(name, getattr(os, name)))

    def at(self, number: int, *, lasting: bool = False) -> None:
        """Let the write of this number fail, counted from 1; with `lasting`, all from it on."""
        self.heal()
        self._at, self._lasting = number, lasting

    def where(self, part: str) -> None:
        """Let every write fail in whose path this stands."""
        self.heal()
        self._where = part

    def heal(self) -> None:
        """Let all writes do again."""
        self._at = self._where = None
        self.count = self.hits = 0

    def _failing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keys: Any) -> Any:
            writes = name != "open" or bool(args[1] & _CREATES)
            for path in self._ours(args[:2]) if writes else ():
                self._meet(path)
                break
            return real(*args, **keys)

        return call

    def _ours(self, args: tuple[Any, ...]) -> Iterator[str]:
        for path in reversed(args):  # the new name of two
            if isinstance(path, str) and path.startswith(self._below):
                yield path

    def _meet(self, path: str) -> None:
        self.count += 1
        if self._where is not None:
            fails = self._where in path
        else:
            fails = self._at is not None and (
                self.count == self._at or (self._lasting and self.count > self._at)
            )
        if fails:
            self.hits += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
