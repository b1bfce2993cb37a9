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


# ---- 3: the configuration test -------------------------------------------------------------------


def test_a_server_that_fails_its_own_test_blames_nobody(machine: Machine) -> None:
    """The administrator's file is at fault: what is published stays, and so does every app."""
    machine.student("alice")
    machine.once()
    (machine.apache.confdir / "apache2.conf").write_text("Lisen 80\n")
    machine.apache.forbid("Lisen")
    machine.student("bob")
    assert Exit.CONFIG_TEST == machine.once()
    assert (1, 1) == (machine.generation, machine.apache.reloads)
    assert "quarantined" not in {machine.code("alice"), machine.code("bob")}
    assert "Lisen" in machine.log.of("generation.refused")[0]["message"]
    assert [] == list(machine.state.glob("generations/2*"))


def test_a_test_that_cannot_be_run_blames_nobody(machine: Machine) -> None:
    """There is no such command: status 3, and nothing is published."""
    machine.student("alice")
    machine.configure(apache={"configtest": ["/nowhere/apachectl", "configtest"]})
    assert Exit.CONFIG_TEST == machine.once()
    assert machine.generation is None
    assert "/nowhere/apachectl" in machine.log.of("generation.refused")[0]["message"]


def test_a_test_that_hangs_blames_nobody(machine: Machine) -> None:
    """It is ended after `timeout`."""
    machine.student("alice")
    machine.configure(apache={"timeout": 0.2})
    machine.apache.hold("configtest")
    assert Exit.CONFIG_TEST == machine.once()
    assert machine.generation is None


def test_an_empty_class_with_a_server_at_fault_blames_nobody(machine: Machine) -> None:
    """No account is a suspect: the very first generation is refused."""
    machine.apache.forbid("the administrator's")
    assert Exit.CONFIG_TEST == machine.once()
    assert machine.generation is None


# ---- 4: not served -------------------------------------------------------------------------------


def test_a_stopped_apache_is_not_started(machine: Machine) -> None:
    """Status 4; what is published is current, and served as soon as it runs."""
    machine.student("alice")
    machine.apache.stop()
    assert Exit.NOT_SERVED == machine.once()
    assert (1, {"alice"}) == (machine.generation, machine.published)
    assert not machine.apache.running
    assert 0 == machine.apache.reloads
    machine.apache.start()
    assert Exit.CONVERGED == machine.once()


def test_a_reload_that_fails_is_tried_again(machine: Machine) -> None:
    """The generation was tested, and stays current."""
    machine.student("alice")
    machine.apache.fail("graceful", "the unit is gone")
    assert Exit.NOT_SERVED == machine.once()
    assert 1 == machine.generation
    assert "the unit is gone" in machine.log.of("apache.unreachable")[0]["message"]
    machine.apache.fail("graceful", None)
    assert Exit.CONVERGED == machine.once()
    assert (1, 1) == (machine.generation, machine.apache.tests)


def test_an_apache_that_hangs_is_no_bad_configuration(machine: Machine) -> None:
    """It runs, and does not answer: `current` stays, nothing is refused."""
    machine.student("alice")
    machine.configure(apache={"timeout": 0.3})
    machine.apache.hang()
    assert Exit.NOT_SERVED == machine.once()
    assert 1 == machine.generation
    machine.apache.hang(on=False)
    assert Exit.CONVERGED == machine.once()
    assert machine.serves("alice")


def test_what_apache_does_not_serve_is_put_back(machine: Machine) -> None:
    """It took the reload and shows another site: the last verified generation is current."""
    machine.student("alice")
    machine.once()
    machine.configure(apache={"timeout": 0.3})
    machine.apache.tells_other = True
    machine.student("bob")
    assert Exit.NOT_SERVED == machine.once()
    assert {"alice"} == machine.stanzas == machine.apache.daemons
    assert machine.log.of("generation.rolled_back")


def test_a_first_configuration_that_is_not_served_leaves_none(machine: Machine) -> None:
    """There is nothing to go back to."""
    machine.student("alice")
    machine.configure(apache={"timeout": 0.3})
    machine.apache.tells_other = True
    assert Exit.NOT_SERVED == machine.once()
    assert machine.generation is None


def test_what_was_refused_is_not_tried_again_by_this_server(machine: Machine) -> None:
    """No reload for it; but Apache started anew is another server, and gets it."""
    machine.student("alice")
    machine.configure(apache={"timeout": 0.3})
    machine.apache.tells_other = True
    machine.once()
    reloads = machine.apache.reloads
    for _ in range(2):
        assert Exit.NOT_SERVED == machine.once()
    assert reloads == machine.apache.reloads
    machine.apache.tells_other = False
    machine.apache.stop()
    machine.apache.start()
    assert Exit.CONVERGED == machine.once()
    assert machine.serves("alice")


def test_what_was_refused_is_tried_when_the_administrator_changed_something(
    machine: Machine,
) -> None:
    """The include was missing in the site, and now is there."""
    machine.student("alice")
    machine.configure(apache={"timeout": 0.3})
    machine.apache.tells_other = True
    machine.once()
    machine.apache.tells_other = False
    (machine.apache.confdir / "site.conf").write_text("# IncludeOptional django.conf\n")
    assert Exit.CONVERGED == machine.once()


def test_what_ended_apache_is_not_given_to_the_next_one(machine: Machine) -> None:
    """Whoever starts it again has the same Apache: only a change of its files tries again."""
    machine.student("alice")
    machine.once()
    machine.apache.end_at_reload()
    machine.student("bob")
    assert Exit.NOT_SERVED == machine.once()
    assert {"alice"} == machine.stanzas
    machine.apache.end_at_reload(on=False)
    machine.apache.stop()
    machine.apache.start()
    reloads = machine.apache.reloads
    assert Exit.NOT_SERVED == machine.once()
    assert reloads == machine.apache.reloads
    (machine.apache.confdir / "mpm.conf").write_text("# mended\n")
    assert Exit.CONVERGED == machine.once()
    assert {"alice", "bob"} == machine.apache.daemons


def test_what_is_put_back_names_nobody_who_died_since(machine: Machine) -> None:
    """Apache could not start with an account that the database does not have."""
    machine.students("alice", "bob")
    machine.once()
    machine.configure(apache={"timeout": 0.3})
    machine.remove("bob")
    machine.forget("bob")
    machine.student("carol")
    machine.apache.tells_other = True
    assert Exit.NOT_SERVED == machine.once()
    assert {"alice"} == machine.stanzas == machine.apache.daemons


def test_a_redirect_to_https_of_another_machine_is_not_followed(machine: Machine) -> None:
    """Whoever answers there is not the server that was reloaded."""
    machine.student("alice")
    machine.configure(apache={"timeout": 0.3})
    machine.apache.to = "https://elsewhere.example"
    assert Exit.NOT_SERVED == machine.once()


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
