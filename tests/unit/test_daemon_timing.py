"""When the daemon configures, reloads and writes: spacing, back-off, and who waits for whom."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.once import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.machine import Machine


# ---- who waits for a reload ----------------------------------------------------------------------


def test_publishing_an_app_waits_for_no_reload(machine: Machine) -> None:
    """Alice's reload is under way: bob, who has a stanza, publishes meanwhile."""
    machine.student("bob", project=None)
    with machine.daemon():
        machine.apache.hold("graceful")
        reloads = machine.apache.reloads
        machine.student("alice")
        machine.until(lambda: machine.apache.reloads > reloads)
        machine.project("bob")
        machine.until(lambda: machine.serves("bob"))
        assert "alice" not in machine.apache.daemons
        machine.apache.release("graceful")
        machine.until(lambda: machine.serves("alice"))


@pytest.mark.parametrize("command", ["configtest", "graceful"])
def test_publishing_an_app_waits_for_no_reload_of_a_pass_beside_it(
    machine: Machine, command: str
) -> None:
    """`--once` runs at each start of Apache: students' saves go live meanwhile."""
    machine.student("bob", project=None)
    machine.once()
    machine.student("alice")
    beside = beside_the_daemon(machine, command)
    machine.until(lambda: machine.apache.held(command), "the pass configures")
    with machine.daemon(ready=False):
        machine.project("bob")
        machine.until(lambda: machine.serves("bob"), within=1.5)
        assert beside.is_alive()
        machine.apache.release(command)
        beside.join(10)
        machine.until(lambda: {"alice", "bob"} == machine.apache.daemons)


def beside_the_daemon(machine: Machine, command: str) -> threading.Thread:
    """Begin a pass in another thread, which hangs in this command, as another process would."""
    machine.apache.hold(command)
    thread = threading.Thread(target=machine.once, daemon=True)
    thread.start()
    return thread


def test_two_passes_at_once_are_one_after_the_other(machine: Machine) -> None:
    """Who comes second waits for the lock; and says so where it is not to be had in time."""
    machine.student("alice")
    first = beside_the_daemon(machine, "graceful")
    machine.until(lambda: machine.apache.held("graceful"))
    late = machine.settings_with(apache={**machine.apache.tables(), "timeout": 0.2})
    machine.student("bob")
    assert Exit.LOCKED == machine.once(late)
    assert machine.log.of("pass.locked_out")
    machine.apache.release("graceful")
    first.join(10)
    assert Exit.CONVERGED == machine.once()
    assert {"alice", "bob"} == machine.apache.daemons


# ---- spacing and back-off ------------------------------------------------------------------------


def test_reloads_are_spaced(machine: Machine) -> None:
    """A reload is a cost that everybody pays; an app's link waits for none."""
    machine.student("zed")
    machine.configure(timing={"reload_interval": 3600.0})
    with machine.daemon():
        machine.student("alice")
        machine.until(lambda: machine.app("alice"))
        machine.stays(lambda: 1 == machine.apache.reloads)
        assert {"zed"} == machine.apache.daemons


def test_reloads_are_spaced_by_what_one_costs(machine: Machine) -> None:
    """Twenty times as long without as with: one that stalls everybody for 0.2 s is rare."""
    machine.apache.slow = 0.2
    machine.student("zed")
    with machine.daemon():
        machine.student("alice")
        machine.until(lambda: machine.app("alice"))
        machine.stays(lambda: 1 == machine.apache.reloads, during=1.0)


def test_the_spacing_of_reloads_survives_a_crash(machine: Machine) -> None:
    """A crash loop would reload without end, and stall everybody each time."""
    machine.student("zed")
    machine.configure(timing={"reload_interval": 3600.0})
    with machine.daemon():
        machine.until(lambda: 1 == machine.apache.reloads)
    for name in ("alice", "bob"):
        machine.student(name)
        with machine.daemon():  # which is ready all the same: a start waits for no turn
            machine.until(lambda n=name: machine.app(n))
            machine.stays(lambda: 1 == machine.apache.reloads)


def test_a_new_daemon_with_nothing_to_do_reloads_nothing(machine: Machine) -> None:
    """What is current is seen to be served."""
    machine.student("alice")
    for _ in range(2):
        with machine.daemon():
            machine.stays(lambda: machine.apache.reloads <= 1, during=0.1)
    assert (1, 1) == (machine.apache.reloads, machine.generation)


def test_what_comes_together_is_one_reload(machine: Machine) -> None:
    """A class that logs in: within `quiet` of each other, all in one configuration."""
    machine.configure(timing={"quiet": 0.15, "max_wait": 5.0})
    with machine.daemon():
        reloads = machine.apache.reloads
        for name in ("alice", "bob", "carol", "dave"):
            machine.student(name)
            time.sleep(0.02)
        machine.until(lambda: {"alice", "bob", "carol", "dave"} == machine.apache.daemons)
        assert reloads + 1 == machine.apache.reloads


