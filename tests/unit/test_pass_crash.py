"""A pass that ends half-way: the next one goes on, and nothing shows that the first did not."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.observe.helper import HelperError
from reconciler.observe.source import Parser
from reconciler.once import Exit
from tests.unit.machine.school import APPLICATION

if TYPE_CHECKING:
    from tests.unit.machine import Faults, Machine

WORKERS = 3
"""Every write of a pass is tried, in one of the two ways: each test takes a sixth of them."""


def change(machine: Machine, *, to: str) -> None:
    """Have one of each kind happen, or have it undone."""
    if to == "b":
        machine.project("alice", text=f"# edited\n{APPLICATION}")
        machine.remove("bob", "mysite")
        machine.project("carol", text="def application(:\n")
        machine.student("dave")
        machine.student("erin", project=None)
    else:
        machine.project("alice")
        machine.project("bob")
        machine.project("carol")
        for name in ("dave", "erin"):
            machine.remove(name)
            machine.forget(name)


def picture(machine: Machine) -> Any:
    """Return what there is to see, without the name of the directory that it lies in."""
    return json.loads(json.dumps(machine.picture(), default=sorted).replace(str(machine.home), ""))


@pytest.mark.parametrize("lasting", [False, True], ids=["one write fails", "the disk is full"])
@pytest.mark.parametrize("first", range(1, WORKERS + 1))
def test_whatever_write_fails_the_next_pass_completes(
    machine: Machine, faults: Faults, first: int, lasting: bool
) -> None:
    """Links, sets, pages, notes, generations: at each of them, and there and back."""
    machine.students("alice", "bob", "carol")
    machine.once()
    wanted = {"a": picture(machine)}
    change(machine, to="b")
    machine.once()
    wanted["b"] = picture(machine)
    now, number, tried = "b", first + WORKERS * lasting, 0
    while True:
        now = "a" if now == "b" else "b"
        change(machine, to=now)
        faults.at(number, lasting=lasting)
        with suppress(OSError):
            machine.once()
        hit = faults.hits
        faults.heal()
        assert Exit.CONVERGED == machine.once()
        assert wanted[now] == picture(machine), f"after write {number} had failed"
        if not hit:
            break
        number, tried = number + 2 * WORKERS, tried + 1
    assert tried > 3


@pytest.mark.parametrize(
    "where",
    ["/sets/alice", "/apps/alice", "/pages/", "/generations/", "/current", ".json"],
)
def test_a_daemon_whose_writes_fail_completes_when_they_do_again(
    machine: Machine, faults: Faults, where: str
) -> None:
    """By itself, with no further event: nobody is lost, whatever was half done."""
    machine.students("alice", "bob")
    machine.project("alice", text="def application(:\n")
    with machine.daemon():
        faults.where(where)
        with machine.no_looks():
            machine.project("alice")
            machine.remove("bob", "mysite")
            machine.student("carol")
        machine.until(lambda: faults.hits)
        faults.heal()
        machine.until(lambda: {"alice", "carol"} == machine.published)
        machine.until(lambda: {"alice", "bob", "carol"} == machine.apache.daemons)
        machine.until(lambda: "empty" == machine.entry("bob")["state"])
        machine.until(lambda: "served" == machine.entry("carol")["state"])
    assert machine.page("alice") is None
    assert not list(machine.state.rglob(".alice*.new"))


def test_a_link_that_cannot_be_changed_is_told_and_tried_again(
    machine: Machine, faults: Faults
) -> None:
    """Alice's alone: the others are served meanwhile, and status 1 says that not all was done."""
    machine.students("alice", "bob")
    faults.where("/apps/alice")
    assert Exit.UNEXPECTED == machine.once()
    assert {"bob"} == machine.published
    assert ["alice"] == [keys["account"] for keys in machine.log.of("app.failed")]
    assert "app.published" not in machine.log.names("alice")
    faults.heal()
    assert Exit.CONVERGED == machine.once()
    assert machine.serves("alice")


def test_a_daemon_tries_a_link_again_by_itself(machine: Machine, faults: Faults) -> None:
    """Alice's facts are what they were: what failed is judged again all the same."""
    with machine.daemon():
        faults.where("/apps/alice")
        machine.student("alice")
        machine.until(lambda: machine.log.of("app.failed"))
        machine.stays(lambda: not machine.published, during=0.1)
        faults.heal()
        machine.until(lambda: machine.serves("alice"))


def test_a_home_that_could_not_be_judged_is_looked_at_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No helper that parses can be started, and then one can: no event tells of that."""
    away, real = True, Parser.examine

    def examine(self: Parser, source: bytes) -> Any:
        if away:
            raise HelperError("no helper can be started")
        return real(self, source)

    monkeypatch.setattr(Parser, "examine", examine)
    with machine.daemon():
        machine.student("alice")
        machine.until(lambda: "unreadable" == machine.code("alice"))
        away = False
        machine.until(lambda: machine.serves("alice"))


def test_the_looking_notes_may_be_lost(machine: Machine) -> None:
    """They are memory, not truth: nothing that is published differs."""
    machine.students("alice", "bob")
    machine.once()
    before = picture(machine)
    for path in machine.state.glob("*.json"):
        if path.name != "status.json":
            path.write_text("{damaged")
    assert Exit.CONVERGED == machine.once()
    assert before == picture(machine)
    assert (1, 1) == (machine.generation, machine.apache.reloads)


def test_a_damaged_status_is_written_anew(machine: Machine) -> None:
    """What people read is made from what is."""
    machine.student("alice")
    machine.once()
    (machine.state / "status.json").write_text("{damaged")
    machine.once()
    assert "served" == machine.entry("alice")["state"]


def test_a_damaged_generation_is_published_anew(machine: Machine) -> None:
    """Somebody edited what is generated: it is not what its digest says."""
    machine.student("alice")
    machine.once()
    (machine.state / "generations" / "1" / "server.conf").write_text("# mine\n")
    assert Exit.CONVERGED == machine.once()
    assert {"alice"} == machine.stanzas
    assert 2 == machine.generation


def test_only_some_generations_are_kept(machine: Machine) -> None:
    """The last ones, and the current: `keep_generations`."""
    machine.configure(state={"keep_generations": 2})
    for name in ("alice", "bob", "carol", "dave"):
        machine.student(name)
        machine.once()
    kept = {int(path.name) for path in (machine.state / "generations").iterdir()}
    assert {3, 4} == kept


def test_a_process_that_ends_before_its_notes_does_not_outwit_the_brake(
    machine: Machine, faults: Faults
) -> None:
    """Five of twenty go, which it lets through; so do not three more a moment later."""
    machine.configure(safety={"max_withdrawn_count": 1, "max_withdrawn_share": 0.25})
    names = [f"s{number:02}" for number in range(20)]
    machine.students(*names)
    machine.once()
    for name in names[:5]:
        machine.remove(name, "mysite")
    faults.where("accounts.json")
    with suppress(OSError):
        machine.once()
    faults.heal()
    for name in names[5:8]:
        machine.remove(name, "mysite")
    assert Exit.HELD == machine.once()
