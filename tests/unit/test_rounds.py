"""Whom to visit, and when: soon after a change, few at a time, and nobody at another's cost."""

from __future__ import annotations

import itertools
from collections import Counter
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.rounds import AGAIN, AGAIN_MOST, BURST, PLACES, RECOVERS, SLOW, Rounds
from reconciler.settings import Probe

TOOK = 0.3
"""Seconds that a visit takes here."""


def rounds(**changes: object) -> Rounds:
    """Return rounds with these settings."""
    return Rounds(Probe(**changes))  # type: ignore[arg-type]


def run(made: Rounds, until: float, *, took: dict[str, float] | None = None, works: bool = True,
        now: float = 0.0) -> list[tuple[float, str]]:  # fmt: skip
    """Make the visits as they are due; return when each began."""
    begun: list[tuple[float, str]] = []
    ends: list[tuple[float, float, str]] = []
    while True:
        now = max(now, min([made.next(), *(end for end, *_ in ends)]))
        if now > until:
            return begun
        for end in [end for end in ends if end[0] <= now]:
            ends.remove(end)
            made.ended(end[2], took=end[1], works=works, now=now)
        for name in made.take(now):
            begun.append((now, name))
            seconds = (took or {}).get(name, TOOK)
            ends.append((now + seconds, seconds, name))
            assert len(ends) <= PLACES


def test_who_changed_something_is_visited_at_once() -> None:
    """And once; then nothing is to come."""
    made = rounds()
    made.ask(["a"], 10.0)
    assert 10.0 == made.next()
    assert () == made.take(9.9)
    assert ("a",) == made.take(10.0)
    made.ended("a", took=TOOK, works=True, now=10.3)
    assert inf == made.next()


def test_two_are_under_way_and_the_third_waits() -> None:
    """In the order in which they changed something."""
    made = rounds()
    for n, name in enumerate("cab"):
        made.ask([name], float(n))
    assert ("c", "a") == made.take(5.0)
    assert inf == made.next(), "until one has ended"
    made.ended("a", took=TOOK, works=True, now=6.0)
    assert ("b",) == made.take(6.0)


def test_so_many_begin_in_a_minute() -> None:
    """In every minute, however many changed."""
    made = rounds(per_minute=6)
    made.ask([f"s{n}" for n in range(20)], 0.0)
    begun = [at for at, _ in run(made, 300.0)]
    assert 20 == len(begun)
    assert all(after - before > 59.999 for before, after in zip(begun, begun[6:], strict=False))
    assert begun[5] < 2.0


def test_those_who_changed_nothing_are_visited_one_after_the_other() -> None:
    """A tenth as often, so that a restart never loads a class at once; a change goes before."""
    made = rounds()
    made.ask_some_time([f"s{n}" for n in range(300)])
    made.ask(["new"], 0.0)
    begun = run(made, 60.0)
    assert {"new", "s0"} == {name for at, name in begun if at == 0.0}
    assert [10.0 * n for n in range(7)] == [at for at, name in begun if name != "new"]
    assert 300 == len(
        {name for _, name in run(made, 4000.0, now=60.0)} | {n for _, n in begun} - {"new"}
    )


def test_who_changes_something_has_no_turn_in_the_background_as_well() -> None:
    """One visit does."""
    made = rounds()
    made.ask_some_time(["a", "a"])
    made.ask(["a"], 0.0)
    made.ask_some_time(["a"])
    assert [(0.0, "a")] == run(made, 100.0)


def test_what_does_not_work_is_visited_again_later_each_time() -> None:
    """Its student may be mending it; a change of theirs makes it as at first."""
    made = rounds()
    made.ask(["a"], 0.0)
    begun = [at for at, _ in run(made, 4000.0, works=False)]
    gaps = [round(after - before - TOOK, 6) for before, after in itertools.pairwise(begun)]
    assert [AGAIN, 2 * AGAIN, 4 * AGAIN] == gaps[:3]
    assert AGAIN_MOST == max(gaps) == gaps[-1]
    made.ask(["a"], 4100.0)
    assert 4100.0 == made.next()
    (first, second, *_) = [at for at, _ in run(made, 4200.0, works=False, now=4100.0)]
    assert AGAIN == round(second - first - TOOK, 6)
    made.ask(["a"], 4300.0)
    run(made, 4310.0, now=4300.0)
    assert inf == made.next(), "it works, and is left alone"


