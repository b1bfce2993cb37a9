"""The daemon visits what it published, tells what it found, and waits for no visit."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.machine import Machine

REFUSED = 400, "<title>Bad Request (400)</title>"
LEADS_OUT = 200, '<title>Shop</title><a href="/about/">'
BROKEN = 500, '<title>OperationalError at /</title><p class="exception_value">no such table: a_b'
GOOD = 200, "<title>Shop</title>"
ALICE = "/django/alice/"


@pytest.fixture(autouse=True)
def visits(machine: Machine) -> None:
    """Let the machine visit its apps, which other tests do without."""
    machine.configure(probe={"enabled": True})


def until(machine: Machine, condition: Callable[[], object]) -> None:
    """Wait until it holds; the status comes once a second at most."""
    machine.until(condition, within=15.0)


def again(machine: Machine, condition: Callable[[], object]) -> None:
    """Wait until it holds, while time passes: an app is visited again by itself, later each time.

    How often it was until now is not known: a visit may just be under way.
    """
    for _ in range(4):
        machine.later(61.0)
        machine.database()
        with suppress(AssertionError):
            machine.until(condition, within=3.0)
            return
    until(machine, condition)


def codes(machine: Machine, name: str = "alice") -> list[str]:
    """Return the codes of an account's warnings, as the status has them."""
    accounts = machine.status["accounts"]
    return [warning["code"] for warning in accounts[name]["warnings"]] if name in accounts else []


def test_an_app_is_visited_when_it_appears_and_when_it_changes(machine: Machine) -> None:
    """After Apache knows of it; nobody else is."""
    machine.students("alice", "bob")
    with machine.daemon():
        until(machine, lambda: {ALICE + "admin/", "/django/bob/admin/"} <= {*machine.apache.visits})
        before = len(machine.apache.visits)
        machine.project("alice", text="application = 1\n")
        until(machine, lambda: machine.log.of("app.changed"))
        machine.later(3.0)  # it rests
        machine.project("bob", text="application = 2\n")
        until(machine, lambda: 2 == machine.apache.visits.count(ALICE))
        until(machine, lambda: 2 == machine.apache.visits.count("/django/bob/"))
        until(machine, lambda: len(machine.apache.visits) == before + 4)
        assert [] == codes(machine)


def test_what_a_visitor_stumbles_over_is_a_warning_until_it_is_mended(machine: Machine) -> None:
    """With what to write; it is looked at again by itself, for the mend is in no file we watch."""
    machine.student("alice")
    machine.apache.plays[ALICE] = REFUSED
    with machine.daemon():
        until(machine, lambda: ["allowed-hosts"] == codes(machine))
        (warning,) = machine.entry("alice")["warnings"]
        # The name that refused is one of them: what is told would else be told again.
        assert re.search(r'ALLOWED_HOSTS = \[.*"127\.0\.0\.1"\]', warning["fix"])
        assert "served" == machine.entry("alice")["state"]
        machine.apache.plays[ALICE] = LEADS_OUT
        again(machine, lambda: ["outside-prefix"] == codes(machine))
        machine.apache.plays[ALICE] = GOOD
        again(machine, lambda: [] == codes(machine))


def test_a_page_that_is_an_exception_is_told_with_its_mend(machine: Machine) -> None:
    """For the template sets that have no runner, a visit is all there is."""
    machine.student("alice")
    machine.apache.plays[ALICE] = BROKEN
    with machine.daemon():
        until(machine, lambda: "failing" == machine.health("alice")["state"])
        assert "migrations" == machine.health("alice")["code"]
        assert "manage.py migrate" in machine.health("alice")["fix"]
        assert [] == codes(machine), "once is enough"
        machine.apache.plays[ALICE] = GOOD
        again(machine, lambda: "working" == machine.health("alice")["state"])


def test_an_app_that_says_that_its_code_changed_is_visited(machine: Machine) -> None:
    """Its set is the same; nobody else may ask for the new code for long."""
    machine.student("alice")
    with machine.daemon():
        until(machine, lambda: "working" == machine.health("alice")["state"])
        before = machine.apache.visits.count(ALICE)
        machine.apache.plays[ALICE] = BROKEN
        machine.later(30.0)
        assert machine.tell("alice", "ends", why="changed")
        until(machine, lambda: machine.apache.visits.count(ALICE) > before)
        until(machine, lambda: "failing" == machine.health("alice")["state"])


def test_an_app_rests_for_what_its_whole_visit_held(machine: Machine) -> None:
    """A first page at once, and pictures that never come, hold one of two places for long."""
    machine.configure(probe={"enabled": True, "timeout": 3})
    machine.student("alice")
    machine.apache.plays |= {ALICE: (200, '<img src="x.png">'), f"{ALICE}x.png": None}
    with machine.daemon():
        until(machine, lambda: "working" == machine.health("alice")["state"])
        machine.later(3.0)  # longer than an app rests that is done at once
        assert machine.tell("alice", "ends", why="changed")
        machine.stays(lambda: 1 == machine.apache.visits.count(ALICE), during=1.0)
        machine.later(60.0)
        machine.database()
        until(machine, lambda: 2 == machine.apache.visits.count(ALICE))


