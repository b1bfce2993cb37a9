"""The watched directories of all homes, kept equal to what is there."""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.watch import quota
from reconciler.watch.beneath import (
    HOME_ENTRIES,
    ROOT_ENTRIES,
    directories,
    is_virtualenv,
    open_beneath,
    open_root,
)
from reconciler.watch.kernel import Kernel, Watched
from reconciler.watch.quota import Quota
from reconciler.watch.rules import PARTS, Level, Rules

_log = logging.getLogger(__name__)

_WANT = frozenset({errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""ENOSPC is fs.inotify.max_user_watches."""


class Dir(Watched):
    """A watched directory. 40,000 of them are normal, so it is small."""

    __slots__ = ("home", "kids", "level", "name", "parent")

    def __init__(self, parent: Dir | None, name: str, level: Level | None, home: Home | None):
        super().__init__()
        self.parent = parent
        """None for the root alone, like `level` and `home`."""
        self.name = name
        self.level = level
        self.home = home
        self.kids: dict[str, Dir] | None = None


class Home(Dir):
    """A home, with what it has used of its budget (watches, its own included)."""

    __slots__ = ("used",)

    def __init__(self, parent: Dir, name: str, level: Level):
        super().__init__(parent, name, level, self)
        self.used = 0


Step = tuple[Dir, tuple[str, ...]]


class Tree:
    """The root, its homes, and the directories in them where a script can appear.

    `look` is the only way in or out: what is there under a name now gets watched, with all that
    belongs below it, and what is not is let go, with all that was. Its answer depends on the file
    system alone, so it may be asked too often and in any order.
    """

    def __init__(self, kernel: Kernel, path: str, rules: Rules, budget: int, spent: Quota) -> None:
        self._kernel = kernel
        self._path = path
        self._rules = rules
        self._budget = budget
        self._quota = spent
        self.root = Dir(None, "", None, None)
        self.over: dict[str, int] = {}
        """Account → directories that its budget left unwatched; at least so many."""
        self.refused: dict[str, int] = {}
        """Account → watches refused for want of something, to be tried again; 0 for directories
        that may not be opened, which are tried again too, but are no fault of the machine's."""
        self.full = False
        """The last refusal was the kernel's limit: others will meet it too."""

    def build(self) -> None:
        """Watches the root and every home. Raises OSError where the root cannot be watched."""
        with self.open() as top:
            if top is None:
                return  # the watch on its parent sees it appear
            self._kernel.claim(top, self.root)
            names, _ = directories(top, ROOT_ENTRIES, lambda name: not name.startswith("."))
            for name in names:
                self.look(self.root, name, top)

    def intact(self) -> bool:
        """Whether the root's path still leads to what is watched for it. Raises OSError.

        Asks by watching again, which gives the same number for the same directory; inode numbers
        do not tell, since ext4 gives a fresh directory the number of the one just removed.
        """
        before = self.root.wd
        with self.open() as top:
            if top is None:
                return not before
            self._kernel.claim(top, self.root)
            return before == self.root.wd

    @contextmanager
    def open(self, node: Dir | None = None, top: int | None = None) -> Iterator[int | None]:
        """A descriptor of the root, or of what is now at a node's path below `top`.

        None where there is nothing. Raises OSError for the root alone: a student's own FUSE mount
        refuses even root. Kept open for the block only: else `umount /home/slp` finds it busy.
        """
        opened = None
        if node is None or top is None:
            opened = open_root(self._path)
        else:
            try:
                opened = open_beneath(top, _names(node))
            except OSError as error:
                self._refuse(_names(node)[0], error)
        try:
            yield opened
        finally:
            if opened is not None and opened != top:
                os.close(opened)

    def attached(self, node: Dir) -> bool:
        """Whether a node noted earlier still belongs to the tree."""
        while node.parent is not None:
            if (node.parent.kids or {}).get(node.name) is not node:
                return False
            node = node.parent
        return node is self.root

    def look(self, parent: Dir, name: str, parent_fd: int) -> None:
        """Makes the watches at and below a name equal to what is there.

        Breadth first, so that a budget is spent on `~/a` and `~/b` before `~/a/*`.
        """
        if parent is self.root:
            if self._quota.muted(name):
                self.mute(name)
                return
            self.over.pop(name, None)
            self.refused.pop(name, None)
        first = self._watch(parent, name, parent_fd)
        todo: deque[Step] = deque([(first, (name,))] if first is not None else [])
        while todo:
            node, path = todo.popleft()
            todo.extend(self._grow(node, path, parent_fd))

    def mute(self, name: str) -> None:
        """Lets go of a home, which then counts as over its budget with all it had."""
        home = (self.root.kids or {}).get(name)
        used = home.home.used if home is not None and home.home is not None else 0
        if home is not None:
            self.drop(home)
        self.over[name] = max(1, used, self.over.get(name, 0))

    def drop(self, node: Dir) -> None:
        """Lets go of a directory and all below it, and gives the budget back."""
        home, parent = node.home, node.parent
        if home is None or parent is None or parent.kids is None:
            return
        if parent.kids.get(node.name) is node:
            del parent.kids[node.name]
            parent.kids = parent.kids or None
        todo = [node]
        while todo:
            gone = todo.pop()
            todo.extend((gone.kids or {}).values())
            gone.kids = None
            self._kernel.release(gone)
            home.used -= 1

    def _grow(self, node: Dir, path: tuple[str, ...], top: int) -> list[Step]:
        """Watches the directories in a watched one; returns those to be read in turn."""
        home, level = node.home, node.level
        if home is None or level is None or not level.deep:
            return []
        try:
            here = open_beneath(top, path)
        except OSError as error:
            self._refuse(home.name, error)
            return []
        if here is None:
            return []  # gone since it was watched: the parent's event is on its way
        deeper = []
        try:
            names, count = directories(here, HOME_ENTRIES, level.kid)
            self._quota.charge(home.name, quota.OPENED + count // quota.ENTRIES)
            if count > HOME_ENTRIES:
                self.over[home.name] = self.over.get(home.name, 0) + 1
            # Those we had are looked at even if they are not in the list: it may be cut short.
            for name in dict.fromkeys((*names, *(node.kids or ()))):
                kid = self._watch(node, name, here)
                if kid is not None:
                    deeper.append((kid, (*path, name)))
        except OSError as error:
            self._refuse(home.name, error)
        finally:
            os.close(here)
        return deeper

    def _watch(self, parent: Dir, name: str, parent_fd: int) -> Dir | None:
        """Watches one directory, or lets it go; returns its node where it is watched now."""
        level = self._rules.home if parent.level is None else parent.level.kid(name)
        if level is None:
            return None
        kid = (parent.kids or {}).get(name)
        home = parent.home
        account = name if home is None else home.name
        here = None
        try:
            here = open_beneath(parent_fd, (name,))
            self._quota.charge(account, quota.OPENED)
            part = home is not None and name in PARTS and is_virtualenv(parent_fd)
            if here is None or part or (level.waiting and is_virtualenv(here)):
                if kid is not None:
                    self.drop(kid)
                return None
            if kid is None:
                if home is not None and home.used >= self._budget:
                    self.over[account] = self.over.get(account, 0) + 1
                    return None
                kid = Home(parent, name, level) if home is None else Dir(parent, name, level, home)
                self._attach(kid, parent)
            self._kernel.claim(here, kid)
            # Asked again, now that we would hear of it: watch first, then look.
            if level.waiting and is_virtualenv(here):
                self.drop(kid)
                return None
        except OSError as error:
            if kid is not None:
                self.drop(kid)
            self._refuse(account, error)
            return None
        else:
            return kid
        finally:
            if here is not None:
                os.close(here)

    def _attach(self, kid: Dir, parent: Dir) -> None:
        if parent.kids is None:
            parent.kids = {}
        parent.kids[kid.name] = kid
        if kid.home is not None:
            kid.home.used += 1

    def _refuse(self, account: str, error: OSError) -> None:
        self.full = error.errno in _WANT
        self.refused[account] = self.refused.get(account, 0) + self.full
        _log.debug("watch.refused: %s: %s", account, error)


def _names(node: Dir) -> list[str]:
    names: list[str] = []
    while node.parent is not None:
        names.append(node.name)
        node = node.parent
    return names[::-1]
