"""What the process itself finds out of a home: when it asks whom, and whether it is remembered."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from reconciler.model import Home, Standing, Static, Virtualenv
from reconciler.observe import interior, observer, survey
from reconciler.observe.descent import Unreadable
from reconciler.observe.helper import AHEAD, HelperError
from reconciler.observe.sighting import Sighting, Subject
from tests.unit.classroom import APP, School, as_root, fsuid, look, only, school, seen
from tests.unit.facts import node, script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["school"]


class Asking:
    """Answers for Apache's user, and notes what was asked."""

    def __init__(self, answers: dict[str, bool | Exception]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, bool]] = []

    def __call__(self, path: str, *, directory: bool) -> bool:
        self.asked.append((path, directory))
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        return answer


def with_static(school: School) -> tuple[str, str]:
    """Make a home with a script and static files, and return the absolute paths of both."""
    home = school.student("alice")
    file = school.script("alice")
    (home / "mysite/static").mkdir()
    school.own("alice")
    return f"{home}/mysite/static", str(file)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("answer", [True, False])
def test_apaches_user_is_asked_for_what_a_stanza_will_name(
    school: School, monkeypatch: Any, *, names: bool, answer: bool
) -> None:
    """A directory to be listed, always; a file to be read, only where its path is named."""
    static, file = with_static(school)
    looker = school.observer(names_scripts=names)
    asking = Asking({static: not answer, file: answer})
    monkeypatch.setattr(looker._reach, "can_list_or_read", asking)
    told = only(seen(looker, "alice"))
    assert [(static, True), (file, False)][: 1 + names] == asking.asked
    found = (Static("static", static, not answer, ("",)), answer if names else None)
    assert found == (told.links[0], told.reachable)
    school.script("alice", text="application = \n")
    (school.root / "alice/mysite/mysite/wsgi.py").chmod(0o644)
    asking.asked.clear()
    os.link(file, f"{file}.second")  # its text is not read
    seen(looker, "alice")
    assert (file, False) not in asking.asked


def test_what_apaches_user_cannot_be_asked_is_unknown(school: School, monkeypatch: Any) -> None:
    """Of static files that is no more than a warning; of the script it is its trouble."""
    static, file = with_static(school)
    looker = school.observer(names_scripts=True)
    failing = HelperError("no such user")
    monkeypatch.setattr(looker._reach, "can_list_or_read", Asking({static: failing, file: failing}))
    told = only(seen(looker, "alice"))
    assert (Static("static", static, closed=("",)), None) == (told.links[0], told.reachable)
    assert "its text could not be judged: no such user" == told.trouble


def test_a_fault_of_ours_is_that_homes_trouble_in_a_few_words(
    school: School, monkeypatch: Any
) -> None:
    """Also one that is met when the home is left; nobody else's look ends with it."""
    static, _ = with_static(school)
    looker = school.observer()
    error = RuntimeError("x" * 300)
    monkeypatch.setattr(looker._reach, "can_list_or_read", Asking({static: error}))
    home = seen(looker, "alice")
    assert f"RuntimeError: {'x' * 186}" == home.trouble
    assert ("alice", Standing.FOUND) == (home.name, home.standing)


@as_root
def test_a_home_behind_a_link_of_roots_is_asked_for_where_it_is(
    school: School, monkeypatch: Any
) -> None:
    """As it is named in the stanza: without a link on the way."""
    with_static(school)
    (school.root / "alice").rename(school.top / "volume")
    (school.root / "alice").symlink_to("../volume")
    looker = school.observer(names_scripts=True)
    static, file = (f"{school.top}/volume/{p}" for p in ("mysite/static", "mysite/mysite/wsgi.py"))
    asking = Asking({static: True, file: True})
    monkeypatch.setattr(looker._reach, "can_list_or_read", asking)
    assert only(seen(looker, "alice")).reachable
    assert [(static, True), (file, False)] == asking.asked


