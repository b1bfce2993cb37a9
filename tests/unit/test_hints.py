"""A home without a script: what it is told, and that what it is told to do serves it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.decide.verdict import Context, judge
from reconciler.model import Instead, Kind, State, Verdict
from reconciler.observe import candidates, hints, observer
from reconciler.observe.interior import Interior
from reconciler.observe.interpreter import Interpreter
from reconciler.observe.virtualenvs import Virtualenvs
from reconciler.settings import Settings
from tests.unit.classroom import School, as_root, look, school, seen

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

__all__ = ["school"]

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "{}")\n'
FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FACTORY = "from flask import Flask\ndef create_app(config=None):\n    return Flask(__name__)\n"
FASTAPI = "from fastapi import FastAPI\napi: FastAPI = FastAPI(title='x')\n"
Tree = dict[str, str]


def told(school: School, tree: Tree) -> Verdict:
    """Return the verdict on alice's home, once these files are in it."""
    home = school.root / "alice"
    if "alice" not in school.rows:
        school.student("alice")
    for path, text in tree.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text)
    school.own("alice")
    found = seen(school.observer(), "alice")
    context = Context(school.observers[-1]._settings, 100.0, 0.0, "3.11", None, None)
    verdict = judge(found, context)
    assert verdict is not None
    return verdict


def paste(school: School, command: str) -> None:
    """Run a command as the student would, where pip and python install nothing."""
    home, programs = school.root / "alice", school.top / "bin"
    programs.mkdir(exist_ok=True)
    python = programs / "python3.11"
    python.write_text('#!/bin/sh\nmkdir -p "$4/bin"; ln -s /bin/true "$4/bin/pip"\n')
    python.chmod(0o755)
    environment = {"HOME": str(home), "PATH": f"{programs}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-ec", command],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr), command


@pytest.mark.parametrize(
    ("tree", "script", "project", "says"),
    [
        ({"shop/app.py": FLASK}, "shop/wsgi.py", "shop", "from app import app as application"),
        ({"shop/app.py": "from flaskr import create_app\n\napp = create_app()\n"}, "shop/wsgi.py",
         "shop", "from app import app as application"),
        ({"shop/main.py": FACTORY}, "shop/wsgi.py", "shop", "application = create_app()"),
        ({"shop/src/app.py": FLASK}, "shop/src/web/wsgi.py", "shop/src", "from app import app as"),
        ({"tutorial/flaskr/__init__.py": FACTORY}, "tutorial/wsgi.py", "tutorial",
         "from flaskr import create_app"),
        ({"blog/app/__init__.py": FLASK, "blog/blog.py": "from app import app\n"}, "blog/wsgi.py",
         "blog", "from app import app as application"),
        ({"api/main.py": FASTAPI}, "api/wsgi.py", "api", "application = ASGIMiddleware(api)"),
        ({"shop/manage.py": MANAGE.format("shop.settings"), "shop/shop/settings.py": ""},
         "shop/shop/wsgi.py", "shop", '"shop.settings"'),
        ({"shop/manage.py": MANAGE.format("config.settings.local"), "shop/config/urls.py": ""},
         "shop/config/wsgi.py", "shop", '"config.settings.local"'),
        ({"shop/manage.py": MANAGE.format("settings"), "shop/settings.py": ""}, "shop/wsgi.py",
         "shop", '"settings"'),
        ({"manage.py": MANAGE.format("shop.settings"), "shop/settings.py": ""}, "shop/wsgi.py", "",
         '"shop.settings"'),
        ({"shop/shop/asgi.py": MANAGE.format("shop.settings")}, "shop/shop/wsgi.py", "shop",
         '"shop.settings"'),
        ({"shop/shop/asgi.py": MANAGE.format("shop.settings"), "shop/shop/shop/urls.py": ""},
         "shop/shop/wsgi.py", "shop", '"shop.settings"'),
        ({"a/b/flaskr/__init__.py": FLASK}, "a/b/web/wsgi.py", "a/b", "from flaskr import app as"),
        ({"a/b/app.py": FLASK, "z/main.py": FLASK}, "z/wsgi.py", "z", "from main import app as"),
        ({"shop/manage.py": FLASK}, "shop/wsgi.py", "shop", "from manage import app as"),
    ],
)  # fmt: skip
def test_a_project_without_a_script_is_told_the_file_which_then_serves_it(
    school: School, tree: Tree, script: str, project: str, says: str
) -> None:
    """Its text has the names that the project has, and lies where they can be imported."""
    verdict = told(school, tree)
    (warning,) = verdict.warnings
    assert (State.EMPTY, "no-script") == (verdict.state, warning.code)
    assert warning.advice
    paste(school, warning.command)
    text = (school.root / "alice" / script).read_text()
    assert says in text
    compile(text, script, "exec")
    served = told(school, {})
    assert (State.SERVED, ()) == (served.state, served.warnings)
    assert served.app is not None
    assert f"{school.root}/alice/{script}" == served.app.script
    assert f"{school.root}/alice/{project}".rstrip("/") == served.app.project


