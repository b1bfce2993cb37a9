"""Homes looked at as their students: who reads when, and where a home is."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.observe import candidates, observer, survey
from reconciler.observe.descent import Unreadable
from reconciler.observe.identity import become
from reconciler.observe.observer import Observer
from reconciler.observe.sighting import Subject
from reconciler.observe.source import Parser
from tests.unit.classroom import APP, School, as_root, fsuid, only, school, seen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model import Account

__all__ = ["school"]


# ---- as whom ---------------------------------------------------------------------------------


@as_root
def test_a_home_of_mode_0700_is_read_as_its_student_and_nothing_of_roots(school: School) -> None:
    """What root put there and closed is not told, whoever can name it."""
    school.student("alice")
    school.script("alice")
    secret = school.root / "alice/secret/wsgi.py"
    secret.parent.mkdir(mode=0o700)
    secret.write_text("application = 'the key'\n")
    home = seen(school.observer(), "alice", f"{school.root}/alice/secret/wsgi.py")
    assert "Permission denied (EACCES)" == home.trouble
    home = seen(school.observer(), "alice")
    assert ("mysite/mysite/wsgi.py", True) == (
        only(home).path,
        only(home).source.binds_application,
    )


@as_root
def test_a_students_groups_count_as_they_do_for_the_student(school: School) -> None:
    """A directory that is open to a group alone: for its members, and only since they are."""
    home = school.student("alice")
    school.script("alice")
    os.chown(home / "mysite", 0, 4242)
    (home / "mysite").chmod(0o750)
    assert () == seen(school.observer(), "alice").scripts
    school.groups["class"] = "class:x:4242:alice"
    assert only(seen(school.observer(), "alice")).source


@as_root
@pytest.mark.parametrize("closed", ["mysite", "mysite/mysite", "mysite/mysite/wsgi.py"])
def test_what_a_student_has_closed_to_themselves_is_told_as_such(
    school: School, closed: str
) -> None:
    """It could not run either; a home with it is not "empty"."""
    home = school.student("alice")
    school.script("alice")
    (home / closed).chmod(0)
    told = only(seen(school.observer(), "alice"))
    assert "Permission denied (EACCES)" == told.trouble
    assert told.path.startswith(closed)


def test_who_has_no_account_is_not_looked_into(school: School) -> None:
    """Nobody is become for a directory without an account, nor for one of the system's."""
    for name in ("ghost", "daemon"):
        school.student(name)
        school.script(name)
    del school.rows["ghost"]
    looker = school.observer(f"[homes]\nmin_uid = {school.uid('daemon') + 1}")
    for name in ("ghost", "daemon"):
        home = seen(looker, name)
        assert ((), None) == (home.scripts, home.trouble)
        assert home.node is not None
        assert ("", "directory") == (home.node.path, home.node.kind)
    assert {None} == set(school.became)
    assert seen(looker, "nobody-at-all").node is None


@as_root
def test_between_homes_the_thread_is_itself(school: School, monkeypatch: Any) -> None:
    """Whoever takes a fact, and whoever is started, finds the process as it was."""
    started: list[int] = []
    real = subprocess.Popen.__init__

    def popen(self: Any, *arguments: Any, **more: Any) -> None:
        started.append(fsuid())
        real(self, *arguments, **more)

    monkeypatch.setattr(subprocess.Popen, "__init__", popen)
    names = [f"s{number}" for number in range(5)]
    for name in names:
        school.student(name)
        # Longer than what is examined meanwhile, so that the helpers are asked in between.
        school.script(name, text=f"{APP}# {name}\n" + "#\n" * 4000)
        (school.root / name / "mysite/static").mkdir()
        school.own(name)
    looker = school.observer()
    for told in looker.observe(map(Subject, names), {}):
        assert 0 == fsuid()
        assert "files" == told.origin
        assert only(told.home).links[0].reachable is False
        looker._parser.close()  # as if it had been killed: the next is started just then
        looker._reach.close()
    assert len(names) <= len(started)
    assert {0} == set(started)


@as_root
def test_neighbours_are_looked_at_without_going_back(school: School) -> None:
    """From student to student, and to the process once in a hundred homes."""
    names = [f"s{number:03}" for number in range(200)]
    for name in names:
        school.student(name)
    list(school.observer().observe(map(Subject, names), {}))
    changes = [name for name, _ in itertools.groupby(school.became)]
    assert names == [name for name in changes if name is not None]
    assert 4 >= changes.count(None)


@as_root
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, Unreadable])
def test_whatever_happens_in_a_home_the_thread_is_itself_again(
    school: School, monkeypatch: Any, error: type[BaseException]
) -> None:
    """A fault of ours or of the disk is that home's trouble; Ctrl-C ends the look, as root."""
    for name in ("alice", "bob"):
        school.student(name)

    def find(*_: object) -> None:
        assert fsuid() != 0
        raise error("here")

    monkeypatch.setattr(candidates, "find", find)
    looker = school.observer()
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            list(looker.observe([Subject("alice"), Subject("bob")], {}))
    else:
        found = list(looker.observe([Subject("alice"), Subject("bob")], {}))
        said = "here" if error is Unreadable else "RuntimeError: here"
        assert [said, said] == [each.home.trouble for each in found]
        assert 2 == len(found)
    assert 0 == fsuid()


