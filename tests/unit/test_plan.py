"""The plan: what is changed, and the brake on mass withdrawal."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.decide.plan import Change, Plan, calculate, too_many_at_fault
from reconciler.decide.rules import reject
from reconciler.model import App, Rejection, State, Verdict
from reconciler.settings import Safety
from tests.unit import facts

BRAKE = Safety(max_withdrawn_share=0.2, max_withdrawn_count=5)
SOFT = reject("no-application", path="~/x")
UNSAFE = reject("symlink", path="~/x")
ABOVE = reject("no-account", path="/home/slp/x", login="x")
CHOICE = reject("disabled", name="x", who="the administrator")
HOMES = reject("wrong-owner", path="~", uid=65534, name="x", own=1001)
MISMATCH = reject("home-mismatch", path="/home/slp/x", name="x", login="x", actual="/y")


def app(name: str, **changes: object) -> App:
    """Return an app of this account."""
    return replace(facts.app(), account=name, **changes)  # type: ignore[arg-type]


def down(name: str, reason: Rejection | None) -> Verdict:
    """Return the verdict that takes an account's app away."""
    state = State.REJECTED if reason else State.EMPTY
    return Verdict(name, state, facts.ALICE, f"/django/{name}", reason=reason)


def up(name: str, wanted: App, *, keep: bool = False) -> Verdict:
    """Return the verdict that an account's app is this one."""
    return Verdict(name, State.SERVED, facts.ALICE, f"/django/{name}", app=wanted, keep=keep)


def withdrawing(count: int, of: int, reason: Rejection | None, **keys: object) -> Plan:
    """Plan the withdrawal of `count` of the `of` apps that are served."""
    served = {f"s{n:02}": app(f"s{n:02}") for n in range(of)}
    verdicts = [down(name, reason) for name in list(served)[:count]]
    return calculate(verdicts, served, safety=BRAKE, **keys)  # type: ignore[arg-type]


def test_each_kind_of_change_has_its_event() -> None:
    """Published, switched, changed, withdrawn; and nothing where nothing differs."""
    served = {name: app(name) for name in ("changed", "gone", "kept", "same", "switched", "taken")}
    verdicts = [
        up("new", app("new")),
        up("changed", app("changed", identity=(1, 2, 3))),
        up("switched", app("switched", script="/home/slp/switched/x/x/wsgi.py")),
        up("same", app("same")),
        up("kept", app("kept", identity=(1, 2, 3)), keep=True),
        down("taken", UNSAFE),
        down("never", SOFT),
        None,
    ]
    plan = calculate(verdicts, served, gone=["gone", "unheard"], safety=BRAKE)

    assert [
        ("changed", "app.changed"),
        ("gone", "app.withdrawn"),
        ("new", "app.published"),
        ("switched", "app.switched"),
        ("taken", "app.withdrawn"),
    ] == [(change.account, change.event) for change in plan.changes]
    assert UNSAFE == plan.changes[-1].reason
    assert not calculate([up("same", app("same"))], served, safety=BRAKE).has_changes


@pytest.mark.parametrize(
    ("count", "of", "held"),
    [(5, 5, 0), (6, 6, 6), (6, 30, 0), (6, 29, 6), (20, 100, 0), (21, 100, 21)],
)
def test_the_brake_holds_above_both_limits(count: int, of: int, held: int) -> None:
    """More than five, and more than a fifth of what was served: then none of them goes."""
    plan = withdrawing(count, of, SOFT)

    assert (held, count - held) == (len(plan.held), len(plan.changes))
    assert (plan.held_text is not None) == bool(held)


@pytest.mark.parametrize(
    ("reason", "held"),
    [(SOFT, 10), (None, 10), (ABOVE, 10), (MISMATCH, 10), (HOMES, 10), (UNSAFE, 0), (CHOICE, 0)],
)
def test_unsafe_is_exempt_unless_its_cause_lies_above_the_home(
    reason: Rejection | None, held: int
) -> None:
    """A dangerous link goes at once, whoever else has one; a lost account database does not.

    Nor do homes on a server to which every owner is nobody (NFS without its table of names).
    """
    assert held == len(withdrawing(10, 10, reason).held)


