"""The account database: who is there, who has which groups, and who could not be told."""

from __future__ import annotations

import grp
import io
import os
import pwd
from pathlib import Path

import pytest

from reconciler.model import Account, Standing
from reconciler.observe import accounts as module
from reconciler.observe.accounts import Accounts

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
alice:x:1001:1001::/home/slp/alice:/bin/sh
ben:x:1002:100::/home/slp/ben:/bin/sh
lost:x:1003:4242::/home/slp/lost:/bin/sh
"""
GROUP = "root:x:0:\nusers:x:100:\nalice:x:1001:\n"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return a directory with an account database."""
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "group").write_text(GROUP)
    return tmp_path


def find(etc: Path, name: str) -> tuple[Standing, bool | None]:
    """Return an account's standing, and whether its group is its own."""
    accounts = Accounts(str(etc))
    accounts.refresh()
    standing, account, _ = accounts.find(name, {name: "files"})
    return standing, account and account.private_group


def test_an_account_is_there_or_is_not_or_could_not_be_told(etc: Path) -> None:
    """A missing or half-written database is an outage, and not a deletion."""
    assert (Standing.FOUND, True) == find(etc, "alice")
    assert (Standing.ABSENT, None) == find(etc, "nobody-of-that-name")
    assert (Standing.ABSENT, None) == find(etc, "lost"), "its gid has no group"
    (etc / "passwd").write_text("")
    assert (Standing.UNKNOWN, None) == find(etc, "alice")
    (etc / "passwd").unlink()
    assert (Standing.UNKNOWN, None) == find(etc, "alice")
    (etc / "passwd").write_text(PASSWD)
    (etc / "group").unlink()
    assert (Standing.UNKNOWN, None) == find(etc, "alice")


@pytest.mark.parametrize(
    ("passwd", "group"),
    [
        ("", "alice:x:1001:ben\n"),
        ("", "alice:x:1001:\nagain:x:1001:ben\n"),
        ("", "alice:x:1001:ben\nagain:x:1001:\n"),
        ("eve:x:1009:1001::/home/slp/eve:/bin/sh\n", "alice:x:1001:\n"),
    ],
)
def test_a_group_is_private_while_nobody_else_has_it(etc: Path, passwd: str, group: str) -> None:
    """Not by a member, not by a second line for its number, not as another's first group."""
    (etc / "passwd").write_text(PASSWD + passwd)
    (etc / "group").write_text("root:x:0:\nusers:x:100:\n" + group)
    assert (Standing.FOUND, False) == find(etc, "alice")


def test_ids_are_those_of_now_and_of_accounts_that_are_there(etc: Path) -> None:
    """Whoever was removed, or has no group, has none; what changed since it was read is read."""
    accounts = Accounts(str(etc))
    names = ["alice", "ben", "lost", "nobody-of-that-name"]
    assert {"alice": (1001, 1001), "ben": (1002, 100)} == accounts.ids(names)
    (etc / "passwd").write_text(PASSWD.replace("alice:x:1001", "alice:x:1007"))
    assert {"alice": (1007, 1001)} == accounts.ids(["alice"])


def test_who_changed_is_told_by_name(etc: Path) -> None:
    """One account more is one account to look at; its group's other members are theirs to be."""
    accounts = Accounts(str(etc))
    accounts.refresh()
    assert set() == accounts.refresh()
    (etc / "passwd").write_text(PASSWD + "eve:x:1009:100::/home/slp/eve:/bin/sh\n")
    assert {"eve", "ben"} == accounts.refresh()
    (etc / "passwd").unlink()
    assert set() == accounts.refresh(), "an outage is nobody's change"
    (etc / "passwd").write_text(PASSWD)
    assert {"eve", "ben"} == accounts.refresh()


def groups_of(etc: Path, name: str) -> tuple[int, ...] | None:
    """Return an account's supplementary groups."""
    accounts = Accounts(str(etc))
    accounts.refresh()
    account = accounts.find(name, {})[1]
    return account and account.groups


def test_supplementary_groups_are_those_of_a_login(etc: Path) -> None:
    """Those whose line names the account, in order; the primary one is not among them."""
    assert () == groups_of(etc, "alice")
    (etc / "group").write_text(
        GROUP + "z:x:90:ben,alice\nadm:x:4:alice\nadm:x:4:alice\nusers2:x:100:ben\nof:x:7:alicex\n"
    )
    assert (4, 90) == groups_of(etc, "alice")
    assert (90,) == groups_of(etc, "ben")


