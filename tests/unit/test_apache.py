"""Apache from outside, with commands and directories that are real and an Apache that is none."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.publish import staging
from reconciler.publish.apache import Asked, Server, TestUnavailableError
from reconciler.publish.command import CommandError
from reconciler.publish.configuration import FILES
from reconciler.settings import Apache

READER = """
for name in slp-server.conf django.conf django-ssl.conf; do
  grep -o 'SLP_STAGED_[A-Z_]*' "$APACHE_CONFDIR/$name" | while read variable; do
    echo "AH00111: Config variable \\${$variable} is not defined"
  done
  file=$(sed -n 's/^Include "\\(.*\\)"/\\1/p' "$APACHE_CONFDIR/$name")
  if grep -n Bogus "$file"; then echo "Syntax error on line 1 of $file"; exit 1; fi
done
echo Syntax OK
"""
"""What an Apache does with a configuration directory, in shell."""


class Machine:
    """A configuration directory, a state directory with a generation, and an Apache of theirs."""

    def __init__(self, root: Path) -> None:
        self.conf = root / "apache2"
        self.state = root / "state"
        self.generation = self.state / "generations/7"
        for path in (self.conf / "sites-enabled", self.conf / "sites-available", self.generation):
            path.mkdir(parents=True)
        (self.conf / "apache2.conf").write_text("Include sites-enabled/*.conf\n")
        for file, name in staging.INCLUDES.items():
            (self.generation / file).write_text(f"# {file}\n")
            (self.conf / name).symlink_to(self.state / "current" / file)

    def server(self, script: str = READER, **settings: object) -> Server:
        """Return the server, whose configuration test is this shell script."""
        chosen: dict[str, object] = {
            "confdir": str(self.conf),
            "configtest": ["sh", "-c", script],
            "pid_file": str(self.state / "apache2.pid"),
            **settings,
        }
        return Server(Apache(**chosen), prefix="/django", state=str(self.state))  # type: ignore[arg-type]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_is_staged_is_read_and_shows_it(machine: Machine) -> None:
    """Each of our files in place of what is published, beside links to all that is Apache's."""
    listing = (
        READER + 'ls "$APACHE_CONFDIR" >"$OUT"; readlink "$APACHE_CONFDIR/apache2.conf" >>"$OUT"'
    )
    out = machine.state / "out"
    tested = machine.server(f"OUT={out}\n{listing}").test(str(machine.generation))
    assert (None, frozenset()) == (tested.fault, tested.unread)
    seen = out.read_text().split()
    assert sorted(os.listdir(machine.conf)) == sorted(seen[:-1])
    assert str(machine.conf / "apache2.conf") == seen[-1]
    assert ["7"] == os.listdir(machine.generation.parent), "nothing is left of the stage"


def test_a_fault_is_told_without_our_own_words_and_paths(machine: Machine) -> None:
    """As an administrator reads it: the file's name, and no warning that we provoked."""
    (machine.generation / "django.conf").write_text("Bogus on\n")
    tested = machine.server().test(str(machine.generation))
    assert "1:Bogus on Syntax error on line 1 of django.conf" == tested.fault


def test_a_fault_without_words_is_told_by_its_status(machine: Machine) -> None:
    """The command says nothing at all."""
    fault = machine.server("exit 7").test(str(machine.generation)).fault
    assert "ended with 7" in (fault or "")


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_was_not_read_is_noticed(machine: Machine, file: str) -> None:
    """Whatever the reason: its warning is missing."""
    name = staging.INCLUDES[file]
    tested = machine.server(READER.replace(f" {name}", "")).test(str(machine.generation))
    if file == "server.conf":
        tested = machine.server(READER.replace("slp-server.conf ", "")).test(
            str(machine.generation)
        )
    assert frozenset({file}) == tested.unread


def test_a_command_that_heeds_no_confdir_has_read_nothing(machine: Machine) -> None:
    """And is named as the reason, with what to look at."""
    server = machine.server("echo Syntax OK")
    assert frozenset(FILES) == server.test(str(machine.generation)).unread
    assert "APACHE_CONFDIR" in (server.obstacle(frozenset(FILES)) or "")


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("apache2.conf", 'ServerRoot "/etc/apache2"'),
        ("sites-enabled/site.conf", "  IncludeOptional {conf}/django.conf"),
        ("sites-enabled/site.conf", 'Include "{state}/current/django.conf"'),
    ],
)
def test_the_line_in_the_way_is_found(machine: Machine, place: str, line: str) -> None:
    """Which file, which line, what it says."""
    line = line.format(conf=machine.conf, state=machine.state)
    (machine.conf / place).write_text(f"# a comment\n{line}\n")
    found = machine.server().obstacle(frozenset({"django.conf"})) or ""
    assert found.startswith(f"{machine.conf / place}, line 2: `{line.strip()}`")


