"""What people read, and the marker: pages, overview, `status.json`. Others make their text."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Container

from reconciler.publish import files

_LIMIT = 256 * 1024 * 1024
_PAGE = ".html"
UNREAD = b""
"""Stands for the digest of a page that is there and was not read."""


class Notices:
    """Files for people, below one state directory. None of them needs to outlive a power cut."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._home = f"{state}/pages"

    def prepare(self, marker: str, general: bytes) -> None:
        """Make the directory, the marker, and the page of whom none is about."""
        files.prepare(self._home)
        for name, text in ((".marker", marker.encode()), (".general.html", general)):
            path = f"{self._home}/{name}"
            if files.read(path, limit=len(text)) != text:
                files.write(path, text)

    def there(self) -> frozenset[str]:
        """Return the accounts that have a page."""
        try:
            names = os.listdir(self._home)
        except FileNotFoundError:
            return frozenset()
        return frozenset(
            name.removesuffix(_PAGE)
            for name in names
            if name.endswith(_PAGE) and not name.startswith(".")
        )

    def show(self, account: str, page: bytes, known: bytes | None) -> bytes | None:
        """Put an account's page in place; return its digest, None where it cannot be written.

        `known` is the digest of what is there, as far as is known. A full disk must not keep an
        app up, so it is no error: it is tried again.
        """
        digest = hashlib.sha256(page).digest()
        if digest == known:
            return known
        path = f"{self._home}/{account}{_PAGE}"
        try:
            if files.read(path, limit=len(page)) != page:
                files.write(path, page, durable=False)
        except OSError:
            return None
        return digest

    def remove(self, account: str) -> None:
        """Take an account's page away, if it has one."""
        with contextlib.suppress(OSError):  # a name that is no file name has no page
            os.unlink(f"{self._home}/{account}{_PAGE}")

    def prune(self, accounts: Container[str]) -> None:
        """Remove the pages of others, and what crashes left."""
        for account in self.there():
            if account not in accounts:
                self.remove(account)
        files.remove_leftovers(self._home)
        files.remove_leftovers(self._state, of=("status.json.", "accounts.json."))

    def read_status(self) -> bytes:
        """Return `status.json`, empty where it is absent."""
        return files.read(f"{self._state}/status.json", limit=_LIMIT) or b""

    def write_status(self, data: bytes) -> None:
        """Put `status.json` in place."""
        files.write(f"{self._state}/status.json", data, durable=False)

    def write_dashboard(self, page: bytes) -> None:
        """Put the overview in place."""
        files.write(f"{self._home}/.status.html", page, durable=False)