def test_a_name_services_account_has_the_groups_that_the_service_says(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked once a pass, and told apart from the files'."""
    asked: list[str] = []

    def getpwnam(name: str) -> object:
        asked.append(name)
        if name != "lena":
            raise KeyError(name)
        return pwd.struct_passwd(("lena", "x", 7001, 7000, "", "/home/slp/lena", "/bin/sh"))

    def getgrouplist(name: str, gid: int) -> list[int]:
        assert ("lena", 7000) == (name, gid)
        return [gid, 7002, 90, 7002]

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    monkeypatch.setattr(os, "getgrouplist", getgrouplist)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("lena", "x", gid, [])))
    accounts = Accounts(str(etc))
    accounts.refresh()
    for _ in range(2):
        standing, account, origin = accounts.find("lena", {})
        assert (Standing.FOUND, "service") == (standing, origin)
        groups = (90, 7002)
        assert Account("lena", 7001, 7000, "/home/slp/lena", "lena", True, groups) == account
    assert ["lena"] == asked
    accounts.refresh()
    assert Standing.ABSENT == accounts.find("otto", {})[0]
    assert Standing.UNKNOWN == accounts.find("otto", {"otto": "service"})[0]
    known = {"otto": "service", "lena": "service"}
    assert Standing.ABSENT == accounts.find("otto", known)[0], "the service answers for another"


def test_a_group_that_a_file_or_a_service_shares_is_not_private(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service's account whose group has another name may share it with anybody."""
    row = pwd.struct_passwd(("lena", "x", 7001, 7001, "", "/home/slp/lena", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: row)
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid])
    for name, members, expected in (
        ("lena", ["lena"], ("lena", True)),
        ("lena", ["otto"], ("lena", False)),
        ("domain users", [], ("#7001", False)),
    ):
        group = grp.struct_group((name, "x", 7001, members))
        monkeypatch.setattr(grp, "getgrgid", lambda gid, group=group: group)
        accounts = Accounts(str(etc))
        accounts.refresh()
        account = accounts.find("lena", {})[1]
        assert account is not None
        assert expected == (account.group, account.private_group)


@pytest.mark.parametrize(
    ("passwd", "group"),
    [
        (PASSWD.replace("alice:x:1001", "alice:x:1011"), GROUP),
        (PASSWD.replace("alice:x:1001:1001", "alice:x:1001:100"), GROUP),
        (PASSWD.replace("/home/slp/alice", "/home/slp/alicia"), GROUP),
        (PASSWD, GROUP.replace("alice:x:1001:", "alice:x:1001:ben")),
        (PASSWD, GROUP + "class:x:77:alice\n"),
    ],
    ids=["uid", "gid", "home", "a member", "a group more"],
)
def test_an_account_made_anew_is_another_row(etc: Path, passwd: str, group: str) -> None:
    """With another uid above all: whatever was decided of the old one holds no more."""
    accounts = Accounts(str(etc))
    accounts.refresh()
    (etc / "passwd").write_text(passwd)
    (etc / "group").write_text(group)
    assert "alice" in accounts.refresh()
    assert set() == accounts.refresh()


def test_what_is_no_account_is_no_line(etc: Path) -> None:
    """Numbers that the kernel has no ids for, or that Python will not read; half a line."""
    before = (etc / "passwd").read_text()
    odd = ["4294967295", "4294967296", "9" * 5000, "-1", "x", "", "1e3", "0" * 9 + "77"]
    lines = [f"o{number}:x:{uid}:1001::/h:/bin/sh" for number, uid in enumerate(odd)]
    lines += [f"p{number}:x:1001:{gid}::/h:/bin/sh" for number, gid in enumerate(odd)]
    (etc / "passwd").write_text(before + "\n".join([*lines, "short:x:1:1", "alice:x:7:7::/h:", ""]))
    (etc / "group").write_text(GROUP + "".join(f"g:x:{gid}:alice\n" for gid in odd))
    accounts = Accounts(str(etc))
    accounts.refresh()
    for number, _ in enumerate(odd):
        assert Standing.ABSENT == accounts.find(f"o{number}", {})[0]
        assert Standing.ABSENT == accounts.find(f"p{number}", {})[0]
    assert Standing.ABSENT == accounts.find("short", {})[0]
    assert () == groups_of(etc, "alice")
    account = accounts.find("alice", {})[1]
    assert account is not None
    assert 1001 == account.uid, "the first line of a name counts"


def test_whose_home_is_below_a_directory_can_be_asked(etc: Path) -> None:
    """By name, however the path ends; nobody whose home is deeper, or called otherwise."""
    (etc / "passwd").write_text(
        PASSWD.replace("/home/slp/ben", "/home/slp/ben/")
        + "x:x:9:9::/home/slp/y:\nmaX:x:9:9::/home/slp/maX:\n"
        "z:x:9:9::/home/slp/z/z:\n"
    )
    accounts = Accounts(str(etc))
    assert [] == accounts.living_in("/home/slp")
    accounts.refresh()
    assert ["alice", "ben", "lost", "maX"] == accounts.living_in("/home/slp")
    assert [] == accounts.living_in("/home")
    assert accounts.living_in("/home") is accounts.living_in("/home")
    (etc / "passwd").write_text(PASSWD)
    accounts.refresh()
    assert ["alice", "ben", "lost"] == accounts.living_in("/home/slp")
    assert (str(etc / "passwd"), str(etc / "group")) == accounts.files


