"""When what is due: accounts at once, then together; tasks spaced, backed off, and never lost."""

from __future__ import annotations

import itertools
from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.rounds import AGAIN
from reconciler.schedule import VISIT_AFTER, Schedule, Task
from reconciler.settings import Timing

if TYPE_CHECKING:
    from collections.abc import Callable

TIMING = Timing(quiet=0.05, max_wait=1.0, resync=60.0)
CALM = Timing(quiet=0.05, max_wait=1.0, resync=1e6)
"""Of which no resync comes in between."""


def settled(now: float = 0.0, *, timing: Timing = TIMING) -> Schedule:
    """Return a schedule whose first look at everyone and first writing of the status are done."""
    schedule = Schedule(timing, now)
    assert {Task.EVERYONE, Task.STATUS} == schedule.take(now).tasks
    schedule.looked(frozenset(), everyone=True, now=now)
    return schedule


# ---- accounts ------------------------------------------------------------------------------------


def test_the_first_event_of_a_quiet_account_is_due_at_once() -> None:
    """A student waits for nothing but their own file; nobody else is due."""
    schedule = settled()
    schedule.woken(["a"], 10.0)
    assert 10.0 == schedule.next()
    assert {"a"} == schedule.take(10.0).names
    assert 60.0 == schedule.next(), "what comes next is the resync"
    assert set() == schedule.take(59.0).names


def test_what_follows_waits_until_it_is_quiet() -> None:
    """A checkout is one more look, not a hundred; another account does not wait for it."""
    schedule = settled()
    schedule.woken(["a"], 10.0)
    schedule.take(10.0)
    for n in range(1, 6):
        schedule.woken(["a"], 10.0 + n * 0.01)
    schedule.woken(["b"], 10.05)
    assert {"b"} == schedule.take(10.05).names
    assert set() == schedule.take(10.09).names
    assert {"a"} == schedule.take(10.11).names


@given(st.lists(st.floats(0.001, 0.2), min_size=1, max_size=80), st.floats(0.001, 0.04))
def test_no_event_waits_longer_than_max_wait(gaps: list[float], slack: float) -> None:
    """However the events come: each is followed by a look within `max_wait`, and none is lost."""
    schedule = settled(timing=Timing(quiet=0.05, max_wait=1.0, resync=86400.0))
    now, waiting = 100.0, None
    for gap in gaps:
        end = now + gap
        while (due := schedule.next()) <= end:
            now = max(now, due)
            assert {"a"} == schedule.take(now).names
            assert waiting is not None
            assert now - waiting <= TIMING.max_wait + 1e-9
            waiting = None
        now = end
        schedule.woken(["a"], now)
        waiting = now if waiting is None else waiting
        assert schedule.next() - waiting <= TIMING.max_wait + 1e-9
    assert {"a"} == schedule.take(schedule.next() + slack).names
    assert 86400.0 == schedule.next()


def test_a_steady_stream_of_events_is_looked_at_once_in_max_wait() -> None:
    """An upload of ten thousand small files does not postpone the look for ever, nor is it many."""
    schedule = settled()
    looks = []
    for n in range(1000):
        now = n * 0.01
        schedule.woken(["a"], now)
        if schedule.take(now).names:
            looks.append(now)
    gaps = [after - before for before, after in itertools.pairwise(looks[1:])]
    assert 0.0 == looks[0]
    assert 8 == len(gaps)
    assert all(0.9 <= gap <= 1.1 for gap in gaps), gaps


def test_a_loop_of_changes_is_looked_at_as_often_as_max_wait() -> None:
    """One student's `while true; do chmod …; done` neither floods the log nor is forgotten."""
    schedule = settled(timing=Timing(quiet=0.05, max_wait=1.0, resync=86400.0))
    looks = []
    for tick in range(60 * 16):  # a minute of changes, each later than `quiet`
        now = 100 + tick / 16
        schedule.woken(["loop"], now)
        if schedule.take(now).names:
            looks.append(now)
    assert 15 <= len([at for at in looks if at < 101]), "a burst is looked at as it comes"
    assert 45 <= len([at for at in looks if at >= 110]) <= 50 * 4
    schedule.woken(["loop"], 200.0)
    assert {"loop"} == schedule.take(200.0).names, "and is forgiven"


