"""Looking below a home whose owner changes it meanwhile, and at the account database."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from reconciler.observe import candidates, descent
from reconciler.observe.interior import Interior, signature
from reconciler.observe.projects import WISHES, read_wishes
from tests.unit.facts import ALICE

if TYPE_CHECKING:
    from reconciler.model import Account, Wishes


@pytest.fixture
def home(tmp_path: Path) -> Interior:
    """Return a home with a project in it."""
    (tmp_path / "home/mysite/mysite").mkdir(parents=True)
    (tmp_path / "home/mysite/mysite/wsgi.py").write_text("application = None\n")
    return Interior(os.open(tmp_path / "home", os.O_RDONLY))


def kinds(home: Interior, path: str) -> tuple[list[tuple[str, str]], bool]:
    """Return the nodes on the way, and whether the way has its end."""
    nodes, descriptor = home.walk(path)
    return [(node.path, node.kind) for node in nodes], descriptor is not None


def test_a_way_is_told_component_by_component(home: Interior) -> None:
    """From the home down, each by its own descriptor."""
    whole = [("", "directory"), ("mysite", "directory"), ("mysite/mysite", "directory")]
    assert (whole, True) == kinds(home, "mysite/mysite")
    assert (whole[:1], False) == kinds(home, "absent/mysite")
    assert (whole[:1], True) == kinds(home, "")
    told, open_ = kinds(home, "mysite/mysite/wsgi.py/below")
    assert ([*whole, ("mysite/mysite/wsgi.py", "file")], False) == (told, open_)


def test_an_absolute_path_ends_at_the_home(home: Interior) -> None:
    """It is not taken for one below the home, nor does it say that the home is not there."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        assert ([("", "directory")], False) == kinds(home, "/mysite/mysite")
        assert home.node_at("/mysite/mysite/wsgi.py") is None
    assert ([("", "directory")], True) == kinds(home, "")
    assert before == len(os.listdir("/proc/self/fd"))


def test_a_link_ends_the_way_and_is_told_as_one(tmp_path: Path, home: Interior) -> None:
    """Wherever it leads, also into the home itself, and also where it leads nowhere."""
    for name, target in {"out": "/etc", "in": "mysite", "loop": "loop", "dead": "nothing"}.items():
        (tmp_path / "home" / name).symlink_to(target)
        assert ([("", "directory"), (name, "link")], False) == kinds(home, f"{name}/mysite")


def test_a_pipe_is_neither_waited_for_nor_read(tmp_path: Path, home: Interior) -> None:
    """open(2) of a FIFO without a writer would block for ever."""
    os.mkfifo(tmp_path / "home/pipe")
    assert descent.open_file("pipe", at=home.descriptor) is None
    node = home.node_at("pipe")
    assert node is not None
    assert "other" == node.kind
    (tmp_path / "home/link.py").symlink_to("/etc/passwd")
    assert descent.open_file("link.py", at=home.descriptor) is None


