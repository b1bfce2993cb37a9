"""Looking below a home whose owner changes it meanwhile, and at the account database."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec.structs import replace

from reconciler.model import Standing
from reconciler.observe import beneath, candidates
from reconciler.observe.accounts import Accounts
from reconciler.observe.beneath import Tree
from reconciler.observe.homes import Observer
from reconciler.observe.interpreter import Interpreter
from reconciler.observe.projects import WISHES, read_wishes
from reconciler.settings import Settings
from tests.unit.facts import ALICE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model import Account, Wishes

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
alice:x:1001:1001::/home/slp/alice:/bin/sh
ben:x:1002:100::/home/slp/ben:/bin/sh
lost:x:1003:4242::/home/slp/lost:/bin/sh
"""
GROUP = "root:x:0:\nusers:x:100:\nalice:x:1001:\n"


@pytest.fixture
def home(tmp_path: Path) -> Tree:
    """Return a home with a project in it."""
    (tmp_path / "home/mysite/mysite").mkdir(parents=True)
    (tmp_path / "home/mysite/mysite/wsgi.py").write_text("application = None\n")
    return Tree(os.open(tmp_path / "home", os.O_RDONLY))


def kinds(home: Tree, path: str) -> tuple[list[tuple[str, str]], bool]:
    """Return the nodes on the way, and whether the way has its end."""
    nodes, descriptor = home.walk(path)
    return [(node.path, node.kind) for node in nodes], descriptor is not None


def test_a_way_is_told_component_by_component(home: Tree) -> None:
    """From the home down, each by its own descriptor."""
    whole = [("", "directory"), ("mysite", "directory"), ("mysite/mysite", "directory")]
    assert (whole, True) == kinds(home, "mysite/mysite")
    assert (whole[:1], False) == kinds(home, "absent/mysite")
    assert (whole[:1], True) == kinds(home, "")
    told, open_ = kinds(home, "mysite/mysite/wsgi.py/below")
    assert ([*whole, ("mysite/mysite/wsgi.py", "file")], False) == (told, open_)


