"""The command line: arguments, exit statuses, and what is printed for people."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from click.testing import CliRunner

from reconciler import cli
from reconciler.publish import usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from tests.unit.machine import Machine

BROKEN = "def application(:\n"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Leave logging and signals as they were."""
    handlers = {number: signal.getsignal(number) for number in (1, 2, 15)}
    yield
    structlog.reset_defaults()
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def run(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a way to run `slp-reconciler` on the machine."""
    monkeypatch.setattr(cli, "Outside", lambda: machine.outside)

    def invoke(*arguments: str, config: bool = True) -> Result:
        where = ["--config", str(machine.config)] if config else []
        return CliRunner().invoke(cli.cli, [*where, *arguments])

    return invoke


def test_a_pass_says_what_it_did(machine: Machine, run: Any) -> None:
    """JSON lines on stderr where that is no terminal, and status 0."""
    machine.student("alice")
    result = run("--once")
    assert 0 == result.exit_code
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert ["app.published", "pass.done", "generation.published", "apache.reloaded"] == [
        event["event"] for event in events
    ]
    assert "alice" == events[0]["account"]


def test_a_pass_ends_with_the_status_of_how_it_ended(machine: Machine, run: Any) -> None:
    """4: Apache does not run."""
    machine.student("alice")
    machine.apache.stop()
    assert 4 == run("--once").exit_code


def test_no_reload_is_passed_on(machine: Machine, run: Any) -> None:
    """Published, and not a word to Apache."""
    machine.student("alice")
    assert 0 == run("--once", "--no-reload").exit_code
    assert (1, 0) == (machine.generation, machine.apache.reloads)


def test_force_is_passed_on(machine: Machine, run: Any) -> None:
    """6 without, 0 with."""
    machine.configure(safety={"max_withdrawn_count": 0, "max_withdrawn_share": 0.0})
    machine.student("alice")
    machine.once()
    machine.remove("alice", "mysite")
    assert 6 == run("--once").exit_code
    assert 0 == run("--once", "--force").exit_code


def test_a_dry_run_prints_what_would_change(machine: Machine, run: Any) -> None:
    """On stdout, and nothing is written."""
    machine.student("alice")
    result = run("--once", "--dry-run")
    assert 0 == result.exit_code
    assert "app.published alice" in result.stdout
    assert not machine.state.exists()


@pytest.mark.parametrize("fault", ["templates", "homes"])
def test_a_dry_run_that_cannot_tell_says_why(machine: Machine, run: Any, fault: str) -> None:
    """Status 1."""
    if fault == "templates":
        machine.configure(apache={"template_set": "nowhere"})
    else:
        machine.root.rmdir()
    result = run("--once", "--dry-run")
    assert 1 == result.exit_code
    assert "preview.failed" in result.stderr


def test_a_state_directory_that_cannot_be_written_is_told(machine: Machine, run: Any) -> None:
    """Status 1, with the path and the reason, and no traceback."""
    machine.state.write_text("")
    result = run("--once")
    assert 1 == result.exit_code
    assert "pass.failed" in result.stderr
    assert str(machine.state) in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dry-run"],
        ["--force"],
        ["--no-reload"],
        ["--once", "status"],
        ["--nonsense"],
        ["nonsense"],
        ["--log-level", "loud"],
    ],
)
def test_arguments_that_make_no_sense_are_status_2(run: Any, arguments: list[str]) -> None:
    """With the usage, before anything is read."""
    result = run(*arguments)
    assert 2 == result.exit_code
    assert "Usage" in result.stderr


def test_settings_that_are_not_usable_are_status_2(machine: Machine, run: Any) -> None:
    """The key is named."""
    machine.config.write_text("[homes]\nroot = 7\n")
    result = run("--once")
    assert 2 == result.exit_code
    assert "[homes] root" in result.stderr


def test_without_a_command_it_watches_until_a_signal(machine: Machine, run: Any) -> None:
    """HUP reads the settings again, TERM ends it with status 0."""
    machine.student("alice")

    def signals() -> None:
        machine.until(lambda: machine.serves("alice"))
        machine.until(lambda: machine.notify.count("READY"))
        machine.configure(urls={"prefix": "/apps"})
        os.kill(os.getpid(), signal.SIGHUP)
        machine.until(lambda: "/apps/alice/" == machine.entry("alice")["url"])
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=signals)
    thread.start()
    result = run("--log-format", "logfmt")
    thread.join(10)
    assert 0 == result.exit_code
    assert "event=daemon.started" in result.stderr
    assert "event=daemon.stopped" in result.stderr


def test_it_says_its_version(run: Any) -> None:
    """As packages are asked for it."""
    result = run("--version", config=False)
    assert 0 == result.exit_code
    assert "slp-reconciler" in result.stdout


def test_what_is_written_is_for_all_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apache and the students' daemons read it, whatever umask root's shell has."""
    before = os.umask(0o077)
    try:
        monkeypatch.setattr(cli, "cli", lambda **keys: None)
        cli.main()
        assert 0o022 == os.umask(0o077)
    finally:
        os.umask(before)


# ---- status --------------------------------------------------------------------------------------


@pytest.fixture
def machine_with_all(machine: Machine) -> Machine:
    """Return a machine with one of each kind, after a pass."""
    machine.student("alice")
    machine.project("alice", "old")
    machine.student("bob", project=None)
    machine.student("carol")
    machine.project("carol", text=BROKEN)
    machine.once()
    return machine


def test_status_prints_a_line_for_each_and_the_counts(machine_with_all: Machine, run: Any) -> None:
    """Name, state, URL and why."""
    lines = run("status").stdout.splitlines()
    assert "ACCOUNT" in lines[0]
    assert any("alice" in line and "served" in line for line in lines)
    assert any("carol" in line and "syntax-error" in line for line in lines)
    assert any("1 served, 1 rejected, 1 empty; generation 1" in line for line in lines)


def test_status_of_one_prints_all_that_is_known(machine_with_all: Machine, run: Any) -> None:
    """Its script and the others, each with why and what mends it."""
    text = run("status", "carol").stdout
    assert "syntax-error" in text
    assert "py_compile" in text
    served = run("status", "alice").stdout
    assert "script" in served
    assert "superseded" in served


def test_status_prints_json(machine_with_all: Machine, run: Any) -> None:
    """The whole file, or one account's entry of it."""
    whole = json.loads(run("status", "--json").stdout)
    assert machine_with_all.status == whole
    assert whole["accounts"]["carol"] == json.loads(run("status", "--json", "carol").stdout)


def test_status_says_what_apps_use_where_the_kernel_counts_it(
    machine_with_all: Machine, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory and time of those that have a process; the file of the status has neither."""
    before = machine_with_all.status
    counted = {
        "slp-app@alice.service/memory.current": "31457280\n",
        "slp-app@alice.service/cpu.stat": "usage_usec 1250000\nuser_usec 1\n",
        "slp-app@carol.service/memory.current": "max\n",
        "slp-app@bob.service/cpu.stat": "user_usec 1\nusage_usec 40000\n",
        "slp-app@stranger.service/memory.current": "1\n",
        "slp-front@alice.service/memory.current": "1\n",
    }
    for name, text in counted.items():
        file = tmp_path / "slp-apps.slice" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "slp-apps.slice/slp-app@dora.service/memory.current").mkdir(parents=True)
    monkeypatch.setattr(usage, "SLICE", str(tmp_path / "slp-apps.slice"))
    lines = run("status").stdout.splitlines()
    assert ["ACCOUNT", "STATE", "URL", "USES", "WHY"] == lines[0].split()
    assert any("alice" in line and "31 MB, 1.2 s" in line for line in lines)
    assert any("bob" in line and " 0.0 s" in line for line in lines)
    assert "uses     31 MB, 1.2 s" in run("status", "alice").stdout
    assert "uses" not in run("status", "carol").stdout
    said = json.loads(run("status", "--json").stdout)["accounts"]
    assert {"memory": 31457280, "cpu": 1.25} == said["alice"]["usage"]
    assert {"memory": None, "cpu": 0.04} == said["bob"]["usage"]
    assert "usage" not in said["carol"]
    assert before == machine_with_all.status


def test_status_says_what_is_held(machine: Machine, run: Any) -> None:
    """Below the counts."""
    machine.configure(safety={"max_withdrawn_count": 0, "max_withdrawn_share": 0.0})
    machine.student("alice")
    machine.once()
    machine.remove("alice", "mysite")
    machine.once()
    assert "1 withdrawals are held" in run("status").stdout.replace("\n", " ")


def test_status_prints_warnings(machine: Machine, run: Any) -> None:
    """An app that is served may have some: a virtualenv of another Python."""
    machine.student("alice")
    machine.write("alice", "mysite/venv/pyvenv.cfg", "version = 2.7\n")
    machine.directory("alice", "mysite/venv/lib/python2.7/site-packages")
    machine.once()
    assert "served" == machine.entry("alice")["state"]
    assert "virtualenv" in run("status").stdout
    assert "virtualenv" in run("status", "alice").stdout


def test_list_prints_a_line_for_each(machine_with_all: Machine, run: Any) -> None:
    """Of `key = value` pairs, whatever is not known left out."""
    result = run("list")
    lines = result.stdout.splitlines()
    assert 0 == result.exit_code
    served = "account = alice; state = served; url = /django/alice/; script = "
    assert lines[0].startswith(f"{served}{machine_with_all.root}/alice/")
    assert ["account = bob", "state = empty", "url = /django/bob/"] == lines[1].split("; ")[:3]
    assert lines[2].endswith("; reason = syntax-error")


def test_a_registry_is_printed_as_settings_or_refused(
    machine: Machine, run: Any, tmp_path: Path
) -> None:
    """To stdout; a file that is none is status 2, and a word on stderr."""
    with sqlite3.connect(tmp_path / "django.db") as database:
        database.execute("create table wsgi(id, wsgi, valid)")
        script = f"{machine.root}/alice/mysite/mysite/wsgi.py"
        database.execute("insert into wsgi values (1, ?, 1)", (script,))
    database.close()
    result = run("import-wsgi-admin", str(tmp_path / "django.db"))
    assert (0, "") == (result.exit_code, result.stderr)
    assert '[accounts.alice]  # entry 1\nscript = "mysite/mysite/wsgi.py"\n' in result.stdout
    result = run("import-wsgi-admin", str(machine.config))
    assert (2, "") == (result.exit_code, result.stdout)
    assert f"slp-reconciler: {machine.config}: no SQLite database\n" == result.stderr


@pytest.mark.parametrize(
    "arguments", [["status"], ["status", "alice"], ["status", "--json"], ["list"]]
)
def test_status_without_a_pass_says_so(run: Any, arguments: list[str]) -> None:
    """Status 1."""
    result = run(*arguments)
    assert 1 == result.exit_code
    assert "has a pass been made?" in result.stderr


def test_status_of_a_stranger_says_so(machine_with_all: Machine, run: Any) -> None:
    """Status 1, and where it was looked for."""
    result = run("status", "zed")
    assert 1 == result.exit_code
    assert str(machine_with_all.root) in result.stderr


def test_status_takes_its_settings_after_the_command_too(machine: Machine, run: Any) -> None:
    """`slp-reconciler status --config FILE`."""
    machine.student("alice")
    machine.once()
    result = run("status", "--config", str(machine.config), config=False)
    assert 0 == result.exit_code
    assert "alice" in result.stdout


def test_no_name_speaks_to_the_terminal(machine: Machine, run: Any) -> None:
    """A directory may be called what moves a terminal's cursor."""
    (machine.root / "\x1b[31mred\n").mkdir()
    (machine.root / os.fsdecode(b"\xff")).mkdir()
    assert 0 == machine.once()
    result = run("status")
    assert 0 == result.exit_code
    assert "\x1b[31mred" not in result.stdout
    assert "\\x1b[31mred\\n" in result.stdout