def test_who_tells_of_a_failure_is_visited_by_and_by() -> None:
    """As if a visit had found it: it may have been one answer of many."""
    made = rounds()
    made.doubt(["a"], 0.0)
    assert [AGAIN] == [at for at, _ in run(made, 4000.0)], "then it works, and is left alone"
    made.doubt(["a"], 5000.0)
    begun = [at for at, _ in run(made, 5000.0 + 4 * AGAIN, works=False, now=5000.0)]
    assert [5000.0 + AGAIN, 5000.0 + 2 * AGAIN + TOOK] == [round(at, 6) for at in begun]
    made.doubt(["a"], made.next() - 1.0)
    later = made.next()
    made.ask(["a"], later - 0.5)
    assert later - 0.5 == made.next(), "a change comes first"


def test_what_a_visit_brings_about_itself_asks_for_no_other() -> None:
    """A page beside the first one may raise each time: the visit says how the app is."""
    made = rounds()
    made.ask(["a"], 0.0)
    assert ("a",) == made.take(0.0)
    made.doubt(["a"], 0.1)
    made.ended("a", took=TOOK, works=True, now=TOOK)
    assert inf == made.next()


def test_who_tells_of_a_failure_in_a_loop_is_visited_now_and_then() -> None:
    """As rarely as who changes something in a loop."""
    made, begun = rounds(), 0
    for tick in range(20 * 600):
        made.doubt(["loop"], tick / 20)
        for name in made.take(tick / 20):
            begun += 1
            made.ended(name, took=0.0, works=True, now=tick / 20)
    assert begun <= 600 / AGAIN


def test_a_loop_of_changes_is_not_a_loop_of_visits() -> None:
    """An app rests, longer if it took long."""
    made = rounds(per_minute=6000)
    begun: Counter[str] = Counter()
    for tick in range(20 * 600):
        now = tick / 20
        made.ask(["loop"], now)
        for name in made.take(now):
            begun[name] += 1
            made.ended(name, took=0.01, works=True, now=now)
    assert 3 * 10 <= begun["loop"] <= 3 * 10 + BURST + 3


def test_who_saves_now_and_then_waits_for_no_rest() -> None:
    """Every twenty seconds for an hour: each save is seen at once."""
    made = rounds()
    for tick in range(180):
        now = 20.0 * tick
        made.ask(["a"], now)
        assert ("a",) == made.take(now)
        made.ended("a", took=TOOK, works=True, now=now + TOOK)


def test_slow_apps_have_one_place_and_wait_for_one_another() -> None:
    """Twenty that hold a visitor for as long as they can cost the others nothing."""
    made = rounds()
    slow = [f"slow{n}" for n in range(20)]
    took = dict.fromkeys(slow, 40.0)
    made.ask(slow, 0.0)
    run(made, 2000.0, took=took)  # from now on it is known that they are
    made.ask(slow, 2001.0)
    waited = []
    for n in range(40):
        now = 2002.0 + 20 * n
        made.ask([f"good{n}"], now)
        begun = {name: at for at, name in run_some(made, now, 20.0, took)}
        waited.append(begun[f"good{n}"] - now)
    assert max(waited) < 1.0, waited


def run_some(
    made: Rounds, now: float, seconds: float, took: dict[str, float]
) -> list[tuple[float, str]]:
    """Make the visits of so many seconds; those that are slow end within them."""
    begun: list[tuple[float, str]] = []
    for tick in range(int(seconds * 10)):
        at = now + tick / 10
        for name in made.take(at):
            begun.append((at, name))
            if name not in took:
                made.ended(name, took=TOOK, works=True, now=at)
    for _, name in begun:
        if name in took:
            made.ended(name, took=took[name], works=True, now=now + seconds)
    return begun


def test_who_has_no_app_any_more_is_not_visited() -> None:
    """Whatever was asked for."""
    made = rounds()
    made.ask(["a", "b"], 0.0)
    made.ask_some_time(["c"])
    made.forget(["a", "c", "d"])
    assert [(0.0, "b")] == run(made, 100.0)


def test_whom_apache_does_not_know_waits_until_it_does() -> None:
    """Its place is free meanwhile; who has no app by then is not visited."""
    made = rounds()
    made.ask(["a", "b"], 0.0)
    assert ("a", "b") == made.take(0.0)
    made.postponed("a")
    made.postponed("b")
    assert inf == made.next()
    made.forget(["b"])
    made.known(30.0)
    assert [(30.0, "a")] == run(made, 100.0, now=30.0)


def test_nobody_is_visited_where_it_is_switched_off() -> None:
    """`[probe] enabled = false`."""
    made = rounds(enabled=False)
    made.ask(["a"], 0.0)
    made.doubt(["a"], 0.0)
    made.ask_some_time(["b"])
    assert inf == made.next()