def test_an_absolute_path_ends_at_the_home(home: Tree) -> None:
    """It is not taken for one below the home, nor does it say that the home is not there."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        assert ([("", "directory")], False) == kinds(home, "/mysite/mysite")
        assert home.look("/mysite/mysite/wsgi.py") is None
    assert ([("", "directory")], True) == kinds(home, "")
    assert before == len(os.listdir("/proc/self/fd"))


def test_a_link_ends_the_way_and_is_told_as_one(tmp_path: Path, home: Tree) -> None:
    """Wherever it leads, also into the home itself, and also where it leads nowhere."""
    for name, target in {"out": "/etc", "in": "mysite", "loop": "loop", "dead": "nothing"}.items():
        (tmp_path / "home" / name).symlink_to(target)
        assert ([("", "directory"), (name, "link")], False) == kinds(home, f"{name}/mysite")


def test_a_pipe_is_neither_waited_for_nor_read(tmp_path: Path, home: Tree) -> None:
    """open(2) of a FIFO without a writer would block for ever."""
    os.mkfifo(tmp_path / "home/pipe")
    assert beneath.open_file("pipe", at=home.descriptor) is None
    node = beneath.look("pipe", "pipe", at=home.descriptor)
    assert node is not None
    assert "other" == node.kind
    (tmp_path / "home/link.py").symlink_to("/etc/passwd")
    assert beneath.open_file("link.py", at=home.descriptor) is None


@pytest.mark.parametrize("swapped", ["mysite", "mysite/mysite"])
def test_a_walk_never_follows_a_link_that_is_swapped_in(
    tmp_path: Path, home: Tree, swapped: str
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
            with contextlib.closing(Tree(os.dup(home.descriptor))) as tree:
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


def test_of_many_directories_few_are_held_open(tmp_path: Path, home: Tree) -> None:
    """A home may have thousands; each is told as it is, and at the end all are closed."""
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        (tmp_path / f"home/{number}/below").mkdir(parents=True)
    with contextlib.closing(Tree(os.dup(home.descriptor))) as tree:
        for number in range(300):
            nodes, descriptor = tree.walk(f"{number}/below")
            assert descriptor is not None
            assert nodes[-1].inode == os.fstat(descriptor).st_ino
            assert f"{number}/below" == nodes[-1].path
        assert before + 66 >= len(os.listdir("/proc/self/fd"))
        assert tree.walk("0/below")[0][-1].inode == os.stat(tmp_path / "home/0/below").st_ino
    assert before == len(os.listdir("/proc/self/fd"))


def test_a_listing_answers_for_what_is_not_there(tmp_path: Path, home: Tree) -> None:
    """One read instead of a question for each name; what comes after it shows in the stamps."""
    (tmp_path / "home/link").symlink_to("mysite")
    (tmp_path / "home/notes").write_text("x")
    kinds_listed = {"mysite": "directory", "link": "link", "notes": "file"}
    assert kinds_listed == home.entries("")
    assert home.is_file("", "notes")
    assert not home.is_file("", "mysite")
    assert None is home.look("late.py")
    assert (["", "link"], None) == ([n.path for n in home.walk("link")[0]], home.walk("link")[1])
    assert home.unchanged(home.stamps)
    (tmp_path / "home/late.py").write_text("")
    assert None is home.look("late.py")
    assert not home.unchanged(home.stamps)


def test_what_is_served_is_asked_for_whatever_a_listing_says(tmp_path: Path, home: Tree) -> None:
    """While a file is renamed over another, some file systems list neither of the two."""
    home.entries("mysite/mysite")
    (tmp_path / "home/mysite/mysite/late.py").write_text("")
    assert None is home.look("mysite/mysite/late.py")
    assert home.look("mysite/mysite/late.py", listed=False)
    assert home.is_file("mysite/mysite", "late.py")


@pytest.mark.parametrize("others", [0, 600, 5000])
def test_a_script_is_found_among_however_many_names(
    tmp_path: Path, home: Tree, others: int
) -> None:
    """The names of a large directory are not all read: a script in it is asked for by its own."""
    for number in range(others):
        (tmp_path / f"home/mysite/{number}.jpg").touch()
    (tmp_path / "home/mysite/wsgi.py").write_text("application = None\n")
    paths, directories = candidates.find(home, ["*/*/wsgi.py", "*/wsgi.py"])
    assert "mysite/wsgi.py" in paths
    if others < 5000:  # else the package may be among those that were not read
        assert {"mysite/wsgi.py", "mysite/mysite/wsgi.py"} == set(paths)
        assert 2 == directories
    assert None is home.look("mysite/absent.py")
    assert home.is_file("mysite", "wsgi.py")


def test_a_directory_that_was_entered_stays_the_one_told_of(tmp_path: Path, home: Tree) -> None:
    """Its owner puts another in its place meanwhile: what is told is not half of each."""
    inode = home.walk("mysite/mysite")[0][-1].inode
    os.rename(tmp_path / "home/mysite", tmp_path / "home/aside")
    (tmp_path / "home/mysite/mysite").mkdir(parents=True)
    assert inode == home.walk("mysite/mysite")[0][-1].inode
    assert home.look("mysite/mysite/wsgi.py")


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ('script = "a/wsgi.py"\nstatic = [', "syntax-error", 2),
        ('script = "a/wsgi.py"\n\ncolour = "red"', "syntax-error", 3),
        ("static = 5", "syntax-error", 1),
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
    tmp_path: Path, home: Tree, text: str, code: str, line: int
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
        with contextlib.closing(Tree(os.open(file.parent, os.O_RDONLY))) as tree:
            return read_wishes(tree, account)

    assert () == wishes(owner()).nodes
    file.write_text('script = "a/b/wsgi.py"\nstatic = "a/s"\nvirtualenv = ".ve"\n')
    found = wishes(owner())
    assert ("a/b/wsgi.py", "a/s", ".ve") == (found.script, found.static, found.virtualenv)
    assert wishes(replace(ALICE, uid=os.getuid() + 1)).script is None
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    linked = wishes(owner())
    assert (None, "link") == (linked.script, linked.nodes[-1].kind)


def test_a_script_that_goes_while_its_home_is_looked_at_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not "unreadable", which would keep it published for as long as nobody looks again."""
    account = replace(owner(), home=str(tmp_path / "alice"))
    script = tmp_path / "alice/mysite/mysite/wsgi.py"
    script.parent.mkdir(parents=True)
    script.write_text("application = None\n")
    settings = msgspec.convert({"homes": {"root": str(tmp_path)}}, Settings)
    observer = Observer(settings, Interpreter(sys.executable, "3.11"), accounts=Accounts())
    found = (Standing.FOUND, account, "files")
    monkeypatch.setattr(observer.accounts, "find", lambda *_: found)
    real = candidates.find

    def find(tree: Tree, patterns: Sequence[str]) -> tuple[list[str], int]:
        paths = real(tree, patterns)
        script.unlink()
        return paths

    monkeypatch.setattr(candidates, "find", find)
    (told,) = observer.tell(observer.see("alice", {})).scripts
    assert ("mysite/mysite/wsgi.py", None, None) == (told.path, told.file, told.trouble)
    observer.close()


def owner() -> Account:
    """Return an account that owns what this test writes."""
    return replace(ALICE, uid=os.getuid())


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
        ("eve:x:1009:1001::/home/slp/eve:/bin/sh\n", "alice:x:1001:\n"),
    ],
)
def test_a_group_is_private_while_nobody_else_has_it(etc: Path, passwd: str, group: str) -> None:
    """Not by a member, not by a second line for its number, not as another's first group."""
    (etc / "passwd").write_text(PASSWD + passwd)
    (etc / "group").write_text("root:x:0:\nusers:x:100:\n" + group)
    assert (Standing.FOUND, False) == find(etc, "alice")


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