def test_a_burst_is_so_many_looks_less_what_was_forgotten() -> None:
    """The fortieth look at eight changes a second is the last one at once; then they wait."""
    schedule = settled(timing=Timing(quiet=0.125, max_wait=1.0, resync=86400.0))
    now = 100.0
    for _ in range(40):  # each counts one, and half of one is forgotten until the next
        schedule.woken(["loop"], now)
        assert {"loop"} == schedule.take(now).names
        now += 0.125
    schedule.woken(["loop"], now)
    assert now + 1.0 == schedule.next()
    schedule.woken(["loop"], now + 0.5)
    assert now + 1.0 == schedule.next(), "counted from the first"


def test_two_events_at_once_are_one() -> None:
    """What is due now is not put off by the next."""
    schedule = settled()
    schedule.woken(["a"], 10.0)
    schedule.woken(["a"], 10.0)
    assert 10.0 == schedule.next()


def test_a_recheck_is_due_then_or_before() -> None:
    """The end of grace; an event in between comes sooner and takes its place."""
    schedule = settled()
    schedule.looked({"a"}, everyone=False, rechecks={"a": 15.0}, now=9.0)
    schedule.looked({"a"}, everyone=False, rechecks={"a": 12.0}, now=9.0)
    assert 12.0 == schedule.next()
    schedule.woken(["a"], 10.0)
    assert 10.05 == schedule.next()
    assert {"a"} == schedule.take(10.05).names
    assert 60.0 == schedule.next()


def test_when_everyone_was_looked_at_nobody_else_is_due() -> None:
    """A resync takes all in; the next event of each is due as it would be."""
    schedule = settled()
    schedule.woken(["a", "b", ""], 10.0)
    schedule.looked({"c"}, everyone=False, rechecks={"c": 30.0}, now=10.0)
    schedule.looked({"a", "b", "c"}, everyone=True, now=10.0)
    assert 70.0 == schedule.next()
    schedule.woken(["a"], 20.0)
    assert 20.0 == schedule.next()


def test_at_the_unsettled_it_is_looked_later_each_time() -> None:
    """Twice as late each time and at most `resync`; settled, it begins anew."""
    schedule = settled(timing=Timing(resync=40.0))
    schedule.looked({"a", "b"}, everyone=False, unsettled={"a"}, now=0.0)
    looks = [0.0]
    while looks[-1] < 400:
        now = schedule.next()
        everyone = Task.EVERYONE in schedule.take(now).tasks
        looks.append(now)
        schedule.looked({"a", "b"}, everyone=everyone, unsettled={"a"}, now=now)
    gaps = [after - before for before, after in itertools.pairwise(looks)]
    assert [0.5, 1.0, 2.0, 4.0, 8.0, 16.0] == gaps[:6]
    assert 40.0 == max(gaps)
    now = looks[-1]
    schedule.looked({"a"}, everyone=False, now=now)
    schedule.looked({"a"}, everyone=False, unsettled={"a"}, now=now)
    assert now + 0.5 == schedule.next()


def test_a_look_at_others_leaves_the_unsettled_where_they_are() -> None:
    """Their next try is neither forgotten nor put off."""
    schedule = settled()
    schedule.looked({"a"}, everyone=False, unsettled={"a"}, now=10.0)
    schedule.looked({"b"}, everyone=False, now=10.1)
    assert 10.5 == schedule.next()


