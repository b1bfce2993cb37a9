"""`--once` and Apache: what it tests, reloads and sees, and what becomes of a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.once import Exit

if TYPE_CHECKING:
    from tests.unit.machine import Machine


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
    assert 1 == machine.generation
    assert machine.serves("alice")


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
