"""What belongs to a script: its project, its static files, its virtualenv, its owner's wishes."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from reconciler.model import Virtualenv
from reconciler.observe.interior import Interior
from reconciler.observe.links import Links
from reconciler.observe.projects import read_wishes
from reconciler.observe.source import Roots
from tests.unit.classroom import School, only, school, seen
from tests.unit.facts import ALICE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["school"]

SITE = "lib/python3.11/site-packages"


def virtualenv(place: Path, version: str = "3.11") -> None:
    """Make what of a virtualenv is looked at."""
    (place / f"lib/python{version}/site-packages").mkdir(parents=True)
    (place / "pyvenv.cfg").touch()


@pytest.mark.parametrize(
    ("script", "manage", "project"),
    [
        ("shop/shop/wsgi.py", "shop", "shop"),
        ("shop/shop/wsgi.py", "shop/shop", "shop/shop"),
        ("shop/shop/wsgi.py", None, "shop"),
        ("shop/wsgi.py", None, "shop"),
        ("shop/wsgi.py", "shop", "shop"),
        ("shop/wsgi.py", "", ""),
        ("a/b/c/wsgi.py", None, "a/b"),
    ],
)
def test_a_project_is_where_manage_py_is(
    school: School, script: str, manage: str | None, project: str
) -> None:
    """Else the package's parent for a script at depth two, and the package at depth one."""
    home = school.student("alice")
    school.script("alice", script)
    if manage is not None:
        (home / manage / "manage.py").touch()
    (home / project / "static").mkdir()
    school.own("alice")
    patterns = '[homes]\nscripts = ["*/wsgi.py", "*/*/wsgi.py", "*/*/*/wsgi.py"]'
    told = only(seen(school.observer(patterns), "alice"))
    assert (project, script.rpartition("/")[0]) == (told.project, told.package)
    place = f"{home}/{project}/static" if project else f"{home}/static"
    assert [("static", place)] == [(link.name, link.path) for link in told.links]


def test_an_odd_name_on_the_way_has_no_static_directory(school: School) -> None:
    """Apache's configuration would have to quote it."""
    home = school.student("alice")
    school.script("alice", "my shop/wsgi.py")
    (home / "my shop/static").mkdir()
    school.own("alice")
    assert () == only(seen(school.observer(), "alice")).links


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (["shop/.venv", "venv"], "shop/.venv"),
        (["venv"], "venv"),
        (["shop/env", "shop/virtualenv"], "shop/env"),
        ([], None),
    ],
)
def test_a_virtualenv_is_looked_for_beside_the_project_and_then_in_the_home(
    school: School, places: list[str], found: str | None
) -> None:
    """By its usual names."""
    home = school.student("alice")
    school.script("alice", "shop/shop/wsgi.py")
    for place in places:
        virtualenv(home / place)
    (home / "shop/venv").mkdir(exist_ok=True)  # no virtualenv: it has no pyvenv.cfg
    school.own("alice")
    path = found and f"{home}/{found}"
    expected = path and Virtualenv(path, chosen=False, site_packages=f"{path}/{SITE}")
    assert expected == only(seen(school.observer(), "alice")).virtualenv


