"""The truth table of `decide/verdict.py`, row by row, and which script is the app."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from reconciler.decide.verdict import judge
from reconciler.model import App, Home, News, Script, Standing, State, Verdict, Wishes
from reconciler.settings import Settings
from tests.unit import facts
from tests.unit.facts import BROKEN, app, context, home, link, node, script, unknown

SERVED = app("one")
ELSE = script("two")
SOFT = {
    "soft": [script("one", source=BROKEN)],
    "gone": [],
}


def verdict(*args: object, **kwargs: object) -> Verdict:
    """Judge, where there is something to judge."""
    found = judge(*args, **kwargs)  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("others", [(), (ELSE,)])
def test_an_admitted_script_that_is_served_stays(others: tuple[Script, ...]) -> None:
    """Row 1: the served script is kept to, whatever else is admitted; nothing is new."""
    told = verdict(home(script("one"), *others), context(SERVED))

    assert (State.SERVED, SERVED, False, None) == (told.state, told.app, told.keep, told.reason)


def test_a_served_script_that_changed_gets_a_new_set() -> None:
    """Row 1: another mtime is another identity, and so another app."""
    told = verdict(home(script("one", mtime=2_000), ELSE), context(SERVED))

    assert app("one", mtime=2_000) == told.app != SERVED


def test_unsafe_is_switched_at_once() -> None:
    """Row 2: no grace for a link, and the other script takes over."""
    told = verdict(home(link("one"), ELSE), context(SERVED))

    assert (State.SERVED, app("two"), False) == (told.state, told.app, told.keep)
    assert ["symlink"] == [why.code for _, why in told.others]


def test_unsafe_is_withdrawn_at_once() -> None:
    """Row 3: with nothing else to serve, the reason is the served script's own."""
    told = verdict(home(link("one")), context(SERVED))

    assert (State.REJECTED, None, False) == (told.state, told.app, told.keep)
    assert told.reason is not None
    assert "symlink" == told.reason.code


@pytest.mark.parametrize("others", [(), (ELSE,)])
@pytest.mark.parametrize("fault", SOFT)
def test_a_soft_fault_keeps_its_place_inside_grace(fault: str, others: tuple[Script, ...]) -> None:
    """Row 4: it stays, with a reason, and somebody looks again when grace is over."""
    told = verdict(home(*SOFT[fault], *others), context(SERVED, now=100, grace=2))

    assert (State.SERVED, SERVED, True) == (told.state, told.app, told.keep)
    assert (100, 102) == (told.soft_since, told.recheck_at)
    assert told.reason is not None
    later = verdict(
        home(*SOFT[fault], *others), context(SERVED, now=101.9, soft_since=told.soft_since)
    )
    assert (True, 102) == (later.keep, later.recheck_at), "grace counts from the first sight"


@pytest.mark.parametrize("fault", SOFT)
def test_after_grace_the_other_script_takes_over(fault: str) -> None:
    """Row 5."""
    told = verdict(home(*SOFT[fault], ELSE), context(SERVED, now=102, soft_since=100))

    assert (State.SERVED, app("two"), False) == (told.state, told.app, told.keep)


@pytest.mark.parametrize(("fault", "state"), [("soft", State.REJECTED), ("gone", State.EMPTY)])
def test_after_grace_it_is_withdrawn(fault: str, state: State) -> None:
    """Row 6; and where the brake holds that, grace does not begin anew at the next look."""
    told = verdict(home(*SOFT[fault]), context(SERVED, now=102, soft_since=100))
    assert (state, None, False) == (told.state, told.app, told.keep)

    held = verdict(home(*SOFT[fault]), context(SERVED, now=103, soft_since=told.soft_since))
    assert (state, None, False) == (held.state, held.app, held.keep)


