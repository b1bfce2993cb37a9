"""The old tool's registry, as it is, hostile and damaged, becomes settings or a plain refusal."""

from __future__ import annotations

import os
import sqlite3
import tomllib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from reconciler import wsgi_admin
from reconciler.settings import Settings
from reconciler.wsgi_admin import Entry, RegistryError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = (
    "create table wsgi(id integer primary key asc, uid int, wsgi text, valid boolean, "
    "added datetime, removed datetime, app text, rootdir boolean default 0, staticdir text, "
    "urluserid text, morepath text)"
)
"""As the tool's last version says."""
FIRST = (
    "create table wsgi(id integer primary key asc, uid int, wsgi text, valid boolean, "
    "added datetime, removed datetime, app text)"
)
"""As its first one did."""
SCRIPT = "/home/slp/alice/mysite/mysite/wsgi.py"


def registry(path: Path, *rows: dict[str, object], schema: str = SCHEMA) -> str:
    """Make a registry with these rows, as the tool writes them but for what a row says."""
    with sqlite3.connect(path) as database:
        database.execute(schema)
        for row in rows:
            whole = {"uid": 1001, "wsgi": SCRIPT, "valid": 1, "app": "polls"} | row
            names, marks = ", ".join(whole), ", ".join("?" * len(whole))
            database.execute(f"insert into wsgi ({names}) values ({marks})", tuple(whole.values()))
    database.close()
    return str(path)


def printed(path: str, now: Settings | None = None) -> tuple[str, dict[str, Any]]:
    """Return what is printed for a registry, and the tables that it has as settings."""
    text = "\n".join(wsgi_admin.settings(path, wsgi_admin.read(path), now or Settings()))
    document = tomllib.loads(text)
    msgspec.convert(document, Settings)
    return text, document.get("accounts", {})


def test_each_of_its_powers_becomes_a_setting(tmp_path: Path) -> None:
    """And nothing is said of what the program finds by itself."""
    home = "/home/slp/bob"
    path = registry(
        tmp_path / "django.db",
        {"rootdir": 0, "staticdir": "", "urluserid": "", "morepath": ""},
        {
            "uid": 1002,
            "wsgi": f"{home}/shop/shop/wsgi.py",
            "rootdir": 1,
            "staticdir": f"{home}/files/",
            "urluserid": "the-shop",
            "morepath": f"{home}/shop/env",
        },
        {"wsgi": "/home/slp/c.d/x/x/wsgi.py", "staticdir": "/home/slp/c.d/x/static"},
    )
    text, accounts = printed(path)
    assert {
        "alice": {"script": "mysite/mysite/wsgi.py"},
        "bob": {
            "script": "shop/shop/wsgi.py",
            "static": "files",
            "virtualenv": "shop/env",
            "url": "the-shop",
            "at_root": True,
        },
        "c.d": {"script": "x/x/wsgi.py"},
    } == accounts
    assert "skip_checks = true" in text, "what the registry cannot say is said"


def test_a_registry_of_the_first_version_is_read(tmp_path: Path) -> None:
    """It has no column for what came later."""
    path = registry(tmp_path / "django.db", {}, schema=FIRST)
    assert {"alice": {"script": "mysite/mysite/wsgi.py"}} == printed(path)[1]


def test_who_was_removed_is_named_and_not_switched_off(tmp_path: Path) -> None:
    """Nothing has to be registered any more; whoever is to stay off is a line to uncomment."""
    gone = {"valid": 0, "removed": "2016-03-01 12:00:00"}
    path = registry(
        tmp_path / "django.db",
        gone,
        {"wsgi": "/home/slp/alice/new/new/wsgi.py"},
        {"wsgi": "/home/slp/bob/x/wsgi.py", **gone},
    )
    text, accounts = printed(path)
    assert {"alice": {"script": "new/new/wsgi.py"}} == accounts
    assert "# [accounts.bob]  # entry 3, removed 2016-03-01 12:00:00" in text.splitlines()
    assert "entry 1," not in text, "alice has registered again"


