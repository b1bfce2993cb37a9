"""The runner is put where students' processes find it: whole, root's, and for as long as needed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.publish import runner
from reconciler.publish.runner import Runner
from tests.unit.machine.machine import Machine


def said(machine: Machine) -> dict[str, Any]:
    """Return what alice's set says to the runner."""
    found = machine.app("alice")
    assert found is not None
    return dict(found["run"])


def test_it_is_whole_compiled_and_nobodys_to_write(tmp_path: Path) -> None:
    """Each start of each app's process would compile it otherwise."""
    mine = Runner(str(tmp_path))
    mine.prepare()
    package = Path(mine.path, "slp_runner")
    assert {"slp_runner", "waitress"} == set(os.listdir(mine.path))
    ours = Path(runner.__file__).parents[1] / "run"
    names = {path.name for path in ours.iterdir() if path.suffix in {".py", ".json", ".html"}}
    assert names | {"__pycache__"} == set(os.listdir(package))
    assert {"process.py", "mends.json"} < names
    for path in Path(mine.path).rglob("*"):
        assert not path.stat().st_mode & 0o022
    for path in Path(mine.path).glob("*/*.py"):
        assert Path(importlib.util.cache_from_source(str(path))).is_file()


def test_it_is_made_once_and_never_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves nothing that looks like one; the next pass goes on."""
    mine = Runner(str(tmp_path))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.rename", full)
        with pytest.raises(OSError, match="space"):
            mine.prepare()
    assert [] == mine.names()
    mine.prepare()
    before = os.stat(mine.path).st_ino
    mine.prepare()
    assert before == os.stat(mine.path).st_ino
    code = "import sys; from reconciler.publish.runner import Runner; Runner(sys.argv[1]).prepare()"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert before == os.stat(mine.path).st_ino


@pytest.mark.parametrize("lost", ["slp_runner/process.py", "*/__pycache__/*.pyc", "waitress/*.py"])
def test_what_a_power_cut_left_of_it_is_made_whole(tmp_path: Path, lost: str) -> None:
    """It is not synced; a process that begins looks at all of it, once."""
    Runner(str(tmp_path)).prepare()
    mine = Runner(str(tmp_path))
    file = sorted(Path(mine.path).glob(lost))[0]
    whole = file.read_bytes()
    file.write_bytes(b"")
    mine.prepare()
    assert whole == file.read_bytes()


def test_another_program_is_another_runner_and_the_old_one_stays_while_a_set_names_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade gives each app a new set; what nobody needs goes, and what crashes left."""
    machine.student("alice")
    machine.once()
    home = machine.state / "runner"
    (first,) = home.iterdir()
    assert {"runner": str(first)}.items() <= said(machine).items()
    monkeypatch.setattr(runner, "digest", lambda: "0" * 24)
    (home / ".old.0123.new").mkdir()
    machine.once()
    assert str(home / ("0" * 24)) == said(machine)["runner"]
    assert ["0" * 24] == os.listdir(home)


def test_a_runner_that_is_lost_is_made_again(machine: Machine) -> None:
    """Apps name it, so it is there again before anybody is looked at."""
    machine.student("alice")
    machine.once()
    (mine,) = (machine.state / "runner").iterdir()
    shutil.rmtree(mine)
    machine.once()
    assert (mine / "slp_runner/process.py").is_file()


def test_what_the_settings_say_to_it_is_in_the_set(machine: Machine) -> None:
    """Another setting is another set, at the next look."""
    machine.student("alice")
    machine.once()
    before = said(machine)
    machine.configure(apps={"follow": False, "log_bytes": 5000})
    machine.once()
    after = said(machine)
    assert before | {"follow": False, "log_bytes": 5000} == after
    assert ("/django/alice", 20.0) == (after["url"], after["startup_timeout"])
    assert after["told"].endswith("/told/alice")