def test_one_text_is_examined_once(school: School, monkeypatch: Any) -> None:
    """However many copies of it a home has."""
    school.student("alice")
    for number in range(3):
        school.script("alice", f"p{number}/wsgi.py")
    looker = school.observer()
    examined: list[bytes] = []
    real = looker._parser.examine
    monkeypatch.setattr(
        looker._parser, "examine", lambda text: (examined.append(text), real(text))[1]
    )
    assert 3 == len([each for each in seen(looker, "alice").scripts if each.source])
    assert [APP.encode()] == examined


def test_until_the_time_for_one_home_is_over_its_texts_are_examined(
    school: School, monkeypatch: Any
) -> None:
    """Three seconds; what is over waits for the next look."""
    school.student("alice")
    for number in range(3):
        school.script("alice", f"p{number}/wsgi.py", f"{APP}# {number}\n")
    looker = school.observer()
    now, takes = [0.0], 1.5
    real = looker._parser.examine

    def examine(text: bytes) -> Any:
        now[0] += takes
        return real(text)

    monkeypatch.setattr(looker._parser, "examine", examine)
    monkeypatch.setattr(observer.time, "monotonic", lambda: now[0])
    assert 3 == len([each for each in seen(looker, "alice").scripts if each.source])
    for number in range(3):
        school.script("alice", f"p{number}/wsgi.py", f"{APP}# another {number}\n")
    takes = 1.51
    told = seen(looker, "alice").scripts
    assert [None, None, survey.WAITS] == [each.trouble for each in told]


def test_who_cannot_be_told_is_not_examined_meanwhile(school: School, monkeypatch: Any) -> None:
    """Nobody will ask about it."""
    school.student("alice")
    school.script("alice")
    looker = school.observer()
    foreseen: list[bytes] = []
    monkeypatch.setattr(looker._parser, "foresee", foreseen.append)

    def find(*_: object, **__: object) -> None:
        raise Unreadable("closed")

    monkeypatch.setattr(looker._surveyor._projects, "find", find)
    told = only(seen(looker, "alice"))
    assert ("closed", None, []) == (told.trouble, told.source, foreseen)


# ---- in which order ------------------------------------------------------------------------------


