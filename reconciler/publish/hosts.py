"""The hosts at whose root apps answer: a file for each, which Apache reads when it is asked there.

    hosts/<label>    "<account> <url>"; the label is the first word of the host

So a request costs the same for 3 accounts and for 300, and no host is worth a reload. What Apache
has for it does not serve: a rule for each account is tried by every request of the whole server,
and a `RewriteMap` remembers each name that anybody asks for, a stranger's included, until memory
ends.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from reconciler.publish import files
from reconciler.settings import Settings

_LIMIT = 4096  # a name and a URL path of the settings are at most a few hundred bytes


class Hosts:
    """The files below one state directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._home = f"{settings.state.directory}/hosts"
        self._kept: Mapping[str, str] | None = None

    def keep(self, hosts: Mapping[str, str]) -> None:
        """Have a file for each of these (account → host), and no other.

        The very mapping of the last time costs nothing.

        Raises:
            OSError: the disk is full, or not writable.
        """
        if hosts is self._kept:
            return
        self._kept = None
        url = self._settings.url
        wanted = {host.partition(".")[0]: f"{name} {url(name)}" for name, host in hosts.items()}
        try:
            there = set(os.listdir(self._home))
        except FileNotFoundError:
            there = set()
            if wanted:
                os.mkdir(self._home, 0o755)
        for label in there - wanted.keys():  # a crash's leftovers too
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._home}/{label}")
        for label, text in wanted.items():
            path = f"{self._home}/{label}"
            if files.read(path, limit=_LIMIT) != text.encode():
                files.write(path, text.encode(), durable=False)
        self._kept = hosts
