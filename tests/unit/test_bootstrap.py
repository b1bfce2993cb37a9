"""What `app.wsgi` does with a student's script: theirs to the last line, and patient."""

from __future__ import annotations

import ast
import json
import os
import runpy
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import App, Run
from reconciler.publish.runner import Runner
from reconciler.publish.sets import Sets, bootstrap

REPORT = """\
import os, runpy, sys
sys.path.insert(0, "/")  # as mod_wsgi does with a daemon's `home=/`
found = runpy.run_path(sys.argv[1])
print(found["__file__"], found["mark"], sys.path[0], sep="|")
"""


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, Path]:
    """Return the set's `app.wsgi` and the script that it is to run, which is not there."""
    script = tmp_path / "home/site/pkg/wsgi.py"
    script.parent.mkdir(parents=True)
    chosen = tmp_path / "sets/1"
    chosen.mkdir(parents=True)
    (chosen / "app.wsgi").write_bytes(bootstrap())
    runner = Runner(str(tmp_path))
    runner.prepare()
    said = {
        "account": "alice",
        "script": str(script),
        "project": str(tmp_path / "home/site"),
        "site_packages": None,
        "virtualenv": None,
        "system_site_packages": True,
        "run": {**msgspec.to_builtins(Run()), "runner": runner.path},
    }
    (chosen / "app.json").write_text(json.dumps(said))
    (tmp_path / "alice").symlink_to(chosen)
    return tmp_path / "alice/app.wsgi", script


def load(wsgi: Path, report: str = REPORT) -> subprocess.CompletedProcess[str]:
    """Load it as mod_wsgi does, in a fresh interpreter, with little in its environment."""
    command = [sys.executable, "-c", report, str(wsgi)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=30, cwd="/", env={}
    )


def test_it_ends_as_the_students_own_script(published: tuple[Path, Path]) -> None:
    """`__file__` and `application` are theirs, and the project comes first on the path."""
    wsgi, script = published
    script.write_text("application, mark = print, 'theirs'\n")
    assert f"{script}|theirs|{script.parents[1]}\n" == load(wsgi).stdout


@pytest.mark.parametrize("meanwhile", [None, b"", b"BODY = 1\ndef appli", b"\xff application"])
def test_it_waits_for_a_save_that_is_under_way(
    published: tuple[Path, Path], meanwhile: bytes | None
) -> None:
    """Missing, empty, half-written: whoever asked just then has no 500, but waits a moment."""
    wsgi, script = published
    if meanwhile is not None:
        script.write_bytes(meanwhile)

    def save() -> None:
        time.sleep(0.3)
        (script.parent / "new").write_text("application, mark = print, 'saved'\n")
        (script.parent / "new").rename(script)

    editor = threading.Thread(target=save)
    editor.start()
    done = load(wsgi)
    editor.join()
    assert f"{script}|saved|{script.parents[1]}\n" == done.stdout, done.stderr


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state directory for many sets."""
    found = tmp_path_factory.mktemp("state")
    Sets(str(found)).prepare()
    return found


@given(
    name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), max_size=60)
)
def test_it_takes_every_path_as_it_was_written(state: Path, name: str) -> None:
    """It reads JSON as an expression of Python's: whatever a path holds, both mean the same."""
    app = App("alice", 1, 1, "/w.py", f"/_{name}", "/", (), None, None, (1, 2, 3))
    Sets(str(state)).publish(app)
    found: list[dict[str, Any]] = []
    runner = SimpleNamespace(start=lambda said, namespace: found.append(said))
    with mock.patch.dict(sys.modules, slp_runner=runner):
        runpy.run_path(f"{state}/apps/alice/app.wsgi")
    text = Path(f"{state}/apps/alice/app.json").read_bytes()
    chosen = os.path.basename(os.readlink(f"{state}/apps/alice"))
    assert [json.loads(text) | {"set": chosen}] == found


SHELL = """\
import os
application = print
mark = "|".join([
    os.getcwd(), os.environ["USER"], os.environ["LOGNAME"],
    os.environ.get("VIRTUAL_ENV", "none"), os.environ.get("PATH", "none"), sys.executable,
    "/" if "/" in sys.path else "no root",
])
"""
"""Says what a shell would have."""


def test_it_is_where_and_who_a_shell_in_the_project_would_be(published: tuple[Path, Path]) -> None:
    """Relative paths work as under `runserver`; the root is no place to import from."""
    wsgi, script = published
    script.write_text("import sys\n" + SHELL)
    project = script.parents[1]
    wanted = f"{project}|alice|alice|none|none|{sys.executable}|no root"
    assert wanted == load(wsgi).stdout.split("|", 1)[1].rsplit("|", 1)[0]


def test_it_is_what_a_shell_in_the_activated_virtualenv_would_be(
    published: tuple[Path, Path],
) -> None:
    """Its Python and its programs come first, for whatever the app itself starts."""
    wsgi, script = published
    script.write_text("import sys\n" + SHELL)
    project = script.parents[1]
    venv = project / ".venv"
    (packages := venv / "lib/python3/site-packages").mkdir(parents=True)
    said = json.loads(wsgi.with_name("app.json").read_text())
    said |= {"virtualenv": str(venv), "site_packages": str(packages)}
    wsgi.with_name("app.json").write_text(json.dumps(said))
    told = load(wsgi).stdout.split("|", 1)[1].rsplit("|", 1)[0]
    programs = f"{venv}/bin:{os.defpath}|{venv}/bin/python"
    assert f"{project}|alice|alice|{venv}|{programs}|no root" == told


def test_it_imports_nothing_of_pythons_that_is_not_loaded(published: tuple[Path, Path]) -> None:
    """An app's first answer waits for each: `json` alone took 6 of its 12 ms."""
    wsgi, script = published
    script.write_text("application, mark = print, 'theirs'\n")
    report = """\
import os, site, sys, time
before = set(sys.modules)
with open(sys.argv[1]) as stream:
    exec(compile(stream.read(), sys.argv[1], "exec"), {"__file__": sys.argv[1]})
new = set(sys.modules) - before
print(sorted(name for name in new if hasattr(sys.modules[name], "__file__")))
"""
    found = ast.literal_eval(load(wsgi, report).stdout)
    assert "slp_runner.process" in found
    assert [] == [name for name in found if not name.startswith(("slp_runner", "_"))]


def test_what_stays_broken_is_told_by_file_and_line(published: tuple[Path, Path]) -> None:
    """The error log names the student's own file, as it would without us."""
    wsgi, script = published
    script.write_text("application = 1\nimport this is wrong\n")
    assert f'File "{script}", line 2' in load(wsgi).stderr
    script.write_text("application = 1\n1 / 0\n")
    stderr = load(wsgi).stderr
    assert f'File "{script}", line 2, in <module>' in stderr
    assert "ZeroDivisionError" in stderr


@pytest.mark.parametrize("seen", [True, False])
def test_a_virtualenv_made_without_the_distributions_packages_hides_them(
    published: tuple[Path, Path], seen: bool
) -> None:
    """As its own Python does; otherwise an app works here with what `pip freeze` does not name."""
    wsgi, script = published
    script.write_text(
        "import site, sys\napplication, mark = print, any(e in sys.path for e in PACKAGES)\n"
    )
    script.write_text("PACKAGES = __import__('site').getsitepackages()\n" + script.read_text())
    said = json.loads(wsgi.with_name("app.json").read_text())
    wsgi.with_name("app.json").write_text(json.dumps(said | {"system_site_packages": seen}))
    assert f"|{seen}|" in load(wsgi).stdout
