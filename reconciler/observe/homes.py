"""One home → `Home`: which scripts are there, and what belongs to each."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from reconciler.model import Account, Home, Node, Script, Source, Standing
from reconciler.observe import beneath, projects
from reconciler.observe.accounts import Accounts
from reconciler.observe.beneath import Stamp, Tree, Unreadable
from reconciler.observe.helper import HelperError
from reconciler.observe.interpreter import Interpreter
from reconciler.observe.reach import Reach
from reconciler.observe.source import SOURCE_LIMIT, Parser
from reconciler.settings import AccountSettings, Settings

_MAX_ENTRIES = 4096
"""Names read of one directory; a project has a few dozen."""
_MAX_LINKS = 8
"""Links told of where a home has nothing else; one is enough to see why nothing is served."""
_MAX_SOURCES = 20_000
"""Texts whose facts are remembered: a few hundred bytes each."""
_RACY_NS = 100_000_000
"""File systems stamp in ticks of 1 to 10 ms: what changed just now may change again unseen."""
_PRUNED = frozenset(
    {"node_modules", "__pycache__", "site-packages", "static", "media", "venv", "env", "virtualenv"}
)


class Observer:
    """Looks at homes. Remembers what it saw, and what the parser said of a text."""

    def __init__(
        self, settings: Settings, interpreter: Interpreter, *, names_scripts: bool = False
    ) -> None:
        self._settings = settings
        self._names_scripts = names_scripts
        self._parser = Parser(interpreter.path)
        self._reach = Reach(settings.apache.user)
        self._projects = projects.Projects(interpreter.version, self._reach)
        self._sources: dict[bytes, Source] = {}
        self._seen: dict[str, tuple[Home, dict[str, Stamp]]] = {}
        self.accounts = Accounts()

    def close(self) -> None:
        """End the helpers."""
        self._parser.close()
        self._reach.close()

    def names(self) -> list[str]:
        """Return every directory and link right below the root, hidden ones aside.

        Raises:
            Unreadable: the root is not there, or could not be read.
        """
        try:
            with os.scandir(self._settings.homes.root) as entries:
                return sorted(
                    entry.name
                    for entry in entries
                    if not entry.name.startswith(".")
                    and (entry.is_symlink() or entry.is_dir(follow_symlinks=False))
                )
        except OSError as error:
            raise Unreadable(f"{self._settings.homes.root}: {error.strerror}") from error

    def has_home(self, name: str) -> bool:
        """Whether there is an entry of that name below the root."""
        return "/" not in name and os.path.lexists(f"{self._settings.homes.root}/{name}")

    def observe(self, name: str, known: Mapping[str, str]) -> tuple[Home, str | None]:
        """Return the facts about one name, and where its account was found.

        `known` is as for `Accounts.find`.
        """
        standing, account, origin = self.accounts.find(name, known)
        home = Home(name, standing, account)
        try:
            return self._look(home), origin
        except Unreadable as trouble:
            return replace(home, trouble=str(trouble)), origin
        except HelperError as trouble:
            return replace(home, trouble=f"its text could not be judged: {trouble}"), origin

    def _look(self, home: Home) -> Home:
        root = beneath.open_directory(self._settings.homes.root)
        if root is None:
            raise Unreadable(f"{self._settings.homes.root} is not there")
        try:
            node = beneath.look(home.name, "", at=root)
            if node is None or node.kind != "directory" or home.account is None:
                return replace(home, node=node)
            descriptor = beneath.open_directory(home.name, at=root)
            if descriptor is None:  # replaced between the two
                raise Unreadable(f"{home.name} changed while it was looked at")
        finally:
            os.close(root)
        try:
            tree = Tree(descriptor)
            before, stamps = self._seen.get(home.name, (home, {}))
            if stamps and before.account == home.account and tree.unchanged(stamps):
                return before
            found = self._inside(home, home.account, tree)
            self._remember(found, tree)
            return found
        finally:
            os.close(descriptor)

    def _remember(self, home: Home, tree: Tree) -> None:
        """Keep what was seen, if a change after it is sure to show in a stamp."""
        self._seen.pop(home.name, None)
        newest = max(stamp[-1] for stamp in tree.stamps.values())
        told = all(s.trouble is None and _is_told(s) for s in home.scripts)
        if told and newest < time.time_ns() - _RACY_NS:
            self._seen[home.name] = (home, tree.stamps)

    def _inside(self, home: Home, account: Account, tree: Tree) -> Home:
        own = self._settings.of(home.name)
        node = beneath.node("", os.fstat(tree.descriptor))
        wishes = projects.read_wishes(tree, account)
        paths, unseen = self._candidates(tree)
        for named in (own.script, wishes.script):
            if named is not None and named not in paths:
                paths.append(named)
        scripts = tuple(
            self._script(tree, path, account, own, wishes.static, wishes.virtualenv)
            for path in sorted(paths)
        )
        return replace(home, node=node, scripts=scripts, wishes=wishes, unseen=unseen)

    def _candidates(self, home: Tree) -> tuple[list[str], int]:
        """Return the scripts at the configured depths, and how many directories were skipped."""
        wanted: dict[int, set[str]] = {}
        for pattern in self._settings.homes.scripts:
            wanted.setdefault(pattern.count("/"), set()).add(pattern.rpartition("/")[2])
        found: list[str] = []
        links: list[str] = []
        budget, unseen = self._settings.homes.watch_budget, 0
        level = [""]
        for depth in range(1, max(wanted) + 1):
            below: list[str] = []
            for path in level:
                with home.walk(path) as (_, descriptor):
                    if descriptor is None:
                        continue
                    if depth - 1 in wanted:
                        found += self._named(descriptor, path, wanted[depth - 1])
                    for name, is_link in _directories(descriptor):
                        here = f"{path}/{name}".lstrip("/")
                        if is_link:
                            links.append(here)
                        elif budget > 0:
                            budget -= 1
                            below.append(here)
                        else:
                            unseen += 1
            level = below
        for path in level:
            with home.walk(path) as (_, descriptor):
                if descriptor is not None:
                    found += self._named(descriptor, path, wanted[max(wanted)])
        if not found:
            # A link is not followed, so what is behind it is not known; but where a home has
            # nothing else, the link is the likeliest reason why nothing is served.
            name = self._settings.homes.scripts[0].rpartition("/")[2]
            found += [f"{link}/{name}" for link in sorted(links)[:_MAX_LINKS]]
        return found, unseen

    @staticmethod
    def _named(descriptor: int, path: str, names: set[str]) -> list[str]:
        return [
            f"{path}/{name}"
            for name in sorted(names)
            if beneath.look(name, name, at=descriptor) is not None
        ]

    def _script(
        self,
        home: Tree,
        path: str,
        account: Account,
        own: AccountSettings,
        static: str | None,
        virtualenv: str | None,
    ) -> Script:
        package, _, name = path.rpartition("/")
        bare = Script(path, (), None, None, project=package, package=package)
        try:
            with home.walk(package) as (nodes, descriptor):
                if descriptor is None:
                    return replace(bare, nodes=nodes)
                file = home.look(name, path, at=descriptor)
                if file is None:
                    return replace(bare, nodes=nodes)
                bare = replace(bare, nodes=(*nodes, file))
                if not _worth_reading(file, account):
                    return bare
                fd = beneath.open_file(name, at=descriptor)
                if fd is None:
                    raise Unreadable(f"{name} changed while it was looked at")
                try:
                    file = beneath.node(path, os.fstat(fd))  # what was opened, whatever it was
                    bare = replace(bare, nodes=(*nodes, file))
                    if not _worth_reading(file, account):
                        return bare
                    source = self._source(fd)
                finally:
                    os.close(fd)
            base = f"{self._settings.homes.root}/{account.name}"
            found = self._projects.find(
                home,
                base,
                path,
                static=own.static or static,
                virtualenv=own.virtualenv or virtualenv,
            )
            return replace(
                bare,
                source=source,
                project=found.project,
                static=found.static,
                virtualenv=found.virtualenv,
                reachable=self._reachable(f"{base}/{path}"),
            )
        except Unreadable as trouble:
            return replace(bare, trouble=str(trouble))
        except HelperError as trouble:
            return replace(bare, trouble=f"its text could not be judged: {trouble}")

    def _reachable(self, path: str) -> bool | None:
        if not self._names_scripts:
            return None
        return self._reach.can_list_or_read(path, directory=False)

    def _source(self, fd: int) -> Source:
        text = beneath.read(fd, SOURCE_LIMIT + 1)
        if len(text) > SOURCE_LIMIT:
            raise Unreadable("it grew while it was read")
        # A class's scripts are much alike: what was said of a text holds for its copies.
        digest = hashlib.sha256(text).digest()
        source = self._sources.get(digest)
        if source is None:
            source = self._parser.examine(text)
            if len(self._sources) >= _MAX_SOURCES:
                self._sources.clear()
            self._sources[digest] = source
        return source


def _is_told(script: Script) -> bool:
    """Whether everything asked of a helper was answered, so that the answer can be kept."""
    return script.static is None or script.static.reachable is not None


def _worth_reading(file: Node, account: Account) -> bool:
    """Whether the text can matter: of a foreign file it does not, and is nobody's to tell of."""
    return (
        file.kind == "file"
        and file.uid == account.uid
        and file.links == 1
        and file.size <= SOURCE_LIMIT
    )


def _directories(descriptor: int) -> Iterator[tuple[str, bool]]:
    """Yield names of directories and links in which a script could be, the latter with True."""
    try:
        with os.scandir(descriptor) as entries:
            for entry, _ in zip(entries, range(_MAX_ENTRIES), strict=False):
                if entry.name.startswith(".") or entry.name in _PRUNED:
                    continue
                if entry.is_symlink():
                    yield entry.name, True
                elif entry.is_dir(follow_symlinks=False):
                    yield entry.name, False
    except OSError as error:
        raise Unreadable(f"{error.strerror}") from error


def is_gone(home: Home) -> bool:
    """Whether there is neither an account nor a home of that name."""
    return home.standing is Standing.ABSENT and home.node is None and home.trouble is None