def test_an_app_that_works_leaves_nothing_behind() -> None:
    """Ten thousand good ones cost nothing."""
    made = rounds(per_minute=6000)
    made.ask([f"s{n}" for n in range(500)], 0.0)
    run(made, 1000.0)
    assert () == made.take(2000.0)
    assert 0 == len(made._rows)


def test_who_works_is_forgotten_when_a_burst_would_be() -> None:
    """After one visit, twenty seconds."""
    made = rounds()
    made.ask(["a"], 0.0)
    run(made, 0.0)
    made.ended("a", took=TOOK, works=True, now=TOOK)
    for now, rows in ((RECOVERS - 0.1, 1), (RECOVERS, 0)):
        made.take(now)
        assert rows == len(made._rows)


@pytest.mark.parametrize("word", ["ask", "doubt"])
def test_whoever_is_visited_for_a_reason_has_no_turn_in_the_background(word: str) -> None:
    """Neither before nor after it."""
    made = rounds()
    made.ask_some_time(["x", "a"])
    assert ("x",) == made.take(0.0)
    made.ended("x", took=TOOK, works=True, now=TOOK)
    getattr(made, word)(["a"], 11.0)
    at = {"ask": 11.0, "doubt": 11.0 + AGAIN}[word]
    assert at == made.next(), "and not in its turn, at 10"
    assert ("a",) == made.take(at)
    made.ended("a", took=TOOK, works=True, now=at + TOOK)
    assert inf == made.next()


def test_whoever_changed_something_comes_before_whoever_has_a_turn() -> None:
    """Also where both are due at the same time."""
    made = rounds()
    made.ask_some_time(["x", "c"])
    made.take(0.0)
    made.ended("x", took=TOOK, works=True, now=TOOK)
    assert 10.0 == made.next()
    made.ask(["z"], 10.0)
    assert ("z", "c") == made.take(10.0)


def test_an_app_rests_longer_from_the_sixth_visit_in_succession_on() -> None:
    """Twice as long for each; a tenth of one is forgotten in the two seconds between them."""
    made, now, rests = rounds(), 0.0, []
    for _ in range(7):
        made.ask(["a"], now)
        assert ("a",) == made.take(now)
        made.ended("a", took=0.0, works=True, now=now)
        made.ask(["a"], now)
        rests.append(made.next() - now)
        now = made.next()
    assert [2.0, 2.0, 2.0, 2.0, 2.0, 2.83] == [round(rest, 2) for rest in rests[:6]]
    assert rests[5] < rests[6] < 2 * rests[5]


@pytest.mark.parametrize(("seconds", "at_once"), [(SLOW, ("a", "b")), (SLOW + 0.1, ("a", "c"))])
def test_from_two_seconds_on_an_app_is_slow_and_has_one_place(
    seconds: float, at_once: tuple[str, ...]
) -> None:
    """With another that is, it is not under way; its turn comes."""
    made = rounds()
    made.ask(["a", "b"], 0.0)
    made.take(0.0)
    for name in ("a", "b"):
        made.ended(name, took=seconds, works=True, now=seconds)
    made.ask(["a", "b"], 50.0)
    made.ask(["c"], 50.1)
    assert at_once == made.take(51.0)
    for name in at_once:
        made.ended(name, took=TOOK, works=True, now=52.0)
    assert {"a", "b", "c"} - set(at_once) == set(made.take(53.0))


def test_a_visit_that_nobody_knows_of_harms_nobody() -> None:
    """Of an app that was forgotten meanwhile."""
    made = rounds()
    made.ended("a", took=TOOK, works=True, now=1.0)
    assert inf == made.next()


STEPS = st.tuples(
    st.sampled_from(["ask", "calm", "forget", "take", "end"]),
    st.sampled_from("abcdef"),
    st.floats(0, 30),
)


@given(st.lists(STEPS, max_size=60))
def test_whatever_happens_next_is_when_somebody_can_be_taken(
    steps: list[tuple[str, str, float]],
) -> None:
    """Else the daemon would turn without end. At most two at once, and nobody twice."""
    made, now, under_way = rounds(per_minute=6), 0.0, set()
    for step, name, seconds in steps:
        now += seconds
        if step == "ask":
            made.ask([name], now)
        elif step == "calm":
            made.ask_some_time([name])
        elif step == "forget":
            made.forget([name])
        elif step == "end" and under_way:
            made.ended(under_way.pop(), took=seconds, works=name < "d", now=now)
        elif step == "take":
            due = made.next()
            taken = made.take(now)
            assert bool(taken) == (due <= now)
            assert not under_way & set(taken)
            assert len(taken) == len(set(taken))
            under_way |= set(taken)
            assert len(under_way) <= PLACES
            assert made.next() > now
