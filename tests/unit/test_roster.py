"""Who has a stanza: the budget, its queue, and URLs that clash."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.decide.roster import Candidate, Census, enroll
from reconciler.settings import Pages, Settings


def settings(**tables: object) -> Settings:
    """Return settings with these tables."""
    return msgspec.convert(tables, Settings)


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.text("abcdef", min_size=1, max_size=3),
        st.none() | st.integers(0, 9),
        quarantined=st.sampled_from([None] * 4 + ["because"]),
        broken=st.sampled_from([None] * 4 + ["no such filter"]),
    ),
    max_size=12,
    unique_by=lambda candidate: candidate.name,
)
SETTINGS = st.builds(
    lambda declare, budget, accounts: settings(
        daemons={"declare": declare, "budget": budget}, accounts=accounts
    ),
    st.sampled_from(["auto", "apps", "homes"]),
    st.integers(1, 8),
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.fixed_dictionaries({"url": st.sampled_from(["a", "b", "x"])}),
        max_size=3,
    ),
)


@given(CANDIDATES, SETTINGS, st.randoms())
def test_the_order_of_accounts_settles_nothing(
    candidates: list[Candidate], given: Settings, chance: object
) -> None:
    """A directory is listed in any order."""
    roster = enroll(candidates, given)
    shuffled = list(candidates)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert roster == enroll(shuffled, given)
    assert not roster.declared & roster.refused.keys()
    assert roster.declared <= {candidate.name for candidate in candidates}
    urls = [given.url(name) for name in roster.declared]
    assert len(set(urls)) == len(urls), "no URL is declared twice"
    if given.daemons.declare == "apps":
        assert len(roster.declared) <= given.daemons.budget
    for candidate in candidates:
        if candidate.place is not None:
            assert candidate.name in roster.declared or candidate.name in roster.refused


@given(CANDIDATES, st.integers(1, 8), st.sampled_from(["auto", "apps"]))
def test_a_place_in_the_budget_is_kept(
    candidates: list[Candidate], budget: int, declare: str
) -> None:
    """A newcomer is the one beyond the budget, and never takes a neighbour's place."""
    given = settings(daemons={"declare": declare, "budget": budget})
    candidates = [replace(c, quarantined=None, broken=None) for c in candidates]
    had = {c.name for c in candidates if c.place is not None}
    before = enroll(candidates, given)

    after = enroll([*candidates, Candidate("newest", 10)], given)

    assert before.declared & had == after.declared & had
    assert (len(had) < budget) == ("newest" in after.declared)


def test_beyond_the_budget_the_oldest_scripts_have_a_place() -> None:
    """`auto` declares every home while there is room, and then those that ever had a script."""
    homes = [Candidate("idle", None), Candidate("late", 2), Candidate("early", 1)]

    def declared(**daemons: object) -> set[str]:
        return set(enroll(homes, settings(daemons=daemons)).declared)

    assert {"idle", "late", "early"} == declared(declare="auto", budget=3)
    assert {"late", "early"} == declared(declare="auto", budget=2)
    assert {"early"} == declared(declare="auto", budget=1)
    assert {"late", "early"} == declared(declare="apps", budget=3)
    assert {"idle", "late", "early"} == declared(declare="homes", budget=1)
    refused = enroll(homes, settings(daemons={"budget": 1})).refused
    assert {"late": "over-budget"} == {name: why.code for name, why in refused.items()}


def test_ones_own_name_beats_a_setting() -> None:
    """A `url` that is somebody's name, or hides the pages, is refused; its own account is not."""
    everyone = [Candidate(name, 1) for name in ("ann", "ben", "cat", "dan", "eve")]
    given = settings(
        accounts={
            "ann": {"url": "ben"},
            "cat": {"url": "shop"},
            "dan": {"url": "django", "at_root": True},
            "eve": {"url": "shop"},
        }
    )
    roster = enroll(everyone, given)
    assert {"ben", "cat"} == roster.declared
    assert {"ann", "dan", "eve"} == roster.refused.keys()
    assert "is taken by ben" in roster.refused["ann"].message
    assert "would hide /django" in roster.refused["dan"].message
    assert "is taken by cat" in roster.refused["eve"].message
    assert '[accounts."eve"]' in roster.refused["eve"].fix