@pytest.mark.parametrize("others", [(), (ELSE,)])
def test_the_unknown_keeps_what_is_served(others: tuple[Script, ...]) -> None:
    """Row 7: an I/O error is no news of the app's, however long it lasts."""
    told = verdict(home(unknown("one"), *others), context(SERVED, now=9e9, soft_since=1.0))

    assert (State.SERVED, SERVED, True) == (told.state, told.app, told.keep)
    assert told.reason is not None
    assert "unreadable" == told.reason.code


def test_where_nothing_is_served_the_admitted_is_published_and_the_rest_is_not() -> None:
    """Rows 8 and 9: no grace for what was never there."""
    assert app("two") == verdict(home(script("one", source=BROKEN), ELSE), context()).app
    told = verdict(home(script("one", source=BROKEN)), context())
    assert (State.REJECTED, None, False) == (told.state, told.app, told.keep)
    assert State.EMPTY is verdict(home(), context()).state


def test_a_home_that_is_gone_is_kept_for_grace() -> None:
    """A home is moved aside while it is restored; later it is no account's app any more."""
    away = home(node=None)
    assert verdict(away, context(SERVED, now=100)).keep
    assert judge(away, context(SERVED, now=102, soft_since=100)) is None
    assert judge(Home("ghost", Standing.ABSENT), context()) is None


def test_an_account_database_that_is_silent_changes_nothing() -> None:
    """What is served stays; what is not is not published."""
    silent = Home("alice", Standing.UNKNOWN, None, node(""))
    assert verdict(silent, context(SERVED)).keep
    told = verdict(silent, context())
    assert told.reason is not None
    assert (State.REJECTED, "unreadable") == (told.state, told.reason.code)


@pytest.mark.parametrize("mode", [0o644, 0o666])
def test_a_student_takes_the_own_app_down_and_nobody_elses_file_does(mode: int) -> None:
    """`enabled = false` in `~/.slp.toml` counts at once, if the file is the student's alone."""
    toml = Wishes((node(""), node(".slp.toml", "file", mode=mode)), enabled=False)
    told = verdict(home(script("a"), wishes=toml), context(app("a")))
    if mode == 0o666:
        assert told.app is not None
        assert ["writable-by-others"] == [warning.code for warning in told.warnings]
        return
    assert told.reason is not None
    assert (State.REJECTED, None, False) == (told.state, told.app, told.keep)
    assert "~/.slp.toml has disabled alice" == told.reason.message
    assert "take enabled = false out of ~/.slp.toml" == told.reason.fix
    assert told.account is not None, "its page says so at its URL"


def test_an_accounts_script_goes_before_the_wish_the_served_and_the_newest() -> None:
    """The order in which one of several is chosen, each taken away in its turn."""
    one, two, three, four = (script(name, mtime=n) for n, name in enumerate("abcd", 1))
    settings = msgspec.convert({"accounts": {"alice": {"script": one.path}}}, Settings)
    wishes = Wishes(script=two.path)
    everything = home(one, two, three, four, wishes=wishes)

    def chosen(found: Home, **keys: object) -> str:
        told = verdict(found, context(app("c", mtime=3), **keys))  # type: ignore[arg-type]
        assert told.app is not None
        return told.app.script.split("/")[4]

    assert "a" == chosen(everything, settings=settings)
    assert "b" == chosen(everything)
    assert "c" == chosen(replace(everything, wishes=Wishes()))
    without = replace(everything, wishes=Wishes(), scripts=(one, two, four))
    assert "d" == chosen(without, now=102, soft_since=100.0)
    tied = home(script("y", mtime=5), script("x", mtime=5))
    told = verdict(tied, context())
    assert told.app is not None
    assert app("x", mtime=5) == told.app