@as_root
def test_who_cannot_be_become_is_told_so(school: School, monkeypatch: Any) -> None:
    """As in a unit that lacks a power for it: unknown, and nobody's end."""
    for name in ("alice", "bob"):
        school.student(name)
        school.script(name)

    def refuse(account: Account | None) -> None:
        if account is not None and account.name == "alice":
            raise PermissionError(1, "cannot read as alice: Operation not permitted")
        become(account)

    monkeypatch.setattr(school, "become", refuse)
    looker = school.observer()
    told = looker.observe([Subject("alice"), Subject("bob")], {})
    found = {each.home.name: each.home for each in told}
    assert "cannot read as alice: Operation not permitted" == found["alice"].trouble
    assert only(found["bob"]).source


# ---- where a home is -------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("spelling", ["homes/alice", "volume/alice", "homes/alice/", "elsewhere"])
def test_a_home_that_roots_own_link_names_is_looked_at(school: School, spelling: str) -> None:
    """And by whichever of the two names the account database has it."""
    school.student("alice", home=str(school.top / spelling))
    school.script("alice")
    (school.top / "volume").mkdir()
    (school.root / "alice").rename(school.top / "volume/alice")
    (school.root / "alice").symlink_to(school.top / "volume/alice")
    home = seen(school.observer(), "alice")
    assert home.node is not None
    assert ("directory", school.uid("alice")) == (home.node.kind, home.node.uid)
    assert f"{school.top}/volume/alice" == home.path
    assert only(home).source
    assert (spelling != "elsewhere") == home.is_accounts


@as_root
@pytest.mark.parametrize("whose", ["student", "group", "everybody"])
def test_a_link_that_a_student_could_have_made_is_not_followed(school: School, whose: str) -> None:
    """It may name what others wrote: the link is told, and nothing behind it."""
    school.student("alice")
    school.script("alice")
    (school.root / "alice").rename(school.top / "alice")
    link = school.root / "alice"
    link.symlink_to(school.top / "alice")
    if whose == "student":
        os.chown(link, school.uid("alice"), 0, follow_symlinks=False)
    else:
        school.root.chmod({"group": 0o775, "everybody": 0o1777}[whose])
    home = seen(school.observer(), "alice")
    assert home.node is not None
    assert ("link", (), None) == (home.node.kind, home.scripts, home.trouble)


@as_root
def test_a_link_of_roots_that_leads_nowhere_is_no_homes_end(school: School) -> None:
    """What it names is on another file system, which may be away; and it is followed once."""
    home = school.student("alice")
    (school.root / "alice").rename(school.top / "alice")
    home.symlink_to(school.top / "away/alice")
    for told in (seen(school.observer(), "alice"),):
        assert f"it is a link to {school.top}/away/alice, and there is no directory" == told.trouble
        assert told.node is None
    (school.top / "again").symlink_to(school.top / "alice")
    home.unlink()
    home.symlink_to("../again")
    assert (
        "it is a link to ../again, and there is no directory"
        == seen(school.observer(), "alice").trouble
    )


@as_root
@pytest.mark.parametrize(
    ("uid", "mode", "vacant"), [(0, 0o755, True), (0, 0o700, True), (1, 0o700, False)]
)
def test_a_mount_point_is_told_from_a_home(
    school: School, uid: int, mode: int, vacant: bool
) -> None:
    """Empty and root's: what was mounted there is away. With anything in it, it is a home."""
    home = school.student("alice", mode=mode)
    if uid == 0:
        os.chown(home, 0, 0)
    assert vacant == seen(school.observer(), "alice").vacant
    (home / "file").touch()
    assert not seen(school.observer(), "alice").vacant
    (home / "file").unlink()
    home.rmdir()
    home.touch()
    assert not seen(school.observer(), "alice").vacant, "a file of root's is no directory"


def test_without_their_root_homes_are_not_gone(school: School) -> None:
    """An outage above them: each is told of it, and none as absent."""
    school.student("alice")
    looker = school.observer()
    school.root.rename(school.top / "away")
    home = seen(looker, "alice")
    assert home.node is None
    assert f"{school.root}: No such file or directory (ENOENT)" == home.trouble
    with pytest.raises(Unreadable, match="No such file"):
        looker.names()


def test_all_who_have_a_home_are_served_or_are_known_are_everyone(school: School) -> None:
    """An app whose account is gone, and one whose home is, are to be withdrawn."""
    for name in ("alice", "bob"):
        school.student(name)
    (school.root / "bob").rmdir()
    looker = school.observer()
    assert {"alice", "bob", "ghost", "carol"} == looker.everyone({"bob", "ghost"}, {"carol": "x"})