def test_a_project_in_the_home_itself_is_told_to_move_and_then_what_to_write(
    school: School,
) -> None:
    """A script right in the home is none: two steps, each by its own line."""
    (first,) = told(school, {"app.py": FLASK}).warnings
    assert ("no-script", "mkdir -p ~/site && mv -- ~/app.py ~/site/") == (first.code, first.command)
    paste(school, first.command)
    (second,) = told(school, {}).warnings
    paste(school, second.command)
    assert State.SERVED == told(school, {}).state


@pytest.mark.parametrize(
    ("tree", "name"),
    [
        ({"manage.py": MANAGE.format("settings"), "settings.py": ""}, "manage.py"),
        ({"asgi.py": FASTAPI}, "asgi.py"),
    ],
)
def test_a_script_in_the_home_itself_would_be_none(school: School, tree: Tree, name: str) -> None:
    """Whatever the project is of, it is to move first."""
    (warning,) = told(school, tree).warnings
    assert ("no-script", f"mkdir -p ~/site && mv -- ~/{name} ~/site/") == (
        warning.code,
        warning.command,
    )


def test_sixteen_files_are_read_for_an_app(school: School) -> None:
    """So that a home of homework costs little."""
    home = school.student("alice")
    for number in range(17):
        (home / f"h{number:02}").mkdir()
        (home / f"h{number:02}/main.py").write_text("print()\n")
    school.own("alice")
    assert () == told(school, {"h16/main.py": FLASK}).warnings
    assert told(school, {"h15/main.py": FLASK}).warnings


def test_an_adapter_goes_into_the_virtualenv_that_serves_the_app(school: School) -> None:
    """The one that is there; where none is, one is made beside the project."""
    (warning,) = told(school, {"api/main.py": FASTAPI}).warnings
    assert warning.command.startswith("python3.11 -m venv --system-site-packages ~/api/.venv && ")
    (school.root / "alice/api/venv/lib/python3.11/site-packages").mkdir(parents=True)
    (warning,) = told(school, {"api/venv/pyvenv.cfg": ""}).warnings
    assert warning.command.startswith("~/api/venv/bin/pip install a2wsgi && ")


def test_an_adapter_goes_into_the_one_beside_the_app(school: School) -> None:
    """However deep in the repository the app lies."""
    place = school.student("alice") / "api/src/venv"
    (place / "lib/python3.11/site-packages").mkdir(parents=True)
    (warning,) = told(school, {"api/src/main.py": FASTAPI, "api/src/venv/pyvenv.cfg": ""}).warnings
    assert warning.command.startswith("~/api/src/venv/bin/pip install a2wsgi && ")


def test_a_script_that_lies_too_deep_is_named_with_the_line_that_serves_it(school: School) -> None:
    """One level deeper than is looked; it comes before what else the home has."""
    verdict = told(school, {"a/b/c/lib/wsgi.py": "application = 1\n", "a/app.py": FLASK})
    (warning,) = verdict.warnings
    assert (State.EMPTY, "too-deep") == (verdict.state, warning.code)
    assert "~/a/b/c/lib/wsgi.py" in warning.message
    paste(school, warning.command)
    served = told(school, {})
    assert State.SERVED == served.state
    assert served.app is not None
    assert f"{school.root}/alice/a/b/c/lib/wsgi.py" == served.app.script


@pytest.mark.parametrize(
    "tree",
    [
        {"a/b/c/d/e/wsgi.py": "application = 1\n"},
        {"a/b/c/static/wsgi.py": "application = 1\n"},
        {"a/b/c/.git/wsgi.py": "application = 1\n"},
        {"a/b/c/lib/wsgi.py": "application = 1\n", "a/b/c/pyvenv.cfg": ""},
        {"__init__.py": FLASK},
        {"homework/main.py": "print('hello')\n"},
        {"homework/app.py": "def app():\n    app = Flask()\n"},
        {"homework/app.py": "# app = Flask(__name__)\n"},
        {"shop/manage.py": "print('x')\n"},
        {"shop/app.py": FLASK + "#" * 65536},
        {"notes.txt": "app = Flask(__name__)"},
        {},
    ],
)  # fmt: skip
def test_what_is_no_app_is_not_told_of(school: School, tree: Tree) -> None:
    """A file of homework that is called so makes no noise; two levels deeper nobody looks."""
    verdict = told(school, tree)
    assert (State.EMPTY, ()) == (verdict.state, verdict.warnings)


