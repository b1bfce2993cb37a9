"""One home → `Home`: which scripts are there, and what belongs to each."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from reconciler.model import Account, Home, Node, Script, Source
from reconciler.observe import beneath, projects
from reconciler.observe.accounts import Accounts
from reconciler.observe.beneath import Stamp, Tree, Unreadable
from reconciler.observe.helper import HelperError
from reconciler.observe.interpreter import Interpreter
from reconciler.observe.reach import Reach
from reconciler.observe.source import SOURCE_LIMIT, Parser
from reconciler.settings import AccountSettings, Settings

_MAX_DIRECTORIES = 1024
"""Directories looked into of one home; the served script is looked at in any case."""
_MAX_PARSED = 8
_MAX_PARSING = 3.0
"""New texts parsed in one look at a home, and seconds of it: 12 scripts of 5,900 empty functions
took 17 s, in which nobody else was looked at. The rest wait for the next look."""
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
        self._patience = _Patience()
        self._all_read = True
        self.accounts = Accounts()

    def get_ready(self) -> None:
        """Do what would make the next look slow; where it cannot be done, that look tells why."""
        with contextlib.suppress(HelperError):
            self._parser.start()

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

    def observe(
        self, name: str, known: Mapping[str, str], served: str | None = None
    ) -> tuple[Home, str | None]:
        """Return the facts about one name, and where its account was found.

        `known` is as for `Accounts.find`; `served` is a script's path that is looked at in any
        case, relative to the home.
        """
        self._patience = _Patience()
        self._all_read = True
        standing, account, origin = self.accounts.find(name, known)
        home = Home(name, standing, account)
        try:
            return self._look(home, served), origin
        except Unreadable as trouble:
            return replace(home, trouble=str(trouble)), origin
        except HelperError as trouble:
            return replace(home, trouble=f"its text could not be judged: {trouble}"), origin

    def _look(self, home: Home, served: str | None) -> Home:
        root = beneath.open_root(self._settings.homes.root)
        try:
            node = beneath.look(home.name, "", at=root)
            account = home.account
            if node is None or node.kind != "directory" or account is None:
                return replace(home, node=node)
            descriptor = beneath.open_directory(home.name, at=root)
            if descriptor is None:  # replaced between the two
                raise Unreadable(f"{home.name} changed while it was looked at")
        finally:
            os.close(root)
        with contextlib.closing(Tree(descriptor)) as tree:
            before, stamps = self._seen.get(home.name, (home, {}))
            if stamps and before.account == account and tree.unchanged(stamps):
                return before
            home = replace(home, node=tree.home)
            try:
                found = self._inside(home, account, tree, served)
            except (
                Unreadable,
                HelperError,
            ) as trouble:  # but what is known of the home itself counts
                return replace(home, trouble=str(trouble))
            self._remember(found, tree)
            return found

    def _remember(self, home: Home, tree: Tree) -> None:
        """Keep what was seen, if a change after it is sure to show in a stamp."""
        self._seen.pop(home.name, None)
        told = all(s.trouble is None and _is_told(s) for s in home.scripts)
        # A directory that was not read could hold anything.
        told = told and self._all_read and not home.unseen
        if told and tree.newest < time.time_ns() - _RACY_NS:
            self._seen[home.name] = (home, tree.stamps)

    def _inside(self, home: Home, account: Account, tree: Tree, served: str | None) -> Home:
        own = self._settings.of(home.name)
        wishes = projects.read_wishes(tree, account)
        paths, unseen = self._candidates(tree)
        first = [path for path in (served, own.script, wishes.script) if path is not None]
        if served is not None and served not in paths and not tree.is_there(served):
            first.remove(served)
        scripts = tuple(
            self._script(tree, path, account, own, wishes.static, wishes.virtualenv)
            for path in dict.fromkeys([*first, *tree.newest_first(paths)])
        )
        return replace(home, scripts=scripts, wishes=wishes, unseen=unseen)

    def _candidates(self, home: Tree) -> tuple[list[str], int]:
        """Return the scripts at the configured depths, and how many directories were skipped."""
        wanted: dict[int, set[str]] = {}
        for pattern in self._settings.homes.scripts:
            wanted.setdefault(pattern.count("/"), set()).add(pattern.rpartition("/")[2])
        found: list[str] = []
        links: list[str] = []
        deepest = max(wanted)
        directories = 0
        level = [""]
        for depth in range(deepest + 1):
            below: list[str] = []
            for path in level:
                try:
                    _, descriptor = home.walk(path)
                    if descriptor is None:
                        continue
                    found += self._named(descriptor, path, wanted.get(depth, set()))
                    for name, is_link in _directories(descriptor) if depth < deepest else ():
                        here = f"{path}/{name}".lstrip("/")
                        if not is_link:
                            directories += 1
                            if directories <= _MAX_DIRECTORIES:
                                below.append(here)
                        elif len(links) < _MAX_LINKS:
                            links.append(here)
                except Unreadable:
                    if not path:
                        raise
                    # A file system of the student's own, closed to root: what is in it stays
                    # unknown, and the rest of the home does not.
                    directories += 1
                    self._all_read = False
            level = below
        unseen = max(0, directories - self._settings.homes.watch_budget)
        if not found:
            # A link is not followed, so what is behind it is not known; but where a home has
            # nothing else, the link is the likeliest reason why nothing is served.
            name = self._settings.homes.scripts[0].rpartition("/")[2]
            found += [f"{link}/{name}" for link in links]
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
            nodes, descriptor = home.walk(package)
            file = None if descriptor is None else home.look(name, path, at=descriptor)
            if file is None or descriptor is None:
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
            self._patience.ask()
            source = self._parser.examine(text)
            if len(self._sources) >= _MAX_SOURCES:
                self._sources.clear()
            self._sources[digest] = source
        return source


class _Patience:
    """What one look at one home may cost in parsing."""

    def __init__(self) -> None:
        self._left = _MAX_PARSED
        self._until = time.monotonic() + _MAX_PARSING

    def ask(self) -> None:
        """Take one; raise Unreadable where there is none left."""
        if self._left == 0 or time.monotonic() > self._until:
            raise Unreadable("it waits for its turn, as the home has many new scripts")
        self._left -= 1


def _is_told(script: Script) -> bool:
    """Whether a change of what was asked would show in the home, so that it can be kept.

    What Apache's user cannot reach may become so above the home, and a virtualenv outside it.
    """
    venv = script.virtualenv
    closed = not script.nodes[0].mode & 0o001 if script.nodes else False  # the home itself is
    return (
        (script.static is None or script.static.reachable is True or closed)
        and (script.reachable is not False or closed)
        and (venv is None or not venv.chosen or venv.site_packages is not None)
    )


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
