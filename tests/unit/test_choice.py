"""The table of `decide/choice.py`: what a setting names, and wishes that are not followed."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from reconciler.decide.verdict import judge
from reconciler.model import (
    App,
    Fault,
    Home,
    News,
    Node,
    Script,
    State,
    Static,
    Verdict,
    Virtualenv,
    Wishes,
)
from reconciler.settings import Settings
from tests.unit.facts import BROKEN, app, context, gone, home, link, node, script, unknown

ONE, TWO = "one/one/wsgi.py", "two/two/wsgi.py"
SERVED = app("one")
NAMES_TWO = Wishes(script=TWO)
FAULTY = {
    "soft": script("two", source=BROKEN),
    "unsafe": link("two"),
    "unknown": unknown("two"),
}


def verdict(found: Home, served: App | None = None, **keys: object) -> Verdict:
    """Judge, where there is something to judge."""
    told = judge(found, context(served, **keys))  # type: ignore[arg-type]
    assert told is not None
    return told


def codes(told: Verdict) -> list[str]:
    """Return the warnings' codes."""
    return [why.code for why in told.warnings]


def named_by(setting: str) -> tuple[Wishes, Settings]:
    """Return what names the second script: a student's wish, or an administrator's setting."""
    if setting == "wish":
        return NAMES_TWO, Settings()
    return Wishes(), msgspec.convert({"accounts": {"alice": {"script": TWO}}}, Settings)


@pytest.mark.parametrize("setting", ["wish", "account"])
def test_one_that_is_named_goes_before_the_one_served(setting: str) -> None:
    """Once it is admitted, at once, and without a warning."""
    wishes, settings = named_by(setting)
    told = verdict(home(script("one"), script("two"), wishes=wishes), SERVED, settings=settings)
    assert (State.SERVED, app("two"), False, ()) == (
        told.state, told.app, told.keep, told.warnings
    )  # fmt: skip
    assert [(ONE, "superseded")] == [(path, why.code) for path, why in told.others]
    assert "and ~/two/two/wsgi.py is it" in told.others[0][1].message


@pytest.mark.parametrize("setting", ["wish", "account"])
@pytest.mark.parametrize("fault", FAULTY)
def test_one_that_is_named_takes_nobodys_place_before_it_is_admitted(
    fault: str, setting: str
) -> None:
    """While it is edited, what is served stays, however long, and a warning says why."""
    wishes, settings = named_by(setting)
    found = home(script("one", mtime=2_000), FAULTY[fault], wishes=wishes)
    told = verdict(found, SERVED, settings=settings, now=9e9, soft_since=1.0)
    assert (State.SERVED, app("one", mtime=2_000), False) == (told.state, told.app, told.keep)
    assert told.reason is None
    assert [why for path, why in told.others if path == TWO] == list(told.warnings)


def test_no_third_counts_while_the_one_named_exists() -> None:
    """With nothing served, or what is served at fault: the reason is that of the one named."""
    found = home(script("one", source=BROKEN), FAULTY["soft"], script("three"), wishes=NAMES_TWO)
    for served in (None, SERVED):
        told = verdict(found, served, now=102, soft_since=100)
        assert told.reason is not None
        assert (State.REJECTED, None) == (told.state, told.app)
        assert "~/two/two/wsgi.py, line 3" in told.reason.message
        assert () == told.warnings, "it is the reason already"
        assert [ONE, "three/three/wsgi.py"] == [path for path, _ in told.others]
        assert "and ~/two/two/wsgi.py is it" in told.others[1][1].message
    kept = verdict(found, SERVED)
    assert (True, SERVED) == (kept.keep, kept.app)
    assert kept.reason is not None
    assert "~/one/one/wsgi.py, line 3" in kept.reason.message
    assert () == kept.warnings
    assert ["three/three/wsgi.py", TWO] == [path for path, _ in kept.others]
    assert "and ~/one/one/wsgi.py is it" in kept.others[0][1].message


