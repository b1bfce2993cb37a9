"""Which virtualenv a script runs in: where people and their tools put one, and what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from reconciler.model import Virtualenv
from reconciler.observe import interior
from reconciler.observe.virtualenvs import levels
from tests.unit.classroom import School, as_root, only, school, seen

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

__all__ = ["school"]

SITE = "lib/python3.11/site-packages"
DEEP = '[homes]\nscripts = ["*/*/wsgi.py", "*/wsgi.py", "*/*/*/wsgi.py"]'


def make(place: Path, says: str = "", version: str = "3.11") -> None:
    """Make what of a virtualenv is looked at."""
    (place / f"lib/python{version}/site-packages").mkdir(parents=True)
    (place / "pyvenv.cfg").write_text(says)


@pytest.mark.parametrize(
    ("script", "places", "found"),
    [
        ("shop/shop/wsgi.py", ["shop/.venv", "shop/venv", ".venv"], "shop/.venv"),
        ("shop/shop/wsgi.py", ["shop/env", "venv"], "shop/env"),
        ("a/b/c/wsgi.py", ["a/b/venv", "a/.venv", ".venv"], "a/b/venv"),
        ("a/b/c/wsgi.py", ["a/.venv", ".venv"], "a/.venv"),
        ("a/b/c/wsgi.py", ["venv"], "venv"),
        ("shop/shop/wsgi.py", ["myenv"], "myenv"),
        ("shop/shop/wsgi.py", ["myenv", "otherenv"], None),
        ("shop/shop/wsgi.py", ["venv", "myenv"], "venv"),
        ("shop/shop/wsgi.py", ["deep/myenv"], None),
        ("shop/shop/wsgi.py", [".hidden"], None),
        ("ENV/shop/wsgi.py", ["ENV", "other"], "ENV"),
        ("ENV/src/shop/wsgi.py", ["ENV", "other"], "ENV"),
        ("ENV/shop/wsgi.py", ["ENV", "ENV/.venv"], "ENV/.venv"),
        ("shop/wsgi.py", [""], ""),
        ("shop/wsgi.py", [], None),
    ],
)
def test_it_is_found_beside_the_project_above_it_or_as_the_homes_only_one(
    school: School, script: str, places: list[str], found: str | None
) -> None:
    """The nearest; a directory of any name, where the home has no other."""
    home = school.student("alice")
    school.script("alice", script)
    for place in places:
        make(home / place)
    school.own("alice")
    told = only(seen(school.observer(DEEP), "alice")).virtualenv
    if found is None:
        assert told is None
    else:
        path = f"{home}/{found}".rstrip("/")
        assert Virtualenv(path, False, f"{path}/{SITE}") == told


@pytest.mark.parametrize(
    ("says", "system", "python"),
    [
        (
            "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n",
            False,
            "3.11",
        ),
        ("include-system-site-packages = true\r\nversion = 3.12.1\r\n", True, "3.12"),
        ("Include-System-Site-Packages=FALSE\nversion_info = 3.9.18.final.0\n", False, "3.9"),
        (
            "home = C:\\Python\nimplementation = CPython\nuv = 0.4\nversion_info = 3.8.1\n",
            True,
            "3.8",
        ),
        ("include-system-site-packages = yes\n", False, None),
        ("", True, None),
        ("version = three\n", True, None),
        ("version = 3.9.1 = 3.8\n", True, "3.9"),
        ("version = 3.11" + "1" * 5000, True, None),
        ("\x00\udcff\nversion = 3.10.1\n", True, "3.10"),
    ],
)
def test_what_its_file_says_is_read_by_pythons_own_rules(
    school: School, says: str, *, system: bool, python: str | None
) -> None:
    """As venv, virtualenv and uv write it; without a word, the distribution's packages are seen."""
    home = school.student("alice")
    school.script("alice")
    make(home / "venv")
    (home / "venv/pyvenv.cfg").write_bytes(os.fsencode(says))
    school.own("alice")
    told = only(seen(school.observer(), "alice")).virtualenv
    assert told is not None
    assert (system, python) == (told.system_site_packages, told.python)


@pytest.mark.parametrize("switch", [[], ["--system-site-packages"]])
def test_pythons_own_is_read(school: School, switch: list[str]) -> None:
    """What `python -m venv` makes, by the Python that runs the tests."""
    home = school.student("alice")
    school.script("alice")
    command = [sys.executable, "-m", "venv", "--without-pip", *switch, str(home / "mysite/.venv")]
    subprocess.run(command, check=True)
    school.own("alice")
    told = only(seen(school.observer(), "alice")).virtualenv
    assert told is not None
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert (bool(switch), version) == (told.system_site_packages, told.python)


