"""`--once`: one pass, and an exit status that says how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.once import Exit

if TYPE_CHECKING:
    from tests.unit.machine import Machine


def test_a_pass_publishes_whoever_has_an_app(machine: Machine) -> None:
    """Link, stanza, reload and status, and then nothing more to do."""
    machine.student("alice")
    machine.student("bob", project=None)
    assert Exit.CONVERGED == machine.once()
    assert "mysite/mysite/wsgi.py" == machine.visit("alice")
    assert "bob" in machine.visit("bob")
    assert {"alice", "bob"} == machine.stanzas == machine.apache.daemons
    assert "served" == machine.entry("alice")["state"]
    assert (1, 1, 1) == (machine.generation, machine.apache.reloads, machine.apache.tests)


def test_equal_inputs_make_no_new_set_no_generation_and_no_reload(machine: Machine) -> None:
    """The second pass of an unchanged machine leaves every file as it is."""
    machine.students("alice", "bob")
    machine.once()
    before = {p: p.lstat().st_mtime_ns for p in machine.state.rglob("*") if p.name != "status.json"}
    machine.log.clear()
    assert Exit.CONVERGED == machine.once()
    after = {p: p.lstat().st_mtime_ns for p in machine.state.rglob("*") if p.name != "status.json"}
    assert (1, 1) == (machine.generation, machine.apache.reloads)
    assert [] == machine.log.names("alice")
    changed = {str(p) for p in after if before.get(p) != after[p]}
    assert not {p for p in changed if "/sets/" in p or "/apps/" in p or "/generations/" in p}