def test_a_root_that_is_empty_while_somebody_of_those_served_lives_is_away(school: School) -> None:
    """As one that is not mounted; not where all of them were removed with their homes."""
    looker = school.observer()
    assert {"ghost"} == looker.everyone({"ghost"}, {})
    assert {"root"} == looker.everyone((), {"root": "files"})
    with pytest.raises(Unreadable) as told:
        looker.everyone({"ghost", "root"}, {})
    assert f"{school.root} is empty, while 2 apps of it are served" == str(told.value)
    # Of a service that does not answer, nobody knows whether any of its accounts lives.
    assert {"ghost"} == looker.everyone({"ghost"}, {"ghost": "service"})


def test_whoever_is_served_has_not_left_a_root_that_is_empty(school: School) -> None:
    """Looked at by name; who is not served has nothing to lose, and an account may be gone."""
    school.student("alice").rmdir()
    app = f"{school.root}/alice/mysite/mysite/wsgi.py"
    looker = school.observer()
    home = seen(looker, "alice", app)
    assert f"{school.root} is empty, while an app of alice's is served" == home.trouble
    assert None is seen(looker, "alice").trouble
    assert None is seen(looker, "ghost", app).trouble
    (school.root / "bob").mkdir()
    home = seen(looker, "alice", app)
    assert (None, None) == (home.node, home.trouble)


def test_a_home_that_is_there_is_not_away_whatever_its_root_lists(
    school: School, monkeypatch: Any
) -> None:
    """An automounter lists nobody; what is wrong with a home is told as it is."""
    school.student("alice")
    file = school.script("alice")
    monkeypatch.setattr(observer, "is_empty", lambda _: True)
    assert only(seen(school.observer(), "alice", str(file))).source

    def find(*_: object) -> None:
        raise Unreadable("here")

    monkeypatch.setattr(candidates, "find", find)
    assert "here" == seen(school.observer(), "alice", str(file)).trouble
    monkeypatch.setattr(survey.Root, "enter", find)
    monkeypatch.setattr(survey.Root, "node", find)
    assert "here" == seen(school.observer(), "alice", str(file)).trouble


class Unlisting:
    """A directory as an automounter has it: it lists a name once it was called."""

    def __init__(self, hidden: set[str]) -> None:
        self.hidden = hidden
        self.real = os.scandir

    @contextlib.contextmanager
    def __call__(self, path: str | int) -> Iterator[list[Any]]:
        with self.real(path) as entries:
            yield [entry for entry in entries if entry.name not in self.hidden]


def test_homes_that_their_root_does_not_list_are_called_by_name(
    school: School, monkeypatch: Any
) -> None:
    """Those of accounts whose home is there by the database; hidden ones and files are none."""
    for name in ("alice", "bob", ".carol", "dave"):
        school.student(name)
    school.student("erin", home="/elsewhere/erin")
    (school.root / "dave").rmdir()
    (school.root / "notes").touch()
    (school.root / "link").symlink_to("nowhere")
    (school.root / "unowned").mkdir()
    looker = school.observer()
    assert ["alice", "bob", "erin", "link", "unowned"] == looker.names()
    monkeypatch.setattr(observer.os, "scandir", Unlisting({"bob", "erin", "unowned"}))
    assert ["alice", "bob", "link"] == looker.names()
    assert looker.has_home("bob")
    assert looker.has_home("unowned")
    assert not looker.has_home("dave")
    assert not looker.has_home("bob/..")


@pytest.mark.parametrize(("seconds", "called"), [(1.0, 3), (1.01, 2)])
def test_an_automounter_that_hangs_is_asked_for_a_while_and_everybody_has_a_turn(
    school: School, monkeypatch: Any, seconds: float, called: int
) -> None:
    """Each name may take a server's time-out; for two seconds, another is called."""
    names = [f"s{number}" for number in range(4)]
    for name in names:
        school.student(name)
    looker = school.observer()
    now = [0.0]

    def call(self: Observer, name: str) -> bool:
        now[0] += seconds
        return True

    monkeypatch.setattr(observer.os, "scandir", Unlisting(set(names)))
    monkeypatch.setattr(observer.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Observer, "has_home", call)
    first, second, third = looker.names(), looker.names(), looker.names()
    assert (called,) * 3 == (len(first), len(second), len(third))
    assert names == sorted({*first, *second})


def test_a_parser_that_cannot_start_is_told_of_by_the_look_that_needs_it(
    school: School, monkeypatch: Any
) -> None:
    """To get ready never fails; each script whose text is not known says why."""
    school.student("alice")
    school.script("alice")
    looker = school.observer()
    monkeypatch.setattr(looker, "_parser", Parser("/no/such/python"))
    looker.get_ready()
    told = only(seen(looker, "alice"))
    assert told.source is None
    assert told.trouble is not None
    assert told.trouble.startswith("its text could not be judged: a helper cannot be started")
