"""Sockets are made and ended by one command for many; what somebody else did to them is mended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.once import Exit
from reconciler.publish import unit, units
from reconciler.publish.command import CommandError
from reconciler.publish.units import Units
from tests.unit.machine.systemd import Systemd

if TYPE_CHECKING:
    from tests.unit.machine import Machine

UID = 1001
TEXTS = {
    "slp-app@.service": "[Service]\n",
    "slp-app@.socket": "[Socket]\n",
    "slp-front@.socket": "[Socket]\n",
    "slp-apps.slice": "[Slice]\n",
}


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """Return a systemd that this process asks."""
    found = Systemd(tmp_path / "systemd")
    found.stand_in(monkeypatch)
    return found


def of(*names: str) -> dict[str, int]:
    """Return these accounts with their uids."""
    return dict.fromkeys(names, UID)


def sockets(*names: str) -> set[str]:
    """Return the sockets of these accounts."""
    return {f"slp-{kind}@{name}.socket" for kind in ("app", "front") for name in names}


def test_sockets_follow_who_is_served(systemd: Systemd) -> None:
    """Many by one command; whoever has theirs is left alone."""
    mine = Units(TEXTS, timeout=5.0)
    names = [f"s{n}" for n in range(210)]
    mine.begin(of(*names))
    assert sockets(*names) == systemd.standing
    looks = ["daemon-reload", "show", "list-units"]
    assert [*looks, *3 * ["start"], *3 * ["show"]] == systemd.asked
    assert {name: (systemd.units / name).read_text() for name in TEXTS} == TEXTS
    mine.begin(of(*names, "late.r-x_"))
    assert ["start", "show"] == systemd.asked
    assert of(*names, "late.r-x_") == mine.there
    mine.settle(of("s0"))
    assert sockets("s0") == systemd.standing
    assert of("s0") == mine.there
    assert ["list-units", *4 * 3 * ["stop"]] == systemd.asked


def test_what_somebody_else_did_to_them_is_mended(systemd: Systemd) -> None:
    """Stopped by hand, or taken down by systemd for starting too often."""
    mine = Units(TEXTS, timeout=5.0)
    mine.begin(of("alice", "bob", "carol"))
    (systemd.up / "slp-app@alice.socket").write_text("failed")
    (systemd.up / "slp-front@bob.socket").unlink()
    (systemd.units / "slp-app@.socket").write_text("by hand")
    mine.there = None
    assert systemd.asked
    mine.begin(of("alice", "bob", "carol"))
    assert ["daemon-reload", "show", "list-units", "start", "show"] == systemd.asked
    assert sockets("alice", "bob", "carol") == systemd.standing
    assert "active" == (systemd.up / "slp-app@alice.socket").read_text().strip()
    assert TEXTS["slp-app@.socket"] == (systemd.units / "slp-app@.socket").read_text()


def test_nobody_waits_for_one_whose_socket_cannot_stand(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masked, or its process does not end: the others have theirs, and who is gone has none."""
    monkeypatch.setattr(units, "_PATIENCE", 0.1)
    mine = Units(TEXTS, timeout=5.0)
    mine.begin(of("gone"))
    (systemd.place / "stuck-slp-app@s1.socket").touch()
    names = [f"s{n}" for n in range(210)]
    assert systemd.asked
    with pytest.raises(CommandError, match=r"do not stand yet: s1\. There is no user"):
        mine.settle(of(*names))
    assert sockets(*names) - {"slp-app@s1.socket"} == systemd.standing
    assert of(*names).items() - (mine.there or {}).items() == of("s1").items()
    assert "stop --no-block slp-app@s1.service" in systemd.lines
    (systemd.place / "stuck-slp-app@s1.socket").unlink()
    mine.settle(of(*names))
    assert sockets(*names) == systemd.standing


def test_whoever_had_the_name_before_does_not_answer_for_it(systemd: Systemd) -> None:
    """An account made anew has another uid; a process may be one that would not end."""
    mine = Units(TEXTS, timeout=5.0)
    mine.begin(of("alice", "bob", "carol"))
    assert systemd.lines
    mine.begin(of("alice", "bob") | {"carol": UID + 1})
    assert ["stop --no-block slp-app@carol.service"] == systemd.lines
    assert of("alice", "bob") | {"carol": UID + 1} == mine.there
    assert sockets("alice", "bob", "carol") == systemd.standing

    # The next daemon sees it by the process itself.
    (systemd.place / "uids").write_text(
        f"UID={UID}\nId=slp-app@alice.service\n\nUID={UID + 9}\nId=slp-app@bob.service\n\n"
        "UID=[not set]\nId=slp-app@carol.service\n"
    )
    Units(TEXTS, timeout=5.0).begin(of("alice", "bob", "carol"))
    stopped = [line for line in systemd.lines if line.startswith("stop")]
    assert ["stop --no-block slp-app@bob.service"] == stopped


