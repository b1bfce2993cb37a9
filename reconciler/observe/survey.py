"""One home, read as its student → a `Sighting`: which scripts are there, what belongs to each."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping

from msgspec.structs import replace

from reconciler.model import Account, Instead, Node, Script, Source
from reconciler.observe import candidates, descent, hints, projects
from reconciler.observe.candidates import Candidates
from reconciler.observe.descent import Unreadable
from reconciler.observe.interior import Interior
from reconciler.observe.interpreter import Interpreter
from reconciler.observe.sighting import MAX_TEXTS, Sighting
from reconciler.observe.source import SOURCE_LIMIT, Roots
from reconciler.observe.virtualenvs import Virtualenvs
from reconciler.settings import Settings

WAITS = "it waits for its turn, as the home has many new scripts"


class Root:
    """The root of the homes, opened by the process itself, for looks at homes as their students."""

    def __init__(self, path: str) -> None:
        self.path, self._why = path, ""
        try:
            self._descriptor = descent.open_root(path)
        except Unreadable as error:  # an outage, and no home's end: each is told of it
            self._why = str(error)
            return
        status = os.fstat(self._descriptor)
        self._is_roots_alone = status.st_uid == 0 and not status.st_mode & 0o022

    def close(self) -> None:
        """Close it."""
        if not self._why:
            os.close(self._descriptor)

    def node(self, name: str) -> Node | None:
        """Return what the entry of that name is.

        Raises:
            Unreadable: it could not be told, or the root itself could not be opened.
        """
        if self._why:
            raise Unreadable(self._why)
        status = descent.stat_of(name, at=self._descriptor)
        return None if status is None else descent.node("", status)

    def enter(self, name: str) -> tuple[int, str | None] | None:
        """Return a descriptor of a home, opened as whoever the thread is; None: no directory.

        Also its real path, where a link led to it.

        A link that root made, where nobody but root could, is followed once: to what its last
        component is, if that is no link. From there on, all is by descriptor. A student's link is
        not: it could name what others wrote.

        Raises:
            Unreadable: it could not be told. Also where root's link leads nowhere: what it names
                is on another file system, which may be away.
        """
        descriptor = descent.open_directory(f"{self.path}/{name}")
        if descriptor is not None:
            return descriptor, None
        node = self.node(name)
        if node is None or node.kind != "link" or node.uid != 0 or not self._is_roots_alone:
            return None
        try:
            target = os.readlink(name, dir_fd=self._descriptor)
        except OSError as error:
            raise Unreadable(descent.said(error)) from error
        descriptor = descent.open_directory(target, at=self._descriptor)
        if descriptor is None:
            raise Unreadable(f"it is a link to {target}, and there is no directory")
        # As the kernel has it, without a link anywhere: /nfs itself may be one.
        return descriptor, os.readlink(f"/proc/self/fd/{descriptor}")


class Surveyor:
    """Looks into homes as whoever the thread is, asks no helper and remembers nothing."""

    def __init__(
        self,
        settings: Settings,
        python: Interpreter,
        known: Mapping[bytes, Source],
        told: Mapping[bytes, Roots],
    ) -> None:
        """`known` has what was said of scripts before, `told` of settings: by their digests."""
        self._settings = settings
        self._python = python
        self._projects = projects.Projects(python)
        self._known = known
        self._told = told

    def enter(self, root: Root, sighting: Sighting, account: Account) -> Interior | None:
        """Return what is inside a home, and note the home itself; None: nothing to look into.

        Raises:
            Unreadable: it could not be told.
        """
        home = sighting.home
        try:
            entered = root.enter(home.name)
        except Unreadable:
            # It is closed to its student, or away. Whose it is can be told from above.
            with contextlib.suppress(Unreadable):
                node = root.node(home.name)
                if node is not None and node.kind == "directory":
                    sighting.home = replace(home, node=node)
            raise
        if entered is None:
            node = root.node(home.name)
            if node is not None and node.kind == "directory":
                raise Unreadable(f"{home.name} changed while it was looked at")
            sighting.home = replace(home, node=node)
            return None
        descriptor, path = entered
        interior = Interior(descriptor)
        named = account.home
        same = named == f"{root.path}/{home.name}" or _is_same(named, descriptor)
        # So much counts, whatever else fails.
        sighting.home = replace(home, node=interior.home, path=path, is_accounts=same)
        return interior

    def survey(self, sighting: Sighting, interior: Interior, account: Account) -> None:
        """Find the scripts of a home, and what belongs to each.

        Raises:
            Unreadable: the home itself could not be read.
        """
        own, homes = self._settings.of(account.name), self._settings.homes
        base = sighting.home.path or f"{homes.root}/{account.name}"
        served = sighting.subject.served
        if served is not None:
            # What was published below another root, or from another home, is not in this one.
            served = served[len(base) + 1 :] if served.startswith(f"{base}/") else None
        found = candidates.find(interior, homes.scripts)
        wishes = projects.read_wishes(interior, account)
        first = [path for path in (served, own.script, wishes.script) if path is not None]
        # While a file is renamed over another, some file systems list neither.
        if (
            served is not None
            and served not in found.paths
            and interior.node_at(served, anew=True) is None
        ):
            first.remove(served)
        static = own.static or wishes.static
        virtualenv = own.virtualenv or wishes.virtualenv
        scripts = tuple(
            self._script(sighting, interior, base, path, account, static, virtualenv)
            for path in dict.fromkeys([*first, *interior.newest_first(found.paths)])
        )
        sighting.home = replace(
            sighting.home,
            scripts=scripts,
            wishes=wishes,
            unseen=found.unseen,
            instead=None if scripts else self._instead(interior, base, found),
            unwatched=max(0, found.directories - homes.watch_budget),
        )
        sighting.interior = interior

    def _instead(self, home: Interior, base: str, found: Candidates) -> Instead | None:
        """Return what a home without a script has in its place."""
        virtualenvs = Virtualenvs(home, base, self._python)
        return hints.look(home, found, self._settings.homes.scripts, virtualenvs)

    def _script(
        self,
        sighting: Sighting,
        home: Interior,
        base: str,
        path: str,
        account: Account,
        static: str | None,
        virtualenv: str | None,
    ) -> Script:
        package = path.rpartition("/")[0]
        bare = Script(path, (), None, None, project=package, package=package)
        try:
            nodes, descriptor = home.walk(package)
            file = home.node_at(path)
            if file is None or descriptor is None:
                return replace(bare, nodes=nodes)
            bare = replace(bare, nodes=(*nodes, file))
            if not worth_reading(file, account):
                return bare
            file, text = _read(path, descriptor, account)
            bare = replace(bare, nodes=nodes if file is None else (*nodes, file))
            if text is None:
                return bare
            # A class's scripts are much alike: what was said of a text holds for its copies.
            source = self._known.get(digest_of(text))
            if source is None:
                if len(sighting.texts) == MAX_TEXTS:
                    raise Unreadable(WAITS)
                sighting.texts[path] = text
            found = self._projects.find(
                home,
                base,
                path,
                text,
                url=self._settings.url(account.name),
                roots=lambda request: self._roots(sighting, home, request),
                static=static,
                virtualenv=virtualenv,
            )
            return replace(bare, source=source, **found)
        except Unreadable as error:
            sighting.texts.pop(path, None)  # nobody will ask about it
            return replace(bare, trouble=str(error))

    def _roots(self, sighting: Sighting, home: Interior, request: bytes) -> Roots:
        """Return what settings say; where that is not known yet, nothing, and have it asked."""
        said = self._told.get(digest_of(request))
        if said is not None:
            return said
        if len(sighting.settings) < MAX_TEXTS:
            sighting.settings.add(request)
        else:
            home.all_read = False  # so that the next look comes to them
        return Roots()


def digest_of(text: bytes) -> bytes:
    """Return what a text is remembered by."""
    return hashlib.sha256(text).digest()


def worth_reading(file: Node, account: Account) -> bool:
    """Whether the text can matter: of a foreign file it does not, and is nobody's to tell of."""
    return (
        file.kind == "file"
        and file.uid == account.uid
        and file.links == 1
        and file.size <= SOURCE_LIMIT
    )


def _read(path: str, directory: int, account: Account) -> tuple[Node | None, bytes | None]:
    """Return what was opened, None where it went since it was found, and its text if it matters.

    Its owner may have put another in the place of what was looked at, so all is asked once more of
    what was opened.
    """
    name = path.rpartition("/")[2]
    opened = descent.open_file(name, at=directory)
    if opened is None:
        if descent.stat_of(name, at=directory) is None:
            return None, None
        raise Unreadable(f"{name} changed while it was looked at")
    descriptor, status = opened
    try:
        file = descent.node(path, status)
        if not worth_reading(file, account):
            return file, None
        text = descent.read(descriptor, SOURCE_LIMIT + 1)
    finally:
        os.close(descriptor)
    if len(text) > SOURCE_LIMIT:
        raise Unreadable("it grew while it was read")
    return file, text


def _is_same(path: str, descriptor: int) -> bool:
    """Whether a path that the administrator wrote leads to what a descriptor is of."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except (OSError, ValueError):
        return False


def is_empty(path: str) -> bool:
    """Whether there is a directory that holds nothing."""
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return False