def test_a_line_that_is_not_in_the_way_is_not_blamed(machine: Machine) -> None:
    """Another file's include, a site that is not enabled, a comment, a file that is none."""
    (machine.conf / "sites-enabled/site.conf").write_text(
        f"# Include {machine.conf}/django.conf\nInclude /etc/other.conf\nInclude django.conf\n"
        f"Include {machine.conf}/django-ssl.conf\n"
    )
    (machine.conf / "sites-enabled/gone.conf").symlink_to("nowhere")
    (machine.conf / "sites-available/site.conf").write_text(f"Include {machine.conf}/django.conf\n")
    assert None is machine.server().obstacle(frozenset({"django.conf"}))


def test_in_place_what_is_published_is_tested(machine: Machine) -> None:
    """The plain command, with no directory of ours."""
    assert None is machine.server('test -z "$APACHE_CONFDIR"').test_in_place()
    assert "no good" == machine.server("echo no good; exit 1").test_in_place()


@pytest.mark.parametrize("in_place", [True, False])
def test_a_test_that_does_not_run_or_end_is_none(machine: Machine, in_place: bool) -> None:
    """That blames nobody."""

    def test(server: Server) -> None:
        if in_place:
            server.test_in_place()
        else:
            server.test(str(machine.generation))

    with pytest.raises(TestUnavailableError, match="did not end"):
        test(machine.server("sleep 20", timeout=0.05))
    with pytest.raises(TestUnavailableError, match="/nowhere"):
        test(machine.server(configtest=["/nowhere/apachectl"]))


def test_without_a_configuration_directory_there_is_no_test(machine: Machine) -> None:
    """It is somebody else's machine than the settings say."""
    with pytest.raises(TestUnavailableError, match="/nowhere"):
        machine.server(confdir="/nowhere").test(str(machine.generation))


@pytest.fixture
def named_apache(tmp_path: Path) -> Iterator[int]:
    """A process that is called apache2."""
    program = tmp_path / "bin/apache2"
    program.parent.mkdir()
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"])
    yield process.pid
    process.kill()
    process.wait()


def test_apache_runs_while_its_pid_file_names_it(machine: Machine, named_apache: int) -> None:
    """And not when it names somebody else, nobody, nonsense, or a process that has ended."""
    server, pid_file = machine.server(), machine.state / "apache2.pid"
    assert not server.running()
    for text, runs in [("nonsense", False), (str(os.getpid()), False), (f"{named_apache}\n", True)]:
        pid_file.write_text(text)
        assert runs is server.running()
    os.kill(named_apache, signal.SIGKILL)
    os.waitid(os.P_PID, named_apache, os.WEXITED | os.WNOWAIT)
    assert not server.running(), "a zombie"


def test_apaches_side_is_its_files_its_process_and_whom_to_ask(machine: Machine) -> None:
    """Each makes another fingerprint; what is ours does not."""
    server = machine.server()
    before = server.fingerprint(process=True), server.fingerprint(process=False)
    (machine.state / "current").symlink_to("generations/7")
    assert before == (server.fingerprint(process=True), server.fingerprint(process=False))
    (machine.state / "apache2.pid").write_text("17")
    assert before[0] != server.fingerprint(process=True)
    assert before[1] == server.fingerprint(process=False)
    assert before[1] != machine.server(verify_host="x").fingerprint(process=False)
    (machine.conf / "sites-enabled/site.conf").write_text("")
    assert before[1] != server.fingerprint(process=False)


def test_a_reload_is_the_command_of_the_settings(machine: Machine) -> None:
    """Its failure is told with its words."""
    done = machine.state / "done"
    machine.server(reload=["touch", str(done)]).reload()
    assert done.exists()
    with pytest.raises(CommandError, match="not now"):
        machine.server(reload=["sh", "-c", "echo not now; exit 1"]).reload()


def test_where_apache_is_no_unit_it_is_reloaded_by_apachectl(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "auto" without systemd, or with an Apache that systemd did not start."""
    tools = machine.state / "bin"
    tools.mkdir()
    (tools / "apachectl").write_text(f'#!/bin/sh\necho "$@" >{machine.state}/asked\n')
    (tools / "apachectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    unit = "reconciler.publish.unit"
    for there, reloaded in [(False, True), (True, False)]:
        monkeypatch.setattr(f"{unit}.is_there", lambda there=there: there)
        monkeypatch.setattr(f"{unit}.reload", lambda reloaded=reloaded, **_: reloaded)
        machine.server().reload()
        assert "graceful\n" == (machine.state / "asked").read_text()
        (machine.state / "asked").unlink()
    monkeypatch.setattr(f"{unit}.reload", lambda **_: True)
    machine.server().reload()
    assert not (machine.state / "asked").exists()


def test_it_is_asked_at_the_address_of_the_settings(machine: Machine) -> None:
    """Both ways of looking; nobody listens at port 1."""
    server = machine.server(verify_url="http://127.0.0.1:1", timeout=1.0)
    assert "/django/.slp/d" == server.marker("d")
    assert "/django/.slp/app/d" == server.canary("d")
    for answer in (server.look(Asked("d", True)), server.wait(Asked("d", True), allow=0.1)):
        assert answer.silent
