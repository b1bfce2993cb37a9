"""One home by its own descriptor: what was entered or listed is asked once, and stays as it was."""

from __future__ import annotations

import contextlib
import errno
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.observe import candidates, descent, interior
from reconciler.observe.descent import Unreadable
from reconciler.observe.interior import Interior

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONG = "a" * 300
"""A name that no file system has, so that the kernel says an error of its own."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a home with a project in it."""
    (tmp_path / "mysite/mysite").mkdir(parents=True)
    (tmp_path / "mysite/mysite/wsgi.py").touch()
    return tmp_path


@pytest.fixture
def home(place: Path) -> Iterator[Interior]:
    """Return what is inside it."""
    with contextlib.closing(Interior(os.open(place, os.O_RDONLY))) as made:
        yield made


# ---- what could not be told ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda home: home.walk(f"mysite/{LONG}"),
        lambda home: home.node_at(f"mysite/{LONG}"),
        lambda home: home.is_file("mysite", LONG),
        lambda home: descent.open_root(f"/{LONG}"),
    ],
)
def test_what_cannot_be_told_says_why(home: Interior, ask: Callable[[Interior], object]) -> None:
    """In the kernel's words and by its number, and without the path where that is a student's."""
    with pytest.raises(Unreadable) as told:
        ask(home)
    assert str(told.value).removeprefix(f"/{LONG}: ") == "File name too long (ENAMETOOLONG)"


