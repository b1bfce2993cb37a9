"""Who has a stanza: the budget, its queue, and URLs that clash."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from reconciler.decide.roster import Candidate, enroll
from reconciler.settings import Settings


def settings(**tables: object) -> Settings:
    """Return settings with these tables."""
    return msgspec.convert(tables, Settings)


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.text("abcdef", min_size=1, max_size=3),
        st.none() | st.integers(0, 9).map(float),
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
QUARANTINED = st.dictionaries(st.sampled_from(["a", "b", "zz"]), st.just("because"), max_size=2)


@given(CANDIDATES, SETTINGS, QUARANTINED, st.randoms())
def test_the_order_of_accounts_settles_nothing(
    candidates: list[Candidate], given: Settings, quarantined: dict[str, str], chance: object
) -> None:
    """A directory is listed in any order."""
    roster = enroll(candidates, given, quarantined)
    shuffled = list(candidates)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert roster == enroll(shuffled, given, quarantined)
    assert not roster.declared & roster.refused.keys()
    assert roster.declared <= {candidate.name for candidate in candidates}
    urls = [given.url(name) for name in roster.declared]
    assert len(set(urls)) == len(urls), "no URL is declared twice"
    if given.daemons.declare == "apps":
        assert len(roster.declared) <= given.daemons.budget
    for candidate in candidates:
        if candidate.first_script is not None:
            assert candidate.name in roster.declared or candidate.name in roster.refused


@given(CANDIDATES, st.integers(1, 8), st.sampled_from(["auto", "apps"]))
def test_a_place_in_the_budget_is_kept(
    candidates: list[Candidate], budget: int, declare: str
) -> None:
    """A newcomer is the one beyond the budget, and never takes a neighbour's place."""
    given = settings(daemons={"declare": declare, "budget": budget})
    had = {c.name for c in candidates if c.first_script is not None}
    before = enroll(candidates, given, {})

    after = enroll([*candidates, Candidate("newest", 10.0)], given, {})

    assert before.declared & had == after.declared & had
    assert (len(had) < budget) == ("newest" in after.declared)


def test_beyond_the_budget_the_oldest_scripts_have_a_place() -> None:
    """`auto` declares every home while there is room, and then those that ever had a script."""
    homes = [Candidate("idle", None), Candidate("late", 2.0), Candidate("early", 1.0)]

    def declared(**daemons: object) -> set[str]:
        return set(enroll(homes, settings(daemons=daemons), {}).declared)

    assert {"idle", "late", "early"} == declared(declare="auto", budget=3)
    assert {"late", "early"} == declared(declare="auto", budget=2)
    assert {"early"} == declared(declare="auto", budget=1)
    assert {"late", "early"} == declared(declare="apps", budget=3)
    assert {"idle", "late", "early"} == declared(declare="homes", budget=1)
    refused = enroll(homes, settings(daemons={"budget": 1}), {}).refused
    assert {"late": "over-budget"} == {name: why.code for name, why in refused.items()}


def test_ones_own_name_beats_a_setting() -> None:
    """A `url` that is somebody's name, or hides the pages, is refused; its own account is not."""
    everyone = [Candidate(name, 1.0) for name in ("ann", "ben", "cat", "dan", "eve")]
    given = settings(
        accounts={
            "ann": {"url": "ben"},
            "cat": {"url": "shop"},
            "dan": {"url": "django", "at_root": True},
            "eve": {"url": "shop"},
        }
    )
    roster = enroll(everyone, given, {})
    assert {"ben", "cat"} == roster.declared
    assert {"ann", "dan", "eve"} == roster.refused.keys()
    assert "is taken by ben" in roster.refused["ann"].message
    assert "would hide /django" in roster.refused["dan"].message
    assert "is taken by cat" in roster.refused["eve"].message
    assert '[accounts."eve"]' in roster.refused["eve"].fix


def test_the_quarantined_are_left_out_and_leave_their_place() -> None:
    """What Apache refuses has no stanza; the words are Apache's."""
    two = [Candidate("bad", 1.0), Candidate("good", 2.0)]
    roster = enroll(two, settings(daemons={"declare": "apps", "budget": 1}), {"bad": "no sense"})
    assert {"good"} == roster.declared
    assert "no sense" in roster.refused["bad"].message