@pytest.mark.parametrize("setting", ["wish", "account"])
def test_one_that_is_named_and_not_there_is_a_warning(setting: str) -> None:
    """What is served stays, or the newest is published: as if none were named."""
    wishes, settings = named_by(setting)
    found = home(gone(TWO), script("one"), script("new", mtime=5_000), wishes=wishes)
    for served, chosen in ((SERVED, SERVED), (None, app("new", mtime=5_000))):
        told = verdict(found, served, settings=settings)
        assert (State.SERVED, chosen, False) == (told.state, told.app, told.keep)
        assert ["not-regular"] == codes(told)
        assert "~/two/two/wsgi.py is not there" in told.warnings[0].message
        assert "create ~/two/two/wsgi.py, or name another script" == told.warnings[0].fix


def test_one_that_is_named_by_both_is_told_of_once() -> None:
    """The account's own table and a student's wish may agree."""
    _, settings = named_by("account")
    told = verdict(home(gone(TWO), script("one"), wishes=NAMES_TWO), SERVED, settings=settings)
    assert ["not-regular"] == codes(told)


def test_alone_one_that_is_not_there_is_the_reason() -> None:
    """Nothing else is in the home; the page says what is missing."""
    told = verdict(home(gone(TWO), wishes=NAMES_TWO))
    assert told.reason is not None
    assert (State.REJECTED, "not-regular", ()) == (told.state, told.reason.code, told.warnings)


def test_of_two_that_cannot_be_the_one_that_is_there_is_the_reason() -> None:
    """However old it is; the one that is missing is a warning beside it."""
    old = script("zz", source=BROKEN, mtime=1)
    told = verdict(home(gone(TWO), old, wishes=NAMES_TWO))
    assert told.reason is not None
    assert ("syntax-error", ["not-regular"]) == (told.reason.code, codes(told))
    assert [TWO] == [path for path, _ in told.others]


def test_a_wish_for_what_is_served_does_not_take_its_grace_away() -> None:
    """Gone is soft whether or not somebody names it: a checkout is as long as it is."""
    found = home(gone(TWO), script("one"), wishes=NAMES_TWO)
    told = verdict(found, app("two"))
    assert told.reason is not None
    assert (True, app("two")) == (told.keep, told.app)
    assert (News.SOFT, ()) == (told.reason.news, told.warnings)
    after = verdict(found, app("two"), now=102, soft_since=100)
    assert (app("one"), ["not-regular"]) == (after.app, codes(after))


def toml(**changes: object) -> tuple[Node, Node]:
    """Return the nodes of a `~/.slp.toml`."""
    return node(""), node(".slp.toml", "file", **changes)