def test_what_another_was_renamed_over_since_it_was_opened_is_gone(
    tmp_path: Path, home: Interior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no name any more, and would be told to have the wrong number of them."""
    script, real = tmp_path / "home/app.py", os.fstat

    def saved(fd: int) -> os.stat_result:
        draft = script.with_name("draft")
        draft.write_text("new")
        draft.rename(script)
        return real(fd)

    script.write_text("old")
    monkeypatch.setattr(os, "fstat", saved)
    assert descent.open_file("app.py", at=home.descriptor) is None
    monkeypatch.undo()
    found = descent.open_file("app.py", at=home.descriptor)
    assert found is not None
    os.close(found[0])


@pytest.mark.parametrize("swapped", ["mysite", "mysite/mysite"])
def test_a_walk_never_follows_a_link_that_is_swapped_in(
    tmp_path: Path, home: Interior, swapped: str
) -> None:
    """The owner exchanges a directory and a link, all the time: nothing outside is ever reached."""
    (tmp_path / "secret/mysite").mkdir(parents=True)
    inodes = {os.stat(path).st_ino for path in (tmp_path / "secret", tmp_path / "secret/mysite")}
    place, link = tmp_path / "home" / swapped, tmp_path / "home/link"
    link.symlink_to(tmp_path / "secret")
    stop = threading.Event()

    def swap() -> None:
        aside = tmp_path / "home/aside"
        while not stop.is_set():
            os.rename(place, aside)
            os.rename(link, place)
            os.rename(place, link)
            os.rename(aside, place)

    racer = threading.Thread(target=swap)
    racer.start()
    whole = (3, "directory", True)
    seen: set[tuple[int, str, bool]] = set()
    deadline = time.monotonic() + 20
    try:
        tries = 0
        while tries < 3000 or (time.monotonic() < deadline and not {whole} < seen):
            tries += 1
            with contextlib.closing(Interior(os.dup(home.descriptor))) as tree:
                nodes, descriptor = tree.walk("mysite/mysite")
                seen.add((len(nodes), nodes[-1].kind, descriptor is not None))
                if descriptor is not None:
                    assert os.fstat(descriptor).st_ino not in inodes
                assert not inodes & {node.inode for node in nodes}
    finally:
        stop.set()
        racer.join()
    assert whole in seen, "the whole way was seen"
    assert len(seen) > 1, "the race was never seen: the test says nothing"


def test_of_many_directories_few_are_held_open(tmp_path: Path, home: Interior) -> None:
    """A home may have thousands; each is told as it is, and at the end all are closed."""
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        (tmp_path / f"home/{number}/below").mkdir(parents=True)
    with contextlib.closing(Interior(os.dup(home.descriptor))) as tree:
        for number in range(300):
            nodes, descriptor = tree.walk(f"{number}/below")
            assert descriptor is not None
            assert nodes[-1].inode == os.fstat(descriptor).st_ino
            assert f"{number}/below" == nodes[-1].path
        assert before + 1 + 64 == len(os.listdir("/proc/self/fd")), "the home and so many"
        assert tree.walk("0/below")[0][-1].inode == os.stat(tmp_path / "home/0/below").st_ino
    assert before == len(os.listdir("/proc/self/fd"))


def test_a_listing_answers_for_what_is_not_there(tmp_path: Path, home: Interior) -> None:
    """One read instead of a question for each name; what comes after it shows in the stamps."""
    (tmp_path / "home/link").symlink_to("mysite")
    (tmp_path / "home/notes").write_text("x")
    home = Interior(os.dup(home.descriptor))  # it is as it was when it was opened
    kinds_listed = {"mysite": "directory", "link": "link", "notes": "file"}
    assert kinds_listed == home.entries("")
    assert home.is_file("", "notes")
    assert not home.is_file("", "mysite")
    assert None is home.node_at("late.py")
    assert (["", "link"], None) == ([n.path for n in home.walk("link")[0]], home.walk("link")[1])
    assert home.unchanged(home.signatures)
    (tmp_path / "home/late.py").write_text("")
    assert None is home.node_at("late.py")
    assert not home.unchanged(home.signatures)
    (tmp_path / "home/late.py").unlink()
    with contextlib.closing(Interior(os.dup(home.descriptor))) as again:
        again.walk("mysite")
        assert again.unchanged(again.signatures)
        (tmp_path / "home/mysite").rename(tmp_path / "mysite")
        assert not again.unchanged({"mysite": again.signatures["mysite"]}), "it is not there"


def test_what_is_served_is_asked_for_whatever_a_listing_says(
    tmp_path: Path, home: Interior
) -> None:
    """While a file is renamed over another, some file systems list neither of the two."""
    home.entries("mysite/mysite")
    (tmp_path / "home/mysite/mysite/late.py").write_text("")
    assert None is home.node_at("mysite/mysite/late.py")
    assert home.node_at("mysite/mysite/late.py", anew=True)
    assert home.is_file("mysite/mysite", "late.py")


@pytest.mark.parametrize("others", [0, 600, 5000])
def test_a_script_is_found_among_however_many_names(
    tmp_path: Path, home: Interior, others: int
) -> None:
    """The names of a large directory are not all read: a script in it is asked for by its own."""
    for number in range(others):
        (tmp_path / f"home/mysite/{number}.jpg").touch()
    (tmp_path / "home/mysite/wsgi.py").write_text("application = None\n")
    found = candidates.find(home, ["*/*/wsgi.py", "*/wsgi.py"])
    paths = found.paths
    assert "mysite/wsgi.py" in paths
    assert int(others >= 5000) == found.unseen
    if others < 5000:  # else the package may be among those that were not read
        assert {"mysite/wsgi.py", "mysite/mysite/wsgi.py"} == set(paths)
        assert 2 == found.directories
    assert None is home.node_at("mysite/absent.py")
    assert home.is_file("mysite", "wsgi.py")


def test_what_is_no_persons_project_is_not_looked_into(tmp_path: Path, home: Interior) -> None:
    """By the watcher's own rule; a project in a virtualenv is one, what pip made there is not."""
    for directory in (
        "venv/a", ".hidden/a", "node_modules/a", "static/a",
        "ENV/shop", "ENV/lib", "lib/a",
    ):  # fmt: skip
        (tmp_path / "home" / directory).mkdir(parents=True)
        (tmp_path / "home" / directory / "wsgi.py").touch()
    (tmp_path / "home/ENV/pyvenv.cfg").touch()
    found = candidates.find(home, ["*/*/wsgi.py"])
    assert {"mysite/mysite/wsgi.py", "ENV/shop/wsgi.py", "lib/a/wsgi.py"} == set(found.paths)
    assert (6, 0) == (found.directories, found.unseen)


@pytest.mark.parametrize("links", [1, 8, 9])
def test_where_nothing_else_is_a_link_is_the_likeliest_reason(
    tmp_path: Path, home: Interior, links: int
) -> None:
    """A few of them are told, under the first pattern's name; none where there is a script."""
    for number in range(links):
        (tmp_path / f"home/{number}").symlink_to("mysite")
    assert ["mysite/mysite/wsgi.py"] == candidates.find(home, ["*/*/wsgi.py", "*/app.py"]).paths
    os.unlink(tmp_path / "home/mysite/mysite/wsgi.py")
    with contextlib.closing(Interior(os.dup(home.descriptor))) as again:
        found = candidates.find(again, ["*/*/app.py", "*/wsgi.py"]).paths
    assert min(links, 8) == len(found)
    assert {f"{number}/app.py" for number in range(links)} >= set(found)


@pytest.mark.parametrize("more", [0, 1])
def test_directories_are_looked_into_up_to_a_bound(
    tmp_path: Path, home: Interior, more: int
) -> None:
    """1,024 of one home, and the rest are counted."""
    for number in range(1022 + more):  # beside the two that are there
        (tmp_path / f"home/mysite/d{number}").mkdir()
        (tmp_path / f"home/mysite/d{number}/wsgi.py").touch()
    found = candidates.find(home, ["*/*/wsgi.py"])
    assert (1024 + more, more) == (found.directories, found.unseen)
    assert 1023 == len(found.paths), "of all that are looked into, the project's own has none"


@pytest.mark.parametrize("names", [512, 513, 4096, 4097])
def test_names_are_read_and_remembered_up_to_a_bound(tmp_path: Path, names: int) -> None:
    """Of up to 512, what is not among them is not asked for; of up to 4,096, all are read."""
    for number in range(names):
        (tmp_path / f"{number}").touch()
    with contextlib.closing(Interior(os.open(tmp_path, os.O_RDONLY))) as tree:
        assert min(names, 4096) == len(tree.entries(""))
        assert ({""} if names == 4097 else set()) == tree.cut
        (tmp_path / "late").touch()
        assert (names > 512) == (tree.node_at("late") is not None)


def test_whatever_time_a_file_says_it_has_a_signature() -> None:
    """A tmpfs takes a time of 2^63 seconds, and one before 1970; a nanosecond is a difference."""
    found = {
        signature(
            SimpleNamespace(
                st_dev=1, st_ino=2, st_size=3, st_mtime_ns=modified, st_ctime_ns=changed
            )  # type: ignore[arg-type]
        )
        for modified in (-1, 0, 1, 2**63 * 10**9 + 7)
        for changed in (-1, 0, 1, 2**63 * 10**9 + 7)
    }
    assert 16 == len(found)


def test_a_directory_that_was_entered_stays_the_one_told_of(tmp_path: Path, home: Interior) -> None:
    """Its owner puts another in its place meanwhile: what is told is not half of each."""
    inode = home.walk("mysite/mysite")[0][-1].inode
    os.rename(tmp_path / "home/mysite", tmp_path / "home/aside")
    (tmp_path / "home/mysite/mysite").mkdir(parents=True)
    assert inode == home.walk("mysite/mysite")[0][-1].inode
    assert home.node_at("mysite/mysite/wsgi.py")


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ('script = "a/wsgi.py"\nstatic = [', "syntax-error", 2),
        ('script = "a/wsgi.py"\n\ncolour = "red"', "syntax-error", 3),
        ("static = 5", "syntax-error", 1),
        ('enabled = "false"', "syntax-error", 1),
        ("enabled = true\nskip_checks = true", "syntax-error", 2),
        ('script = "wsgi.py"', "syntax-error", 1),
        ('\nscript = "/etc/wsgi.py"', "syntax-error", 2),
        ('static = "../neighbour"', "syntax-error", 1),
        ('static = "a/./b"', "syntax-error", 1),
        ('virtualenv = "/opt/ve"', "syntax-error", 1),
        ('virtualenv = "a b"', "syntax-error", 1),
        ("[script]\nx = 1", "syntax-error", 1),
        (f'static = "{"a/" * 32}b"', "syntax-error", 1),
        ("# \udcff", "encoding", 1),
        ("x = " + "[" * 4000, "syntax-error", 1),
    ],
)
def test_a_fault_in_a_wish_names_its_line(
    tmp_path: Path, home: Interior, text: str, code: str, line: int
) -> None:
    """Not TOML, not a key, not a path below the home."""
    (tmp_path / "home" / WISHES).write_bytes(text.encode("utf-8", "surrogateescape"))
    fault = read_wishes(home, owner()).fault
    assert fault is not None
    assert (code, line) == (fault.code, fault.line)