def test_an_entry_ends_by_itself() -> None:
    """Ten thousand accounts that were busy once cost nothing after a few seconds."""
    schedule = settled()
    names = {f"s{n}" for n in range(1000)}
    schedule.woken(names, 10.0)
    assert names == schedule.take(10.0).names
    schedule.looked(names, everyone=False, unsettled={"s7"}, now=10.0)
    schedule.take(14.9)
    assert 1000 == schedule.entries, "a burst is still counted"
    schedule.looked({"s7"}, everyone=False, now=14.9)
    schedule.take(15.0)
    assert 1 == schedule.entries, "it was looked at since"
    schedule.take(20.0)
    assert 0 == schedule.entries
    slow = settled(timing=Timing(quiet=8.0, max_wait=9.0))
    slow.woken(["a"], 10.0)
    for now, entries in ((10.0, 1), (17.9, 1), (18.0, 0)):
        slow.take(now)
        assert entries == slow.entries, "what follows within `quiet` is not the first"


# ---- everyone ------------------------------------------------------------------------------------


def test_everyone_is_looked_at_first_and_then_each_resync() -> None:
    """Counted from the end of the look before, and sooner after an alarm."""
    schedule = Schedule(TIMING, 5.0)
    assert 5.0 == schedule.next()
    assert Task.EVERYONE in schedule.take(5.0).tasks
    schedule.looked(set(), everyone=True, now=8.0)
    assert 68.0 == schedule.next()
    schedule.alarmed(20.0)
    assert {Task.EVERYONE} == schedule.take(20.0).tasks
    schedule.looked(set(), everyone=True, now=20.0)
    assert 80.0 == schedule.next()


def test_who_is_due_with_everyone_is_not_looked_at_twice() -> None:
    """The names are none, and their wake-ups are answered."""
    schedule = settled()
    schedule.woken(["a"], 10.0)
    schedule.alarmed(10.0)
    due = schedule.take(10.0)
    assert ({Task.EVERYONE}, set()) == (due.tasks, due.names)
    schedule.looked({"a"}, everyone=True, now=10.0)
    assert 70.0 == schedule.next()


def test_a_failed_look_has_everyone_looked_at_once() -> None:
    """More failures by events change nothing; those at everyone come later each time."""
    schedule = settled()
    schedule.woken(["a"], 10.0)
    schedule.take(10.0)
    schedule.look_failed(everyone=False, now=10.0)
    assert 10.5 == schedule.next()
    schedule.look_failed(everyone=False, now=10.4)
    assert 10.5 == schedule.next(), "an event's failure puts nothing off"
    pauses = []
    now = 10.5
    for _ in range(9):
        assert Task.EVERYONE in schedule.take(now).tasks
        schedule.look_failed(everyone=True, now=now)
        pauses.append(schedule.next() - now)
        now = schedule.next()
    assert [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0] == pauses
    schedule.take(now)
    schedule.looked(set(), everyone=True, now=now)
    schedule.look_failed(everyone=False, now=now)
    assert now + 0.5 == schedule.next(), "it worked in between: anew from half a second"


# ---- configuring ---------------------------------------------------------------------------------


def test_wishes_for_a_configuration_are_one() -> None:
    """It waits until there are none for `quiet`, at most `max_wait`: a class is one reload."""
    schedule = settled()
    now = 10.0
    schedule.wanted(now)
    assert 10.05 == schedule.next()
    while now < 10.99:
        now += 0.04
        schedule.wanted(now)
    assert 11.0 == schedule.next()
    assert {Task.CONFIGURE} == schedule.take(11.0).tasks


def test_one_configuration_at_a_time() -> None:
    """A wish that comes meanwhile waits for the end of the one under way, and is not lost."""
    schedule = settled()
    assert not schedule.is_configuring(9.0)
    schedule.wanted(10.0)
    assert schedule.is_configuring(10.0)
    schedule.take(10.05)
    assert schedule.is_configuring(10.05)
    schedule.wanted(10.1)
    assert set() == schedule.take(20.0).tasks
    assert 60.0 == schedule.next()
    schedule.configured(converged=True, not_before=22.0, now=20.0)
    assert not schedule.is_configuring(21.9), "it waits for its turn"
    assert schedule.is_configuring(22.0)
    assert {Task.CONFIGURE} == schedule.take(22.0).tasks
    schedule.configured(converged=True, not_before=-inf, now=23.0)
    assert not schedule.is_configuring(23.0)


