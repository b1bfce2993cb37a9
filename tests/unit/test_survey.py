"""What is told of one home, what is left out of it, and what is remembered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.model import Home, Instead, Kind, Standing
from reconciler.observe import candidates, descent, interior, observer, survey
from tests.unit.classroom import APP, School, as_root, look, only, school, seen

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.observe.interior import Interior

__all__ = ["school"]


# ---- what is left out, and told -------------------------------------------------------------


@pytest.mark.parametrize("many", ["directories", "files"])
def test_a_home_with_more_than_is_looked_at_says_so(
    school: School, monkeypatch: Any, many: str
) -> None:
    """With a script or without one: nobody may take it for empty."""
    monkeypatch.setattr(candidates, "_MAX_DIRECTORIES", 20)
    monkeypatch.setattr(interior, "_MAX_ENTRIES", 30)
    home = school.student("alice")
    for number in range(21):
        (home / f"d{number:02}").mkdir()
    school.own("alice")
    looker = school.observer("[homes]\nwatch_budget = 15")
    if many == "files":
        (home / "d20").rmdir()
        for number in range(10):
            (home / f"f{number:02}").touch()
        assert (0, 5) == (seen(looker, "alice").unseen, seen(looker, "alice").unwatched)
        (home / "f10").touch()
        assert 1 == seen(looker, "alice").unseen
    else:
        found = seen(looker, "alice")
        assert ((), 1, 6) == (found.scripts, found.unseen, found.unwatched)
        (home / "d20").rmdir()
        assert 0 == seen(looker, "alice").unseen
    # Where the list is cut is the file system's affair: tmpfs lists the newest first, ext4 by hash.
    listed = next(name for name in os.listdir(home) if (home / name).is_dir())
    school.script("alice", f"{listed}/wsgi.py")
    served = seen(looker, "alice", f"{home}/{listed}/wsgi.py")
    assert f"{listed}/wsgi.py" == only(served).path


def test_a_directory_that_is_not_read_to_its_end_below_the_home_counts(
    school: School, monkeypatch: Any
) -> None:
    """A project may be among the names that were not read."""
    monkeypatch.setattr(interior, "_MAX_ENTRIES", 30)
    home = school.student("alice")
    (home / "many").mkdir()
    for number in range(31):
        (home / f"many/{number}").touch()
    school.own("alice")
    assert ((), 1) == (
        seen(school.observer(), "alice").scripts,
        seen(school.observer(), "alice").unseen,
    )


def test_of_many_new_texts_some_wait(school: School, monkeypatch: Any) -> None:
    """In one look so many are examined; those that were are remembered, so that all have a turn."""
    school.student("alice")
    for number in range(8 + 3):
        school.script("alice", f"p{number:02}/wsgi.py", f"{APP}# {number}\n")
    looker = school.observer()
    for waiting in (3, 0):
        told = seen(looker, "alice").scripts
        assert waiting == sum(script.trouble == survey.WAITS for script in told)
        assert waiting == sum(script.source is None for script in told)
    monkeypatch.setattr(observer, "_MAX_PARSING", -1.0)
    school.script("alice", "p00/wsgi.py", f"{APP}# another\n")
    assert {survey.WAITS, None} == {script.trouble for script in seen(looker, "alice").scripts}


@pytest.mark.parametrize(
    "became", ["longer", "a link's second name", "a pipe", "gone", "another's"]
)
def test_a_file_is_asked_once_more_after_it_was_opened(
    school: School, monkeypatch: Any, became: str
) -> None:
    """Its owner puts another in its place between the look and the opening."""
    school.student("alice")
    file = school.script("alice")
    other = file.parent / "other"
    real = descent.open_file

    def open_file(name: str, *, at: int) -> Any:
        assert "wsgi.py" == name
        if became == "longer":
            os.write(fd := os.open(file, os.O_WRONLY), b"#" * (survey.SOURCE_LIMIT + 1))
            os.close(fd)
        elif became == "a link's second name":
            os.link(file, other)
        elif became == "a pipe":
            file.unlink()
            os.mkfifo(file)
        elif became == "gone":
            file.unlink()
        else:
            uid = os.stat(file).st_uid
            os.rename(hers, file)
            assert uid != os.stat(file).st_uid
        return real(name, at=at)

    hers = school.root / "hers"
    hers.write_text("application = 'a neighbour of theirs'\n")
    if became == "another's":
        if os.geteuid() != 0:
            pytest.skip("only root can own what is another's")
        os.chown(hers, 4999, 4999)
        hers.chmod(0o644)
        hers.rename(file.parent / "hers")
        hers = file.parent / "hers"
        monkeypatch.setattr(school, "become", lambda account: None)  # it is root who swaps here
    monkeypatch.setattr(descent, "open_file", open_file)
    told = only(seen(school.observer(), "alice"))
    assert told.source is None
    if became == "gone":
        assert (None, None) == (told.file, told.trouble)
        assert "mysite/mysite" == told.nodes[-1].path
    elif became == "a pipe":
        assert "wsgi.py changed while it was looked at" == told.trouble
    else:
        assert told.file is not None
        assert told.trouble is None
        expected = {"longer": ("size", survey.SOURCE_LIMIT + 1), "another's": ("uid", 4999)}
        field, value = expected.get(became, ("links", 2))
        assert value == getattr(told.file, field)


@pytest.mark.parametrize("more", [0, 1])
def test_a_script_is_read_up_to_its_bound(school: School, more: int) -> None:
    """64 KiB, and not the first 64 of 65."""
    school.student("alice")
    school.script("alice", text=APP + "#" * (64 * 1024 - len(APP) + more))
    told = only(seen(school.observer(), "alice"))
    assert (not more, None) == (told.source is not None, told.trouble)


def test_a_file_that_grows_while_it_is_read_is_not_half_read(
    school: School, monkeypatch: Any
) -> None:
    """Nobody judges by the first half of a text."""
    school.student("alice")
    school.script("alice")
    real = descent.read

    def read(fd: int, limit: int) -> bytes:
        assert survey.SOURCE_LIMIT + 1 == limit, "no more than tells that it is too long"
        return real(fd, limit) + b"#" * (limit - len(APP))

    monkeypatch.setattr(descent, "read", read)
    told = only(seen(school.observer(), "alice"))
    assert ("it grew while it was read", None) == (told.trouble, told.source)


@pytest.mark.parametrize(
    ("static", "published"),
    [
        ("mysite", None),
        ("mysite/mysite", None),
        ("mysite/mysite/assets", "mysite/mysite/assets"),
        ("mysite/assets", "mysite/assets"),
        ("mysi", "mysi"),
        ("absent", None),
        ("link", None),
    ],
)
def test_a_static_directory_that_contains_the_project_is_none(
    school: School, static: str, published: str | None
) -> None:
    """It would give the settings and their secret key to the world."""
    home = school.student("alice")
    school.script("alice")
    (home / "mysite/manage.py").touch()
    for path in ("mysite/mysite/assets", "mysite/assets", "mysi"):
        (home / path).mkdir()
    (home / "link").symlink_to("mysite/assets")
    (home / ".slp.toml").write_text(f'static = "{static}"\n')
    school.own("alice")
    found = only(seen(school.observer(), "alice")).links
    assert ([f"{home}/{published}"] if published else []) == [link.path for link in found]


def test_a_home_without_a_script_is_told_what_it_has_instead(school: School) -> None:
    """With the virtualenv of the Python that runs apps; and nothing once there is a script."""
    home = school.student("alice")
    (home / "api/venv/lib/python3.11/site-packages").mkdir(parents=True)
    (home / "api/venv/pyvenv.cfg").touch()
    (home / "api/main.py").write_text("from fastapi import FastAPI\napi = FastAPI()\n")
    school.own("alice")
    venv = f"{home}/api/venv"
    hint = Instead(Kind.ASGI, "api/main.py", "main", "api", "api/wsgi.py", virtualenv=venv)
    assert hint == seen(school.observer(), "alice").instead
    school.script("alice", "api/wsgi.py", "application = \n")
    assert None is seen(school.observer(), "alice").instead


# ---- what is remembered ------------------------------------------------------------------------


def settled(monkeypatch: Any) -> None:
    """Let what was changed just now count as long ago."""
    monkeypatch.setattr(observer, "_RACY_NS", -(10**12))


def test_an_unchanged_home_is_not_looked_into_again(school: School, monkeypatch: Any) -> None:
    """Until anything in it changes, or who lives there."""
    settled(monkeypatch)
    home = school.student("alice", mode=0o755)
    file = school.script("alice")
    looked: list[Interior] = []
    real = candidates.find

    def find(interior: Interior, patterns: Any) -> Any:
        looked.append(interior)
        return real(interior, patterns)

    monkeypatch.setattr(candidates, "find", find)
    looker = school.observer()
    told = look(looker, "alice")
    assert told == look(looker, "alice", told)
    assert 1 == len(looked)
    for change in (
        lambda: file.write_text(APP + "#\n"),
        (home / "new").mkdir,
        lambda: file.chmod(0o640),
        lambda: (school.etc / "group").write_text(
            "\n".join([*school.groups.values(), "class:x:4242:alice", ""])
        ),
    ):
        before = len(looked)
        change()
        looker.accounts.refresh()
        told = look(looker, "alice", told)
        assert told == look(looker, "alice", told)
        assert before + 1 == len(looked)


def test_a_home_is_remembered_a_tick_after_its_last_change(tmp_path: Path) -> None:
    """100 ms, more than any file system's clock takes for one."""
    tree = interior.Interior(os.open(tmp_path, os.O_RDONLY))
    told = Home("alice", Standing.FOUND, None, tree.home)
    for late, remembered in ((100_000_000, False), (100_000_001, True)):
        assert remembered == bool(observer._memo(told, tree, tree.newest + late))
    tree.close()


