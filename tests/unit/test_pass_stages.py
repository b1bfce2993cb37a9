"""One pass takes each account through each stage once: a recorder stands around the stages."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.publish.render import Templates
from reconciler.publish.sets import Sets
from reconciler.report import pages, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.machine import Machine

STAGES: dict[str, tuple[Any, str, Callable[..., str]]] = {
    "render": (Templates, "stanza", lambda self, account, *rest: account.name),
    "publish": (Sets, "publish", lambda self, app, *rest, **keys: app.account),
    "withdraw": (Sets, "withdraw", lambda self, name, *rest, **keys: name),
    "page": (pages, "account", lambda verdict, settings: verdict.name),
    "status": (status, "entry", lambda verdict, *rest: verdict.name),
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Return how often each stage was called for each account."""
    found: Counter[tuple[str, str]] = Counter()

    def around(stage: str) -> None:
        where, name, whose = STAGES[stage]
        real = getattr(where, name)

        def call(*args: Any, **keys: Any) -> Any:
            found[stage, whose(*args, **keys)] += 1
            return real(*args, **keys)

        monkeypatch.setattr(where, name, call)

    for stage in STAGES:
        around(stage)
    return found


def test_each_stage_is_called_once_for_an_account(
    machine: Machine, calls: Counter[tuple[str, str]]
) -> None:
    """Whatever becomes of it: published, changed, switched, withdrawn, without an app, gone."""
    machine.students("alice", "bob", "carol", "dave")
    machine.once(reload=False)
    assert {1} == set(calls.values())
    calls.clear()
    machine.project("alice", text="application = 1\n")
    machine.project("bob", "other")
    machine.remove("bob", "mysite")
    machine.project("carol", text="def application(:\n")
    machine.remove("dave")
    machine.forget("dave")
    machine.student("erin")
    machine.student("frank", project=None)
    machine.once(reload=False)
    assert {("publish", name) for name in ("alice", "bob", "erin")} == {
        call for call in calls if call[0] == "publish"
    }
    del calls["page", "carol"]
    assert dict.fromkeys(calls, 1) == dict(calls)


def test_the_page_of_who_is_withdrawn_is_made_once(
    machine: Machine, calls: Counter[tuple[str, str]]
) -> None:
    """Before the link goes; what is told afterwards is the same."""
    machine.student("carol")
    machine.once(reload=False)
    machine.project("carol", text="def application(:\n")
    machine.once(reload=False)
    assert 1 == calls["page", "carol"]


def test_an_event_takes_nobody_else_through_any_stage(
    machine: Machine, calls: Counter[tuple[str, str]]
) -> None:
    """Alice saves: bob, who is known, costs nothing."""
    machine.students("alice", "bob")
    with machine.daemon():
        calls.clear()
        machine.project("alice", text="application = 1\n")
        machine.until(lambda: machine.log.of("app.changed"))
        assert {"alice"} == {name for _, name in calls}