def test_homes_may_lie_elsewhere(tmp_path: Path) -> None:
    """The tool wrote down real paths: of a root that is a link, the other side's."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "homes").symlink_to("disk")
    now = msgspec.convert({"homes": {"root": str(tmp_path / "homes")}}, Settings)
    path = registry(
        tmp_path / "django.db",
        {"wsgi": f"{tmp_path}/disk/alice/a/wsgi.py"},
        {"wsgi": f"{tmp_path}/homes/bob/a/wsgi.py"},
        {"wsgi": SCRIPT},
    )
    text, accounts = printed(path, now)
    assert {"alice": {"script": "a/wsgi.py"}, "bob": {"script": "a/wsgi.py"}} == accounts
    assert f"# Entry 3: {SCRIPT} is in no home below {tmp_path}/homes" in text


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"wsgi": "/home/slp/../../etc/wsgi.py"}, "# Entry 2: /home/slp/../../etc/wsgi.py"),
        ({"wsgi": "/home/slp/wsgi.py"}, "# Entry 2: /home/slp/wsgi.py is in no home"),
        ({"wsgi": '/home/slp/b/x"\n[urls]\nprefix="/x'}, r"# script x\"\n[urls]\nprefix="),
        ({"wsgi": "/home/slp/x\n/wsgi.py"}, r"# Entry 2: /home/slp/x\n/wsgi.py"),
        ({"wsgi": "/home/slp/b/\u202eyp.igsw"}, r"# script \u202eyp.igsw"),
        ({"wsgi": b"/home/slp/b/\xff\xfe/wsgi.py"}, r"# script \udcff\udcfe/wsgi.py"),
        ({"wsgi": "/home/slp/b/" + "a" * 5000}, "# Entry 2: /home/slp/b/aaa"),
        ({"wsgi": None}, "# Entry 2:  is in no home"),
        ({"wsgi": SCRIPT}, "is one too many for alice"),
        ({"staticdir": "/etc"}, "# static /etc is not in the home"),
        ({"staticdir": "files"}, "# static files is not in the home"),
        ({"staticdir": "/home/slp/b/../alice/files"}, "# static /home/slp/b/../alice/files"),
        ({"morepath": "/home/slp/mallory/venv"}, "# virtualenv /home/slp/mallory/venv"),
        ({"morepath": "/tmp/venv"}, "trust it, and write it here"),
        ({"urluserid": "../.."}, "# url ../.. is not one that"),
        ({"urluserid": 'x"\nat_root = true'}, r"# url x\"\nat_root = true is not"),
    ],
)
def test_what_fits_no_setting_is_a_comment(
    tmp_path: Path, row: dict[str, object], said: str
) -> None:
    """One student's entry spoils neither the text nor another's entry."""
    path = registry(tmp_path / "django.db", {}, {"wsgi": "/home/slp/b/x/x/wsgi.py", **row})
    text, accounts = printed(path)
    assert said.replace(r"\"", '"') in text
    assert {"script": "mysite/mysite/wsgi.py"} == accounts["alice"]
    assert accounts.keys() <= {"alice", "b"}
    assert accounts.get("b", {}) in ({}, {"script": "x/x/wsgi.py"})


TEXTS = st.text(max_size=40) | st.sampled_from(
    [
        "/home/slp/bob/x/x/wsgi.py",
        "/home/slp/bob",
        "/home/slp/",
        '"',
        '"""',
        "\\",
        "\n[accounts.x]\n",
    ]
)
ENTRIES = st.lists(
    st.builds(
        Entry,
        number=st.integers(),
        script=st.builds("/home/slp/{}/{}".format, TEXTS, TEXTS) | TEXTS,
        valid=st.booleans(),
        removed=TEXTS,
        at_root=st.booleans(),
        static=TEXTS,
        url=TEXTS,
        virtualenv=TEXTS,
    ),
    max_size=6,
)


