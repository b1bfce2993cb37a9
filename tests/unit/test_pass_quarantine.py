"""Who is at fault when a configuration cannot be: one account, a template, or nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.once import Exit
from reconciler.publish.render import shipped

if TYPE_CHECKING:
    from tests.unit.machine import Machine


def test_whose_stanza_apache_refuses_is_left_out(machine: Machine) -> None:
    """The others go live with status 0; and when the text is another, so does he."""
    machine.students("alice", "bob", "carol")
    machine.configure(accounts={"bob": {"url": "bobby"}})
    machine.apache.forbid("/bobby")
    assert Exit.CONVERGED == machine.once()
    assert {"alice", "carol"} == machine.stanzas == machine.published
    assert "quarantined" == machine.code("bob")
    assert ["app.quarantined", "app.withdrawn"] == [
        name for name in machine.log.names("bob") if name != "app.published"
    ]
    assert Exit.CONVERGED == machine.once()
    assert {"alice", "carol"} == machine.stanzas
    machine.configure(accounts={"bob": {"url": "robert"}})
    assert Exit.CONVERGED == machine.once()
    assert {"alice", "bob", "carol"} == machine.stanzas
    assert machine.serves("bob")


def test_a_daemon_leaves_out_whose_stanza_apache_refuses(machine: Machine) -> None:
    """Withdrawn, told, and not tried again while nothing differs."""
    machine.students("alice", "bob", "carol")
    machine.configure(accounts={"bob": {"url": "bobby"}}, timing={"resync": 0.1})
    machine.apache.forbid("/bobby")
    with machine.daemon():
        machine.until(lambda: {"alice", "carol"} == machine.apache.daemons)
        machine.until(lambda: {"alice", "carol"} == machine.published)
        tests = machine.apache.tests
        machine.stays(lambda: tests == machine.apache.tests)
    assert "quarantined" == machine.code("bob")


def test_a_template_that_renders_for_all_but_one_leaves_out_that_one(machine: Machine) -> None:
    """The administrator's own set trips over one account: the others are served."""
    own_set(machine, "{{ 1 // (account != 'bob') }}")
    machine.students("alice", "bob")
    machine.once()
    assert {"alice"} == machine.stanzas == machine.published
    assert "quarantined" == machine.code("bob")


def own_set(machine: Machine, trap: str = "", *, head: str = "") -> None:
    """Have a template set of the administrator's: the shipped one, with this in it."""
    where = machine.templates / "own"
    where.mkdir()
    for path in (shipped() / "templates" / "stable").iterdir():
        (where / path.name).write_text(path.read_text())
    account = where / "server.conf.account.j2"
    account.write_text(f"{account.read_text()}# {trap}\n")
    top = where / "server.conf.head.j2"
    top.write_text(f"{top.read_text()}# {head}\n")
    machine.configure(apache={"template_set": "own"})


def test_a_template_that_does_not_render_is_said(machine: Machine) -> None:
    """A head that does not render: status 3, and nobody is at fault."""
    machine.student("alice")
    machine.once()
    own_set(machine, head="{{ 1 // 0 }}")
    assert Exit.CONFIG_TEST == machine.once()
    assert "templates.unusable" in machine.log.names()
    assert machine.serves("alice")


def test_a_template_set_that_is_not_there_is_said(machine: Machine) -> None:
    """Status 3, and what is published stays."""
    machine.student("alice")
    machine.once()
    machine.configure(apache={"template_set": "nowhere"})
    assert Exit.CONFIG_TEST == machine.once()
    assert machine.serves("alice")