def test_wishes_are_read_where_they_are_the_students(tmp_path: Path) -> None:
    """All three; none of a file that is another's, a link, or too long."""
    file = tmp_path / "home" / WISHES
    file.parent.mkdir()

    def wishes(account: Account) -> Wishes:
        with contextlib.closing(Interior(os.open(file.parent, os.O_RDONLY))) as tree:
            return read_wishes(tree, account)

    assert () == wishes(owner()).nodes
    file.write_text('script = "a/b/wsgi.py"\nstatic = "a/s"\nvirtualenv = ".ve"\n')
    found = wishes(owner())
    assert ("a/b/wsgi.py", "a/s", ".ve") == (found.script, found.static, found.virtualenv)
    assert wishes(replace(ALICE, uid=os.getuid() + 1)).script is None
    text = f'script = "{"a/" * 31}wsgi.py"\n'  # 32 names deep
    for more, read in ((0, True), (1, False)):
        file.write_text(text + "#" * (8 * 1024 - len(text) + more))
        assert read == (wishes(owner()).script is not None)
    file.write_text(text)
    os.link(file, tmp_path / "second")
    assert (None, None) == (wishes(owner()).script, wishes(owner()).fault)
    os.unlink(tmp_path / "second")
    assert wishes(owner()).script
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    linked = wishes(owner())
    assert (None, "link") == (linked.script, linked.nodes[-1].kind)