def test_withdrawals_of_the_last_minute_count() -> None:
    """Five now after five before is ten of ten: an outage may come in pieces."""
    before = [f"r{n}" for n in range(5)]
    assert 0 == len(withdrawing(5, 5, SOFT).held)
    assert 5 == len(withdrawing(5, 5, SOFT, recent=before).held)
    assert 5 == len(withdrawing(5, 44, SOFT, recent=before).held)
    assert 0 == len(withdrawing(5, 45, SOFT, recent=before).held), "a fifth of fifty at its start"


def test_who_was_withdrawn_and_is_served_again_counts_no_more() -> None:
    """Nor does anybody twice: what counts is who was served at the minute's start and is not."""
    again = [f"s{n:02}" for n in range(5)]
    assert 0 == len(withdrawing(5, 10, SOFT, recent=again).held)
    assert 0 == len(withdrawing(4, 5, SOFT, recent=["r", "r"]).held)
    assert 5 == len(withdrawing(5, 5, SOFT, recent=["r", "r"]).held)


def test_what_is_held_holds_nothing_else() -> None:
    """A new app beside an outage is published; force lets all through; a switch is none."""
    served = {f"s{n}": app(f"s{n}") for n in range(8)}
    verdicts = [*(down(name, SOFT) for name in served), up("new", app("new"))]
    plan = calculate(verdicts, served, safety=BRAKE)
    assert ["new"] == [change.account for change in plan.changes]
    assert plan.held_text is not None
    assert "8 withdrawals are held" in plan.held_text
    assert "s0, s1, s2, s3, s4 and 3 more" in plan.held_text
    assert 9 == len(calculate(verdicts, served, safety=BRAKE, force=True).changes)
    switched = [up(name, app(name, script="/home/slp/x/y/z/wsgi.py")) for name in served]
    assert () == calculate(switched, served, safety=BRAKE).held


def test_apps_of_accounts_that_are_gone_count_as_withdrawals() -> None:
    """Deleted accounts are braked like anything else from above the homes."""
    served = {f"s{n}": app(f"s{n}") for n in range(8)}
    plan = calculate([], served, gone=list(served), safety=BRAKE)
    assert (0, 8) == (len(plan.changes), len(plan.held))


@pytest.mark.parametrize(
    ("at_fault", "all_of_them", "too_many"),
    [(0, 0, False), (0, 9, False), (1, 1, True), (1, 2, False), (8, 8, True), (5, 6, False),
     (6, 29, True), (6, 30, False), (6, 31, False)],
)  # fmt: skip
def test_where_everybody_is_at_fault_nobody_is(
    at_fault: int, all_of_them: int, too_many: bool
) -> None:
    """One typing error in a template is not the fault of eight accounts; nor of a fifth of all."""
    assert too_many is too_many_at_fault(at_fault, all_of_them, BRAKE)


def test_who_is_held_is_named_and_keeps_their_reason() -> None:
    """The stanza, the link and the page of each are kept by that."""
    plan = withdrawing(6, 6, SOFT)
    assert [(f"s{n:02}", "app.withdrawn", None, SOFT) for n in range(6)] == [
        (change.account, change.event, change.app, change.reason) for change in plan.held
    ]


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (6, "6 withdrawals are held, as they look like an outage: s00, s01, s02, s03, s04 and "
            "1 more; `slp-reconciler --once --force` lets them through"),
        (2, "2 withdrawals are held, as they look like an outage: s00, s01; "
            "`slp-reconciler --once --force` lets them through"),
    ],
)  # fmt: skip
def test_the_sentence_of_what_is_held(count: int, names: str) -> None:
    """Five names, and how many more; in quotes a command that can be pasted."""
    changes = tuple(Change(f"s{n:02}", "app.withdrawn", None) for n in range(count))
    assert names == Plan((), changes).held_text


def test_five_that_are_held_are_all_named() -> None:
    """ "and 0 more" is never said."""
    held = tuple(Change(f"s{n}", "app.withdrawn", None) for n in range(5))
    assert "s3, s4; " in str(Plan((), held).held_text)
