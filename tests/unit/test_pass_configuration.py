"""The configuration: whose stanzas are in it, and when it is published."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.once import Exit
from reconciler.publish.render import Templates
from tests.unit.machine.school import ROOT

if TYPE_CHECKING:
    from tests.unit.machine import Machine


def texts(machine: Machine) -> list[str]:
    """Return `server.conf` of every generation that there is."""
    return [path.read_text() for path in machine.state.glob("generations/*/server.conf")]


# ---- everybody first -----------------------------------------------------------------------------


def test_no_configuration_before_everybody_was_looked_at(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that cannot list the homes when it starts learns of one student, and waits."""
    machine.students("alice", "bob")
    machine.once()
    broken, real = True, os.scandir

    def scandir(path: Any = ".") -> Any:
        if broken and path == str(machine.root):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with machine.daemon():
        machine.student("dave")
        machine.until(lambda: machine.app("dave"))
        machine.stays(lambda: 1 == machine.generation, during=0.2)
        broken = False
        machine.until(lambda: {"alice", "bob", "dave"} == machine.apache.daemons)
    assert 2 == len(texts(machine))


def test_an_empty_root_is_an_outage_while_its_accounts_live(machine: Machine) -> None:
    """Not a byte of what is published differs."""
    machine.students("alice", "bob")
    machine.once()
    machine.root.rename(machine.home / "aside")
    machine.root.mkdir()
    assert Exit.UNEXPECTED == machine.once()
    assert "homes.unreadable" in machine.log.names()
    assert {"alice", "bob"} == machine.published == machine.stanzas
    assert 1 == machine.generation


def test_an_empty_root_is_empty_when_its_accounts_are_gone_too(machine: Machine) -> None:
    """The last student leaves: that is no outage."""
    machine.student("alice")
    machine.once()
    machine.remove("alice")
    machine.forget("alice")
    assert Exit.CONVERGED == machine.once()
    assert set() == machine.published == machine.stanzas


def test_a_root_that_is_not_there_is_an_outage(machine: Machine) -> None:
    """Status 1, and all stays."""
    machine.student("alice")
    machine.once()
    machine.root.rename(machine.home / "aside")
    assert Exit.UNEXPECTED == machine.once()
    assert machine.serves("alice")


# ---- whose text it is ----------------------------------------------------------------------------


def test_adopting_never_goes_over_what_was_rendered(machine: Machine) -> None:
    """A `--once` with other settings publishes beside a daemon: the daemon's text comes back."""
    machine.student("alice")
    machine.configure(timing={"resync": 0.2})
    with machine.daemon():
        machine.until(lambda: "threads=3" in options(machine.apache.read, "alice"))
        passes = machine.log.passes
        machine.until(lambda: machine.log.passes > passes + 2)  # nothing is left to do for her
        other = machine.settings_with(daemons={"options": {"threads": 5}})
        assert Exit.CONVERGED == machine.once(other)
        machine.until(lambda: "threads=3" in options(machine.text(), "alice"))
        machine.until(lambda: "threads=3" in options(machine.apache.read, "alice"))


def options(text: str, name: str) -> list[str]:
    """Return the options of an account's daemon."""
    return next(line.split() for line in text.splitlines() if f"slp-{name} " in line)


def test_accounts_made_anew_with_each_others_uid_are_another_configuration(
    machine: Machine,
) -> None:
    """Apache resolved the uids when it started: it has to be reloaded."""
    alice, bob = machine.student("alice"), machine.student("bob")
    uids = [machine.rows[name].uid for name in ("alice", "bob")] if ROOT else [5001, 5002]
    if not ROOT:
        swap(machine, uids, {})
    machine.once()
    swap(machine, uids[::-1], {"alice": alice, "bob": bob})
    machine.once()
    assert (2, 2) == (machine.generation, machine.apache.reloads)


def swap(machine: Machine, uids: list[int], homes: dict[str, Any]) -> None:
    """Give alice and bob these uids, and their homes to them."""
    for name, uid in zip(("alice", "bob"), uids, strict=True):
        machine.account(name, uid=uid)
        for path in [homes[name], *homes[name].rglob("*")] if ROOT and name in homes else []:
            os.chown(path, uid, uid)


def test_an_unchanged_resync_renders_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a stanza nor a head: to make the text again costs 3 to 4 µs a home."""
    rendered: list[str] = []
    for name in ("stanza", "configuration"):
        real = getattr(Templates, name)
        monkeypatch.setattr(
            Templates,
            name,
            lambda *args, _real=real, _name=name, **keys: (
                rendered.append(_name) or _real(*args, **keys)
            ),
        )
    machine.students("alice", "bob")
    machine.configure(timing={"resync": 0.05})
    with machine.daemon():
        machine.until(lambda: {"alice", "bob"} == machine.apache.daemons)
        assert {"stanza", "configuration"} == set(rendered)
        rendered.clear()
        machine.later(1)
        machine.stays(lambda: not rendered)
    assert machine.log.passes > 3


# ---- places --------------------------------------------------------------------------------------


def test_beyond_the_budget_the_newest_waits(machine: Machine) -> None:
    """Two places: whoever had an app first keeps theirs, and a place that is freed is taken."""
    machine.configure(daemons={"declare": "apps", "budget": 2})
    for name in ("zoe", "yan", "alice"):
        machine.student(name)
        assert Exit.CONVERGED == machine.once()
    assert {"zoe", "yan"} == machine.stanzas == machine.published
    assert "over-budget" == machine.code("alice")
    machine.remove("yan")
    machine.forget("yan")
    machine.once()
    assert {"zoe", "alice"} == machine.stanzas == machine.published


def test_a_clock_that_was_ahead_costs_nobody_their_place(machine: Machine) -> None:
    """Zoe came first, by a clock ten years ahead."""
    machine.configure(daemons={"declare": "apps", "budget": 1})
    machine.wall(10 * 365 * 86400)
    machine.student("zoe")
    machine.once()
    machine.wall(0)
    machine.student("alice")
    machine.once()
    assert {"zoe"} == machine.stanzas
