"""The account database, with a difference between "is not there" and "did not answer".

`pwd.getpwnam` raises the same `KeyError` for a missing account, a missing `/etc/passwd`, too many
open files, and a directory service that is down. So the file is read by ourselves, where each of
those has an `errno`; what it does not have is asked of the name service.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from reconciler.model import Account, Standing

_LIMIT = 64 * 1024 * 1024  # bytes; 100,000 accounts are about 8 MiB
_PLAIN_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `passwd`, and where it was found."""

    name: str
    uid: int
    gid: int
    home: str
    origin: str
    """"files" or "service"."""
    groups: tuple[int, ...] = ()
    """Supplementary groups, where a service told them; the files have them elsewhere."""


class Accounts:
    """Looks names up for the length of one pass; `refresh` begins the next."""

    def __init__(self, directory: str = "/etc") -> None:
        self._passwd = f"{directory}/passwd"
        self._group = f"{directory}/group"
        self.files = (self._passwd, self._group)
        """What it is read from, besides name services."""
        self._read: tuple[object, ...] | None = None
        self._rows: dict[str, Row] | None = None
        self._primary: Counter[int] = Counter()
        self._groups: dict[int, tuple[str, frozenset[str]]] | None = None
        self._member: dict[str, tuple[int, ...]] = {}
        self._living: tuple[str, list[str]] | None = None
        self._service: dict[str, Row | None] = {}
        self._last: Mapping[str, object] = {}

    def refresh(self) -> set[str]:
        """Read the files again if they changed, and forget what the name service said.

        Returns:
            the names whose row, or whose groups, are not what they were.
        """
        self._service.clear()
        versions = (_version(self._passwd), _version(self._group))
        if versions == self._read and self._rows is not None and self._groups is not None:
            return set()
        self._read = versions
        before = dict(self._everybody())
        self._rows = _read_passwd(self._passwd)
        self._groups = _read_group(self._group)
        self._member = _memberships(self._groups or {})
        self._living = None
        self._primary = Counter(row.gid for row in (self._rows or {}).values())
        # What was known is kept through an outage, so that its end brings the difference.
        self._last = after = dict(self._everybody())
        return {name for name in {*before, *after} if before.get(name) != after.get(name)}

    def _everybody(self) -> Iterable[tuple[str, object]]:
        if self._rows is None or self._groups is None:
            return self._last.items()
        groups, primary, member = self._groups, self._primary, self._member
        return (
            (name, (row, groups.get(row.gid), primary[row.gid], member.get(name)))
            for name, row in self._rows.items()
        )

    def living_in(self, root: str) -> list[str]:
        """Return the accounts in the files whose home has their name and is directly below `root`.

        What only a service knows is not listed: many do not list, or have a million names.
        """
        if self._living is None or self._living[0] != root:
            rows = (self._rows or {}).values()
            names = [row.name for row in rows if row.home.rstrip("/") == f"{root}/{row.name}"]
            self._living = root, names
        return self._living[1]

    def find(
        self, name: str, known: Mapping[str, str]
    ) -> tuple[Standing, Account | None, str | None]:
        """Return the account's standing, its row, and the row's origin.

        `known` maps accounts that resolved before to their origin. One of a service's counts as
        gone only while another of that service's still resolves; one of the file's, while the file
        can be read.
        """
        if self._rows is None or self._groups is None:
            return Standing.UNKNOWN, None, None
        row = self._rows.get(name) or self._ask(name)
        if row is None:
            if known.get(name) == "service" and not self._service_answers(name, known):
                return Standing.UNKNOWN, None, None
            return Standing.ABSENT, None, None
        found = self._group_of(row)
        if found is None:
            # The file's gid has no group, and Apache could not start with it; a service's may only
            # have gone down between two questions.
            gone = Standing.ABSENT if row.origin == "files" else Standing.UNKNOWN
            return gone, None, None
        group, private = found
        joined = row.groups or self._member.get(name, ())
        groups = tuple(gid for gid in joined if gid != row.gid)
        account = Account(row.name, row.uid, row.gid, row.home, group, private, groups)
        return Standing.FOUND, account, row.origin

    def ids(self, names: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return uid and gid of those that the database names, as it is now."""
        self.refresh()
        found = ((name, self.find(name, {})[1]) for name in names)
        return {name: (row.uid, row.gid) for name, row in found if row is not None}

    def _ask(self, name: str) -> Row | None:
        if name not in self._service:
            row = None
            with contextlib.suppress(KeyError, OSError, ValueError):
                entry = pwd.getpwnam(name)
                groups = tuple(sorted(set(os.getgrouplist(name, entry.pw_gid))))
                row = Row(name, entry.pw_uid, entry.pw_gid, entry.pw_dir, "service", groups)
            self._service[name] = row
        return self._service[name]

    def _service_answers(self, but: str, known: Mapping[str, str]) -> bool:
        others = (name for name, origin in known.items() if origin == "service" and name != but)
        return any(self._ask(name) is not None for name in islice(others, 3))

    def _group_of(self, row: Row) -> tuple[str, bool] | None:
        assert self._groups is not None
        entry = self._groups.get(row.gid)
        if entry is None:
            try:
                found = grp.getgrgid(row.gid)
            except (KeyError, OSError):
                return None
            entry = (found.gr_name, frozenset(found.gr_mem))
        name, members = entry
        private = members <= {row.name} and (
            self._primary[row.gid] <= 1 if row.origin == "files" else name == row.name
        )
        # A directory service may well have "domain users": Apache takes the number for that.
        return (name if _PLAIN_GROUP.fullmatch(name) else f"#{row.gid}"), private


def _version(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _fields(path: str) -> Iterable[list[str]] | None:
    try:
        with open(path, "rb") as stream:
            data = stream.read(_LIMIT + 1)
    except OSError:
        return None
    if len(data) > _LIMIT:
        return None
    # By newlines alone, as everybody else reads it: a comment may hold U+2028.
    return (line.split(":") for line in data.decode("utf-8", "surrogateescape").split("\n"))


def _is_id(text: str) -> bool:
    """Whether it is a uid or a gid to the kernel, to which the last number means "no change"."""
    return text.isdecimal() and len(text) <= 10 and int(text) < 2**32 - 1


def _read_passwd(path: str) -> dict[str, Row] | None:
    fields = _fields(path)
    rows: dict[str, Row] = {}
    for parts in fields or ():
        if len(parts) >= 7 and _is_id(parts[2]) and _is_id(parts[3]):
            # The first line of a name counts, as for everybody else who reads the file.
            rows.setdefault(
                parts[0], Row(parts[0], int(parts[2]), int(parts[3]), parts[5], "files")
            )
    # Without root it is being written, or is not the file it should be.
    return rows if any(row.uid == 0 for row in rows.values()) else None


def _memberships(groups: Mapping[int, tuple[str, frozenset[str]]]) -> dict[str, tuple[int, ...]]:
    """Return the groups that each name is a member of, in order."""
    found = defaultdict(set)
    for gid, (_, members) in groups.items():
        for name in members:
            found[name].add(gid)
    return {name: tuple(sorted(gids)) for name, gids in found.items()}


def _read_group(path: str) -> dict[int, tuple[str, frozenset[str]]] | None:
    fields = _fields(path)
    if fields is None:
        return None
    members: dict[int, set[str]] = defaultdict(set)
    names: dict[int, str] = {}
    for parts in fields:
        if len(parts) >= 4 and _is_id(parts[2]):
            gid = int(parts[2])
            names.setdefault(gid, parts[0])
            members[gid] |= {name for name in parts[3].split(",") if name}
    return {gid: (name, frozenset(members[gid])) for gid, name in names.items()} or None