def test_a_home_with_a_script_has_no_hint(school: School) -> None:
    """Served or not: what is wrong with the one that is there comes first."""
    broken = told(school, {"shop/wsgi.py": "application = \n", "shop/app.py": FLASK})
    assert (State.REJECTED, ()) == (broken.state, broken.warnings)
    assert None is seen(school.observer(), "alice").instead


def test_sixty_four_directories_are_read_deeper_and_so_many_asked(
    school: School, monkeypatch: Any
) -> None:
    """So that a home of thousands costs little more than it did."""
    home = school.student("alice")
    for number in range(70):
        (home / f"a/b/c{number:02}/d").mkdir(parents=True)
    (home / "a/b/c63/d/wsgi.py").touch()
    school.own("alice")
    assert (
        Instead(Kind.DEEP, "a/b/c63/d/wsgi.py", script="a/b/c63/d/wsgi.py")
        == seen(school.observer(), "alice").instead
    )
    (home / "a/b/c63/d/wsgi.py").rename(home / "a/b/c64/d/wsgi.py")
    assert None is seen(school.observer(), "alice").instead
    for number in range(300):
        (home / f"a/b/c00/d{number:03}").mkdir()
    (home / "a/b/c00/d254/wsgi.py").touch()
    school.own("alice")
    told_of = seen(school.observer(), "alice").instead
    assert "a/b/c00/d254/wsgi.py" == (told_of and told_of.path)
    (home / "a/b/c00/d254/wsgi.py").rename(home / "a/b/c00/d255/wsgi.py")
    assert None is seen(school.observer(), "alice").instead


def test_what_has_changed_is_told_anew_and_nothing_else_is_looked_for(
    school: School, monkeypatch: Any
) -> None:
    """A hint is remembered with the files that it is of."""
    monkeypatch.setattr(observer, "_RACY_NS", -(10**12))
    home = school.student("alice")
    (home / "shop").mkdir()
    (home / "shop/app.py").write_text(FLASK)
    school.own("alice")
    looker = school.observer()
    first = look(looker, "alice")
    assert first.home.instead is not None
    assert look(looker, "alice", first).home is first.home
    (home / "shop/app.py").write_text(FLASK.replace("app =", "site ="))
    second = look(looker, "alice", first)
    assert "site" == (second.home.instead and second.home.instead.name)


@as_root
@pytest.mark.parametrize("closed", ["a/app.py", "a/b/c/d"])
def test_what_cannot_be_read_is_no_fault_of_the_homes(
    school: School, monkeypatch: Any, closed: str
) -> None:
    """It is empty, as before; and is looked at again."""
    monkeypatch.setattr(observer, "_RACY_NS", -(10**12))
    home = school.student("alice")
    (home / "a/b/c/d").mkdir(parents=True)
    (home / "a/app.py").write_text(FLASK)
    school.own("alice")
    (home / closed).chmod(0)
    found = look(school.observer(), "alice")
    assert (None, None, {}) == (found.home.trouble, found.home.instead, found.memo)


WORDS = st.sampled_from(
    ["app", "=", " = ", "Flask(", "FastAPI(", "\n", "def create_app(", "DJANGO_SETTINGS_MODULE",
     '", "', "..", "a.b", "'", '"', "$(x)", ";", "\0", "\u00e9", ":", " ", "__name__", ")"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, max_size=20).map("".join), st.sampled_from(hints._NAMES))
def test_whatever_a_file_says_no_more_than_names_are_taken(text: str, name: str) -> None:
    """Of letters, digits, `_` and dots: nothing that a shell or a printf has a meaning for."""
    found = hints._APP.search(text.encode()) or hints._FACTORY.search(text.encode())
    names = [found[1].decode()] if found else []
    module = hints.module_named(text.encode())
    for each in [*names, *([module] if module else [])]:
        assert each.replace(".", "_").isidentifier()
        assert each.isascii()
    assert name


def test_a_script_of_another_name_is_what_is_looked_for(tmp_path: Path) -> None:
    """As the first pattern has it."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/app.py").write_text(FLASK)
    home = Interior(os.open(tmp_path, os.O_RDONLY))
    found = candidates.find(home, ["*/run.py"])
    told_of = hints.look(
        home, found, ["*/run.py"], Virtualenvs(home, "/h", Interpreter("", "3.11"))
    )
    home.close()
    assert "shop/run.py" == (told_of and told_of.script)


def test_settings_name_where_scripts_are_looked_for() -> None:
    """At depth three: a repository with the project in a folder."""
    assert ["*/*/wsgi.py", "*/wsgi.py", "*/*/*/wsgi.py"] == Settings().homes.scripts
