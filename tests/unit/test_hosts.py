"""A host for each account: the files that Apache reads, and what people are told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from reconciler.once import Exit
from reconciler.publish.hosts import Hosts
from reconciler.settings import AccountSettings, Settings, StateDirectory
from tests.unit.machine.faults import Faults

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.machine import Machine

URLS = {"hosts": "{account}.apps.example.edu"}


def kept(state: Path) -> dict[str, str]:
    """Return what is in the directory."""
    return {path.name: path.read_text() for path in (state / "hosts").iterdir()}


def test_there_is_a_file_for_each_host_and_no_other(tmp_path: Path) -> None:
    """Whose it is, and where; what was damaged or left by a crash is made good."""
    settings = Settings(
        state=StateDirectory(directory=str(tmp_path)), accounts={"bob": AccountSettings(url="shop")}
    )
    hosts = Hosts(settings)
    hosts.keep({})
    assert not (tmp_path / "hosts").exists()
    wanted = {"Al_B": "al-b.x.edu", "bob": "bob.x.edu"}
    hosts.keep(wanted)
    right = {"al-b": "Al_B /django/Al_B", "bob": "bob /django/shop"}
    assert right == kept(tmp_path)
    assert 0o644 == (tmp_path / "hosts/bob").stat().st_mode & 0o777
    inode = (tmp_path / "hosts/bob").stat().st_ino
    (tmp_path / "hosts/al-b").write_text("eve /django/eve")
    (tmp_path / "hosts/.bob.0.new").write_text("")
    hosts.keep(wanted)
    assert right != kept(tmp_path), "the very same mapping costs nothing"
    Hosts(settings).keep(wanted)
    assert right == kept(tmp_path)
    assert inode == (tmp_path / "hosts/bob").stat().st_ino, "nothing is written twice"
    hosts.keep({"bob": "bob.x.edu"})
    assert {"bob": right["bob"]} == kept(tmp_path)
    hosts.keep({})
    assert {} == kept(tmp_path)


def test_hosts_are_told_and_follow_the_accounts_and_the_settings(machine: Machine) -> None:
    """In the status of whoever has one; without a reload for a host alone."""
    for name in ("alice", "carol_x"):
        machine.student(name)
    machine.configure(urls=URLS)
    assert Exit.CONVERGED == machine.once()
    assert "carol-x.apps.example.edu" == machine.entry("carol_x")["host"]
    assert {"alice": "alice /django/alice", "carol-x": "carol_x /django/carol_x"} == kept(
        machine.state
    )
    machine.forget("carol_x")
    machine.once()
    assert {"alice"} == kept(machine.state).keys()
    assert machine.preview() == [], "a preview is none the wiser"
    machine.configure(urls={"hosts": ""})
    machine.once()
    assert machine.entry("alice")["host"] is None
    assert {} == kept(machine.state)


def test_a_host_that_cannot_be_written_is_tried_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps no app down, and the pass says that not all is done."""
    machine.student("alice")
    machine.configure(urls=URLS)
    faults = Faults(monkeypatch, machine.state)
    faults.where("/hosts")
    assert Exit.UNEXPECTED == machine.once()
    assert machine.serves("alice")
    [event] = machine.log.of("notes.failed")
    assert os.strerror(28) in event["message"]
    faults.heal()
    assert Exit.CONVERGED == machine.once()
    assert {"alice"} == kept(machine.state).keys()