def test_one_that_fits_is_taken_before_a_nearer_one_that_does_not(school: School) -> None:
    """Of those that do not, the nearest is told of, with its version."""
    home = school.student("alice")
    school.script("alice")
    make(home / "mysite/.venv", "version = 3.8.10\n", "3.8")
    make(home / "mysite/env", "version = 3.9.10\n", "3.9")
    school.own("alice")
    told = only(seen(school.observer(), "alice")).virtualenv
    assert Virtualenv(f"{home}/mysite/.venv", False, None, python="3.8") == told
    make(home / "venv")
    school.own("alice")
    told = only(seen(school.observer(), "alice")).virtualenv
    assert f"{home}/venv" == (told and told.path)


def test_a_home_with_two_has_no_only_one(school: School) -> None:
    """One beside the project counts too, though it does not fit: the other may be another's."""
    home = school.student("alice")
    school.script("alice")
    make(home / "mysite/.venv", "version = 3.8.10\n", "3.8")
    make(home / "another")
    school.own("alice")
    told = only(seen(school.observer(), "alice")).virtualenv
    assert Virtualenv(f"{home}/mysite/.venv", False, None, python="3.8") == told


def test_a_home_that_is_one_is_read_as_any_other(school: School) -> None:
    """Students make one, and go there."""
    home = school.student("alice")
    school.script("alice", "shop/wsgi.py")
    make(home, "version = 3.11.2\n")
    school.own("alice")
    told = only(seen(school.observer(DEEP), "alice")).virtualenv
    assert Virtualenv(str(home), False, f"{home}/{SITE}", python="3.11") == told


def test_one_with_an_odd_name_on_the_way_is_not_read(school: School) -> None:
    """Apache's configuration would have to quote it, so it has no packages to name there."""
    home = school.student("alice")
    school.script("alice", "my shop/shop/wsgi.py")
    make(home / "my shop/venv", "version = 3.11.2\n")
    school.own("alice")
    told = only(seen(school.observer(), "alice")).virtualenv
    assert Virtualenv(f"{home}/my shop/venv", False, None) == told


@pytest.mark.parametrize(
    ("project", "looked"),
    [
        ("", [""]),
        ("a", ["a", ""]),
        ("a/b", ["a/b", "a", ""]),
        ("a/b/c", ["a/b/c", "a/b", "a", ""]),
        ("a/b/c/d", ["a/b/c/d", "a/b/c", "a/b", ""]),
    ],
)
def test_two_levels_above_a_project_are_looked_at_and_the_home(
    project: str, looked: list[str]
) -> None:
    """Each once, the nearest first."""
    assert looked == levels(project)


def test_an_administrators_may_be_a_fifo_and_nobody_waits(school: School) -> None:
    """A path in the settings may lead into a student's home."""
    home = school.student("alice")
    school.script("alice")
    make(home / "ve", "version = 3.11.4\ninclude-system-site-packages = false\n")
    school.own("alice")
    (school.top / "ve").symlink_to(home / "ve")
    setting = f'[accounts.alice]\nvirtualenv = "{school.top}/ve"'
    told = only(seen(school.observer(setting), "alice")).virtualenv
    assert Virtualenv(f"{school.top}/ve", True, f"{school.top}/ve/{SITE}", False, "3.11") == told
    (home / "ve/pyvenv.cfg").unlink()
    os.mkfifo(home / "ve/pyvenv.cfg")
    told = only(seen(school.observer(setting), "alice")).virtualenv
    assert told is not None
    assert (True, None) == (told.system_site_packages, told.python)
    shutil.rmtree(home / "ve")
    told = only(seen(school.observer(setting), "alice")).virtualenv
    assert Virtualenv(f"{school.top}/ve", True, None) == told


@pytest.mark.parametrize("listed", [True, False])
def test_a_path_that_leads_up_is_not_read(
    school: School, monkeypatch: Any, *, listed: bool
) -> None:
    """An administrator's typing error names nobody else's; whether or not the home is small."""
    monkeypatch.setattr(interior, "_MAX_LISTED", 512 if listed else -1)
    for name in ("alice", "bob"):
        school.student(name, mode=0o755)
        school.script(name)
    make(school.root / "bob/ve", "version = 3.8\n")
    setting = '[accounts.alice]\nvirtualenv = "../bob/ve"'
    told = only(seen(school.observer(setting), "alice")).virtualenv
    assert Virtualenv(f"{school.root}/alice/../bob/ve", True, None) == told


@as_root
def test_one_whose_file_cannot_be_read_is_one(school: School) -> None:
    """It says nothing."""
    home = school.student("alice")
    school.script("alice")
    make(home / "venv", "include-system-site-packages = false\n")
    school.own("alice")
    (home / "venv/pyvenv.cfg").chmod(0)
    told = only(seen(school.observer(), "alice")).virtualenv
    assert Virtualenv(f"{home}/venv", False, f"{home}/venv/{SITE}") == told
