"""How an app is, by what was known and what is told."""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.health import condition
from reconciler.health.reports import Event, Report
from reconciler.model import Condition, Failure, Health

MISSING = Failure("missing-module", "ModuleNotFoundError", "crispy_forms", "shop/views.py:1")
SYNTAX = Failure("syntax-error", "SyntaxError", "", "shop/views.py:9")
UNKNOWN = Health(Condition.UNKNOWN, "t0", "set1", 1001)
WORKING = Health(Condition.WORKING, "t0", "set1", 1001)
LOADED, ENDS = Report(Event.LOADED, "set1"), Report(Event.ENDS, "set1")


def failed(failure: Failure = MISSING, *changed: str) -> Report:
    """Return that it could not be loaded."""
    return Report(Event.FAILED, "set1", failure, changed)


def test_nothing_is_known_of_a_new_app() -> None:
    """It is published; whether it works, nobody has told."""
    assert UNKNOWN == condition.of_set(None, "set1", 1001, "t0")


def test_the_same_set_keeps_its_health() -> None:
    """Looked at again, and nothing changed: not since when, either."""
    assert WORKING == condition.of_set(WORKING, "set1", 1001, "t9")


def test_another_set_is_not_known_until_it_tells() -> None:
    """It worked until now, if it did; what a failing one worked until stays."""
    renewed = condition.of_set(WORKING, "set2", 1001, "t9")
    assert replace(UNKNOWN, since="t9", set="set2", worked_until="t9") == renewed
    failing = condition.after(WORKING, failed(), "t5")
    again = condition.of_set(failing, "set2", 1001, "t9")
    assert replace(UNKNOWN, since="t9", set="set2", worked_until="t5") == again


def test_another_uid_forgets_everything() -> None:
    """The name is somebody else's now, and so is the app."""
    assert Health(Condition.UNKNOWN, "t9", "set1", 1002) == condition.of_set(
        WORKING, "set1", 1002, "t9"
    )


def test_a_load_makes_it_working_since_the_first() -> None:
    """A second process that loads is no news."""
    working = condition.after(UNKNOWN, LOADED, "t1")
    assert replace(WORKING, since="t1") == working
    assert working == condition.after(working, LOADED, "t2")


def test_a_failure_says_why_since_when_and_until_when_it_worked() -> None:
    """ "Worked until 14:03; changed since: shop/views.py"."""
    failing = condition.after(WORKING, failed(MISSING, "shop/views.py"), "t5")
    wanted = Health(Condition.FAILING, "t5", "set1", 1001, MISSING, "t5", ("shop/views.py",))
    assert wanted == failing


def test_a_second_failure_keeps_since_when() -> None:
    """One mistake mended and another met: it has not worked since the first."""
    first = condition.after(WORKING, failed(MISSING, "shop/views.py"), "t5")
    second = condition.after(first, failed(SYNTAX), "t6")
    assert replace(first, failure=SYNTAX) == second


def test_the_same_failure_again_is_no_change() -> None:
    """A thousand times a second, it costs nobody a line or a file."""
    failing = condition.after(WORKING, failed(), "t5")
    assert failing == condition.after(failing, failed(), "t6")


def test_an_app_that_never_worked_has_no_time_at_which_it_did() -> None:
    """Its first load failed."""
    assert condition.after(UNKNOWN, failed(), "t5").worked_until is None


def test_a_mend_forgets_all_of_it() -> None:
    """Why, until when, and what changed."""
    failing = condition.after(WORKING, failed(MISSING, "shop/views.py"), "t5")
    assert replace(WORKING, since="t6") == condition.after(failing, LOADED, "t6")


def test_a_process_that_ends_leaves_it_working() -> None:
    """It gave its memory back: if the next load fails, it worked until then."""
    asleep = condition.after(WORKING, ENDS, "t2")
    assert Condition.WORKING is asleep.state
    assert "t2" == condition.after(asleep, failed(), "t5").worked_until
    awake = condition.after(asleep, LOADED, "t3")
    assert WORKING == awake


def test_an_end_says_nothing_of_an_app_that_fails() -> None:
    """A process whose load failed ends a second later."""
    failing = condition.after(UNKNOWN, failed(), "t5")
    assert failing == condition.after(failing, ENDS, "t6")


def test_changed_code_is_not_known_until_it_tells() -> None:
    """Saved at t2, asked for at t5: it worked until t2, and the file that was saved is named."""
    outdated = Report(Event.ENDS, "set1", changed=("shop/views.py",), is_outdated=True)
    saved = condition.after(WORKING, outdated, "t2")
    assert (Condition.UNKNOWN, "t2") == (saved.state, saved.since)
    failing = condition.after(saved, failed(), "t5")
    assert ("t2", ("shop/views.py",)) == (failing.worked_until, failing.changed)
    twice = condition.after(saved, replace(outdated, changed=()), "t3")
    assert saved == twice


def test_a_report_of_another_set_is_not_believed() -> None:
    """A process of before is being ended, and tells of code that is not published any more."""
    other = replace(failed(), set="set0")
    assert WORKING == condition.after(WORKING, other, "t5")
    unnamed = replace(failed(), set="")
    assert Condition.FAILING is condition.after(WORKING, unnamed, "t5").state
