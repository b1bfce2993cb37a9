"""What `app.wsgi` does with a student's script: theirs to the last line, and patient."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import App
from reconciler.publish.sets import Sets, bootstrap

REPORT = """\
import runpy, sys
found = runpy.run_path(sys.argv[1])
print(found["__file__"], found["application"], sys.path[0], sep="|")
"""


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, Path]:
    """Return the set's `app.wsgi` and the script that it is to run, which is not there."""
    script = tmp_path / "home/site/pkg/wsgi.py"
    script.parent.mkdir(parents=True)
    chosen = tmp_path / "sets/1"
    chosen.mkdir(parents=True)
    (chosen / "app.wsgi").write_bytes(bootstrap())
    project = str(tmp_path / "home/site")
    said = {"script": str(script), "project": project, "site_packages": None, "virtualenv": None}
    (chosen / "app.json").write_text(json.dumps(said))
    (tmp_path / "alice").symlink_to(chosen)
    return tmp_path / "alice/app.wsgi", script


def load(wsgi: Path) -> subprocess.CompletedProcess[str]:
    """Load it as mod_wsgi does, in a fresh interpreter."""
    command = [sys.executable, "-c", REPORT, str(wsgi)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_it_ends_as_the_students_own_script(published: tuple[Path, Path]) -> None:
    """`__file__` and `application` are theirs, and the project comes first on the path."""
    wsgi, script = published
    script.write_text("application = 'theirs'\n")
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
        (script.parent / "new").write_text("application = 'saved'\n")
        (script.parent / "new").rename(script)

    editor = threading.Thread(target=save)
    editor.start()
    done = load(wsgi)
    editor.join()
    assert f"{script}|saved|{script.parents[1]}\n" == done.stdout, done.stderr


@given(project=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_it_takes_every_path_as_it_was_written(project: str) -> None:
    """It reads JSON as an expression of Python's: whatever a path holds, both mean the same."""
    with tempfile.TemporaryDirectory() as state:
        script = f"{state}/wsgi.py"
        Path(script).write_text("application = 'theirs'\n")
        sets = Sets(state)
        sets.prepare()
        sets.publish(App("alice", 1, 1, script, project, state, None, None, None, (1, 2, 3)))
        before = list(sys.path)
        try:
            assert "theirs" == runpy.run_path(f"{state}/apps/alice/app.wsgi")["application"]
            assert project == sys.path[0]
        finally:
            sys.path[:] = before


def test_what_stays_broken_is_told_by_file_and_line(published: tuple[Path, Path]) -> None:
    """The error log names the student's own file, as it would without us."""
    wsgi, script = published
    script.write_text("application = 1\nimport this is wrong\n")
    assert f'File "{script}", line 2' in load(wsgi).stderr
    script.write_text("application = 1\n1 / 0\n")
    stderr = load(wsgi).stderr
    assert f'File "{script}", line 2, in <module>' in stderr
    assert "ZeroDivisionError" in stderr