@pytest.mark.parametrize("became", ["another's", "longer", "a second name", "a pipe"])
def test_a_wish_is_asked_once_more_after_it_was_opened(
    tmp_path: Path, home: Interior, monkeypatch: pytest.MonkeyPatch, became: str
) -> None:
    """Its owner puts a neighbour's in its place between the look and the opening."""
    file = tmp_path / "home" / WISHES
    file.write_text('script = "a/wsgi.py"\n')
    real = descent.open_file
    me = owner()

    def open_file(name: str, *, at: int) -> tuple[int, os.stat_result] | None:
        if became == "longer":
            file.write_text('script = "a/wsgi.py"\n' + "#" * 8192)
        elif became == "a second name":
            os.link(file, tmp_path / "second")
        elif became == "a pipe":
            file.unlink()
            os.mkfifo(file)
        found = real(name, at=at)
        if became == "another's":
            assert found is not None
            return found[0], os.stat_result((*found[1][:4], me.uid + 1, *found[1][5:]))
        return found

    monkeypatch.setattr(descent, "open_file", open_file)
    told = read_wishes(home, me)
    assert (None, None) == (told.script, told.fault)
    node = told.nodes[-1]
    field, value = {
        "another's": ("uid", me.uid + 1),
        "longer": ("size", 8192 + 21),
        "a second name": ("links", 2),
        "a pipe": ("kind", "file"),  # as it was found
    }[became]
    assert value == getattr(node, field)


def owner() -> Account:
    """Return an account that owns what this test writes."""
    return replace(ALICE, uid=os.getuid())
