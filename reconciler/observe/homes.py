"""One home → `Home`: which scripts are there, and what belongs to each."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from reconciler.model import Account, Home, Node, Script, Source
from reconciler.observe import beneath, candidates, projects
from reconciler.observe.accounts import Accounts
from reconciler.observe.beneath import Stamp, Tree, Unreadable
from reconciler.observe.helper import HelperError
from reconciler.observe.interpreter import Interpreter
from reconciler.observe.reach import Reach
from reconciler.observe.source import SOURCE_LIMIT, Parser
from reconciler.settings import Settings

_NO_NAMES = frozenset({"", ".", ".."})
_MAX_PARSED = 8
_MAX_PARSING = 3.0
"""New texts parsed in one look at a home, and seconds of it: 12 scripts of 5,900 empty functions
took 17 s, in which nobody else was looked at. The rest wait for the next look."""
_WAITS = "it waits for its turn, as the home has many new scripts"
_MAX_SOURCES = 20_000
"""Texts whose facts are remembered: a few hundred bytes each."""
_RACY_NS = 100_000_000
"""File systems stamp in ticks of 1 to 10 ms: what changed just now may change again unseen."""


class Observer:
    """Looks at homes. Remembers what it saw, and what the parser said of a text."""

    def __init__(
        self,
        settings: Settings,
        interpreter: Interpreter,
        *,
        accounts: Accounts,
        names_scripts: bool = False,
    ) -> None:
        self._settings = settings
        self._names_scripts = names_scripts
        self._parser = Parser(interpreter.path)
        self._reach = Reach(settings.apache.user)
        self._projects = projects.Projects(interpreter.version, self._reach)
        self._sources: dict[bytes, Source] = {}
        self.accounts = accounts

    def begin(self) -> None:
        """Begin what takes its time, without waiting for it."""
        self._parser.begin()

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

    def see(
        self,
        name: str,
        known: Mapping[str, str],
        served: str | None = None,
        before: Seen | None = None,
    ) -> Sighting:
        """Look at one home, and have new texts examined meanwhile: `tell` has the facts.

        `known` is as for `Accounts.find`; `served` is a script's path that is looked at in any
        case, relative to the home; `before` is what was told the last time. Whatever goes wrong is
        told as that home's trouble.
        """
        standing, account, origin = self.accounts.find(name, known)
        sighting = Sighting(Home(name, standing, account), origin)
        try:
            self._look(sighting, served, before)
            if sighting.texts:
                self._parser.foresee(next(iter(sighting.texts.values())))
        except Exception as error:  # noqa: BLE001  it is that home's trouble, and nobody else's
            sighting.home = replace(sighting.home, trouble=_why(error))
        return sighting

    def tell(self, sighting: Sighting) -> Seen:
        """Return the facts about a home that was seen."""
        home, tree, stamps = sighting.home, sighting.tree, sighting.stamps
        try:
            if sighting.texts:
                until = time.monotonic() + _MAX_PARSING
                scripts = (
                    self._examined(s, sighting.texts.get(s.path), until) for s in home.scripts
                )
                home = replace(home, scripts=tuple(scripts))
            if tree is not None and home.trouble is None:
                stamps = _memo(home, tree, sighting.began)
        except Exception as error:  # noqa: BLE001  as above
            home = replace(home, trouble=_why(error))
        return Seen(home, sighting.origin, stamps)

    def _look(self, sighting: Sighting, served: str | None, before: Seen | None) -> None:
        home, account = sighting.home, sighting.home.account
        descriptor = self._enter(sighting)
        if descriptor is None or account is None:
            return
        with contextlib.closing(Tree(descriptor)) as tree:
            if (
                before is not None
                and before.memo
                and before.home.account == account
                and tree.unchanged(before.memo)
            ):
                sighting.home, sighting.stamps = before.home, before.memo
                return
            sighting.home = replace(home, node=tree.home)  # so much counts, whatever else fails
            self._inside(sighting, account, tree, served)
            sighting.tree = tree

    def _enter(self, sighting: Sighting) -> int | None:
        """Return a descriptor of the home; None where there is nothing to look into."""
        root, home = self._settings.homes.root, sighting.home
        if home.account is not None and home.name not in _NO_NAMES and "/" not in home.name:
            descriptor = beneath.open_directory(f"{root}/{home.name}")
            if descriptor is not None:
                return descriptor
        at = beneath.open_root(root)  # a root that is gone is an outage, and no home's end
        try:
            node = beneath.look(home.name, "", at=at)
        finally:
            os.close(at)
        if node is not None and node.kind == "directory" and home.account is not None:
            raise Unreadable(f"{home.name} changed while it was looked at")
        sighting.home = replace(home, node=node)
        return None

    def _inside(self, sighting: Sighting, account: Account, tree: Tree, served: str | None) -> None:
        own = self._settings.of(account.name)
        homes = self._settings.homes
        paths, directories = candidates.find(tree, homes.scripts)
        wishes = projects.read_wishes(tree, account)
        unseen = max(0, directories - homes.watch_budget)
        first = [path for path in (served, own.script, wishes.script) if path is not None]
        if served is not None and served not in paths and tree.look(served, listed=False) is None:
            first.remove(served)
        static = own.static or wishes.static
        virtualenv = own.virtualenv or wishes.virtualenv
        scripts = tuple(
            self._script(sighting, tree, path, account, static, virtualenv)
            for path in dict.fromkeys([*first, *tree.newest_first(paths)])
        )
        sighting.home = replace(sighting.home, scripts=scripts, wishes=wishes, unseen=unseen)

    def _script(
        self,
        sighting: Sighting,
        home: Tree,
        path: str,
        account: Account,
        static: str | None,
        virtualenv: str | None,
    ) -> Script:
        package, _, name = path.rpartition("/")
        bare = Script(path, (), None, None, project=package, package=package)
        try:
            nodes, descriptor = home.walk(package)
            file = home.look(path)
            if file is None or descriptor is None:
                return replace(bare, nodes=nodes)
            bare = replace(bare, nodes=(*nodes, file))
            if not _worth_reading(file, account):
                return bare
            opened = beneath.open_file(name, at=descriptor)
            if opened is None:
                if beneath.look(name, path, at=descriptor) is None:
                    return replace(bare, nodes=nodes)  # it went since it was found
                raise Unreadable(f"{name} changed while it was looked at")
            fd, status = opened
            try:
                file = beneath.node(path, status)  # what was opened, whatever it was
                bare = replace(bare, nodes=(*nodes, file))
                if not _worth_reading(file, account):
                    return bare
                text = beneath.read(fd, SOURCE_LIMIT + 1)
            finally:
                os.close(fd)
            if len(text) > SOURCE_LIMIT:
                raise Unreadable("it grew while it was read")
            # A class's scripts are much alike: what was said of a text holds for its copies.
            source = self._sources.get(_digest(text))
            if source is None:
                if len(sighting.texts) == _MAX_PARSED:
                    raise Unreadable(_WAITS)
                sighting.texts[path] = text
            base = f"{self._settings.homes.root}/{account.name}"
            found = self._projects.find(home, base, path, static=static, virtualenv=virtualenv)
            return replace(
                bare,
                source=source,
                project=found.project,
                static=found.static,
                virtualenv=found.virtualenv,
                reachable=self._reachable(f"{base}/{path}"),
            )
        except (Unreadable, HelperError) as error:
            sighting.texts.pop(path, None)  # nobody will ask about it
            return replace(bare, trouble=_why(error))

    def _reachable(self, path: str) -> bool | None:
        if not self._names_scripts:
            return None
        return self._reach.can_list_or_read(path, directory=False)

    def _examined(self, script: Script, text: bytes | None, until: float) -> Script:
        """Return the script with what the parser says of its text."""
        if text is None or script.trouble is not None:
            return script
        digest = _digest(text)
        source = self._sources.get(digest)
        if source is None:
            if time.monotonic() > until:
                return replace(script, trouble=_WAITS)
            try:
                source = self._parser.examine(text)
            except HelperError as error:
                return replace(script, trouble=_why(error))
            if len(self._sources) >= _MAX_SOURCES:
                self._sources.clear()
            self._sources[digest] = source
        return replace(script, source=source)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at one home has brought."""

    home: Home
    origin: str | None
    """Where its account was found."""
    memo: Mapping[str, Stamp]
    """What makes the next look cheap, and says nothing to anybody else; empty: look at it all."""