def test_so_many_are_seen_ahead_and_no_more(school: School) -> None:
    """A class of ten thousand is not held in memory; half of those ahead are told in one go."""
    taken = [0]

    def subjects() -> Iterator[Subject]:
        for number in range(4 * AHEAD):
            taken[0] += 1
            yield Subject(f"ghost{number}")

    told = school.observer().observe(subjects(), {})
    for _ in range(AHEAD // 2 + 1):
        next(told)
        assert AHEAD + AHEAD // 2 == taken[0]
    next(told)
    assert 2 * AHEAD == taken[0]
    assert 4 * AHEAD - AHEAD // 2 - 2 == len(list(told))


@pytest.mark.parametrize(("size", "light"), [(0, True), (4096, True), (4097, False)])
def test_texts_that_a_pipe_takes_as_a_whole_may_wait(size: int, *, light: bool) -> None:
    """All of one home's together."""
    home = Home("alice", Standing.FOUND)
    texts = {"a": b"#" * (size // 2), "b": b"#" * (size - size // 2)}
    assert light == Sighting(home, None, Subject("alice"), texts=texts).is_light


def test_a_home_with_a_long_text_waits_for_nobody(school: School) -> None:
    """It is examined before the next home is looked at: its text could not be sent ahead."""
    for name in ("a", "b", "c"):
        school.student(name)
        school.script(name, text=f"{APP}# {name}" + "#" * 5000)
    list(school.observer().observe(map(Subject, ("a", "b", "c")), {}))
    changes = [name for name, _ in itertools.groupby(school.became)]
    assert [None, "a", None, "b", None, "c", None] == changes


# ---- who is looked at ----------------------------------------------------------------------------


def test_from_min_uid_on_an_account_is_a_student(school: School) -> None:
    """The first of them as well; of all others it is told whose they are."""
    school.student("alice")
    school.script("alice")
    uid = school.uid("alice")
    assert only(seen(school.observer(f"[homes]\nmin_uid = {uid}"), "alice")).source
    home = seen(school.observer(f"[homes]\nmin_uid = {uid + 1}"), "alice")
    assert ((), Standing.FOUND) == (home.scripts, home.standing)
    assert home.account is not None
    assert uid == home.account.uid


@pytest.mark.parametrize("name", ["..", ".", "", "alice/below"])
def test_an_account_whose_name_is_no_name_has_no_home(school: School, name: str) -> None:
    """It would lead to others', or out of the root."""
    school.student("alice")
    school.script("alice")
    (school.root / "alice/below/x").mkdir(parents=True)
    (school.root / "alice/below/x/wsgi.py").touch()
    school.own("alice")
    school.rows[name] = f"{name}:x:{school.uid('alice')}:{school.uid('alice')}::/h:/bin/sh"
    assert () == seen(school.observer(), name).scripts
    assert {None} == set(school.became)


def test_without_their_root_those_without_an_account_are_not_gone_either(school: School) -> None:
    """What is there could not be told."""
    looker = school.observer()
    school.root.rename(school.top / "away")
    home = seen(looker, "ghost")
    assert f"{school.root}: No such file or directory (ENOENT)" == home.trouble
    assert ("ghost", None) == (home.name, home.node)


# ---- what is remembered --------------------------------------------------------------------------

VENV = Virtualenv("/opt/ve", True, "/opt/ve/lib")
OPEN, CLOSED = node("", mode=0o755), node("", mode=0o700)


@pytest.mark.parametrize(
    ("changes", "home", "remembered"),
    [
        ({}, OPEN, True),
        ({"links": (Static("s", "/s", True),)}, OPEN, True),
        ({"links": (Static("s", "/s", False),)}, OPEN, False),
        ({"links": (Static("s", "/s", True), Static("m", "/m", False))}, OPEN, False),
        ({"links": (Static("s", "/s"),)}, OPEN, False),
        ({"links": (Static("s", "/s", False),)}, CLOSED, True),
        ({"reachable": True}, OPEN, True),
        ({"reachable": False}, OPEN, False),
        ({"reachable": False}, CLOSED, True),
        ({"reachable": False}, None, False),
        ({"virtualenv": VENV}, OPEN, True),
        ({"virtualenv": replace(VENV, site_packages=None)}, OPEN, False),
        ({"virtualenv": replace(VENV, chosen=False, site_packages=None)}, OPEN, True),
        ({"virtualenv": replace(VENV, chosen=False)}, OPEN, True),
        ({"trouble": "closed"}, OPEN, False),
    ],
)
def test_what_may_change_outside_a_home_is_asked_each_time(
    tmp_path: Path, changes: dict[str, Any], home: Any, *, remembered: bool
) -> None:
    """What Apache cannot reach may be opened above it, unless the home itself is what is closed."""
    nodes = (home, *script().nodes[1:]) if home else ()
    told = Home("alice", Standing.FOUND, scripts=(replace(script(), nodes=nodes, **changes),))
    with contextlib.closing(interior.Interior(os.open(tmp_path, os.O_RDONLY))) as tree:
        assert tree.home
        assert remembered == bool(observer._memo(told, tree, tree.newest + 10**12))


# ---- between a home's look and its end -----------------------------------------------------------


def test_a_home_that_is_made_just_now_is_not_gone(school: School, monkeypatch: Any) -> None:
    """It could not be opened, and is there when it is asked for: nobody knows."""
    school.student("alice")
    monkeypatch.setattr(survey.Root, "enter", lambda *_: None)
    home = seen(school.observer(), "alice")
    assert ("alice changed while it was looked at", None) == (home.trouble, home.node)


@as_root
def test_an_account_without_a_home_is_told_so(school: School) -> None:
    """In a root where a link of root's would count as one."""
    school.student("alice").rmdir()
    home = seen(school.observer(), "alice")
    assert (None, None) == (home.node, home.trouble)


def test_a_home_of_which_nothing_can_be_told_says_why(school: School) -> None:
    """Neither from within nor from above."""
    name = "a" * 300
    uid = os.geteuid() or school.uid("root") + 4101
    school.rows[name] = f"{name}:x:{uid}:{uid}::/h:/bin/sh"
    school.groups[name] = f"{name}:x:{uid}:"
    home = seen(school.observer("[homes]\nmin_uid = 1"), name)
    assert ("File name too long (ENAMETOOLONG)", None) == (home.trouble, home.node)


@as_root
def test_a_link_of_roots_that_cannot_be_read_says_why(school: School, monkeypatch: Any) -> None:
    """As on a file system that is away."""
    school.student("alice").rmdir()
    (school.root / "alice").symlink_to("/nowhere")

    def readlink(*_: object, **__: object) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(survey.os, "readlink", readlink)
    assert "Input/output error (EIO)" == seen(school.observer(), "alice").trouble
    assert 0 == fsuid()


# ---- what is served ------------------------------------------------------------------------------


def test_what_is_served_below_another_root_is_not_in_this_home(school: School) -> None:
    """A path as long as the home's own is not taken for it."""
    home = school.student("alice")
    school.script("alice", "a/b/c/d/wsgi.py")
    elsewhere = "/" + "z" * (len(str(home)) - 1)
    assert () == seen(school.observer(), "alice", f"{elsewhere}/a/b/c/d/wsgi.py").scripts
    told = only(seen(school.observer(), "alice", f"{home}/a/b/c/d/wsgi.py"))
    assert "a/b/c/d/wsgi.py" == told.path
    assert told.source


def test_what_is_served_and_renamed_over_just_now_is_not_gone(
    school: School, monkeypatch: Any
) -> None:
    """Its directory was listed in between, and had neither; asked by its name, it is there."""
    home = school.student("alice")
    file = school.script("alice", "shop/wsgi.py")
    served = str(file)
    real = survey.candidates.find

    def find(*arguments: Any) -> Any:
        os.rename(file, home / "aside")
        found = real(*arguments)
        if comes_back:
            os.rename(home / "aside", file)
        return found

    monkeypatch.setattr(survey.candidates, "find", find)
    comes_back = True
    assert only(seen(school.observer(), "alice", served)).source
    comes_back = False
    gone = seen(school.observer(), "alice", served)
    assert ((), None) == (gone.scripts, gone.trouble)


@pytest.mark.parametrize(
    ("path", "nodes"),
    [
        ("mysite/absent.py", ["", "mysite"]),
        ("absent/wsgi.py", [""]),
        ("mysite/link.py", ["", "mysite", "mysite/link.py"]),
    ],
)
def test_a_script_that_a_setting_names_is_told_as_far_as_it_is_there(
    school: School, path: str, nodes: list[str]
) -> None:
    """Also where it is a link: what is wrong with it is said of each component."""
    home = school.student("alice")
    (home / "mysite").mkdir()
    (home / "mysite/link.py").symlink_to("/etc/passwd")
    school.own("alice")
    told = seen(school.observer(f'[accounts.alice]\nscript = "{path}"'), "alice").scripts[0]
    assert nodes == [each.path for each in told.nodes]
    package = path.rpartition("/")[0]
    assert (path, package, package) == (told.path, told.project, told.package)
    assert (None, None, ()) == (told.source, told.trouble, told.links)


def test_a_script_that_cannot_be_asked_for_has_no_nodes(school: School) -> None:
    """And is not gone."""
    (school.student("alice") / "mysite/mysite/more").mkdir(parents=True)
    school.own("alice")
    path = f"mysite/mysite/more/{'a' * 300}/wsgi.py"
    told = only(seen(school.observer(f'[accounts.alice]\nscript = "{path}"'), "alice"))
    assert ((), "File name too long (ENAMETOOLONG)") == (told.nodes, told.trouble)


def test_a_home_that_all_of_is_watched_says_so(school: School) -> None:
    """As many directories as the budget has."""
    home = school.student("alice")
    for number in range(3):
        (home / f"d{number}").mkdir()
    school.own("alice")
    for budget, unwatched in ((4, 0), (3, 0), (2, 1)):
        told = look(school.observer(f"[homes]\nwatch_budget = {budget}"), "alice").home
        assert unwatched == told.unwatched