def test_of_texts_so_many_are_remembered(school: School, monkeypatch: Any) -> None:
    """One more, and they begin anew: a class cannot fill the memory."""
    assert 20_000 == observer._MAX_SOURCES
    monkeypatch.setattr(observer, "_MAX_SOURCES", 2)
    school.student("alice")
    looker = school.observer()
    for number, kept in ((1, 1), (2, 2), (3, 1), (3, 1), (2, 2)):
        school.script("alice", text=f"{APP}# {number}\n")
        assert only(seen(looker, "alice")).source
        assert kept == len(looker._sources)


def test_what_changed_just_now_is_looked_at_once_more(school: School) -> None:
    """Within a tick of the file system's clock a second change would not show."""
    school.student("alice")
    school.script("alice")
    looker = school.observer()
    told = look(looker, "alice")
    assert {} == told.memo
    school.script("alice", text=f"{APP}# another\n")
    assert told.home.scripts != look(looker, "alice", told).home.scripts


@as_root
def test_a_home_that_was_not_seen_whole_is_not_remembered(school: School, monkeypatch: Any) -> None:
    """What is closed or out of reach may be open next time, and nothing in the home shows it."""
    settled(monkeypatch)
    home = school.student("alice")
    school.script("alice")
    (home / "mysite/static").mkdir()
    school.own("alice")
    looker = school.observer()
    monkeypatch.setattr(looker._reach, "can_list_or_read", lambda *_, **__: None)
    home.chmod(0o711)
    assert {} == look(looker, "alice").memo, "what Apache cannot reach may be opened above the home"
    home.chmod(0o700)
    assert look(looker, "alice").memo
    (home / "closed").mkdir(mode=0o700)  # root's, so its student cannot read it
    assert {} == look(looker, "alice").memo


def test_what_is_left_out_is_remembered_as_left_out(school: School, monkeypatch: Any) -> None:
    """It would be left out again; to look each time is what a student could make costly for all."""
    settled(monkeypatch)
    monkeypatch.setattr(candidates, "_MAX_DIRECTORIES", 1)
    home = school.student("alice")
    for name in ("a", "b", "c"):
        (home / name).mkdir()
    school.own("alice")
    looker = school.observer()
    told = look(looker, "alice")
    assert 2 == told.home.unseen
    assert told.memo
    assert told == look(looker, "alice", told)


def test_a_script_that_goes_while_its_home_is_looked_at_is_gone(
    school: School, monkeypatch: Any
) -> None:
    """Not "unreadable", which would keep it published for as long as nobody looks again."""
    school.student("alice")
    script = school.script("alice")
    real = candidates.find

    def find(interior: Interior, patterns: Any) -> Any:
        found = real(interior, patterns)
        script.unlink()
        return found

    monkeypatch.setattr(candidates, "find", find)
    told = only(seen(school.observer(), "alice"))
    assert ("mysite/mysite/wsgi.py", None, None) == (told.path, told.file, told.trouble)