@dataclass(slots=True)
class Sighting:
    """A home as it was seen, its new texts not yet examined."""

    home: Home
    origin: str | None
    """Where its account was found."""
    began: int = field(default_factory=time.time_ns)
    """When the look at it began: what changes later may not show in a stamp of before."""
    texts: dict[str, bytes] = field(default_factory=dict)
    """New texts, at most `_MAX_PARSED`, by their scripts' paths."""
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    """Those of before, where nothing has changed since."""
    tree: Tree | None = None
    """What it was seen by, if it was seen as a whole; its descriptors are closed."""

    @property
    def is_light(self) -> bool:
        """Whether it may wait, with many others, for what is under way."""
        return sum(map(len, self.texts.values())) <= select.PIPE_BUF


def _memo(home: Home, tree: Tree, began: int) -> Mapping[str, Stamp]:
    """Return the stamps of what was seen, if a change after it is sure to show in one of them."""
    told = all(s.trouble is None and _is_told(s) for s in home.scripts)
    # A directory that was not read could hold anything.
    told = told and tree.all_read and not home.unseen
    return tree.stamps if told and tree.newest < began - _RACY_NS else {}


def _why(error: Exception) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, HelperError):
        return f"its text could not be judged: {error}"
    return f"{type(error).__name__}: {error}"[:200]  # a student's input found a fault of ours


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


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
