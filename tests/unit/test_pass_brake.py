"""The brake on mass withdrawal: what it counts, whom it holds, and what being held means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.once import Exit

if TYPE_CHECKING:
    from tests.unit.machine import Machine

CLASS = [f"s{number:02}" for number in range(12)]


def served(machine: Machine, *, count: int = 1, share: float = 0.25) -> None:
    """Have twelve students served, with a brake that one withdrawal never meets."""
    machine.configure(safety={"max_withdrawn_count": count, "max_withdrawn_share": share})
    machine.students(*CLASS)
    assert Exit.CONVERGED == machine.once()


def test_the_share_is_of_everybody_served_and_not_of_those_looked_at(machine: Machine) -> None:
    """Three of twelve go at one event: all of the batch, a quarter of the class."""
    served(machine)
    with machine.daemon():
        with machine.no_looks():
            for name in CLASS[:3]:
                machine.remove(name, "mysite")
        machine.until(lambda: set(CLASS[3:]) == machine.published)
    assert machine.status["held"] is None


def test_more_than_both_bounds_is_held(machine: Machine) -> None:
    """Four of twelve are above count and share: held, said, and everybody answers."""
    served(machine)
    for name in CLASS[:4]:
        machine.remove(name, "mysite")
    assert Exit.HELD == machine.once()
    assert all(machine.serves(name) for name in CLASS)
    assert machine.status["held"].startswith("4 withdrawals are held")
    assert "served" == machine.entry(CLASS[0])["state"]
    assert ["withdrawal.held"] == [name for name in machine.log.names() if "held" in name]


def test_force_lets_them_through(machine: Machine) -> None:
    """What looked like an outage was meant."""
    served(machine)
    for name in CLASS[:4]:
        machine.remove(name, "mysite")
    machine.once()
    assert Exit.CONVERGED == machine.once(force=True)
    assert set(CLASS[4:]) == machine.published
    assert machine.status["held"] is None


def test_withdrawals_of_the_last_minute_count(machine: Machine) -> None:
    """Two, and two more: four within a minute, and the second two are held."""
    served(machine)
    for name in CLASS[:2]:
        machine.remove(name, "mysite")
    assert Exit.CONVERGED == machine.once()
    for name in CLASS[2:4]:
        machine.remove(name, "mysite")
    assert Exit.HELD == machine.once()
    machine.later(61)
    assert Exit.CONVERGED == machine.once()
    assert set(CLASS[4:]) == machine.published


def test_who_is_served_again_counts_no_more(machine: Machine) -> None:
    """A class that moves its projects about withdraws nobody for good."""
    served(machine)
    for name in CLASS[:3]:
        machine.remove(name, "mysite")
    machine.once()
    for name in CLASS[:3]:
        machine.project(name)
    machine.once()
    for name in CLASS[3:6]:
        machine.remove(name, "mysite")
    assert Exit.CONVERGED == machine.once()


def test_what_is_unsafe_is_not_held(machine: Machine) -> None:
    """It goes at once, however many: the fault is each home's own."""
    served(machine)
    for name in CLASS[:6]:
        (machine.root / name / "mysite").chmod(0o777)
    assert Exit.CONVERGED == machine.once()
    assert set(CLASS[6:]) == machine.published


def test_a_hold_ends_when_enough_come_back(machine: Machine) -> None:
    """Of four, three are restored: the fourth, whose home nobody touched, is withdrawn."""
    served(machine)
    with machine.daemon():
        with machine.no_looks():
            for name in CLASS[:4]:
                machine.remove(name, "mysite")
        machine.until(lambda: machine.log.of("withdrawal.held"))
        for name in CLASS[:3]:
            machine.project(name)
        machine.until(lambda: CLASS[3] not in machine.published)
    assert {*CLASS} - {CLASS[3]} == machine.published
    assert machine.status["held"] is None


def test_a_soft_fault_does_not_begin_anew_while_it_is_held(machine: Machine) -> None:
    """Looked at again and again, the held are held: told once, and not for a moment forgotten."""
    machine.configure(timing={"grace": 0.1})
    served(machine)
    with machine.daemon():
        with machine.no_looks():
            for name in CLASS[:4]:
                machine.remove(name, "mysite")
        machine.until(lambda: machine.log.of("withdrawal.held"))
        for number in range(8):
            machine.write(CLASS[9], "mysite/mysite/wsgi.py", f"application = {number}\n")
            machine.until(lambda n=number: n + 1 == len(machine.log.of("app.changed")))
        assert 1 == len(machine.log.of("withdrawal.held"))
    assert machine.status["held"].startswith("4 withdrawals")