def test_a_new_wish_never_jumps_the_spacing() -> None:
    """Reloads are a cost that everybody pays."""
    schedule = settled()
    schedule.wanted(10.0)
    schedule.take(10.05)
    schedule.configured(converged=True, not_before=16.0, now=11.0)
    schedule.wanted(12.0)
    assert 16.0 == schedule.next()
    assert set() == schedule.take(15.9).tasks
    assert {Task.CONFIGURE} == schedule.take(16.0).tasks


def test_a_new_wish_never_jumps_the_backoff() -> None:
    """Nor is one needed: what did not converge is tried again, later each time."""
    schedule = settled(timing=Timing(quiet=0.05, max_wait=1.0, resync=86400.0))
    schedule.wanted(1.0)
    now, pauses = schedule.next(), []
    for _ in range(7):
        assert Task.CONFIGURE in schedule.take(now).tasks
        schedule.configured(converged=False, not_before=-inf, now=now)
        schedule.wanted(now + 0.1)
        pauses.append(schedule.next() - now)
        now = schedule.next()
    assert pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]) == pauses
    schedule.take(now)
    schedule.configured(converged=True, not_before=-inf, now=now)
    schedule.wanted(now)
    schedule.take(now + 0.05)
    schedule.configured(converged=False, not_before=now + 5, now=now)
    assert now + 5 == schedule.next(), "the larger of back-off and spacing"


# ---- status and sign of life ---------------------------------------------------------------------


def test_the_status_is_written_once_a_second_and_for_a_twentieth_of_the_time() -> None:
    """At once where it was not written lately."""
    schedule = settled()
    schedule.wrote(took=0.01, now=0.0)
    schedule.told(10.0)
    assert {Task.STATUS} == schedule.take(10.0).tasks
    schedule.wrote(took=0.01, now=10.0)
    schedule.told(10.2)
    assert 11.0 == schedule.next()
    schedule.take(11.0)
    schedule.wrote(took=0.2, now=11.2)
    schedule.told(11.3)
    assert 15.2 == schedule.next()


def test_a_status_that_could_not_be_written_is_tried_again() -> None:
    """After ten seconds, or when there is something new."""
    schedule = settled()
    schedule.write_failed(10.0)
    assert 20.0 == schedule.next()
    schedule.told(12.0)
    assert 12.0 == schedule.next()


def test_a_sign_of_life_is_due_again_and_again() -> None:
    """At once, and then as often as systemd wants it; never where it wants none."""
    schedule = Schedule(TIMING, 0.0, beat_every=20.0)
    assert Task.BEAT in schedule.take(0.0).tasks
    schedule.looked(set(), everyone=True, now=0.0)
    assert 20.0 == schedule.next()
    assert {Task.BEAT} == schedule.take(20.5).tasks
    assert 40.5 == schedule.next()
    assert Task.BEAT not in Schedule(TIMING, 0.0).take(0.0).tasks


def test_the_spacing_of_a_process_before_us_holds() -> None:
    """One that crashes and is started again does not reload without end."""
    schedule = Schedule(TIMING, 0.0, not_before=9.0)
    schedule.take(0.0)
    schedule.looked(set(), everyone=True, now=0.0)
    schedule.wanted(1.0)
    assert 9.0 == schedule.next()


def test_who_was_unsettled_and_is_gone_has_no_entry() -> None:
    """An account that is looked at no more leaves nothing behind."""
    schedule = settled()
    schedule.looked({"alice"}, everyone=False, unsettled={"alice"}, now=0.0)
    assert {"alice"} == schedule.take(1.0).names
    schedule.look_failed(everyone=False, now=1.0)
    schedule.take(2.0)
    schedule.looked(set(), everyone=True, now=2.0)
    schedule.take(100.0)
    assert 0 == schedule.entries


# ---- visits --------------------------------------------------------------------------------------


