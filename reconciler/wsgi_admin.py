"""What the registry of wsgi-admin says, as settings.

wsgi-admin is the set-uid tool with which students registered their app before. Its registry is one
table in SQLite, whose last columns earlier versions of it lack:

    wsgi(id, uid, wsgi, valid, added, removed, app, rootdir, staticdir, urluserid, morepath)

Students wrote into it, quoted by hand: a `-staticdir` with a quote in it could say anything. So the
file is read whole, of bounded size, into a database in memory that may do nothing but answer one
query; what does not fit a setting becomes a comment, with what is not printable in it escaped.
"""

from __future__ import annotations

import os
import posixpath
import re
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager

import msgspec

from reconciler.settings import AccountSettings, Settings
from reconciler.text import clipped

_MAX_BYTES = 16 * 1024 * 1024
"""Ten thousand entries with paths of a hundred characters are 3 MiB."""
_MAX_ENTRIES = 10_000
_MAX_TEXT = 4096
"""Characters of a path, as in Linux."""
_MAX_STEPS = 5_000_000
"""Of SQLite's machine for one statement: twenty times what `_MAX_ENTRIES` take."""
_MAX_SHOWN = 200
"""Characters of a text in a comment."""
_COLUMNS = ("id", "wsgi", "valid", "removed", "rootdir", "staticdir", "urluserid", "morepath")
_NEEDED = {"id", "wsgi", "valid"}
_HEADER = b"SQLite format 3\0"
_WAL = b"\2\2"


class RegistryError(ValueError):
    """It cannot be read, or is not wsgi-admin's."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the registry."""

    number: int
    """What `-remove -id` takes."""
    script: str
    """Absolute; so are `static` and `virtualenv`, where they are not empty."""
    valid: bool
    """Not removed."""
    removed: str = ""
    at_root: bool = False
    """`-root`."""
    static: str = ""
    """`-staticdir`."""
    url: str = ""
    """`urluserid`, which an administrator wrote into the table by hand."""
    virtualenv: str = ""
    """`-path`."""


# ---- reading ------------------------------------------------------------------------------------


def read(path: str) -> list[Entry]:
    """Return the entries of a registry, by their numbers. Nothing is written, beside it neither.

    Raises:
        RegistryError: why it cannot be read.
    """
    image = _image(path)
    if not image.startswith(_HEADER):
        raise RegistryError(f"{path}: no SQLite database")
    if image[18:20] == _WAL:
        mend = f"sqlite3 {path} 'pragma journal_mode = delete'"
        raise RegistryError(f"{path}: part of it may be in {path}-wal; {mend} puts it together")
    try:
        with _opened(image) as database:
            return _entries(path, database)
    except (sqlite3.Error, ValueError, OverflowError) as error:
        if isinstance(error, RegistryError):
            raise
        raise RegistryError(f"{path}: {_shown(str(error))}") from error


def _image(path: str) -> bytes:
    try:
        # A pipe in its place would be waited for without an end.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RegistryError(f"{path}: not a regular file")
            image = stream.read(_MAX_BYTES + 1)
            # A transaction that was cut short is half in the one and half in the other.
            if os.path.exists(f"{path}-journal") and os.path.getsize(f"{path}-journal"):
                raise RegistryError(f"{path}: {path}-journal is there, so a write is not complete")
    except (OSError, ValueError) as error:
        if isinstance(error, RegistryError):
            raise
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise RegistryError(f"{_shown(path)}: {why}") from error
    if len(image) > _MAX_BYTES:
        raise RegistryError(f"{path}: larger than {_MAX_BYTES} bytes")
    return image


