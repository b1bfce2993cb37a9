"""Homes → facts: each is read as its student, and all that is root's own in between, as root."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec.structs import replace

from reconciler.model import Home, Script, Source, Standing, Static
from reconciler.observe.accounts import Accounts
from reconciler.observe.descent import GONE, Unreadable
from reconciler.observe.helper import AHEAD, HelperError
from reconciler.observe.identity import Become
from reconciler.observe.interior import Interior, Signature
from reconciler.observe.interpreter import Interpreter
from reconciler.observe.reach import Reach
from reconciler.observe.sighting import Seen, Sighting, Subject
from reconciler.observe.source import Parser, Roots
from reconciler.observe.survey import WAITS, Root, Surveyor, digest_of, is_empty
from reconciler.settings import Settings

_NO_NAMES = frozenset({"", ".", ".."})
_MAX_PARSING = 3.0
"""Seconds of parsing in one look at a home: 12 scripts of 5,900 empty functions took 17 s, in which
nobody else was looked at. The rest wait for the next look."""
_MAX_SOURCES = 20_000
"""Texts whose facts are remembered: a few hundred bytes each."""
_RACY_NS = 100_000_000
"""File systems stamp in ticks of 1 to 10 ms: what changed just now may change again unseen."""
_HALF = AHEAD // 2
"""Homes that are told of in one go."""
_MAX_CALLED = 2.0
"""Seconds in which homes that the root does not list are called by name, for one listing: an
automounter asks a server about each. The rest are called at the next."""


class Observer:
    """Looks at homes. Remembers what the parser said of a text, and nothing of any home."""

    def __init__(
        self,
        settings: Settings,
        interpreter: Interpreter,
        *,
        accounts: Accounts,
        become: Become,
        names_scripts: bool = False,
    ) -> None:
        """`names_scripts`: whether Apache's own user can read a script is to be asked as well."""
        self._settings = settings
        self._become = become
        self._names_scripts = names_scripts
        self._parser = Parser(interpreter.path)
        self._reach = Reach(settings.apache.user)
        self._sources: dict[bytes, Source] = {}
        self._roots: dict[bytes, Roots] = {}
        self._surveyor = Surveyor(settings, interpreter, self._sources, self._roots)
        self._called: set[str] = set()
        self.accounts = accounts

    def get_ready(self) -> None:
        """Do what would make the next look slow; where it cannot be done, that look tells why."""
        with contextlib.suppress(HelperError):
            self._parser.start()

    def close(self) -> None:
        """End the helpers."""
        self._parser.close()
        self._reach.close()

    def everyone(self, served: Collection[str], known: Mapping[str, str]) -> set[str]:
        """Return all who have a home, are served, or are known, as for `Accounts.find`.

        Raises:
            Unreadable: the root could not be read. Or it is empty while accounts of those served
                live, as one that is not mounted: an outage is not a deletion.
        """
        found, root = self.names(), self._settings.homes.root
        if not found and any(self.accounts.find(n, known)[0] is Standing.FOUND for n in served):
            raise Unreadable(f"{root} is empty, while {len(served)} apps of it are served")
        return {*found, *served, *known}

    def names(self) -> list[str]:
        """Return every directory and link right below the root, hidden ones aside.

        Also those that an automounter lists only once they were called by their names: the homes of
        accounts in the files of the database.

        Raises:
            Unreadable: the root is not there, or could not be read.
        """
        self._parser.begin()  # whoever asks for all is about to look at all
        root = self._settings.homes.root
        try:
            with os.scandir(root) as entries:
                listed = {
                    entry.name
                    for entry in entries
                    if not entry.name.startswith(".") and (entry.is_symlink() or entry.is_dir())
                }
        except OSError as error:
            raise Unreadable(f"{root}: {error.strerror}") from error
        unlisted = [name for name in self.accounts.living_in(root) if name not in listed]
        return sorted({*listed, *filter(self.has_home, self._to_call(unlisted))})

    def _to_call(self, unlisted: list[str]) -> Iterator[str]:
        """Yield names for as long as there is time, those first that had no turn before."""
        until = time.monotonic() + _MAX_CALLED
        for name in sorted(unlisted, key=self._called.__contains__):
            if time.monotonic() > until:
                return
            self._called.add(name)
            yield name
        self._called.clear()

    def has_home(self, name: str) -> bool:
        """Whether there is an entry of that name below the root, as far as can be told."""
        if not name or "/" in name or name.startswith("."):
            return False
        try:
            os.lstat(f"{self._settings.homes.root}/{name}")
        except OSError as error:
            return error.errno not in GONE
        return True

    def observe(self, subjects: Iterable[Subject], known: Mapping[str, str]) -> Iterator[Seen]:
        """Yield what is seen of each, in order.

        `known` is as for `Accounts.find`. Whatever goes wrong with a home is told as that home's
        trouble.

        While the texts of some are examined, the next are looked at. Half of those ahead are told
        of in one go: to see one and to judge one in turn took a twentieth longer, *measured* over
        1,000 homes. So the thread also goes from student to student, and is itself again, for the
        database, for the helpers and for whoever takes what is yielded, once in a hundred homes.
        """
        self._become(None)
        self._parser.begin()  # not later: it would start as a student
        ahead: deque[Sighting] = deque()
        rest = iter(subjects)
        try:
            while some := list(itertools.islice(rest, _HALF)):
                with contextlib.closing(Root(self._settings.homes.root)) as root:
                    for sighting in [self._met(each, known, root) for each in some]:
                        self._see(sighting, root)
                        ahead.append(sighting)
                        most = AHEAD if sighting.is_light else 0
                        if len(ahead) > most:
                            self._become(None)
                            while len(ahead) > min(most, _HALF):
                                yield self._told(ahead.popleft())
                self._become(None)
            while ahead:
                yield self._told(ahead.popleft())
        finally:
            self._become(None)

    def _met(self, subject: Subject, known: Mapping[str, str], root: Root) -> Sighting:
        """Return what can be told from above, as the process: who lives there, if anybody."""
        name = subject.name
        standing, account, origin = self.accounts.find(name, known)
        sighting = Sighting(Home(name, standing, account), origin, subject)
        plain = name not in _NO_NAMES and "/" not in name
        if account is not None and account.uid >= self._settings.homes.min_uid and plain:
            sighting.student = account
            return sighting
        try:
            sighting.home = replace(sighting.home, node=root.node(name))
        except Unreadable as error:
            sighting.home = replace(sighting.home, trouble=str(error))
        return sighting

    def _see(self, sighting: Sighting, root: Root) -> None:
        """Look into a home as its student, and have new texts examined meanwhile."""
        student = sighting.student
        if student is None:
            return
        try:
            self._become(student)
            interior = self._surveyor.enter(root, sighting, student)
            if interior is None:
                return
            with contextlib.closing(interior):
                if not self._recalled(sighting, interior):
                    self._surveyor.survey(sighting, interior, student)
            if sighting.texts:
                self._parser.foresee(next(iter(sighting.texts.values())))
            if sighting.settings:
                self._parser.foresee(next(iter(sighting.settings)))
        except Exception as error:  # noqa: BLE001  it is that home's trouble, and nobody else's
            sighting.interior = None
            sighting.home = replace(sighting.home, trouble=_why(error))

    @staticmethod
    def _recalled(sighting: Sighting, interior: Interior) -> bool:
        """Whether nothing in the home has changed since it was seen last, and it is told so."""
        home, before = sighting.home, sighting.subject.before
        if (
            before is None
            or not before.memo
            or before.home.account != home.account
            or (before.home.path, before.home.is_accounts) != (home.path, home.is_accounts)
            or not interior.unchanged(before.memo)
        ):
            return False
        sighting.home, sighting.memo = before.home, before.memo
        return True

    def _told(self, sighting: Sighting) -> Seen:
        """Return the facts about a home that was seen, with those that the process itself finds."""
        until, root = time.monotonic() + _MAX_PARSING, self._settings.homes.root
        if self._have_learnt(sighting, until):
            sighting = self._again(sighting)
        home, memo = sighting.home, sighting.memo
        try:
            if self._is_away(sighting) and is_empty(root):
                raise Unreadable(f"{root} is empty, while an app of {home.name}'s is served")
            if sighting.interior is not None:
                base = home.path or f"{root}/{home.name}"
                scripts = (
                    self._asked(self._examined(s, sighting.texts.get(s.path), until), base)
                    for s in home.scripts
                )
                home = replace(home, scripts=tuple(scripts))
                if not sighting.settings:  # else the next look is to ask again
                    memo = _memo(home, sighting.interior, sighting.began)
            if sighting.student is not None and home.node is not None and home.node.uid == 0:
                home = replace(home, vacant=is_empty(f"{root}/{home.name}"))
        except Exception as error:  # noqa: BLE001  as above
            home = replace(home, trouble=_why(error))
        return Seen(home, sighting.origin, memo)

    @staticmethod
    def _is_away(sighting: Sighting) -> bool:
        """Whether a home is not there, and its account lives and is served.

        Whoever is looked at by name, as their app tells something, has not left a root that is not
        mounted either (see `everyone`).
        """
        home, served = sighting.home, sighting.subject.served
        is_told = home.node is not None or home.trouble is not None
        return sighting.student is not None and served is not None and not is_told

    def _again(self, before: Sighting) -> Sighting:
        """Look at a home once more, now that it is known what its settings say."""
        home = Home(before.home.name, before.home.standing, before.home.account)
        sighting = Sighting(home, before.origin, before.subject, before.student)
        with contextlib.closing(Root(self._settings.homes.root)) as root:
            self._see(sighting, root)
        self._become(None)
        return sighting

    def _have_learnt(self, sighting: Sighting, until: float) -> bool:
        """Have settings examined; return whether they say anything, so that it is to be looked for.

        The directories that they name are looked at as the student: by another look at the home.
        """
        said = False
        for request in tuple(sighting.settings):
            if time.monotonic() > until:
                break
            try:
                roots = self._parser.roots(request)
            except HelperError:
                continue  # only a link depends on it; the next look asks again
            if len(self._roots) >= _MAX_SOURCES:
                self._roots.clear()
            self._roots[digest_of(request)] = roots
            sighting.settings.discard(request)
            said |= roots != Roots()
        return said

    def _examined(self, script: Script, text: bytes | None, until: float) -> Script:
        """Return the script with what the parser says of its text."""
        if text is None or script.trouble is not None:
            return script
        digest = digest_of(text)
        source = self._sources.get(digest)
        if source is None:
            if time.monotonic() > until:
                return replace(script, trouble=WAITS)
            try:
                source = self._parser.examine(text)
            except HelperError as error:
                return replace(script, trouble=_why(error))
            if len(self._sources) >= _MAX_SOURCES:
                self._sources.clear()
            self._sources[digest] = source
        return replace(script, source=source)

    def _asked(self, script: Script, base: str) -> Script:
        """Return the script with what Apache's own user can reach of it."""
        if script.links:
            script = replace(script, links=tuple(map(self._reached, script.links)))
        if self._names_scripts and script.source is not None:
            try:
                path = f"{base}/{script.path}"
                can = self._reach.can_list_or_read(path, directory=False)
                script = replace(script, reachable=can)
            except HelperError as error:
                script = replace(script, trouble=_why(error))
        return script

    def _reached(self, link: Static) -> Static:
        # No reason to keep an app down, where it cannot be told: only a warning depends on it.
        with contextlib.suppress(HelperError):
            can = self._reach.can_list_or_read(link.path, directory=True)
            return replace(link, reachable=can)
        return link


def _why(error: Exception) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, HelperError):
        return f"its text could not be judged: {error}"
    if isinstance(error, OSError) and error.strerror:  # as of `become`
        return error.strerror
    return f"{type(error).__name__}: {error}"[:200]  # a student's input found a fault of ours


def _memo(home: Home, interior: Interior, began: int) -> Mapping[str, Signature]:
    """Return the signatures of what was seen, if a change after it is sure to show in one."""
    told = all(s.trouble is None and _is_told(s) for s in home.scripts)
    # A directory that could not be read may be open next time, while nothing has changed. One that
    # was left out since there are too many would be left out again.
    if told and interior.all_read and interior.newest < began - _RACY_NS:
        return interior.signatures
    return {}


def _is_told(script: Script) -> bool:
    """Whether a change of what was asked would show in the home, so that it can be kept.

    What Apache's user cannot reach may become so above the home, and a virtualenv outside it.
    """
    venv = script.virtualenv
    closed = not script.nodes[0].mode & 0o001 if script.nodes else False  # the home itself is
    return (
        (closed or all(link.reachable is True for link in script.links))
        and (script.reachable is not False or closed)
        and (venv is None or not venv.chosen or venv.site_packages is not None)
    )