@given(ENTRIES, st.text(max_size=10))
def test_whatever_it_holds_the_text_is_settings_of_accounts(
    entries: list[Entry], path: str
) -> None:
    """It never has another table, nor a line that somebody else wrote."""
    text = "\n".join(wsgi_admin.settings(path, entries, Settings()))
    document = tomllib.loads(text)
    msgspec.convert(document, Settings)
    assert document.keys() <= {"accounts"}
    assert "skip_checks" not in str(document)


# ---- files that are none ------------------------------------------------------------------------


def refusal(path: object) -> str:
    """Return why a registry is refused."""
    with pytest.raises(RegistryError) as caught:
        wsgi_admin.read(str(path))
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (["create table other(id)"], "no table `wsgi`"),
        (["create view wsgi as select 1 as id, 2 as wsgi, 3 as valid"], "no table `wsgi`"),
        (["create virtual table wsgi using fts5(id, valid)"], "no table `wsgi`"),
        (["create table wsgi(id, uid)"], "no column valid, wsgi"),
        (["create table wsgi(id, wsgi as (upper(id)), valid)"], "no column wsgi"),
        (
            ["create table wsgi(id, valid, uid, wsgi)", "insert into wsgi values('x', 1, 1, 'y')"],
            "x",
        ),
        ([SCHEMA, "pragma journal_mode = wal"], "pragma journal_mode = delete"),
    ],
)
def test_what_is_not_the_tools_is_refused(tmp_path: Path, statements: list[str], why: str) -> None:
    """Also what would have SQLite run somebody's program in the place of a table."""
    database = sqlite3.connect(tmp_path / "django.db")
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()
    assert why in refusal(tmp_path / "django.db")


def test_a_file_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe, a directory, nothing, another file, one that is too large, a write cut short."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("no database\n")
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(wsgi_admin._MAX_BYTES + 1)
    whole = registry(tmp_path / "whole.db")
    (tmp_path / "whole.db-journal").write_bytes(b"half")
    assert "not a regular file" in refusal(tmp_path / "pipe")
    assert "directory" in refusal(tmp_path)
    assert "No such file" in refusal(tmp_path / "absent")
    assert "null" in refusal("a\0b")
    assert "no SQLite database" in refusal(tmp_path / "text")
    assert "larger than" in refusal(tmp_path / "large")
    assert "not complete" in refusal(whole)


def test_more_entries_than_a_school_has_are_refused(tmp_path: Path) -> None:
    """Somebody filled it; and an entry less is read."""
    most = wsgi_admin._MAX_ENTRIES
    path = registry(tmp_path / "django.db", *[{}] * most)
    assert most == len(wsgi_admin.read(path))
    with sqlite3.connect(path) as database:
        database.execute("insert into wsgi (wsgi, valid) values ('x', 1)")
    database.close()
    assert f"more than {most}" in refusal(path)


@hypothesis(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 8191), st.integers(0, 255)), min_size=1, max_size=30))
def test_a_damaged_one_is_read_or_refused(tmp_path: Path, damage: list[tuple[int, int]]) -> None:
    """Whatever its bytes say, it comes to an end, and nothing but a refusal is raised."""
    path = tmp_path / "damaged.db"
    path.unlink(missing_ok=True)
    rows = [{"wsgi": f"/home/slp/s{n}/x/x/wsgi.py", "staticdir": "y" * 40} for n in range(40)]
    registry(path, *rows)
    image = bytearray(path.read_bytes())
    for place, value in damage:
        image[place] = value
    path.write_bytes(image)
    try:
        entries = wsgi_admin.read(str(path))
    except RegistryError:
        return
    assert "".join(wsgi_admin.settings(str(path), entries, Settings()))


def test_reading_it_writes_nothing_beside_it(tmp_path: Path) -> None:
    """Neither a journal nor another mtime: the old tool may still be in use."""
    path = tmp_path / "django.db"
    registry(path, {})
    path.chmod(0o444)
    before = (path.stat(), os.listdir(tmp_path))
    wsgi_admin.read(str(path))
    assert before[1] == os.listdir(tmp_path)
    assert before[0].st_mtime_ns == path.stat().st_mtime_ns