def test_who_comes_all_the_time_is_configured_all_the_same(machine: Machine) -> None:
    """`quiet` never comes: after `max_wait`, what is there goes live."""
    machine.configure(timing={"quiet": 0.3, "max_wait": 0.6})
    with machine.daemon():
        for number in range(15):
            machine.student(f"s{number:02}")
            time.sleep(0.1)
            if machine.apache.daemons:
                break
        assert machine.apache.daemons


def test_a_new_wish_does_not_jump_the_back_off(machine: Machine) -> None:
    """A reload has failed: a second student does not try it again at once."""
    with machine.daemon():
        machine.apache.fail("graceful", "no")
        reloads = machine.apache.reloads
        machine.student("alice")
        machine.until(lambda: machine.log.of("apache.unreachable"))
        machine.student("bob")
        machine.until(lambda: machine.app("bob"))
        machine.stays(lambda: reloads + 1 == machine.apache.reloads, during=0.5)
        machine.apache.fail("graceful", None)
        machine.until(lambda: {"alice", "bob"} == machine.apache.daemons)


def test_the_same_trouble_is_told_once(machine: Machine) -> None:
    """However often it is tried; and when it is over, that is told."""
    with machine.daemon():
        machine.apache.fail("graceful", "no")
        reloads = machine.apache.reloads
        machine.student("alice")
        machine.until(lambda: machine.apache.reloads >= reloads + 2)
        machine.stays(lambda: 1 == len(machine.log.of("apache.unreachable")))
        machine.apache.fail("graceful", None)
        machine.until(lambda: {"alice"} == machine.apache.daemons)
        machine.until(lambda: machine.log.of("apache.reloaded"))
    assert 1 == len(machine.log.of("apache.unreachable"))
    assert "no" in machine.log.of("apache.unreachable")[0]["message"]


def test_a_stopped_apache_is_not_started_and_not_forgotten(machine: Machine) -> None:
    """Everything is published for it; once it runs, that is seen to be served."""
    with machine.daemon():
        machine.apache.stop()
        machine.student("alice")
        machine.until(lambda: machine.log.of("apache.unreachable"))
        assert not machine.apache.running
        assert {"alice"} == machine.stanzas
        reloads = machine.apache.reloads
        machine.apache.start()
        machine.until(lambda: machine.status["generation"] and machine.serves("alice"))
        machine.student("bob")
        machine.until(lambda: machine.serves("bob"))
        assert reloads + 1 == machine.apache.reloads


def test_an_app_that_flips_is_looked_at_a_few_times_a_second(machine: Machine) -> None:
    """`while :; do chmod o+w mysite; chmod o-w mysite; done` made 160 lines of log in 5 s."""
    machine.configure(timing={"quiet": 0.0, "max_wait": 1.0})
    machine.student("mallory")
    with machine.daemon():
        passes, place = machine.log.passes, machine.root / "mallory" / "mysite"
        for _ in range(80):
            place.chmod(0o777)
            time.sleep(0.005)
            place.chmod(0o755)
            time.sleep(0.005)
        assert 5 < machine.log.passes - passes < 50
        machine.until(lambda: machine.serves("mallory"))


# ---- the status ----------------------------------------------------------------------------------


def statuses(machine: Machine, during: float, meanwhile: Iterator[Any]) -> int:
    """Return how many different `status.json` there were while something happened."""
    seen, end = set(), time.monotonic() + during
    while time.monotonic() < end:
        found = os.stat(machine.state / "status.json")
        seen.add((found.st_ino, found.st_mtime_ns))
        next(meanwhile)
        time.sleep(0.005)
    return len(seen)


def saves(machine: Machine) -> Iterator[None]:
    """Save a script that is served and one that is not, in turn."""
    number = 0
    while True:
        machine.project("alice", text=f"application = {number}\n" * (number % 2))
        number += 1
        yield


def test_the_status_is_written_once_a_second(machine: Machine) -> None:
    """Its size grows with the accounts, and so what one save would cost."""
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: machine.serves("alice"))
        assert 1 <= statuses(machine, 0.7, saves(machine)) <= 2
        assert machine.log.passes > 5


def test_writing_the_status_takes_a_twentieth_of_the_time(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a write takes 0.1 s, as with ten thousand accounts, the next is 2 s later."""
    real = os.rename

    def rename(source: Any, target: Any, **keys: Any) -> None:
        if str(target).endswith("/status.json"):
            time.sleep(0.1)
        real(source, target, **keys)

    machine.student("alice")
    monkeypatch.setattr(os, "rename", rename)
    with machine.daemon():
        assert 1 == statuses(machine, 1.5, saves(machine))


def test_a_status_that_cannot_be_written_is_told(machine: Machine) -> None:
    """And the apps are served all the same."""
    machine.state.mkdir()
    (machine.state / "status.json").mkdir()
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: machine.log.of("status.failed"))
        machine.until(lambda: machine.serves("alice"))
        (machine.state / "status.json").rmdir()
    assert "served" == machine.entry("alice")["state"]