def test_units_that_systemd_could_not_read_are_read_at_the_next_try(systemd: Systemd) -> None:
    """Also by the next daemon, as this one may be killed in between."""
    mine = Units(TEXTS, timeout=5.0)
    (systemd.place / "fail-daemon-reload").write_text("timed out")
    with pytest.raises(CommandError, match="timed out"):
        mine.begin(of("alice"))
    (systemd.place / "fail-daemon-reload").unlink()
    assert systemd.asked
    Units(TEXTS, timeout=5.0).begin(of("alice"))
    assert "daemon-reload" in systemd.asked
    mine.begin(of("alice"))
    assert "daemon-reload" not in systemd.asked
    assert sockets("alice") == systemd.standing


def test_one_account_may_have_limits_of_its_own(systemd: Systemd) -> None:
    """Beside the unit that is everybody's; and no more when the settings say nothing of it."""
    more = ("MemoryMax=2G", "TasksMax=200")
    limits = {"alice": more, "dora": ("CPUQuota=50%",), "../../alice": more}
    mine = Units(TEXTS, limits=limits, timeout=5.0)
    mine.begin(of("alice", "bob"))
    said = {path.parent.name: path.read_text() for path in systemd.units.glob("*/*")}
    assert {
        "slp-app@alice.service.d": "[Service]\nMemoryMax=2G\nTasksMax=200\n",
        "slp-app@dora.service.d": "[Service]\nCPUQuota=50%\n",
    } == said
    assert ["daemon-reload", "show", "list-units", "start", "show"] == systemd.asked
    mine.begin(of("alice", "bob"))
    assert [] == systemd.asked
    (systemd.units / "slp-app@dora.service.d/theirs.conf").touch()
    Units(TEXTS, timeout=5.0).begin(of("alice", "bob"))
    assert ["slp-app@dora.service.d/theirs.conf"] == [
        str(path.relative_to(systemd.units)) for path in systemd.units.rglob("*.conf")
    ]
    assert not (systemd.units / "slp-app@alice.service.d").exists()
    assert ["daemon-reload", "show", "list-units"] == systemd.asked


def test_another_set_leaves_nothing_behind(systemd: Systemd) -> None:
    """Nobody's socket, and no unit; and where there never was one, systemd is not asked."""
    systemd.units.mkdir()
    (systemd.units / "theirs.service").touch()
    none = Units({}, timeout=5.0)
    none.begin(of("alice"))
    none.end_others({"alice"})
    assert [] == systemd.asked
    Units(TEXTS, timeout=5.0).begin(of("alice", "bob"))
    none.begin(of("alice", "bob"))
    assert sockets("alice", "bob") == systemd.standing, "until Apache does not ask there"
    none.end_others({"alice", "bob"})
    assert set() == systemd.standing
    assert ["theirs.service"] == os.listdir(systemd.units)
    assert "daemon-reload" == systemd.asked[-1]


