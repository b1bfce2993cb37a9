"""The tables over all accounts are what the rows say, whatever happened before."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.case import Cases
from reconciler.model import Account, Home, Rejection, Standing, State, Verdict
from reconciler.observe.sighting import Seen
from reconciler.publish.configuration import Stanza
from reconciler.publish.sets import Live
from reconciler.publish.wording import Phrase
from reconciler.settings import Settings
from tests.unit.facts import ALICE, app

NAMES = ("alice", "bob", "carol", "dave")
SETTINGS = msgspec.convert({"daemons": {"declare": "apps", "budget": 2}}, Settings)


def account(name: str) -> Account:
    """Return an account of that name."""
    return replace(ALICE, name=name, home=f"/home/slp/{name}")


def verdict(name: str, *, listed: bool) -> Verdict:
    """Return that it is served, or no account."""
    state = State.SERVED if listed else State.REJECTED
    return Verdict(name, state, account(name) if listed else None, f"/django/{name}")


def live(name: str, mtime: int) -> Live:
    """Return that a set of theirs is published."""
    return Live(replace(app(mtime=mtime), account=name), str(mtime), (None, None))


def phrases() -> st.SearchStrategy[Phrase | None]:
    """Texts that rendered, did not, or were adopted; or none."""
    stanzas = st.none() | st.builds(
        lambda text: Stanza((1, 1), (text, "", "")), st.sampled_from("xyz")
    )
    rendered = st.builds(
        Phrase,
        st.just(()),
        stanzas,
        st.sampled_from([None, "no such filter"]),
        st.sampled_from([None, "Invalid command"]),
    )
    return st.none() | rendered


def changes() -> st.SearchStrategy[tuple[str, dict[str, Any] | None]]:
    """A row's columns, set anew; None: the account is forgotten."""

    def columns(name: str) -> st.SearchStrategy[tuple[str, dict[str, Any] | None]]:
        standings = st.sampled_from(Standing)
        rows = st.fixed_dictionaries(
            {
                "verdict": st.none() | st.booleans().map(lambda yes: verdict(name, listed=yes)),
                "live": st.none() | st.integers(1, 3).map(lambda mtime: live(name, mtime)),
                "seen": standings.map(lambda found: Seen(Home(name, found), None, {})),
                "phrase": phrases(),
                "place": st.none() | st.integers(1, 4),
                "held": st.booleans(),
            }
        )
        return st.tuples(st.just(name), st.none() | rows)

    return st.sampled_from(NAMES).flatmap(columns)


def tables(cases: Cases) -> dict[str, Any]:
    """Return all that is derived."""
    return {"served": cases.served, "stanzas": cases.stanzas, "roster": cases.roster}


@given(st.lists(changes(), max_size=30), st.data())
def test_the_tables_can_be_rebuilt_from_the_rows(
    steps: list[tuple[str, dict[str, Any] | None]], data: st.DataObject
) -> None:
    """Filed one change at a time or all at once, with the roster asked for whenever it may be."""
    cases = Cases(SETTINGS)
    for name, columns in steps:
        case = cases.row(name)
        if columns is None:
            cases.drop(case)
        else:
            for column, value in columns.items():
                setattr(case, column, value)
            cases.file(case)
        if data.draw(st.booleans()):
            cases.enroll()
    cases.enroll()
    fresh = Cases(SETTINGS)
    for case in cases:
        fresh.row(case.name)
        fresh.file(case)
    fresh.enroll()
    assert tables(fresh) == tables(cases)
    assert cases.open <= cases.names


def test_the_roster_opens_whom_it_treats_otherwise() -> None:
    """Somebody leaves, and there is a place for another, at whom nobody would have looked."""
    cases = Cases(SETTINGS)
    for place, name in enumerate(NAMES):
        case = cases.row(name)
        case.verdict, case.place = verdict(name, listed=True), place
        case.phrase = Phrase((), Stanza((1, 1), (name, "", "")))
        cases.file(case)
    assert set(NAMES) == cases.enroll()
    assert {"carol", "dave"} == cases.roster.refused.keys()
    cases.open.clear()
    cases.drop(cases.row("alice"))
    assert {"carol"} == cases.enroll()
    assert {"carol"} == cases.open
    assert {"bob", "carol"} == cases.roster.declared
    settled = cases.settled(cases.row("dave"))
    assert settled is not None
    assert settled.reason is not None
    assert (State.REJECTED, "over-budget") == (settled.state, settled.reason.code)


def test_a_text_that_is_another_is_noticed_once() -> None:
    """So that an unchanged resync makes no configuration, and compares none."""
    cases = Cases(SETTINGS)
    case = cases.row("alice")
    case.verdict, case.place = verdict("alice", listed=True), 1
    case.phrase = Phrase((), Stanza((1, 1), ("a", "", "")))
    cases.file(case)
    cases.enroll()
    cases.altered = False
    cases.file(case)
    cases.enroll()
    assert not cases.altered
    case.phrase = Phrase((1,), Stanza((1, 1), ("b", "", "")))
    cases.file(case)
    assert cases.altered


def test_one_that_is_listed_no_more_stays_on_the_roster_with_its_text() -> None:
    """Until the plan has settled whether its withdrawal is held."""
    cases = Cases(SETTINGS)
    case = cases.row("alice")
    case.verdict, case.place = verdict("alice", listed=True), 1
    case.phrase = Phrase((), Stanza((1, 1), ("a", "", "")))
    cases.file(case)
    cases.enroll()
    case.verdict = None
    cases.file(case)
    assert set() == cases.enroll()
    case.phrase = None
    cases.file(case)
    assert {"alice"} == cases.enroll()


def test_a_refusal_of_the_rosters_is_told_of_who_has_a_script_alone() -> None:
    """An empty home has nothing that could be refused, and a name without account its own fault."""
    cases = Cases(SETTINGS)
    refused = Rejection
    del refused
    empty = Verdict("alice", State.EMPTY, account("alice"), "/django/alice")
    for name, told in (("alice", empty), ("bob", verdict("bob", listed=False))):
        case = cases.row(name)
        case.verdict = told
        case.phrase = Phrase((), Stanza((1, 1), ("a", "", "")), refused="Invalid command")
        cases.file(case)
    cases.enroll()
    assert {"alice", "bob"} == cases.roster.refused.keys()
    assert empty == cases.settled(cases.row("alice"))
    assert verdict("bob", listed=False) == cases.settled(cases.row("bob"))
