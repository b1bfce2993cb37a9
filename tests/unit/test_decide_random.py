"""What holds for every home that a student can make: properties of `judge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.decide.rules import RULES
from reconciler.decide.verdict import judge
from reconciler.model import Home, News, Node, Script, Source, State, Wishes
from tests.unit.facts import app, context, home, node

if TYPE_CHECKING:
    from reconciler.model import App

NAMES = st.sampled_from(["a", "b", "c", "d e", "-f", "g\n", "h\udcff", "<i>"])
NODES = st.builds(
    node,
    st.just("x"),
    st.sampled_from(["file"] * 9 + ["link", "directory", "other"]),
    uid=st.sampled_from([1001] * 9 + [0, 1002]),
    mode=st.sampled_from([0o644] * 9 + [0o664, 0o666, 0o4755]),
    gid=st.sampled_from([1001] * 9 + [100]),
    links=st.sampled_from([1] * 9 + [2]),
    size=st.sampled_from([300] * 9 + [100_000]),
    mtime_ns=st.integers(0, 5),
)
SOURCES = st.sampled_from(
    [Source(None, None, True)] * 4
    + [Source("not UTF-8", None, False), Source(None, (2, "bad"), False), Source(None, None, False)]
)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Return any script: good as often as not, and broken in every way that there is."""
    project = draw(NAMES)
    package = f"{project}/{project}"
    file: Node = replace(draw(NODES), path=f"{package}/wsgi.py")
    above = (node(""), node(project), node(package))
    shorter = draw(st.sampled_from([4] * 9 + [1, 3]))
    return Script(
        file.path,
        (*above, file)[:shorter],
        draw(SOURCES),
        draw(st.sampled_from([None] * 9 + ["Input/output error"])),
        project,
        package,
    )


HOMES = st.builds(
    lambda found, wish, mode: home(
        *found, wishes=Wishes((node(""), node(".slp.toml", "file", mode=mode)), script=wish)
    ),
    st.lists(scripts(), max_size=5, unique_by=lambda script: script.path),
    st.sampled_from([None, None, "a/a/wsgi.py", "b/b/wsgi.py", "gone/gone/wsgi.py"]),
    st.sampled_from([0o644, 0o644, 0o666]),
)
SERVED = st.sampled_from([None, app("a"), app("b"), app("gone")])
SINCE = st.sampled_from([None, 97.0, 99.0])


@given(HOMES, SERVED, SINCE)
@settings(max_examples=600, deadline=None)
def test_every_script_is_admitted_or_rejected_exactly_once(
    found: Home, served: App | None, since: float | None
) -> None:
    """Of all scripts one is the app or the account's reason; each other has one reason."""
    told = judge(found, context(served, soft_since=since))

    assert told is not None
    others = [path for path, _ in told.others]
    assert sorted(set(others)) == others
    paths = {script.path for script in found.scripts}
    chosen = told.app.script.removeprefix("/home/slp/alice/") if told.app else None
    left = paths - set(others)
    assert set(others) <= paths
    assert len(left) <= 1
    if chosen in paths:
        assert {chosen} == left
    elif left:
        assert told.reason is not None, "the one not listed is the one that the reason is about"
    if paths:
        assert State.EMPTY is not told.state or told.keep or served
    for _, why in told.others:
        absent = "not there" in why.message
        assert (News.SOFT if absent else RULES[why.code].news) is why.news


@given(HOMES, SERVED, SINCE, st.randoms())
@settings(max_examples=300, deadline=None)
def test_the_order_of_scripts_settles_nothing(
    found: Home, served: App | None, since: float | None, chance: object
) -> None:
    """A directory is listed in any order."""
    shuffled = list(found.scripts)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    surrounding = context(served, soft_since=since)

    assert judge(found, surrounding) == judge(replace(found, scripts=tuple(shuffled)), surrounding)


@given(HOMES, SERVED, SINCE)
@settings(max_examples=300, deadline=None)
def test_a_verdict_that_was_carried_out_is_reached_again(
    found: Home, served: App | None, since: float | None
) -> None:
    """Equal inputs: the app that was just published is the app of the next pass."""
    told = judge(found, context(served, soft_since=since))
    assert told is not None

    again = judge(found, context(told.app, soft_since=told.soft_since))

    assert again is not None
    assert (told.app, told.state) == (again.app, again.state)


@given(HOMES, SERVED, SINCE)
@settings(max_examples=300, deadline=None)
def test_what_is_told_prints_and_keeps_its_kind(
    found: Home, served: App | None, since: float | None
) -> None:
    """No name gets a control character into a sentence or a command; unsafe is never kept."""
    told = judge(found, context(served, soft_since=since))
    assert told is not None
    for why in [*filter(None, [told.reason]), *(why for _, why in told.others)]:
        assert why.message.isprintable()
        assert why.fix.isprintable()
    if told.keep:
        assert served == told.app
        assert told.reason is not None
        assert told.reason.news in {News.SOFT, News.UNKNOWN} or told.reason.code == "not-regular"


@given(HOMES, SERVED, SINCE)
@settings(max_examples=300, deadline=None)
def test_no_wish_takes_down_what_is_served(
    found: Home, served: App | None, since: float | None
) -> None:
    """Whatever a `~/.slp.toml` says, an app that is served without it is served with it."""
    surrounding = context(served, soft_since=since)
    without = judge(replace(found, wishes=Wishes()), surrounding)
    told = judge(found, surrounding)
    assert without is not None
    assert told is not None
    fit = served is not None and without.app is not None and without.app.script == served.script
    if fit and not without.keep:
        assert State.SERVED is told.state
        assert not told.keep
