"""Settings that are asked about: once, within bounds, and the home is looked at again for them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from reconciler.model import Standing
from reconciler.observe import candidates, observer
from reconciler.observe.helper import HelperError
from reconciler.observe.source import Roots
from tests.unit.classroom import School, look, only, school, seen
from tests.unit.test_links import COLLECTED, DJANGO, NEW, project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from reconciler.observe.observer import Observer

__all__ = ["school"]


def projects(school: School, many: int, name: str = "alice") -> Path:
    """Give a student so many projects, whose settings each say a directory that is there."""
    home = school.student(name, mode=0o755)
    for number in range(many):
        school.script(name, f"p{number}/p/wsgi.py", DJANGO.format("p.settings"))
        (home / f"p{number}/p/settings.py").write_text(f"STATIC_ROOT = 'r{number}'\n")
        (home / f"p{number}/r{number}").mkdir()
    school.own(name)
    return home


def answering(looker: Observer, monkeypatch: Any, answer: Callable[[int], Roots]) -> list[bytes]:
    """Have the helper say this of the first settings, the second, ...; return what it is asked."""
    asked: list[bytes] = []
    monkeypatch.setattr(looker._parser, "roots", lambda r: (asked.append(r), answer(len(asked)))[1])
    return asked


def linked(home: Any) -> int:
    """Return how many scripts have a directory of static files."""
    return sum(bool(script.links) for script in home.scripts)


def test_a_change_of_the_settings_is_seen_and_no_change_is_not_asked_for(
    school: School, monkeypatch: Any
) -> None:
    """The helper is asked once for a text; the next look at the same home opens nothing."""
    monkeypatch.setattr(observer, "_RACY_NS", -(10**12))
    home = project(school, COLLECTED, "mysite/public", "mysite/other")
    looker = school.observer()
    asked: list[bytes] = []
    real = looker._parser.roots
    monkeypatch.setattr(looker._parser, "roots", lambda r: (asked.append(r), real(r))[1])
    first = look(looker, "alice")
    assert [f"{home}/mysite/public"] == [link.path for link in only(first.home).links]
    again = look(looker, "alice", first)
    assert again.home is first.home
    (home / "mysite/mysite/settings.py").write_text(COLLECTED.replace("public", "other"))
    third = look(looker, "alice", again)
    assert [f"{home}/mysite/other"] == [link.path for link in only(third.home).links]
    assert 2 == len(asked)
    (home / "mysite/other").rmdir()
    fourth = look(looker, "alice", third)
    assert ((), "mysite/other") == (only(fourth.home).links, only(fourth.home).static_root)
    assert 2 == len(asked)


def test_settings_that_say_no_more_than_a_new_projects_are_not_asked_about(
    school: School, monkeypatch: Any
) -> None:
    """A class's first look is at a hundred of them."""
    project(school, NEW, "mysite/static")
    looker = school.observer()
    monkeypatch.setattr(looker._parser, "roots", None)
    told = only(seen(looker, "alice"))
    assert ["static"] == [link.name for link in told.links]
    assert ("mysite/mysite/settings.py", None) == (told.settings, told.static_root)


def test_many_settings_in_one_home_have_their_turns(school: School, monkeypatch: Any) -> None:
    """Eight in a look; the rest at the next, and then nothing is left to ask."""
    monkeypatch.setattr(observer, "_RACY_NS", -(10**12))
    home = school.student("alice")
    for number in range(10):
        school.script("alice", f"p{number}/p/wsgi.py", DJANGO.format("p.settings"))
        (home / f"p{number}/p/settings.py").write_text(f"STATIC_ROOT = 'r{number}'\n")
    school.own("alice")
    looker = school.observer()
    told = []
    before = None
    for _ in range(3):
        before = look(looker, "alice", before)
        told.append(sum(script.static_root is not None for script in before.home.scripts))
    assert [8, 10, 10] == told
    assert before is not None
    assert before.memo


def test_settings_that_have_to_wait_are_asked_about_whatever_the_others_say(
    school: School, monkeypatch: Any
) -> None:
    """Eight in a look, of scripts whose texts are known as well: a class's are much alike."""
    monkeypatch.setattr(observer, "_RACY_NS", -(10**12))
    projects(school, 11)
    projects(school, 1, name="bob")
    looker = school.observer()
    seen(looker, "bob")
    asked = answering(looker, monkeypatch, lambda _: Roots())
    before, told = None, []
    for _ in range(3):
        before = look(looker, "alice", before)
        told.append((len(asked), len(before.home.scripts), bool(before.memo)))
    assert [(8, 11, False), (10, 11, True), (10, 11, True)] == told


