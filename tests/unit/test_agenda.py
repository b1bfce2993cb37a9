"""When an account is looked at: at once, then together, and never later than promised."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from reconciler.agenda import Agenda, Backoff
from reconciler.settings import Timing

TIMING = Timing(quiet=0.05, max_wait=1.0)


def test_the_first_event_of_a_quiet_account_is_due_at_once() -> None:
    """A student waits for nothing but their own file; nobody else is due."""
    agenda = Agenda(TIMING)
    agenda.wake(["a"], 10.0)
    assert 10.0 == agenda.next()
    assert {"a"} == agenda.take(10.0)
    assert agenda.next() is None
    assert set() == agenda.take(99.0)


def test_what_follows_waits_until_it_is_quiet() -> None:
    """A checkout is one more look, not a hundred; another account does not wait for it."""
    agenda = Agenda(TIMING)
    agenda.wake(["a"], 10.0)
    agenda.take(10.0)
    for n in range(1, 6):
        agenda.wake(["a"], 10.0 + n * 0.01)
    agenda.wake(["b"], 10.05)
    assert {"b"} == agenda.take(10.05)
    assert set() == agenda.take(10.09)
    assert {"a"} == agenda.take(10.11)


@given(st.lists(st.floats(0.001, 0.2), min_size=1, max_size=80), st.floats(0.001, 0.04))
def test_no_event_waits_longer_than_max_wait(gaps: list[float], slack: float) -> None:
    """However the events come: each is followed by a look within `max_wait`, and none is lost."""
    agenda = Agenda(TIMING)
    now, waiting = 100.0, None
    for gap in gaps:
        end = now + gap
        while (due := agenda.next()) is not None and due <= end:
            now = max(now, due)
            assert {"a"} == agenda.take(now)
            assert waiting is not None
            assert now - waiting <= TIMING.max_wait + 1e-9
            waiting = None
        now = end
        agenda.wake(["a"], now)
        waiting = now if waiting is None else waiting
        due = agenda.next()
        assert due is not None
        assert due - waiting <= TIMING.max_wait + 1e-9
    last = agenda.next()
    assert last is not None
    assert {"a"} == agenda.take(last + slack)
    assert agenda.next() is None


def test_a_steady_stream_of_events_is_looked_at_once_in_max_wait() -> None:
    """An upload of ten thousand small files does not postpone the look for ever, nor is it many."""
    agenda = Agenda(TIMING)
    looks = []
    for n in range(1000):
        now = n * 0.01
        agenda.wake(["a"], now)
        if agenda.take(now):
            looks.append(now)
    gaps = [after - before for before, after in itertools.pairwise(looks[1:])]
    assert 0.0 == looks[0]
    assert all(0.9 <= gap <= 1.1 for gap in gaps), gaps


def test_a_reminder_is_due_then_or_before() -> None:
    """The end of grace; an event in between comes sooner and takes the reminder's place."""
    agenda = Agenda(TIMING)
    agenda.remind(["a"], 12.0)
    agenda.remind(["a"], 15.0)
    assert 12.0 == agenda.next()
    agenda.wake(["a"], 10.0)
    due = agenda.next()
    assert due is not None
    assert due <= 10.05
    assert {"a"} == agenda.take(due)
    assert agenda.next() is None


def test_when_everyone_was_looked_at_nobody_is_due() -> None:
    """A resync takes all in; the next event of each is due as it would be."""
    agenda = Agenda(TIMING)
    agenda.wake(["a", "b"], 10.0)
    agenda.remind(["c"], 30.0)
    agenda.taken_all(10.0)
    assert agenda.next() is None
    agenda.wake(["a"], 20.0)
    assert 20.0 == agenda.next()


def test_a_backoff_doubles_up_to_its_most() -> None:
    """And begins anew after success."""
    backoff = Backoff(0.5, 3.0)
    assert [0.5, 1.0, 2.0, 3.0, 3.0] == [backoff.delay() for _ in range(5)]
    backoff.reset()
    assert 0.5 == backoff.delay()


def test_a_loop_of_changes_is_looked_at_as_often_as_max_wait() -> None:
    """One student's `while true; do chmod …; done` neither floods the log nor is forgotten."""
    agenda = Agenda(Timing(quiet=0.05, max_wait=1.0))
    looks = []
    for tick in range(60 * 16):  # a minute of changes, each later than `quiet`
        now = 100 + tick / 16
        agenda.wake(["loop"], now)
        if agenda.take(now):
            looks.append(now)
    assert len([at for at in looks if at < 101]) >= 15, "a burst is looked at as it comes"
    assert len([at for at in looks if at >= 110]) <= 50 * 4
    agenda.wake(["loop"], 200.0)
    assert {"loop"} == agenda.take(200.0), "and is forgiven"