@contextmanager
def _opened(image: bytes) -> Iterator[sqlite3.Connection]:
    """Have a database in memory, of these bytes, in which nothing of its own making runs."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.text_factory = bytes  # a text need not be UTF-8
        for pragma in ("trusted_schema = off", "cell_size_check = on", "query_only = on"):
            database.execute(f"pragma {pragma}")
        database.deserialize(image)
        database.set_progress_handler(lambda: 1, _MAX_STEPS)
        yield database


def _entries(path: str, database: sqlite3.Connection) -> list[Entry]:
    # A view or a virtual table of that name would be somebody's program.
    query = "select 1 from sqlite_master where type = 'table' and name = 'wsgi' and rootpage > 0"
    if database.execute(query).fetchone() is None:
        raise RegistryError(f"{path}: no table `wsgi`, so this is not wsgi-admin's")
    said = {
        row[1].decode("utf-8", "replace") for row in database.execute("pragma table_info(wsgi)")
    }
    if missing := _NEEDED - said:
        raise RegistryError(f"{path}: table `wsgi` has no column {', '.join(sorted(missing))}")
    there = [column for column in _COLUMNS if column in said]
    database.set_authorizer(_only_reading)  # no function either, which a column could be made of
    words = ", ".join(f'"{column}"' for column in there)
    rows = database.execute(f"select {words} from wsgi order by id").fetchmany(_MAX_ENTRIES + 1)  # noqa: S608  of ours
    if len(rows) > _MAX_ENTRIES:
        raise RegistryError(f"{path}: more than {_MAX_ENTRIES} entries")
    return [_entry(dict(zip(there, row, strict=True))) for row in rows]


def _only_reading(action: int, table: str | None, *_: object) -> int:
    if action == sqlite3.SQLITE_SELECT or (action == sqlite3.SQLITE_READ and table == "wsgi"):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _entry(row: Mapping[str, object]) -> Entry:
    def text(column: str) -> str:
        value = row.get(column)
        return (
            os.fsdecode(value) if isinstance(value, bytes) else "" if value is None else str(value)
        )

    return Entry(
        number=int(text("id")),
        script=text("wsgi"),
        valid=row["valid"] == 1,
        removed=text("removed"),
        at_root=row.get("rootdir") not in (None, 0, b"", b"0"),
        static=text("staticdir"),
        url=text("urluserid"),
        virtualenv=text("morepath"),
    )


# ---- writing ------------------------------------------------------------------------------------


def settings(path: str, entries: Iterable[Entry], now: Settings) -> Iterator[str]:
    """Yield the lines of a settings file that serves what the registry registers.

    `now` says where homes are, and what an account may be called.
    """
    entries = list(entries)
    valid = [entry for entry in entries if entry.valid]
    yield f"# What the registry {_shown(path)} of wsgi-admin has: {len(valid)} of {len(entries)}"
    yield "# entries are not removed. `-nocheck` is not in it: skip_checks = true is its place."
    roots = {now.homes.root, os.path.realpath(now.homes.root)}
    done: set[str] = set()
    for entry in valid:
        yield ""
        name, script = _within(entry.script, roots)
        if not _may_be(name, now):
            where = f"in no home below {now.homes.root}"
            yield f"# Entry {entry.number}: {_shown(entry.script)} is {where}"
        elif name in done:
            yield f"# Entry {entry.number}: {_shown(entry.script)} is one too many for {name}"
        else:
            done.add(name)
            yield from _table(entry, name, script, roots)
    removed = [(entry, _within(entry.script, roots)[0]) for entry in entries if not entry.valid]
    gone = {name: entry for entry, name in removed if _may_be(name, now) and name not in done}
    if gone:
        yield ""
        yield "# Removed, and served all the same once there is a script. Who is not to be, gets"
        yield "# enabled = false:"
    for name, entry in gone.items():
        yield f"# [accounts.{_key(name)}]  # entry {entry.number}, removed {_shown(entry.removed)}"


def _may_be(name: str, now: Settings) -> bool:
    return bool(
        re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name)
        and re.fullmatch(now.homes.account_pattern, name)
    )


def _within(path: str, roots: Iterable[str]) -> tuple[str, str]:
    """Return the account in whose home a path is, and the path there; "" where in none."""
    if path.startswith("/") and len(path) <= _MAX_TEXT:
        plain = posixpath.normpath(path)
        for root in roots:
            if plain.startswith(f"{root}/"):
                name, _, rest = plain[len(root) + 1 :].partition("/")
                return (name, rest) if rest else ("", "")
    return "", ""


def _table(entry: Entry, name: str, script: str, roots: Iterable[str]) -> Iterator[str]:
    """Yield one account's table: what differs from what the program does by itself."""
    yield f"[accounts.{_key(name)}]  # entry {entry.number}"
    wanted: dict[str, str | bool] = {"script": script}
    faults = []
    if entry.static:
        home, static = _within(entry.static, roots)
        if home != name:
            faults.append(f"static {_shown(entry.static)} is not in the home: put its files there")
        elif static != posixpath.join(posixpath.dirname(posixpath.dirname(script)), "static"):
            wanted["static"] = static
    if entry.virtualenv:
        home, below = _within(entry.virtualenv, roots)
        if home == name:
            wanted["virtualenv"] = below
        else:  # its packages would run as this student, whoever wrote it into the registry
            shown = _shown(entry.virtualenv)
            faults.append(f"virtualenv {shown} is not in the home: trust it, and write it here")
    if entry.url not in {"", name}:
        wanted["url"] = entry.url
    if entry.at_root:
        wanted["at_root"] = True
    for key, value in wanted.items():
        try:
            msgspec.convert({key: value}, AccountSettings)
        except msgspec.ValidationError:
            faults.append(f"{key} {_shown(str(value))} is not one that a setting can have")
        else:
            # Nothing that a setting lets through wants more than quotes.
            yield f'{key} = "{value}"' if isinstance(value, str) else f"{key} = true"
    yield from (f"# {fault}" for fault in faults)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'


def _shown(text: str) -> str:
    """Return a text of theirs for a comment, on one line."""
    return clipped(text, _MAX_SHOWN)