def test_a_database_without_its_students_takes_nobody_down(machine: Machine) -> None:
    """Held means that every app still answers: links, stanzas and the generation stay."""
    served(machine)
    machine.forget(*CLASS)
    assert Exit.HELD == machine.once()
    assert all(machine.serves(name) for name in CLASS)
    assert set(CLASS) == machine.stanzas == machine.apache.daemons
    assert machine.status["held"]


def test_a_daemon_meets_a_database_without_its_students(machine: Machine) -> None:
    """The same by events, and when the students are back, nothing has changed."""
    served(machine)
    with machine.daemon():
        rows = dict(machine.rows)
        machine.forget(*CLASS)
        machine.until(lambda: machine.log.of("withdrawal.held"))
        machine.student("zoe")  # somebody else's affair brings no configuration without them
        machine.until(lambda: machine.app("zoe"))
        machine.stays(lambda: set(CLASS) <= machine.stanzas)
        machine.rows |= rows
        machine.database()
        machine.until(lambda: "zoe" in machine.apache.daemons)
        generations = [path.read_text() for path in machine.state.glob("generations/*/server.conf")]
    assert all(set(CLASS) <= machine.apache.declared(text) for text in generations)
    assert {*CLASS, "zoe"} == machine.apache.daemons


def test_whoever_is_looked_at_by_name_while_the_homes_are_away_has_not_left(
    machine: Machine,
) -> None:
    """An app that tells of itself has one home looked at, while the root is not mounted."""
    served(machine)
    with machine.daemon():
        machine.root.rename(machine.root.with_name("away"))
        machine.root.mkdir()
        machine.until(lambda: machine.log.of("pass.failed"))
        machine.tell("s00", "failed", code="missing-module")
        machine.until(lambda: "failing" == machine.health("s00")["state"])
        machine.stays(lambda: set(CLASS) == machine.published)
        machine.root.rmdir()
        machine.root.with_name("away").rename(machine.root)
        machine.until(lambda: machine.entry("s00")["reason"] is None)
    assert set(CLASS) == machine.published


def test_a_pass_finds_accounts_gone_with_their_homes(machine: Machine) -> None:
    """Homes and rows were removed together: what is held is held whole."""
    served(machine)
    lose(machine, CLASS[:4])
    assert Exit.HELD == machine.once()
    assert set(CLASS) == machine.stanzas == machine.apache.daemons
    assert all(machine.serves(name) for name in CLASS)


def test_a_daemon_finds_accounts_gone_with_their_homes(machine: Machine) -> None:
    """Their verdict stays until the plan is made, so that the stanza waits with the link."""
    served(machine)
    with machine.daemon():
        with machine.no_looks():
            machine.project(CLASS[9], "another")
            lose(machine, CLASS[:4])
        machine.until(lambda: machine.log.of("withdrawal.held"))
        machine.student("zoe")
        machine.until(lambda: "zoe" in machine.stanzas or machine.status["held"])
        assert set(CLASS) <= machine.stanzas
        assert set(CLASS) <= machine.apache.daemons
        assert all(machine.serves(name) for name in CLASS)


def lose(machine: Machine, names: list[str]) -> None:
    """Take away homes, and then accounts."""
    for name in names:
        machine.remove(name)
    machine.forget(*names)


def test_who_is_held_and_named_keeps_no_configuration_waiting(machine: Machine) -> None:
    """Homes alone are gone: the database names their accounts, and Apache could start with them."""
    served(machine)
    with machine.daemon():
        with machine.no_looks():
            for name in CLASS[:4]:
                machine.remove(name)
        machine.until(lambda: machine.log.of("withdrawal.held"))
        machine.student("zoe")
        machine.until(lambda: {*CLASS, "zoe"} == machine.apache.daemons)
    assert not machine.log.of("generation.blocked")


def test_who_is_gone_and_not_held_has_no_stanza(machine: Machine) -> None:
    """One account of twelve is deleted: link, stanza, page and entry go."""
    served(machine)
    lose(machine, CLASS[:1])
    assert Exit.CONVERGED == machine.once()
    assert set(CLASS[1:]) == machine.stanzas == machine.apache.daemons == machine.published
    assert CLASS[0] not in machine.status["accounts"]
    assert machine.page(CLASS[0]) is None