UNFIT = {
    "text": (Wishes(toml(), Fault("syntax-error", 4, "what is this")), "syntax-error"),
    "bytes": (Wishes(toml(), Fault("encoding", 2, "line 2 is not UTF-8")), "encoding"),
    "mode": (Wishes(toml(mode=0o646), script=TWO), "writable-by-others"),
    "owner": (Wishes(toml(uid=0)), "wrong-owner"),
    "hard link": (Wishes(toml(links=2)), "hard-link"),
    "link": (Wishes((node(""), node(".slp.toml", "link"))), "symlink"),
    "size": (Wishes(toml(size=8193)), "too-large"),
    "directory": (Wishes((node(""), node(".slp.toml"))), "not-regular"),
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_wishes_that_are_not_followed_are_a_warning(unfit: str) -> None:
    """What is served stays; where nothing is, the newest script is published."""
    wishes, code = UNFIT[unfit]
    found = home(script("one"), script("two"), script("new", mtime=5_000), wishes=wishes)
    for served, chosen in ((SERVED, SERVED), (None, app("new", mtime=5_000))):
        told = verdict(found, served, now=9e9, soft_since=1.0)
        assert (State.SERVED, chosen, False) == (told.state, told.app, told.keep)
        assert [code] == codes(told)
        assert "~/.slp.toml" in told.warnings[0].message
        assert told.warnings[0].fix
        assert told.reason is None
    empty = verdict(home(wishes=wishes))
    assert (State.EMPTY, [code]) == (empty.state, codes(empty))


def test_a_wish_of_8192_bytes_is_read() -> None:
    """One more is too large."""
    told = verdict(home(script("one"), wishes=Wishes(toml(size=8192))))
    assert () == told.warnings


def belongings(project: str, *, chosen: bool = True) -> Script:
    """Return a script with a static directory and a virtualenv."""
    base = f"/home/slp/alice/{project}"
    venv = Virtualenv(f"{base}/ve", chosen, f"{base}/ve/lib/site-packages")
    return replace(
        script(project), links=(Static("static", f"{base}/assets", True),), virtualenv=venv
    )


def parts(told: Verdict) -> tuple[str | None, str | None, str | None]:
    """Return what was wished for of the app."""
    assert told.app is not None
    return dict(told.app.links).get("static"), told.app.virtualenv, told.app.site_packages


WISHED = {"script": ONE, "static": "one/assets", "virtualenv": "one/ve"}
PARTS = tuple(f"/home/slp/alice/one/{name}" for name in ("assets", "ve", "ve/lib/site-packages"))


def test_what_is_served_keeps_what_it_was_published_with() -> None:
    """While a `~/.slp.toml` is mended its app goes on, with its new text and what it imports."""
    good = Wishes(toml(), None, **WISHED)
    first = verdict(home(belongings("one"), wishes=good)).app
    assert first is not None
    faulty = Wishes(toml(), Fault("syntax-error", 4, "what is this"))
    told = verdict(home(script("one", mtime=7_000), wishes=faulty), first)
    assert PARTS == parts(told)
    assert told.app is not None
    assert (7, 300, 7_000) == told.app.identity
    other = verdict(home(script("two"), wishes=faulty), first, now=102, soft_since=100)
    assert (None, None, None) == parts(other), "another script has what was found beside it"


def test_what_others_may_have_written_is_not_wished_for() -> None:
    """A file that everybody may write chooses no script, no static files and no virtualenv."""
    unsafe = Wishes(toml(mode=0o666), None, **WISHED)
    told = verdict(home(belongings("one"), script("new", mtime=5_000), wishes=unsafe))
    assert app("new", mtime=5_000) == told.app
    told = verdict(home(belongings("one"), wishes=unsafe))
    assert (None, None, None) == parts(told)
    absent = replace(script("one"), virtualenv=Virtualenv("/home/slp/alice/no", True, None))
    assert ["writable-by-others"] == codes(verdict(home(absent, wishes=unsafe)))


def test_what_is_found_beside_a_script_is_no_wish() -> None:
    """It stays, where the wishes that are not followed say nothing of it."""
    unsafe = Wishes(toml(mode=0o666), script=TWO)
    told = verdict(home(belongings("one", chosen=False), wishes=unsafe))
    assert PARTS == parts(told)


def test_what_an_administrator_settles_holds_beside_bad_wishes() -> None:
    """Neither is it dropped with them, nor does what was published before stand for it."""
    own = {"static": "one/assets", "virtualenv": "one/ve"}
    settings = msgspec.convert({"accounts": {"alice": own}}, Settings)
    unsafe = Wishes(toml(mode=0o666), None, **WISHED)
    before = replace(SERVED, links=(("static", "/s"),), virtualenv="/v", site_packages="/v/p")
    for served in (None, before):
        told = verdict(home(belongings("one"), wishes=unsafe), served, settings=settings)
        assert PARTS == parts(told)


def test_wishes_that_are_followed_change_what_is_served() -> None:
    """Without a fault, what was published before is no longer asked."""
    before = replace(SERVED, links=(("static", "/s"),), virtualenv="/v", site_packages="/v/p")
    good = Wishes(toml(), None, **WISHED)
    assert PARTS == parts(verdict(home(belongings("one"), wishes=good), before))