def test_checks_that_are_skipped_are_those_of_the_text_alone() -> None:
    """`skip_checks` serves a script that does not compile, and never a link."""
    settings = msgspec.convert({"accounts": {"alice": {"skip_checks": True}}}, Settings)
    broken = home(script("one", source=BROKEN))
    assert State.SERVED is verdict(broken, context(settings=settings)).state
    assert State.REJECTED is verdict(home(link("one")), context(settings=settings)).state


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("hard-link", {"links": 2}),
        ("wrong-owner", {"uid": 1002}),
        ("wrong-owner", {"uid": 0}),
        ("writable-by-others", {"mode": 0o646}),
        ("writable-by-others", {"mode": 0o664, "gid": 100}),
        ("writable-by-others", {"mode": 0o4755}),
        ("writable-by-others", {"mode": 0o2755}),
        ("not-regular", {"kind": "other"}),
        ("too-large", {"size": 65537}),
        (None, {"mode": 0o664}),
        (None, {"mode": 0o600}),
        (None, {"size": 65536}),
    ],
)
def test_what_a_file_may_be(code: str | None, changes: dict[str, object]) -> None:
    """Each mode, owner and kind by itself, with its neighbour that is fine."""
    told = verdict(home(script("one", **changes)), context())
    assert code == (told.reason and told.reason.code)


def test_a_group_that_somebody_joined_is_not_ones_own() -> None:
    """0664 lets in whoever is in the group."""
    shared = replace(facts.ALICE, private_group=False)
    told = verdict(home(script("one", mode=0o664), account=shared), context())
    assert told.reason is not None
    assert "writable-by-others" == told.reason.code


@pytest.mark.parametrize("served", [None, SERVED])
def test_a_home_that_was_not_looked_through_is_over_budget_and_not_empty(
    served: App | None,
) -> None:
    """A thousand directories stand before the project: that is said, with how many and a mend."""
    told = verdict(home(unseen=1234), context(served, now=102, soft_since=100))
    assert told.reason is not None
    assert (State.REJECTED, "over-budget") == (told.state, told.reason.code)
    assert (
        "no script was found, but 1234 directories of the home were not looked into, since it has "
        "too many"
    ) == told.reason.message
    assert "hidden" in told.reason.fix
    assert News.SOFT is told.reason.news, "the brake counts it as it does one that is gone"
    assert () == told.warnings
    assert State.EMPTY is verdict(home(unseen=0), context()).state


def test_a_home_with_a_script_and_more_directories_than_are_watched_is_warned() -> None:
    """It is served; what changes in the others is seen late."""
    told = verdict(home(script("one"), unwatched=7), context())
    assert (State.SERVED, ["over-budget"]) == (told.state, [why.code for why in told.warnings])
    assert (
        "over-budget",
        "the home has 7 directories more than are watched; a change in those is seen only by the "
        "next resync",
        "move directories that hold no project into a hidden one, such as ~/.other: it is left "
        "alone",
    ) == (told.warnings[0].code, told.warnings[0].message, told.warnings[0].fix)
    assert () == verdict(home(script("one"), unseen=7), context()).warnings
    assert () == verdict(home(unwatched=7), context()).warnings, "nothing changes in an empty one"


def test_what_was_published_below_another_root_is_gone_from_this_one() -> None:
    """After another `[homes] root`, the sentence names the script where it was."""
    settings = msgspec.convert({"homes": {"root": "/srv/homes"}}, Settings)
    alice = replace(facts.ALICE, home="/srv/homes/alice")
    moved = home(account=alice)
    told = verdict(moved, context(SERVED, settings=settings))
    assert (State.SERVED, SERVED, True) == (told.state, told.app, told.keep)
    assert told.reason is not None
    assert "/home/slp/alice/one/one/wsgi.py is not there any more" in told.reason.message
    assert "put /home/slp/alice/one/one/wsgi.py back" in told.reason.fix
    after = verdict(moved, context(SERVED, settings=settings, now=102, soft_since=100))
    assert (State.EMPTY, None) == (after.state, after.app)


def test_a_root_that_begins_like_another_is_not_below_it() -> None:
    """`/home/slp/al` is no part of `/home/slp/alice`."""
    assert "one/one/wsgi.py" == SERVED.within("/home/slp/alice")
    assert SERVED.within("/home/slp/al") is None