def test_the_quarantined_are_left_out_and_leave_their_place() -> None:
    """What Apache refuses, or no template renders for, has no stanza; the words are its own."""
    three = [
        Candidate("bad", 1, quarantined="no sense"),
        Candidate("good", 3),
        Candidate("odd", 2, broken="no such filter"),
    ]
    roster = enroll(three, settings(daemons={"declare": "apps", "budget": 1}))
    assert {"good"} == roster.declared
    assert {
        "bad": "Apache refuses its configuration for bad: no sense",
        "odd": "Apache refuses its configuration for odd: no such filter",
    } == {name: why.message for name, why in roster.refused.items()}
    assert roster.fault is None


def test_what_is_in_quarantine_leaves_room_for_all_homes() -> None:
    """`auto` counts those who can have a stanza."""
    two = [Candidate("bad", None, quarantined="no sense"), Candidate("idle", None)]
    assert {"idle"} == enroll(two, settings(daemons={"budget": 1})).declared


def test_a_template_that_fails_for_all_is_nobodys_fault() -> None:
    """The fault is named with one account of it; who is in quarantine by themselves stays so."""
    names = ("ann", "ben", "cat")
    everyone = [Candidate(name, n, broken=f"line {n}") for n, name in enumerate(names)]
    everyone[1] = replace(everyone[1], quarantined="no sense")
    roster = enroll(reversed(everyone), settings())
    assert "the templates fail for 3 of 3 accounts; ann: line 0" == roster.fault
    assert {"ann", "cat"} == roster.declared
    assert {"ben"} == roster.refused.keys()
    full = enroll(everyone, settings(daemons={"declare": "apps", "budget": 1}))
    assert (roster.fault, {"ann"}) == (full.fault, full.declared)


def test_a_tie_in_the_queue_goes_by_name() -> None:
    """Two with one place, as notes of another day may have: the same one is late each time."""
    tied = [Candidate("zoe", 1), Candidate("ann", 1), Candidate("mia", 1)]
    given = settings(daemons={"declare": "apps", "budget": 2})
    for order in (tied, tied[::-1]):
        roster = enroll(order, given)
        assert ({"ann", "mia"}, {"zoe"}) == (roster.declared, set(roster.refused))


def test_the_sentences_of_a_full_server_and_of_a_url_that_is_taken() -> None:
    """Each names what is full or taken, and whom to ask for what."""
    two = [Candidate("ann", 1), Candidate("ben", 2)]
    full = enroll(two, settings(daemons={"declare": "apps", "budget": 1})).refused["ben"]
    assert "the server has room for 1 apps, and all of it is taken" == full.message
    assert (
        "ask the administrator for a larger budget under [daemons], or to free a place" == full.fix
    )
    taken = enroll(two, settings(accounts={"ann": {"url": "ben"}})).refused["ann"]
    assert "/django/ben is taken by ben" == taken.message
    assert 'ask the administrator for another url under [accounts."ann"]' == taken.fix


@pytest.mark.parametrize(
    ("account", "dashboard", "above"),
    [
        ({"url": "django", "at_root": True}, "/slp-status", "/django"),
        ({"url": "slp-status", "at_root": True}, "/slp-status", "/slp-status"),
        ({"url": "slp", "at_root": True}, "/slp/status", "/slp/status"),
        ({"url": "djang", "at_root": True}, "/slp-status", None),
        ({"url": "slp-status", "at_root": True}, "", None),
        ({"url": "shop"}, "/django/ann", None),
    ],
)
def test_a_url_that_would_hide_the_pages_is_refused(
    account: dict[str, object], dashboard: str, above: str | None
) -> None:
    """At it, or anything above it by whole names."""
    given = replace(settings(accounts={"ann": account}), pages=Pages(dashboard=dashboard))
    refused = enroll([Candidate("ann", 1)], given).refused
    hides = [why.message.partition(" ")[2] for why in refused.values()]
    assert ([] if above is None else [f"would hide {above}"]) == hides


def test_an_account_of_the_dashboards_name_does_not_hide_it() -> None:
    """Where that lies below the prefix, whatever other settings there are."""
    given = replace(Settings(), pages=Pages(dashboard="/django/ann"))
    refused = enroll([Candidate("ann", 1), Candidate("ben", 2)], given).refused
    assert {"ann": "/django/ann would hide /django/ann"} == {
        n: r.message for n, r in refused.items()
    }


