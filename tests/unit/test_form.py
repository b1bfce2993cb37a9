"""The core carries what comes: another column, and another slow thing, need no new room in it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from reconciler import passes
from reconciler.case import Case, Cases
from reconciler.daemon import Daemon
from reconciler.jobs import Job
from reconciler.model import News, Rejection

if TYPE_CHECKING:
    import pytest

    from reconciler.model import Verdict
    from reconciler.settings import Settings
    from tests.unit.machine import Machine


@dataclass(slots=True, eq=False)
class Patient(Case):
    """A case with one column more, which its app's reports will write."""

    health: str | None = None

    def shown(self, verdict: Verdict) -> Verdict:
        """Say how the app is."""
        verdict = Case.shown(self, verdict)
        if self.health is None:
            return verdict
        ill = Rejection("health", f"the app is {self.health}", News.CHOICE, advice="drink water")
        return replace(verdict, warnings=(*verdict.warnings, ill))


def _ward(settings: Settings) -> Cases:
    return Cases(settings, Patient)


def _on_first_tidy(patch: pytest.MonkeyPatch, then: Any) -> None:
    """Have the daemon do this once, in the thread that looks, after its first look at everyone."""
    tidy, done = Daemon._tidy, []

    def first(self: Daemon) -> None:
        tidy(self)
        if not done:
            done.append(True)
            then(self)

    patch.setattr(Daemon, "_tidy", first)


def test_a_column_that_a_message_sets_reaches_status_and_page(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job's end is the message; nothing is added to the daemon or the passes."""
    monkeypatch.setattr(passes, "Cases", _ward)

    def report(daemon: Daemon) -> None:
        def heard(health: str) -> None:
            for name in ("alice", "bob"):
                case = daemon._life.passes._cases.row(name)
                case.health = health  # type: ignore[attr-defined]
                daemon._life.passes._cases.open.add(name)
            daemon._life.schedule.woken(["alice", "bob"], machine.clock.now())

        daemon._jobs.start(Job("ask", lambda: "ill", heard))

    _on_first_tidy(monkeypatch, report)
    machine.student("alice")
    machine.student("bob", None)
    before = set(vars(Daemon(None, machine.settings, machine.log, machine.outside)))
    with machine.daemon() as running:
        machine.until(lambda: machine.entry("alice")["warnings"], "alice's health in the status")
        machine.until(lambda: "the app is ill" in (machine.page("bob") or ""), "bob's on the page")
        assert "drink water" in (machine.page("bob") or "")
        assert set(vars(running._daemon)) - {"_life"} == before - {"_life"}


def test_a_job_with_a_limit_runs_beside_looks(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it hangs, apps are published; its end comes in time, as an error."""
    go = threading.Event()
    ended: list[object] = []
    _on_first_tidy(
        monkeypatch,
        lambda daemon: daemon._jobs.start(Job("probe", go.wait, ended.append, limit=0.3)),
    )
    try:
        with machine.daemon():
            machine.student("alice")
            machine.until(lambda: machine.app("alice"), "alice is published")
            assert not ended
            machine.until(lambda: ended, "the job's end")
            assert isinstance(ended[0], TimeoutError)
            machine.student("bob")
            machine.until(lambda: machine.serves("bob"), "and it goes on")
    finally:
        go.set()