def test_a_directory_that_fails_to_be_listed_says_why(
    home: Interior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one on a disk that fails."""

    def scandir(_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(Unreadable, match=r"^Input/output error \(EIO\)$"):
        home.entries("mysite")
    assert "None (?)" == descent.said(OSError())


@pytest.mark.parametrize(
    "number", [errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.ELOOP]
)
def test_some_errors_mean_that_there_is_no_directory(
    home: Interior, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A link, a socket or a device without a driver in its place is no trouble of the home's."""

    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(descent.os, "open", fail)
    assert descent.open_directory("mysite", at=home.descriptor) is None


def test_the_root_of_the_homes_is_a_directory_or_a_link_to_one(place: Path) -> None:
    """It is the administrator's: a link is followed, and a file is none."""
    (place / "link").symlink_to("mysite")
    descriptor = descent.open_root(f"{place}/link")
    assert os.stat(place / "mysite").st_ino == os.fstat(descriptor).st_ino
    os.close(descriptor)
    with pytest.raises(Unreadable, match="Not a directory"):
        descent.open_root(f"{place}/mysite/mysite/wsgi.py")


@pytest.mark.parametrize(
    ("parts", "limit", "asked", "expected"),
    [
        ([b"a", b"bc", b"d", b""], 100, [100, 99, 97, 96], b"abcd"),
        ([b"abc"], 3, [3], b"abc"),
        ([b"ab", b"c"], 3, [3, 1], b"abc"),
        ([b""], 100, [100], b""),
    ],
)
def test_a_file_is_read_to_its_end_or_its_bound_and_no_further(
    monkeypatch: pytest.MonkeyPatch,
    parts: list[bytes],
    limit: int,
    asked: list[int],
    expected: bytes,
) -> None:
    """However few bytes each read brings."""
    left, sizes = list(parts), []

    def read(_: int, size: int) -> bytes:
        sizes.append(size)
        return left.pop(0)

    monkeypatch.setattr(os, "read", read)
    assert expected == descent.read(-1, limit)
    assert (asked, []) == (sizes, left)


def test_what_fails_to_be_read_says_why(place: Path) -> None:
    """A directory stands for a disk that fails."""
    descriptor = os.open(place, os.O_RDONLY)
    with pytest.raises(Unreadable, match=r"^Is a directory$"):
        descent.read(descriptor, 10)
    os.close(descriptor)


def test_a_node_is_what_stat_said(place: Path) -> None:
    """Each number in its place."""
    status = os.stat_result((0o104755, 11, 12, 3, 1001, 1002, 77, 0, 0, 0))
    told = descent.node("a", status)
    assert ("a", "file", 0o4755) == (told.path, told.kind, told.mode)
    assert (1001, 1002, 3, 77, 11) == (told.uid, told.gid, told.links, told.size, told.inode)


# ---- what is asked once --------------------------------------------------------------------------


def test_a_listing_is_believed_of_what_it_has_and_has_not(home: Interior, place: Path) -> None:
    """At each depth, for directories as for files; what came since has changed the stamps."""
    (place / "mysite/manage.py").touch()
    for path in ("", "mysite"):
        home.entries(path)
    (place / "late/below").mkdir(parents=True)
    (place / "mysite/late").mkdir()
    (place / "mysite/manage.py").unlink()
    for path in ("late", "late/below", "mysite/late"):
        assert not home.is_directory(path)
    assert home.is_file("mysite", "manage.py")
    assert not home.is_file("mysite", "mysite")


def test_a_listed_link_or_file_is_never_opened(
    home: Interior, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open a device can have effects of its own."""
    (place / "link").symlink_to("mysite")
    (place / "file").touch()
    opened: list[str] = []
    real = interior.open_directory
    monkeypatch.setattr(
        interior, "open_directory", lambda name, *, at: (opened.append(name), real(name, at=at))[1]
    )
    home.entries("")
    for name in ("link", "file", "mysite"):
        home.walk(name)
    assert ["mysite"] == opened


def test_kinds_are_told_as_the_directory_has_them(home: Interior, place: Path) -> None:
    """Of a link that it is one, wherever it leads; what does not say is that name's trouble."""
    (place / "to-a-file").symlink_to("mysite/mysite/wsgi.py")
    (place / "to-a-directory").symlink_to("mysite")
    os.mkfifo(place / "pipe")
    (place / "file").touch()
    kinds = {"to-a-file": "link", "to-a-directory": "link", "pipe": "other", "file": "file"}
    assert {"mysite": "directory", **kinds} == home.entries("")

    def fail(**_: object) -> bool:
        raise OSError(errno.EIO, "")

    assert "other" == interior._kind(SimpleNamespace(is_file=fail))  # type: ignore[arg-type]


def test_what_is_told_of_a_directory_is_told_of_the_one_that_was_opened(
    home: Interior, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner puts another in its place right after it was opened."""
    real = interior.open_directory

    def open_directory(name: str, *, at: int) -> int | None:
        found = real(name, at=at)
        os.rename(place / "mysite", place / "aside")
        (place / "mysite").mkdir()
        return found

    monkeypatch.setattr(interior, "open_directory", open_directory)
    nodes, descriptor = home.walk("mysite")
    assert descriptor is not None
    assert os.fstat(descriptor).st_ino == nodes[-1].inode


def test_a_directory_on_the_way_is_entered_once(home: Interior, place: Path) -> None:
    """What is put in its place between two questions is not seen, half of each even less."""
    home.walk("mysite/mysite")
    os.rename(place / "mysite", place / "aside")
    (place / "mysite/other").mkdir(parents=True)
    assert home.walk("mysite/other")[1] is None


def test_listings_are_kept_for_as_long_as_their_directories(home: Interior, place: Path) -> None:
    """512 names of each would add up."""
    for number in range(70):
        (place / f"{number:02}").mkdir()
        home.entries(f"{number:02}")
    assert 64 == len(home._listed)
    assert home.node_at("00/late", anew=True) is None, "which is not listed at all"


def test_a_file_of_the_home_itself_is_told_by_its_own_name(home: Interior, place: Path) -> None:
    """What is asked for the next look is below the home, and not of the machine's root."""
    (place / "manage.py").touch()
    assert home.is_file("", "manage.py")
    assert {"", "manage.py"} == set(home.signatures)
    assert not home.is_file("absent", "manage.py")


def test_the_newest_script_is_first(home: Interior, place: Path) -> None:
    """What is not there, or cannot be told, is as old as can be; else they are in order."""
    for name, at in (("old", 0), ("b", 5), ("c", 5), ("new", 9)):
        (place / name).touch()
        os.utime(place / name, (at, at))
    paths = ["old", "c", "new", LONG, "b", "absent"]
    assert ["new", "b", "c", LONG, "absent", "old"] == home.newest_first(paths)


# ---- candidates ----------------------------------------------------------------------------------


def test_directories_that_can_hold_no_script_are_not_counted(home: Interior, place: Path) -> None:
    """Those below the deepest pattern: nobody looks into them, nor watches them."""
    (place / "mysite/mysite/below").mkdir()
    found = candidates.find(home, ["*/*/wsgi.py"])
    assert (["mysite/mysite/wsgi.py"], 2, 0) == (found.paths, found.directories, found.unseen)


def test_a_link_is_blamed_where_it_is(home: Interior, place: Path) -> None:
    """By its whole path."""
    (place / "mysite/mysite/wsgi.py").unlink()
    (place / "mysite/link").symlink_to("mysite")
    assert ["mysite/link/wsgi.py"] == candidates.find(home, ["*/*/wsgi.py"]).paths


def test_what_cannot_be_read_is_left_out_and_the_home_itself_is_not(
    home: Interior, place: Path, monkeypatch: Any
) -> None:
    """A directory is its own trouble, and not remembered; without the home there is nothing."""
    real = Interior.entries

    def entries(self: Interior, path: str) -> Any:
        if path == closed:
            raise Unreadable("closed")
        return real(self, path)

    monkeypatch.setattr(Interior, "entries", entries)
    closed = "mysite"
    if os.geteuid() == 0:
        os.chown(place / "mysite", 4999, 4999)  # closed by another is no project of theirs
        with contextlib.closing(Interior(os.open(place, os.O_RDONLY))) as again:
            assert [] == candidates.find(again, ["*/*/wsgi.py"]).paths
        os.chown(place / "mysite", 0, 0)
    assert ["mysite/wsgi.py"] == candidates.find(home, ["*/*/wsgi.py"]).paths
    assert not home.all_read
    closed = ""
    with pytest.raises(Unreadable, match="closed"):
        candidates.find(home, ["*/*/wsgi.py"])


# ---- texts, and what holds a file ----------------------------------------------------------------


def test_what_holds_a_file_is_told_of_what_was_read(home: Interior, place: Path) -> None:
    """Right below the home, and of files: nothing is asked for."""
    for name in ("ve", "another", "ve/inner"):
        (place / name).mkdir()
        (place / name / "pyvenv.cfg").touch()
    (place / "mysite/pyvenv.cfg").mkdir()
    assert [] == home.holders("pyvenv.cfg")
    for path, holders in (("", []), ("ve", ["ve"]), ("another", ["another", "ve"])):
        home.entries(path)
        assert holders == home.holders("pyvenv.cfg")
    for path in ("ve/inner", "mysite"):
        home.entries(path)
        assert ["another", "ve"] == home.holders("pyvenv.cfg")
    assert [] == home.holders("wsgi.py")


def test_what_is_not_known_is_not_listed_and_may_be_there(home: Interior, place: Path) -> None:
    """What was read is known, and what is not in there is not."""
    (place / "file").touch()
    assert (False, True) == (home.is_listed("", "file"), home.may_be_directory("", "absent"))
    home.entries("")
    assert [True, False, False] == [home.is_listed("", n) for n in ("file", "mysite", "absent")]
    assert [False, True, False] == [
        home.may_be_directory("", name) for name in ("file", "mysite", "absent")
    ]
    assert home.may_be_directory("mysite", "absent")


def test_a_text_is_read_up_to_its_bound(
    home: Interior, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no further than tells that it is longer, where it grew since it was looked at."""
    file = place / "mysite/mysite/wsgi.py"
    file.write_text("abc")
    limits: list[int] = []
    names: list[str] = []
    read, opens = interior.read, interior.open_file
    monkeypatch.setattr(
        interior, "read", lambda fd, limit: (limits.append(limit), read(fd, limit))[1]
    )
    monkeypatch.setattr(
        interior, "open_file", lambda name, *, at: (names.append(name), opens(name, at=at))[1]
    )
    assert b"abc" == home.read("mysite/mysite/wsgi.py", 3)
    file.write_text("abcd")
    assert None is home.read("mysite/mysite/wsgi.py", 3)
    assert [4, 4] == limits
    assert ["wsgi.py", "wsgi.py"] == names, "in what was entered, and by no path"
    assert None is home.read("mysite/mysite/absent.py", 3)
    assert home.all_read


def test_what_is_no_text_or_too_long_is_never_opened(
    home: Interior, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open a device can have effects of its own."""
    (place / "long").write_text("abcd")
    os.mkfifo(place / "pipe")
    monkeypatch.setattr(interior, "open_file", None)
    for path in ("long", "pipe", "mysite"):
        assert None is home.read(path, 3)


def test_a_text_that_does_not_open_has_the_home_looked_at_again(
    home: Interior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may open the next time, while nothing has changed."""

    def open_file(*_: object, **__: object) -> None:
        raise Unreadable("closed")

    monkeypatch.setattr(interior, "open_file", open_file)
    assert None is home.read("mysite/mysite/wsgi.py", 3)
    assert not home.all_read


def test_directories_are_told_by_whether_they_were_read(home: Interior, place: Path) -> None:
    """Those in which a script can be are; below them, a hint is looked for."""
    (place / "mysite/mysite/more").mkdir()
    found = candidates.find(home, ["*/*/wsgi.py"])
    assert (["", "mysite"], ["mysite/mysite"]) == (found.looked, found.deepest)