def test_an_app_that_says_that_an_answer_failed_is_visited_by_and_by(machine: Machine) -> None:
    """Nobody else may come for a week, and a single exception is no state of an app."""
    machine.student("alice")
    machine.apache.plays[ALICE] = GOOD
    with machine.daemon():
        until(machine, lambda: "working" == machine.health("alice")["state"])
        assert machine.tell("alice", "raised", code="raises", kind="OSError")
        until(machine, lambda: "failing" == machine.health("alice")["state"])
        again(machine, lambda: "working" == machine.health("alice")["state"])


def test_where_apps_have_hosts_they_are_visited_there(machine: Machine) -> None:
    """What leads out of the path is inside, at the host."""
    machine.configure(urls={"hosts": "{account}.apps.example.edu"})
    machine.student("alice")
    machine.apache.plays["/"] = LEADS_OUT
    with machine.daemon():
        until(machine, lambda: "/admin/" in machine.apache.visits)
        machine.stays(lambda: [] == codes(machine))


def test_what_is_wrong_at_the_path_alone_is_told_as_well(machine: Machine) -> None:
    """Whoever has a host has a path beside it."""
    machine.configure(urls={"hosts": "{account}.apps.example.edu"})
    machine.student("alice")
    machine.apache.plays["/"] = GOOD
    machine.apache.plays[ALICE] = LEADS_OUT
    with machine.daemon():
        until(machine, lambda: ["outside-prefix"] == codes(machine))
        assert "working" == machine.health("alice")["state"]
        machine.apache.plays[ALICE] = BROKEN
        again(machine, lambda: "failing" == machine.health("alice")["state"])


def test_nobody_is_visited_before_apache_knows_of_them(machine: Machine) -> None:
    """Their address may be yet to come: what answers there now is not their app."""
    with machine.daemon():
        machine.apache.hold("configtest")
        machine.student("alice")
        until(machine, lambda: machine.apache.held("configtest"))
        until(machine, lambda: "alice" in machine.published)
        machine.stays(lambda: not machine.apache.visits)
        machine.apache.release("configtest")
        until(machine, lambda: ALICE in machine.apache.visits)


def test_a_class_is_not_woken_by_a_start(machine: Machine) -> None:
    """Each app takes 30 MB: they are visited one after the other, and forgotten meanwhile."""
    names = [f"s{n}" for n in range(30)]
    machine.students(*names)
    with machine.daemon():
        until(machine, lambda: machine.apache.visits)
        machine.stays(lambda: len(machine.apache.visits) <= 2, during=0.5)
        for _ in range(40):
            machine.later(11.0)
            machine.database()
            time.sleep(0.01)
        until(machine, lambda: len({v for v in machine.apache.visits if "admin" not in v}) >= 20)


def test_another_process_keeps_what_a_visitor_found_until_it_knows_better(machine: Machine) -> None:
    """A restart neither forgets a warning nor leaves it for the background."""
    machine.students("alice", "bob")
    machine.apache.plays[ALICE] = REFUSED
    with machine.daemon():
        until(machine, lambda: ["allowed-hosts"] == codes(machine))
    machine.apache.plays[ALICE] = None
    with machine.daemon():
        until(machine, lambda: 2 == machine.apache.visits.count(ALICE))
        assert ["allowed-hosts"] == codes(machine)
        machine.apache.plays[ALICE] = GOOD
        until(machine, lambda: [] == codes(machine))


def test_nothing_waits_for_an_app_that_does_not_answer(machine: Machine) -> None:
    """Neither a save of another's, nor the settings, nor the end."""
    machine.student("alice")
    machine.apache.plays[ALICE] = None
    with machine.daemon() as running:
        until(machine, lambda: ALICE in machine.apache.visits)
        machine.student("bob")
        until(machine, lambda: "/django/bob/" in machine.apache.visits)
        running.hup()
        until(machine, lambda: machine.log.of("settings.reread"))
        started = time.monotonic()
        assert 0 == running.stop()
        assert time.monotonic() - started < 4


def test_a_stopped_apache_is_no_fault_of_an_apps(machine: Machine) -> None:
    """Nothing is told of the apps; they are visited when it is back."""
    machine.student("alice")
    machine.once()
    machine.apache.close()
    machine.configure(probe={"timeout": 1.0})
    with machine.daemon():
        machine.student("bob")
        until(machine, lambda: "bob" in machine.published)
        machine.stays(lambda: [] == codes(machine))


def test_a_withdrawn_app_is_not_visited(machine: Machine) -> None:
    """Nor does what was found of it come back with the next one."""
    machine.student("alice")
    machine.apache.plays[ALICE] = REFUSED
    with machine.daemon():
        until(machine, lambda: ["allowed-hosts"] == codes(machine))
        machine.remove("alice", "mysite")
        until(machine, lambda: not machine.serves("alice"))
        until(machine, lambda: [] == codes(machine))
        before = len(machine.apache.visits)
        machine.later(700.0)
        machine.database()
        machine.stays(lambda: before == len(machine.apache.visits))


def test_it_can_be_switched_off(machine: Machine) -> None:
    """`[probe] enabled = false`: Apache is asked for what is ours, and nobody else."""
    machine.configure(probe={"enabled": False})
    machine.student("alice")
    with machine.daemon():
        until(machine, lambda: machine.serves("alice"))
        machine.stays(lambda: [] == machine.apache.visits)