def test_what_systemd_refuses_is_an_error_and_tried_again(
    systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its words."""
    mine = Units(TEXTS, timeout=5.0)
    (systemd.place / "fail-start").write_text("Failed to start: no room")
    with pytest.raises(CommandError, match=r"no room\. There is no user slp-relay"):
        mine.begin(of("alice"))
    monkeypatch.setattr(units, "RELAY", "root")
    with pytest.raises(CommandError, match=r"no room\.\Z"):
        mine.begin(of("alice"))
    assert {} == mine.there
    (systemd.place / "fail-start").unlink()
    mine.begin(of("alice"))
    assert sockets("alice") == systemd.standing


def test_without_systemd_it_says_so(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container, or another init."""
    monkeypatch.setattr(unit, "is_there", lambda: False)
    with pytest.raises(CommandError, match="needs systemd"):
        Units(TEXTS, timeout=5.0).begin(of("alice"))
    Units(TEXTS, timeout=5.0).end_others(set())
    assert [] == systemd.asked


# ---- a whole reconciler ---------------------------------------------------------------------


def isolate(machine: Machine) -> None:
    """Let systemd run the apps."""
    machine.configure(apache={"template_set": "isolated"})


def test_apps_come_and_go_without_a_reload(machine: Machine, systemd: Systemd) -> None:
    """Their sockets do, and nobody is visited before there is one."""
    isolate(machine)
    machine.configure(probe={"enabled": True})
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: sockets("alice") == systemd.standing)
        before = machine.apache.reloads, machine.apache.read
        machine.until(lambda: "/django/alice/" in machine.apache.visits, within=15.0)
        (systemd.place / "fail-start").write_text("no room")
        machine.student("bob")
        machine.until(lambda: machine.log.of("sockets.failed"))
        assert "no room" in machine.log.of("sockets.failed")[0]["message"]
        machine.stays(lambda: "/django/bob/" not in machine.apache.visits, during=0.5)
        (systemd.place / "fail-start").unlink()
        machine.later(60.0)
        machine.database()
        machine.until(lambda: sockets("alice", "bob") == systemd.standing)
        machine.remove("alice", "mysite")
        machine.until(lambda: sockets("bob") == systemd.standing)
        assert before == (machine.apache.reloads, machine.apache.read)
        assert machine.page("alice")
        machine.until(lambda: "/django/bob/" in machine.apache.visits, within=15.0)


def test_what_becomes_of_sockets_is_looked_at_with_everybody(
    machine: Machine, systemd: Systemd
) -> None:
    """An administrator stopped one, or systemd did."""
    isolate(machine)
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: sockets("alice") == systemd.standing)
        (systemd.up / "slp-app@alice.socket").write_text("failed")
        machine.later(4000.0)
        machine.database()
        machine.until(lambda: (systemd.up / "slp-app@alice.socket").read_text() == "active\n")


def test_from_one_set_to_the_other_and_back(machine: Machine, systemd: Systemd) -> None:
    """Sockets are there before Apache asks them, and gone after it does no more."""
    machine.students("alice", "bob")
    with machine.daemon() as running:
        isolate(machine)
        machine.apache.hold("configtest")
        running.hup()
        machine.until(lambda: machine.apache.held("configtest"))
        assert sockets("alice", "bob") == systemd.standing
        assert {"alice", "bob"} == machine.apache.daemons
        machine.apache.release("configtest")
        machine.until(lambda: not machine.apache.daemons)
        machine.configure(apache={"template_set": "stable"})
        machine.apache.hold("graceful")
        running.hup()
        machine.until(lambda: machine.apache.held("graceful"))
        assert sockets("alice", "bob") == systemd.standing
        machine.apache.release("graceful")
        machine.until(lambda: not systemd.standing)
        machine.until(lambda: not os.listdir(systemd.units))
        machine.until(lambda: {"alice", "bob"} == machine.apache.daemons)


def test_one_pass_makes_them_too(machine: Machine, systemd: Systemd) -> None:
    """Or says that it could not; and for Apache's own start it asks systemd nothing."""
    isolate(machine)
    machine.student("alice")
    assert Exit.CONVERGED is machine.once(reload=False)
    assert [] == systemd.asked
    (systemd.place / "fail-start").write_text("no room")
    assert Exit.NOT_SERVED is machine.once()
    (systemd.place / "fail-start").unlink()
    assert Exit.CONVERGED is machine.once()
    assert sockets("alice") == systemd.standing


def test_a_name_that_systemd_takes_for_a_number_is_refused(
    machine: Machine, systemd: Systemd
) -> None:
    """`User=30001` is the uid: somebody else's."""
    machine.student("30001")
    machine.once()
    assert machine.code("30001") is None
    isolate(machine)
    machine.once()
    assert "unsafe-name" == machine.code("30001")
    assert "a number" in machine.entry("30001")["reason"]["message"]
    assert set() == systemd.standing


def test_there_is_room_for_everybody(machine: Machine, systemd: Systemd) -> None:
    """An app that nobody asks is a pair of sockets; the budget is for daemons of mod_wsgi."""
    isolate(machine)
    machine.configure(daemons={"declare": "apps", "budget": 1})
    machine.students("alice", "bob")
    machine.once()
    assert sockets("alice", "bob") == systemd.standing
