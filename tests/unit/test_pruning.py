"""One rule says which directories are looked into: what is found by it is watched by it, too."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from reconciler.observe.candidates import find
from reconciler.observe.interior import Interior
from reconciler.pruning import looked_into
from reconciler.watch import Wake
from tests.unit.test_watch_support import PATTERNS, listening, script, watched


@pytest.mark.parametrize("name", ["mysite", "ENV", "bin", "lib", "Static", "venv2", "etc"])
def test_a_directory_of_any_other_name_is_looked_into(name: str) -> None:
    """Also one that programs could have made, where no virtualenv is."""
    assert looked_into(name, in_virtualenv=False)


@pytest.mark.parametrize(
    "name",
    [
        ".git", ".venv", "venv", "env", "virtualenv", "__pycache__", "node_modules",
        "site-packages", "static", "media", "migrations", "templates", "locale",
    ],
)  # fmt: skip
def test_what_programs_make_and_what_is_served_as_it_is_are_not(name: str) -> None:
    """Thousands of directories, none of which a student put a script in."""
    assert not looked_into(name, in_virtualenv=False)
    assert not looked_into(name, in_virtualenv=True)


@pytest.mark.parametrize("name", ["bin", "include", "lib", "lib64", "share", "etc"])
def test_beside_pyvenv_cfg_the_virtualenvs_own_parts_are_not(name: str) -> None:
    """And what else is there is: a project inside its virtualenv."""
    assert not looked_into(name, in_virtualenv=True)
    assert looked_into("mysite", in_virtualenv=True)


@pytest.mark.parametrize(
    "place", ["ENV/wsgi.py", "ENV/mysite/wsgi.py", "mysite/ENV/wsgi.py", "mysite/mysite/wsgi.py"]
)
def test_a_project_in_a_virtualenv_of_another_name_is_found_and_wakes(
    tmp_path: Path, place: str
) -> None:
    """`virtualenv ENV; cd ENV; django-admin startproject mysite .` was served and never watched."""
    script(tmp_path / "ann" / place)
    for home in ("ann", "ann/ENV"):
        (tmp_path / home).mkdir(exist_ok=True)
        (tmp_path / home / "pyvenv.cfg").touch()
        (tmp_path / home / "lib").mkdir()
    assert [place] == _found(tmp_path / "ann")
    with listening(tmp_path) as ear:
        assert Wake(accounts=frozenset({"ann"})) == ear.after(
            lambda: script(tmp_path / "ann" / place, "application = 2\n")
        )
        assert not {"ann/lib", "ann/ENV/lib"} & watched(tmp_path)


NAMES = ("mysite", "ENV", "venv", "env", ".venv", "bin", "lib", "static", "media", "node_modules")
paths = some.lists(some.sampled_from(NAMES), min_size=0, max_size=3).map("/".join)
files = some.tuples(paths, some.sampled_from(["wsgi.py", "wsgi.py", "pyvenv.cfg", "manage.py"]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=some.lists(files, max_size=8), since=some.lists(files, max_size=8))
def test_what_would_be_found_is_watched(
    before: list[tuple[str, str]], since: list[tuple[str, str]]
) -> None:
    """In any home, whether it was there when the watching began or has been made since."""
    root = Path(os.path.realpath(tempfile.mkdtemp()))
    try:
        _make(root / "ann", [("", "manage.py"), *before])
        with listening(root) as ear:
            ear.after(lambda: _make(root / "ann", since))
            found = _found(root / "ann")
            assert {f"ann/{os.path.dirname(path)}" for path in found} <= watched(root)
            there = [d for d, name in before + since if name == "wsgi.py" and d.count("/") < 2]
            if {"mysite", "ENV/mysite"} & set(there):
                assert found  # the property is not empty
    finally:
        shutil.rmtree(root)


def _make(home: Path, files: list[tuple[str, str]]) -> None:
    for directory, name in files:
        (home / directory).mkdir(parents=True, exist_ok=True)
        (home / directory / name).touch()


def _found(home: Path) -> list[str]:
    tree = Interior(os.open(home, os.O_RDONLY | os.O_DIRECTORY))
    try:
        return find(tree, PATTERNS).paths
    finally:
        tree.close()