def test_one_for_another_python_is_told_where_there_is_no_other(school: School) -> None:
    """The one that fits is taken before it."""
    home = school.student("alice")
    school.script("alice", "shop/shop/wsgi.py")
    virtualenv(home / "shop/.venv", "3.8")
    virtualenv(home / "shop/env", "3.9")
    school.own("alice")
    told = only(seen(school.observer(), "alice")).virtualenv
    assert Virtualenv(f"{home}/shop/.venv", chosen=False, site_packages=None) == told
    virtualenv(home / "venv")
    school.own("alice")
    told = only(seen(school.observer(), "alice")).virtualenv
    assert Virtualenv(f"{home}/venv", False, f"{home}/venv/{SITE}") == told


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("whose", ["student", "administrator"])
def test_a_virtualenv_that_somebody_names_is_the_only_one(
    school: School, whose: str, *, there: bool
) -> None:
    """The student's is below the home, the administrator's anywhere; of a wish both are read."""
    home = school.student("alice")
    school.script("alice", "shop/shop/wsgi.py")
    virtualenv(home / "venv")
    place = home / "ve" if whose == "student" else school.top / "ve"
    if there:
        virtualenv(place)
    (home / "assets").mkdir()
    text = 'script = "shop/shop/wsgi.py"\nstatic = "assets"\n'
    (home / ".slp.toml").write_text(text + 'virtualenv = "ve"\n' * (whose == "student"))
    school.own("alice")
    looker = school.observer(
        f'[accounts.alice]\nvirtualenv = "{place}"' if whose == "administrator" else ""
    )
    told = only(seen(looker, "alice"))
    assert Virtualenv(str(place), True, f"{place}/{SITE}" if there else None) == told.virtualenv
    assert [f"{home}/assets"] == [link.path for link in told.links]


def test_a_wish_is_told_with_the_file_that_it_stands_in(school: School) -> None:
    """Also one that cannot be followed: who owns the file decides whether that is said."""
    home = school.student("alice")
    (home / ".slp.toml").write_text('script = "wsgi.py"\n')
    school.own("alice")
    wishes = seen(school.observer(), "alice").wishes
    assert ["", ".slp.toml"] == [node.path for node in wishes.nodes]
    assert wishes.fault is not None
    why = "script is to be in a directory below the home, such as mysite/mysite/wsgi.py"
    assert (1, why) == (wishes.fault.line, wishes.fault.message)
    (home / ".slp.toml").write_text('script = "shop/wsgi.py"\nenabled = false\n')
    wishes = seen(school.observer(), "alice").wishes
    assert not wishes.enabled
    assert ["", ".slp.toml"] == [node.path for node in wishes.nodes]
    assert ("shop/wsgi.py", None, None) == (wishes.script, wishes.static, wishes.fault)
    assert os.stat(home / ".slp.toml").st_ino == wishes.nodes[1].inode


@pytest.mark.parametrize("project", ["Xshop", "X/X"])
def test_static_files_are_looked_for_below_the_project(school: School, project: str) -> None:
    """Whatever it is called."""
    home = school.student("alice")
    school.script("alice", f"{project}/shop/wsgi.py")
    (home / project / "static").mkdir()
    school.own("alice")
    patterns = '[homes]\nscripts = ["*/*/wsgi.py", "*/*/*/wsgi.py"]'
    told = only(seen(school.observer(patterns), "alice")).links
    assert [f"{home}/{project}/static"] == [link.path for link in told]


def test_of_two_manage_py_the_outer_one_counts(school: School) -> None:
    """It is the one that `django-admin startproject` made."""
    home = school.student("alice")
    school.script("alice", "shop/shop/wsgi.py")
    for place in ("shop", "shop/shop"):
        (home / place / "manage.py").touch()
    school.own("alice")
    assert "shop" == only(seen(school.observer(), "alice")).project


@pytest.mark.parametrize("static", ["./assets", "mysite/../assets", "mysite/..", "assets/."])
def test_a_path_that_is_not_plain_is_no_static_directory(tmp_path: Path, static: str) -> None:
    """Whoever names it: `..` would lead out of what is looked at by descriptor."""
    for place in ("mysite/mysite", "assets"):
        (tmp_path / place).mkdir(parents=True)
    with contextlib.closing(Interior(os.open(tmp_path, os.O_RDONLY))) as home:
        finder = Links(home, "/h", "/django/h", "mysite", "mysite/mysite", None, Roots())
        assert () == finder.find(static)
        assert ["/h/assets"] == [link.path for link in finder.find("assets")]


