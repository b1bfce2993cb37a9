"""`--once`: one pass, and an exit status that says how it ended."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from reconciler.once import Exit

if TYPE_CHECKING:
    from tests.unit.machine import Machine


# ---- 0: what is wanted is served -----------------------------------------------------------------


def test_a_pass_publishes_whoever_has_an_app(machine: Machine) -> None:
    """Link, stanza, reload and status, and then nothing more to do."""
    machine.student("alice")
    machine.student("bob", project=None)
    assert Exit.CONVERGED == machine.once()
    assert "mysite/mysite/wsgi.py" == machine.visit("alice")
    assert "bob" in machine.visit("bob")
    assert {"alice", "bob"} == machine.stanzas == machine.apache.daemons
    assert "served" == machine.entry("alice")["state"]
    assert (1, 1, 1) == (machine.generation, machine.apache.reloads, machine.apache.tests)


def test_what_apache_is_led_to_is_for_all_to_read(machine: Machine) -> None:
    """Apache's own user and the students' daemons reach it, whichever part of us made it first."""
    machine.notify.beat_every = 0.05
    machine.student("alice")
    machine.student("bob", project=None)
    with machine.daemon():
        machine.until(lambda: machine.notify.count("WATCHDOG"))
    places = {path for path in machine.apache.names if path.exists()}
    assert {"app.wsgi", "pages", ".marker"} <= {path.name for path in places}
    for path in places:
        assert path.stat().st_mode & 0o004, path
        for above in path.relative_to(machine.state).parents:
            assert (machine.state / above).stat().st_mode & 0o001, above


def test_equal_inputs_change_nothing(machine: Machine) -> None:
    """The second pass of an unchanged machine makes no set, no generation and no reload."""
    machine.students("alice", "bob")
    machine.once()
    before = published_files(machine)
    machine.log.clear()
    assert Exit.CONVERGED == machine.once()
    assert before == published_files(machine)
    assert (1, 1) == (machine.generation, machine.apache.reloads)
    assert [] == machine.log.names("alice")


def published_files(machine: Machine) -> dict[str, tuple[int, int]]:
    """Return what visitors and Apache read, with what would differ if it had been written."""
    places = ("sets", "apps", "generations", "pages")
    files = (path for place in places for path in (machine.state / place).rglob("*"))
    return {
        str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns)
        for path in files
        if path.name != ".status.html"
    }


def test_an_app_that_changes_costs_no_reload(machine: Machine) -> None:
    """Published, edited, switched, withdrawn: links move, and the stanza stays."""
    machine.student("alice", project=None)
    machine.once()
    machine.project("alice")
    machine.once()
    assert "mysite/mysite/wsgi.py" == machine.visit("alice")
    machine.project("alice", text="application = 1\n")
    machine.once()
    machine.project("alice", "other")
    machine.remove("alice", "mysite")
    machine.once()
    assert "other/other/wsgi.py" == machine.visit("alice")
    machine.remove("alice", "other")
    machine.once()
    assert not machine.serves("alice")
    assert (1, 1) == (machine.generation, machine.apache.reloads)
    assert ["app.published", "app.changed", "app.switched", "app.withdrawn"] == (
        machine.log.names("alice")
    )


def test_no_reload_publishes_and_touches_no_server(machine: Machine) -> None:
    """`--no-reload`: the generation is current and tested, and nobody was asked for anything."""
    machine.student("alice")
    assert Exit.CONVERGED == machine.once(reload=False)
    assert (1, 1, 0) == (machine.generation, machine.apache.tests, machine.apache.reloads)
    assert {"alice"} == machine.stanzas
    assert set() == machine.apache.daemons
    assert Exit.CONVERGED == machine.once()
    assert (1, {"alice"}) == (machine.apache.reloads, machine.apache.daemons)


def test_an_apache_that_serves_it_already_is_not_reloaded(machine: Machine) -> None:
    """It was started after `--no-reload` had published."""
    machine.student("alice")
    machine.once(reload=False)
    machine.apache.stop()
    machine.apache.start()
    assert Exit.CONVERGED == machine.once()
    assert 0 == machine.apache.reloads


# ---- 1: not all could be done --------------------------------------------------------------------


def test_a_state_directory_that_cannot_be_written_is_an_error(machine: Machine) -> None:
    """It is not ours to make: a file is in its place."""
    machine.state.write_text("")
    with pytest.raises(OSError, match=str(machine.state)):
        machine.once()


# ---- 6: held -------------------------------------------------------------------------------------


def test_what_is_held_has_a_status_of_its_own(machine: Machine) -> None:
    """Everything else was done."""
    machine.configure(safety={"max_withdrawn_count": 0, "max_withdrawn_share": 0.0})
    machine.student("alice")
    machine.once()
    machine.remove("alice", "mysite")
    machine.student("bob")
    assert Exit.HELD == machine.once()
    assert {"alice", "bob"} == machine.published


# ---- dry run -------------------------------------------------------------------------------------


def test_a_preview_says_what_would_change_and_changes_nothing(machine: Machine) -> None:
    """Each change on a line, the configuration as a diff; no file, no command, no lock."""
    machine.students("alice", "bob")
    machine.once()
    machine.project("alice", text="application = 1\n")
    machine.remove("bob", "mysite")
    machine.student("carol")
    before = everything(machine)
    lines = machine.preview()
    assert before == everything(machine)
    assert {"app.changed", "app.withdrawn", "app.published"} <= {
        line.partition(" ")[0] for line in lines
    }
    assert any(line.startswith("+") and "carol" in line for line in lines)
    assert not any(line.startswith("-") and "alice" in line for line in lines)
    assert (1, 1) == (machine.apache.reloads, machine.apache.tests)


def everything(machine: Machine) -> dict[str, int]:
    """Return every path of the state directory, and when it was changed."""
    return {str(path): path.lstat().st_ctime_ns for path in machine.state.rglob("*")}


def test_a_preview_of_a_machine_without_a_pass_makes_no_directory(machine: Machine) -> None:
    """It is asked before the first installation."""
    machine.student("alice")
    assert any("app.published alice" in line for line in machine.preview())
    assert not machine.state.exists()


def test_a_preview_says_what_would_be_held(machine: Machine) -> None:
    """In the words of the status."""
    machine.configure(safety={"max_withdrawn_count": 0, "max_withdrawn_share": 0.0})
    machine.student("alice")
    machine.once()
    machine.remove("alice", "mysite")
    assert any("1 withdrawals are held" in line for line in machine.preview())


def test_a_preview_of_an_unchanged_machine_says_nothing(machine: Machine) -> None:
    """Not a line."""
    machine.student("alice")
    machine.once()
    assert [] == machine.preview()


def test_a_preview_waits_for_nobody(machine: Machine) -> None:
    """Another pass holds its locks for a whole reload."""
    machine.student("alice")
    machine.once()
    machine.student("bob")
    machine.apache.hold("graceful")
    beside = threading.Thread(target=machine.once, daemon=True)
    beside.start()
    machine.until(lambda: machine.apache.held("graceful"))
    assert machine.preview() is not None
    assert beside.is_alive()
    machine.apache.release("graceful")
    beside.join(10)