def test_whoever_waits_for_an_app_comes_before_our_own_visitor() -> None:
    """An app that is new is visited a moment later: it is loaded for the student who looks."""
    schedule = settled()
    schedule.changed(["a"], 10.0)
    assert 10.0 + VISIT_AFTER == schedule.next()
    assert () == schedule.take(10.0).visits
    assert ("a",) == schedule.take(10.0 + VISIT_AFTER).visits


def test_nobody_is_visited_while_a_configuration_is_made() -> None:
    """Their address may be yet to come; afterwards it is their turn."""
    schedule = settled()
    schedule.changed(["a"], 10.0)
    schedule.wanted(10.0)
    assert Task.CONFIGURE in schedule.take(10.1).tasks
    assert 60.0 == schedule.next(), "the resync"
    assert () == schedule.take(12.0).visits
    schedule.configured(converged=True, not_before=0.0, now=13.0)
    assert ("a",) == schedule.take(13.0).visits


def test_what_is_said_of_an_app_is_when_it_is_visited() -> None:
    """Each word of it, and the next visit is planned by it."""
    schedule = settled(timing=CALM)
    schedule.failed(["a"], 10.0)
    assert 10.0 + AGAIN == schedule.next()
    assert ("a",) == schedule.take(10.0 + AGAIN).visits
    schedule.visited("a", took=1.0, works=False, now=30.0)
    assert 30.0 + AGAIN == schedule.next()
    assert ("a",) == schedule.take(30.0 + AGAIN).visits
    schedule.postponed("a", 46.0)
    assert 1e6 == schedule.next(), "until Apache knows of it"
    schedule.configured(converged=True, not_before=0.0, now=70.0)
    assert ("a",) == schedule.take(70.0).visits
    schedule.visited("a", took=1.0, works=True, now=71.0)
    assert 1e6 == schedule.next(), "it works"
    schedule.changed(["a"], 80.0)
    schedule.gone(["a"], 80.0)
    assert 1e6 == schedule.next()
    schedule.untold(["b"], 90.0)
    assert ("b",) == schedule.take(90.0).visits


@pytest.mark.parametrize(
    "say",
    [
        lambda schedule: schedule.changed(["a"], 10.0),
        lambda schedule: schedule.failed(["a"], 10.0),
        lambda schedule: schedule.untold(["a"], 10.0),
        lambda schedule: schedule.gone(["a"], 10.0),
        lambda schedule: schedule.postponed("under way", 10.0),
        lambda schedule: schedule.visited("under way", took=0.1, works=False, now=10.0),
    ],
)
def test_whatever_is_said_of_apps_a_configuration_that_is_to_come_comes_first(
    say: Callable[[Schedule], None],
) -> None:
    """Nobody is planned to be visited before it."""
    schedule = settled(timing=CALM)
    schedule.changed(["under way"], 1.0)
    assert ("under way",) == schedule.take(2.0).visits
    schedule.wanted(10.0)
    say(schedule)
    assert 10.0 + CALM.quiet == schedule.next()
    assert () == schedule.take(10.0 + CALM.quiet).visits
    assert 1e6 == schedule.next(), "until it has ended"


def test_a_visit_waits_for_a_configuration_that_is_due_with_it_and_for_none_that_is_later() -> None:
    """One that has to keep its distance from the one before holds nobody up until then."""
    schedule = settled(timing=CALM)
    schedule.configured(converged=True, not_before=20.0, now=9.0)
    schedule.wanted(10.0)
    schedule.changed(["a"], 11.0)
    assert ("a",) == schedule.take(12.0).visits
    schedule.visited("a", took=0.1, works=True, now=12.1)
    schedule.changed(["b"], 19.0)
    due = schedule.take(20.0)
    assert ({Task.CONFIGURE}, ()) == (due.tasks - {Task.PROBE}, due.visits)
    schedule.configured(converged=True, not_before=0.0, now=21.0)
    assert ("b",) == schedule.take(21.0).visits