def test_what_settings_say_is_looked_for_at_once_and_by_whom_the_home_is(
    school: School, monkeypatch: Any
) -> None:
    """By a second look, as the student; it tells of the home all that the first one told."""
    home = projects(school, 1)
    looker = school.observer()
    foreseen: list[bytes] = []
    real = looker._parser.foresee
    monkeypatch.setattr(looker._parser, "foresee", lambda r: (foreseen.append(r), real(r))[1])
    told = look(looker, "alice")
    assert [f"{home}/p0/r0"] == [link.path for link in only(told.home).links]
    assert ("alice", Standing.FOUND, "files") == (told.home.name, told.home.standing, told.origin)
    assert told.home.account is not None
    assert told.home.account.uid == school.uid("alice")
    assert told.home.node is not None
    assert [None, "alice", None, "alice", None] == [
        name for name, _ in itertools.groupby(school.became)
    ]
    # While its text is examined; the settings, when they are met first.
    assert 2 == sum(b"STATIC_ROOT" not in each for each in foreseen)
    assert 1 == sum(b"STATIC_ROOT" in each for each in foreseen)


def test_a_link_is_called_by_its_url_below_that_of_the_app(school: School) -> None:
    """As Django hands it out: with what the URL of this account begins with."""
    project(school, f"{NEW}STATIC_URL = '/django/alice/assets/'\n", "mysite/static")
    assert ["assets"] == [link.name for link in only(seen(school.observer(), "alice")).links]


@pytest.mark.parametrize(("takes", "at_once"), [(1.5, 3), (1.51, 2)])
def test_settings_are_asked_about_for_as_long_as_there_is_time(
    school: School, monkeypatch: Any, takes: float, at_once: int
) -> None:
    """Three seconds. What was said by then is looked for, and the rest asked at the next look."""
    monkeypatch.setattr(observer, "_RACY_NS", -(10**12))
    projects(school, 3)
    looker = school.observer()
    now, real = [0.0], looker._parser.roots

    def roots(request: bytes) -> Roots:
        now[0] += takes
        return real(request)

    monkeypatch.setattr(looker._parser, "roots", roots)
    monkeypatch.setattr(observer.time, "monotonic", lambda: now[0])
    first = look(looker, "alice")
    assert at_once == linked(first.home)
    second = look(looker, "alice", first)
    assert 3 == linked(second.home)
    assert second.memo


def test_of_several_settings_one_that_says_something_has_the_home_looked_at_again(
    school: School, monkeypatch: Any
) -> None:
    """Whatever the others say; where none of them does, the first look is what is told."""
    monkeypatch.setattr(observer, "_RACY_NS", -(10**12))
    projects(school, 3)
    looks: list[object] = []
    real = candidates.find
    monkeypatch.setattr(candidates, "find", lambda *a: (looks.append(a), real(*a))[1])
    for says, times in ((Roots(static_root="x"), 2), (Roots(), 1)):
        looker = school.observer()
        asked = answering(looker, monkeypatch, lambda n, s=says: s if n == 1 else Roots())
        told = look(looker, "alice")
        assert (3, times) == (len(asked), len(looks))
        assert told.memo, "nothing is left to ask"
        looks.clear()


@pytest.mark.parametrize("failing", [1, 2])
def test_settings_that_could_not_be_asked_about_are_asked_about_again(
    school: School, monkeypatch: Any, failing: int
) -> None:
    """The home is not remembered without what they say; and no other waits for them."""
    monkeypatch.setattr(observer, "_RACY_NS", -(10**12))
    projects(school, 2)
    looker = school.observer()
    real = looker._parser.roots
    asked: list[bytes] = []

    def roots(request: bytes) -> Roots:
        asked.append(request)
        if len(asked) <= failing:
            raise HelperError("it cannot be started")
        return real(request)

    monkeypatch.setattr(looker._parser, "roots", roots)
    first = look(looker, "alice")
    assert (2 - failing, {}) == (linked(first.home), first.memo)
    second = look(looker, "alice", first)
    assert 2 == linked(second.home)
    assert second.memo


def test_of_settings_so_many_are_remembered(school: School, monkeypatch: Any) -> None:
    """One more, and they begin anew: a class cannot fill the memory."""
    monkeypatch.setattr(observer, "_MAX_SOURCES", 2)
    project(school, NEW)
    looker = school.observer()
    for number, kept in ((1, 1), (2, 2), (3, 1), (3, 1), (2, 2)):
        project(school, f"STATIC_ROOT = 'r{number}'\n")
        assert f"mysite/r{number}" == only(seen(looker, "alice")).static_root
        assert kept == len(looker._roots)