@pytest.mark.parametrize("error", [KeyError, OSError, ValueError])
def test_a_name_service_that_fails_in_whatever_way_has_no_such_account(
    etc: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Whether that means gone depends on whether it answers for others that it had."""

    def getpwnam(name: str) -> object:
        if name in {"lena", "alice"}:
            return pwd.struct_passwd((name, "x", 7001, 7001, "", f"/home/slp/{name}", "/bin/sh"))
        raise error(name)

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid])
    accounts = Accounts(str(etc))
    accounts.refresh()

    def standing(*others: str, files: str = "") -> Standing:
        known = dict.fromkeys(("otto", *others), "service") | ({files: "files"} if files else {})
        return accounts.find("otto", known)[0]

    assert Standing.ABSENT == accounts.find("otto", {})[0]
    assert Standing.UNKNOWN == standing()
    assert Standing.UNKNOWN == standing(files="alice"), "the files' answer is none of the service's"
    assert Standing.ABSENT == standing("x1", "x2", "lena")
    assert Standing.UNKNOWN == standing("x1", "x2", "x3", "lena"), "each may take a time-out: three"


def test_without_its_group_a_services_account_is_unknown_and_a_files_is_none(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service may have gone down between two questions; Apache cannot start with the other."""
    row = pwd.struct_passwd(("lena", "x", 7001, 4343, "", "/home/slp/lena", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: row)
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid])
    accounts = Accounts(str(etc))
    accounts.refresh()
    assert (Standing.UNKNOWN, None, None) == accounts.find("lena", {})
    assert (Standing.ABSENT, None, None) == accounts.find("lost", {})


def test_a_row_is_told_as_it_stands(etc: Path) -> None:
    """Whatever its comment holds; a group's odd name is its number to Apache."""
    text = "alice:x:4294967294:100:Alice Doe,\u2028Room 5:/home/slp/alice:/bin/sh\n"
    (etc / "passwd").write_bytes(
        b"root:x:0:0:\xff:/root:/bin/sh\n" + text.encode() + b"ben:x:7:90::/home/slp/ben:\n"
    )
    (etc / "group").write_text("root:x:0:\nusers:x:100:\ndomain users:x:90:\n")
    accounts = Accounts(str(etc))
    accounts.refresh()
    alice = Account("alice", 4294967294, 100, "/home/slp/alice", "users", private_group=True)
    assert (Standing.FOUND, alice, "files") == accounts.find("alice", {})
    ben = accounts.find("ben", {})[1]
    assert ben is not None
    assert "#90" == ben.group


@pytest.mark.parametrize(("length", "plain"), [(1, True), (64, True), (65, False)])
def test_a_group_is_named_as_far_as_names_go(etc: Path, length: int, *, plain: bool) -> None:
    """Longer ones, which no tool makes, are numbers to Apache."""
    name = "g" * length
    (etc / "group").write_text(GROUP.replace("alice:x:1001", f"{name}:x:1001"))
    accounts = Accounts(str(etc))
    accounts.refresh()
    account = accounts.find("alice", {})[1]
    assert account is not None
    assert (name if plain else "#1001") == account.group


def test_a_database_is_read_again_only_when_it_changed(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is none before it was read, without root in it, or when it is longer than can be."""
    assert ("/etc/passwd", "/etc/group") == Accounts().files
    accounts = Accounts(str(etc))
    assert (Standing.UNKNOWN, None, None) == accounts.find("alice", {})
    read: list[str] = []
    real = module._read_passwd
    monkeypatch.setattr(module, "_read_passwd", lambda path: (read.append(path), real(path))[1])
    for _ in range(3):
        accounts.refresh()
    assert 1 == len(read)
    (etc / "group").unlink()
    for _ in range(2):
        assert set() == accounts.refresh(), "half of it is an outage as well"
        assert Standing.UNKNOWN == accounts.find("alice", {})[0]
    assert 3 == len(read), "an outage is looked at each time"
    (etc / "group").write_text(GROUP)
    assert set() == accounts.refresh()
    (etc / "passwd").write_text(PASSWD.removeprefix("root:x:0:0:root:/root:/bin/sh\n"))
    accounts.refresh()
    assert Standing.UNKNOWN == accounts.find("alice", {})[0]
    (etc / "passwd").write_text(PASSWD)
    for limit, standing in ((len(PASSWD), Standing.FOUND), (len(PASSWD) - 1, Standing.UNKNOWN)):
        monkeypatch.setattr(module, "_LIMIT", limit)
        fresh = Accounts(str(etc))
        fresh.refresh()
        assert standing == fresh.find("alice", {})[0]


def test_of_a_database_no_more_is_read_than_can_be(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte more than the limit tells that it is too long, whatever else there is."""
    asked: list[int | None] = []

    class Spy(io.FileIO):
        def read(self, size: int | None = None, /) -> bytes:
            asked.append(size)
            return super().read(-1 if size is None else size)

    monkeypatch.setattr(module, "open", Spy, raising=False)
    Accounts(str(etc)).refresh()
    assert {64 * 1024 * 1024 + 1} == set(asked)
