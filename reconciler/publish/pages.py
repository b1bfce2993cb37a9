"""Where pages, the status and the marker lie. Their text comes from elsewhere."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container

from reconciler.publish import files

_LIMIT = 256 * 1024 * 1024


class PageFiles:
    """Files for people, below one state directory. None of them needs to outlive a power cut."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._home = f"{state}/pages"
        self._known: set[str] | None = None
        """Files that are there, as far as is known; None: not yet looked."""

    def prepare(self, marker: str) -> None:
        """Make the directory and the marker; every pass may call it."""
        os.makedirs(self._home, mode=0o755, exist_ok=True)
        path = f"{self._home}/.marker"
        if files.read(path, limit=1024) != marker.encode():
            files.write(path, marker.encode())

    def write(self, account: str, page: bytes) -> None:
        """Put an account's page in place, unless it is there already."""
        path = self._path(account)
        if files.read(path, limit=len(page)) != page:
            files.write(path, page, durable=False)
        self._there.add(f"{account}.html")

    def remove(self, account: str) -> None:
        """Take an account's page away; one that another process wrote meanwhile is `prune`'s."""
        with contextlib.suppress(OSError):  # a name that is no file name has no page
            if f"{account}.html" in self._there:  # most have none
                os.unlink(self._path(account))
                self._there.discard(f"{account}.html")

    def prune(self, accounts: Container[str]) -> None:
        """Remove the pages of others, and what crashes left."""
        self._known = None
        for name in self._there:
            stem, dot, kind = name.rpartition(".")
            if kind == "html" and dot and not name.startswith(".") and stem not in accounts:
                with contextlib.suppress(OSError):
                    os.unlink(f"{self._home}/{name}")
        files.remove_leftovers(self._home)
        files.remove_leftovers(self._state, of=("status.json.", "ledger.json."))

    def read_status(self) -> bytes:
        """Return `status.json`, empty where it is absent."""
        return files.read(f"{self._state}/status.json", limit=_LIMIT) or b""

    def write_status(self, data: bytes) -> None:
        """Put `status.json` in place."""
        files.write(f"{self._state}/status.json", data, durable=False)

    def write_dashboard(self, page: bytes) -> None:
        """Put the overview in place."""
        path = f"{self._home}/.status.html"
        files.write(path, page, durable=False)

    @property
    def _there(self) -> set[str]:
        if self._known is None:
            self._known = set(os.listdir(self._home))
        return self._known

    def _path(self, account: str) -> str:
        return f"{self._home}/{account}.html"