@pytest.mark.parametrize(
    ("ann", "ben", "late"), [(2, 1, "ann"), (1, 2, "ben"), (None, 7, "ann"), (None, None, "ben")]
)
def test_where_two_settings_give_one_url_who_was_there_first_has_it(
    ann: int | None, ben: int | None, late: str
) -> None:
    """By the queue for places, then by name; and a name said as a setting is its own name still."""
    everyone = [Candidate("ann", ann), Candidate("ben", ben), Candidate("cat", 0)]
    given = settings(accounts={"ann": {"url": "shop"}, "ben": {"url": "shop"}})
    for order in (everyone, everyone[::-1]):
        assert {late} == enroll(order, given).refused.keys()
    given = settings(accounts={"ann": {"url": "cat"}, "cat": {"url": "cat"}})
    assert {"ann"} == enroll(everyone, given).refused.keys()


HOSTS = {"hosts": "{account}.example.edu"}


@given(CANDIDATES, st.randoms())
def test_no_host_is_two_accounts(candidates: list[Candidate], chance: object) -> None:
    """In whatever order they were found, and whoever has a script or is refused."""
    given = settings(urls=HOSTS)
    candidates += [replace(c, name=f"{c.name}_{c.name}") for c in candidates]
    candidates += [replace(c, name=c.name.replace("_", "."), uid=3) for c in candidates]
    shuffled = list({c.name: c for c in candidates}.values())
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    hosts = enroll(shuffled, given).hosts
    assert len(hosts) == len(set(hosts.values()))
    assert {given.host(c.name) for c in shuffled} == set(hosts.values())
    assert all(given.host(name) == host for name, host in hosts.items())


def test_of_two_accounts_with_one_host_the_later_has_none() -> None:
    """The greater uid; one that is not known is the last; and nothing that a student does."""
    given = settings(urls=HOSTS)
    first, second = Candidate("a.b", None, uid=1001), Candidate("A_B", 1, uid=1002)
    unknown = Candidate("a-b", 2)
    assert {"a.b": "a-b.example.edu"} == enroll([unknown, second, first], given).hosts
    assert {"A_B": "a-b.example.edu"} == enroll([unknown, second], given).hosts
    assert {"a-b": "a-b.example.edu"} == enroll([unknown], given).hosts
    assert {} == enroll([first], settings()).hosts


class TestCensus:
    """Who is treated otherwise than before, and that nothing else is worked out again."""

    def test_a_newcomer_is_told_once(self) -> None:
        """The same candidate again is no news."""
        census = Census(settings())
        assert (frozenset(), {}, None) == (
            census.roster.declared, census.roster.refused, census.roster.fault
        )  # fmt: skip
        assert set() == census.take()
        census.note("ann", Candidate("ann", 1))
        assert {"ann"} == census.take()
        assert {"ann"} == census.roster.declared
        before = census.roster
        census.note("ann", Candidate("ann", 1))
        assert set() == census.take()
        assert before is census.roster, "not made anew"

    def test_who_leaves_makes_room(self) -> None:
        """Both the one who went and the one who has their place are treated otherwise."""
        census = Census(settings(daemons={"declare": "apps", "budget": 1}))
        census.note("ann", Candidate("ann", 1))
        census.note("ben", Candidate("ben", 2))
        assert {"ann", "ben"} == census.take()
        assert {"ben"} == census.roster.refused.keys()
        census.note("ann", None)
        assert {"ann", "ben"} == census.take()
        assert {"ben"} == census.roster.declared
        census.note("zoe", None)
        assert set() == census.take(), "nobody knew them"

    def test_another_reason_is_another_treatment(self) -> None:
        """Refused before and after, with other words."""
        census = Census(settings())
        census.note("ann", Candidate("ann", 1, quarantined="no sense"))
        census.note("ben", Candidate("ben", 2))
        assert {"ann", "ben"} == census.take()
        census.note("ann", Candidate("ann", 1, quarantined="no meaning"))
        assert {"ann"} == census.take()
        assert "no meaning" in census.roster.refused["ann"].message
        census.note("cat", Candidate("cat", 3))
        assert {"cat"} == census.take(), "ann is refused as before"

    def test_who_gets_or_loses_a_host_is_treated_otherwise(self) -> None:
        """Its entry of the status has it; the other accounts are as before."""
        census = Census(settings(urls=HOSTS))
        census.note("ann", Candidate("ann", 1, uid=1))
        census.note("a.b", Candidate("a.b", 2, uid=3))
        census.take()
        census.note("a_b", Candidate("a_b", 3, uid=2))
        assert {"a.b", "a_b"} == census.take()
        census.note("a_b", None)
        assert {"a.b", "a_b"} == census.take()