@pytest.mark.parametrize(
    ("text", "code", "line", "message"),
    [
        ("\n\n# \udcff\n\n\n", "encoding", 3, "line 3 is not UTF-8"),
        ("static = \nx = 1\ny = 2\n", "syntax-error", 1, "Invalid value (at line 1, column 10)"),
        ('\nstatic = "', "syntax-error", 2, "Unterminated string (at end of document)"),
        ("x = " + "[" * 4000, "syntax-error", 1, "too deeply nested"),
        ("\nx = " + "1" * 5000, "syntax-error", 1, "Exceeds the limit (4300 digits)"),
        (f"\n{'k' * 300} = 1", "syntax-error", 2, f"'{'k' * 199}"),
    ],
)
def test_a_fault_in_a_wish_is_told_in_words(
    tmp_path: Path, text: str, code: str, line: int, message: str
) -> None:
    """With the file that it stands in, so that it is known whose it is; in 200 characters."""
    (tmp_path / ".slp.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with contextlib.closing(Interior(os.open(tmp_path, os.O_RDONLY))) as home:
        told = read_wishes(home, replace(ALICE, uid=os.getuid()))
    assert told.fault is not None
    assert ["", ".slp.toml"] == [node.path for node in told.nodes]
    assert (code, line) == (told.fault.code, told.fault.line)
    assert told.fault.message.startswith(message)
    assert 200 >= len(told.fault.message)


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (["a/b", "a", ""], "a/b/requirements.txt"),
        (["a", ""], "a/requirements.txt"),
        ([""], "requirements.txt"),
        (["a/b/c"], None),
    ],
)
def test_a_list_of_packages_is_the_projects_or_the_repositorys(
    school: School, places: list[str], found: str | None
) -> None:
    """The nearest one above the script."""
    home = school.student("alice")
    school.script("alice", "a/b/c/wsgi.py")
    for place in places:
        (home / place / "requirements.txt").touch()
    school.own("alice")
    patterns = '[homes]\nscripts = ["*/*/*/wsgi.py"]'
    assert found == only(seen(school.observer(patterns), "alice")).requirements


def test_settings_beside_the_package_are_never_served(school: School) -> None:
    """The directory that they lie in is the project's own text, whoever calls it static."""
    home = school.student("alice", mode=0o755)
    school.script("alice", "shop/web/wsgi.py", "DJANGO_SETTINGS_MODULE' = 'config.settings'\n")
    (home / "shop/manage.py").touch()
    for place in ("config", "public", "web/config"):
        (home / "shop" / place).mkdir()
    # Of the same name, and not what the project's own directory is asked for first.
    (home / "shop/web/config/settings.py").write_text("STATIC_ROOT = 'other'\n")
    text = (
        "import os\nTOP = os.path.dirname(os.path.dirname(__file__))\nSTATIC_ROOT = TOP + '/{}'\n"
    )
    for name, links in (("config", []), ("public", [f"{home}/shop/public"])):
        (home / "shop/config/settings.py").write_text(text.format(name))
        school.own("alice")
        told = only(seen(school.observer(), "alice"))
        assert ("shop/config/settings.py", f"shop/{name}") == (told.settings, told.static_root)
        assert links == [link.path for link in told.links]


@pytest.mark.parametrize(
    ("text", "enabled"),
    [("", True), ("enabled = true\n", True), ("enabled = false\n", False)],
)
def test_a_student_may_switch_their_app_off(school: School, text: str, *, enabled: bool) -> None:
    """By a word in `~/.slp.toml`; without one it is on."""
    (school.student("alice") / ".slp.toml").write_text(text)
    school.own("alice")
    assert enabled is seen(school.observer(), "alice").wishes.enabled


def test_a_switch_in_quotes_is_a_fault(school: School) -> None:
    """Any text would be true."""
    (school.student("alice") / ".slp.toml").write_text('\nenabled = "false"\n')
    school.own("alice")
    fault = seen(school.observer(), "alice").wishes.fault
    assert fault is not None
    expected = (2, "enabled is to be true or false, without quotes")
    assert expected == (fault.line, fault.message)
