"""The homes, each a tree of watched directories, made equal to what is there."""

from __future__ import annotations

import errno
import logging
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress

from reconciler.pruning import PARTS, VIRTUALENVS
from reconciler.watch import quota
from reconciler.watch.opening import (
    Descent,
    arrived_whole,
    directories,
    is_virtualenv,
    open_own,
)
from reconciler.watch.patterns import Patterns, is_deep, is_wanted
from reconciler.watch.quota import Quota
from reconciler.watch.table import Table

_log = logging.getLogger(__name__)

HOME_ENTRIES = 4096
"""Entries read of one directory in a home. A project has dozens; *measured*, 200,000 take
0.2 s, at each look. What lies beyond is for the resync."""
ROOT_ENTRIES = 100_000
"""Homes. Only root adds to it; a bound so that a mistaken root (a mail spool) ends."""

_WANT = frozenset({errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""ENOSPC is fs.inotify.max_user_watches."""


class Forest:
    """The root, its homes, and the directories in them where a script can appear.

    `align` is the only way in or out: what is there at a path now gets watched, with all that
    belongs below it, and what is not is let go, with all that was. Its answer depends on the file
    system alone, so it may be asked too often and in any order.

    Nothing of a home is opened but as its student: `enter` is told whose home comes next, and with
    None that it is root's turn. Of a home that it refuses, nothing is opened.
    """

    def __init__(
        self,
        table: Table,
        root: str,
        patterns: Patterns,
        budget: int,
        spent: Quota,
        enter: Callable[[str | None], bool],
    ) -> None:
        self._table = table
        self._root = root
        self._patterns = patterns
        self._budget = budget
        self._quota = spent
        self._enter = enter
        self._identity: str | None = None
        self.over: dict[str, int] = {}
        """Account → directories that its budget left unwatched; at least so many."""
        self.refused: dict[str, int] = {}
        """Account → watches refused for want of something, to be tried again; 0 for what may not
        be opened, which is tried again too, but is no fault of the machine's."""
        self.strangers: set[str] = set()
        """Homes that nobody could be found to enter as: of no account, or of one that comes."""
        self.full = False
        """The last refusal was the kernel's limit: others will meet it too."""

    def build(self) -> None:
        """Watches the root and every home. Raises OSError where the root cannot be watched."""
        with self.root() as root:
            if root is None:
                return  # the watch on its parent sees it appear
            self._table.claim("", root)
            for name in directories(root, ROOT_ENTRIES, links=True)[0]:
                if not name.startswith("."):
                    self.align(name, root)

    def is_intact(self) -> bool:
        """Whether the root's path still leads to what is watched for it. Raises OSError.

        Asks by watching again, which gives the same number for the same directory; inode numbers
        do not tell, since ext4 gives a fresh directory the number of the one just removed.
        """
        with self.root() as root:
            return "" not in self._table if root is None else self._table.claim("", root)

    @contextmanager
    def root(self) -> Iterator[int | None]:
        """A descriptor of the root, for a block in which homes are entered; None if there is none.

        Raises OSError where that cannot be told. Kept open for the block only: else `umount
        /home/slp` finds it busy.
        """
        root = open_own(self._root)
        try:
            yield root
        finally:
            if root is not None:
                os.close(root)
            if self._identity is not None:
                self._enter(None)  # if this raises, nothing goes on: all is built anew
                self._identity = None

    def align(self, path: str, root: int) -> None:
        """Makes the watches at and below a path equal to what is there.

        Breadth first, so that a budget is spent on `~/a` and `~/b` before `~/a/*`.
        """
        account = path.partition("/")[0]
        if path == account:
            if self._quota.muted(account):
                self.mute(account)
                return
            self.over.pop(account, None)
            self.refused.pop(account, None)
        before = defaultdict(list)
        if path in self._table:
            for old in self._table.below(path):
                parent, _, name = old.rpartition("/")
                before[parent].append(name)
        todo = deque([path])
        with closing(Descent(root)) as descent:
            while todo:
                todo.extend(self._watch(todo.popleft(), descent, before))

    def has_arrived(self, directory: str, name: bytes, root: int) -> bool:
        """Whether a file just created in a directory of a home is all there already."""
        with closing(Descent(root)) as descent, suppress(OSError):
            here = self._open(directory, descent)
            if here is not None:
                try:
                    return arrived_whole(name, here)
                finally:
                    os.close(here)
        return False

    def mute(self, account: str) -> None:
        """Lets go of a home, which then counts as over its budget with all it had."""
        used = len(self._table.paths(account))
        self.over[account] = max(1, used, self.over.get(account, 0))
        self._table.drop(account)

    def _watch(self, path: str, descent: Descent, before: Mapping[str, Sequence[str]]) -> list[str]:
        """Watches a directory, or lets it go; returns those in it that are looked at next."""
        account, inside, _ = path.partition("/")
        awaited = bool(inside) and path.rpartition("/")[2] in VIRTUALENVS
        here = None
        try:
            here = self._open(path, descent)
            self._quota.charge(account, quota.OPENED)
            if here is None or (awaited and is_virtualenv(here)):
                self._table.drop(path)
                return []
            used = self._table.paths(account)
            if len(used) >= self._budget and path not in used:
                self.over[account] = self.over.get(account, 0) + 1
                return []
            self._table.claim(path, here)
            if not awaited:
                return self._below(path, here, before.get(path, ()))
            if is_virtualenv(here):  # again, now that we would hear of it: watch first, then look
                self._table.drop(path)
        except OSError as error:  # a student's own FUSE mount refuses even root
            self._table.drop(path)
            self.full = error.errno in _WANT
            self.refused[account] = self.refused.get(account, 0) + self.full
            _log.debug("watch.refused: %s: %s", path, error)
        finally:
            if here is not None:
                os.close(here)
        return []

    def _below(self, path: str, directory: int, before: Sequence[str]) -> list[str]:
        tails = self._patterns.at(path)
        if not is_deep(tails):
            return []
        account = path.partition("/")[0]
        names, count = directories(directory, HOME_ENTRIES)
        self._quota.charge(account, count // quota.ENTRIES)
        if count > HOME_ENTRIES:
            self.over[account] = self.over.get(account, 0) + 1
        inside = not PARTS.isdisjoint((*names, *before)) and is_virtualenv(directory)
        below = []
        # What was watched is looked at even if it is not listed: a list may be cut short.
        for name in dict.fromkeys((*names, *before)):
            if is_wanted(tails, name, in_virtualenv=inside):
                below.append(f"{path}/{name}")
            else:
                self._table.drop(f"{path}/{name}")
        return below

    def _open(self, path: str, descent: Descent) -> int | None:
        """A descriptor of a directory of a home, opened as its student."""
        account = path.partition("/")[0]
        if account != self._identity:
            self._identity = ""  # not known until it is done
            if not self._enter(account):
                self.strangers.add(account)
                raise PermissionError(errno.EPERM, "no account has this home")
            self._identity = account
            self.strangers.discard(account)
        return descent.open(path)
