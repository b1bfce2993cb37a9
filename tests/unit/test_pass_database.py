"""The account database: who is gone, who cannot be told of, and what waits for that."""

from __future__ import annotations

import pwd
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.once import Exit

if TYPE_CHECKING:
    from tests.unit.machine import Machine


class Service:
    """A directory service: accounts that `passwd` does not have."""

    def __init__(self, machine: Machine, patch: pytest.MonkeyPatch) -> None:
        self._machine = machine
        self._rows: dict[str, Any] = {}
        self.answers = True
        self._real = pwd.getpwnam
        patch.setattr(pwd, "getpwnam", self._find)

    def student(self, name: str, project: str | None = "mysite") -> None:
        """Give a student of the file's to the service alone."""
        machine = self._machine
        machine.student(name, project)
        row = machine.rows[name]
        self._rows[name] = SimpleNamespace(
            pw_name=name, pw_passwd="x", pw_uid=row.uid, pw_gid=0, pw_gecos="",
            pw_dir=row.home, pw_shell="/bin/sh",
        )  # fmt: skip
        machine.forget(name)

    def forget(self, name: str) -> None:
        """Take an account out of it."""
        del self._rows[name]

    def _find(self, name: str) -> Any:
        if self.answers and name in self._rows:
            return self._rows[name]
        if name in self._rows:
            raise KeyError(name)
        return self._real(name)


@pytest.fixture
def service(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Return a directory service without accounts."""
    return Service(machine, monkeypatch)


def test_of_a_file_that_is_read_an_absent_account_is_gone(machine: Machine) -> None:
    """The home is there, and nobody's: withdrawn at once, and no stanza names the account."""
    machine.students("alice", "bob")
    machine.once()
    machine.forget("bob")
    assert Exit.CONVERGED == machine.once()
    assert {"alice"} == machine.published == machine.stanzas
    assert "no-account" == machine.code("bob")


def test_of_a_service_that_does_not_answer_nobody_is_gone(
    machine: Machine, service: Service
) -> None:
    """The app stays, with its stanza and a reason."""
    machine.student("alice")
    service.student("sara")
    machine.once()
    service.answers = False
    machine.once()
    assert {"alice", "sara"} == machine.published == machine.stanzas
    assert "unreadable" == machine.code("sara")


def test_of_a_service_that_answers_for_others_an_absent_account_is_gone(
    machine: Machine, service: Service
) -> None:
    """Another of the service's resolves: so she was deleted."""
    service.student("sara")
    service.student("sven")
    machine.once()
    service.forget("sara")
    assert Exit.CONVERGED == machine.once()
    assert {"sven"} == machine.published == machine.stanzas


def test_a_database_that_does_not_answer_takes_nobody_down(machine: Machine) -> None:
    """A `passwd` without root is being written, or is not the file that it should be."""
    machine.students("alice", "bob")
    machine.once()
    machine.database(answers=False)
    machine.once()
    assert {"alice", "bob"} == machine.published == machine.stanzas
    assert 1 == machine.generation


def test_after_an_outage_the_difference_is_looked_at(machine: Machine) -> None:
    """Nothing else happens: the end of the outage brings who is gone, and whose row is another."""
    machine.students("alice", "bob", "carol")
    machine.once()
    with machine.daemon():
        machine.database(answers=False)
        machine.stays(lambda: 3 == len(machine.published), during=0.1)
        machine.rows["carol"].home = "/somewhere/else"
        machine.forget("bob")
        machine.until(lambda: {"alice"} == machine.published)
        machine.until(lambda: {"alice"} == machine.apache.daemons)


def test_a_configuration_that_differs_waits_for_who_is_not_named(
    machine: Machine, service: Service
) -> None:
    """Apache would end at its next start; and once she is named, what waited is published."""
    service.student("sara")
    machine.once()
    service.answers = False
    machine.student("alice")
    assert Exit.HELD == machine.once()
    assert "sara" in machine.status["held"]
    assert (1, {"sara"}) == (machine.generation, machine.stanzas)
    service.answers = True
    assert Exit.CONVERGED == machine.once()
    assert {"alice", "sara"} == machine.stanzas
    assert machine.status["held"] is None


def test_a_daemon_tells_once_that_a_configuration_waits(machine: Machine, service: Service) -> None:
    """And publishes it when the service is back, by itself."""
    service.student("sara")
    machine.once()
    service.answers = False
    with machine.daemon():
        machine.student("alice")
        machine.until(lambda: machine.log.of("generation.blocked"))
        machine.student("bob")
        machine.until(lambda: machine.serves("bob") or machine.app("bob"))
        machine.stays(lambda: {"sara"} == machine.stanzas, during=0.1)
        service.answers = True
        machine.until(lambda: {"alice", "bob", "sara"} == machine.apache.daemons)
    assert 1 == len(machine.log.of("generation.blocked"))


def test_no_one_waits_for_an_account_without_a_stanza(machine: Machine, service: Service) -> None:
    """Sara has no daemon: that the service does not name her is nobody's concern."""
    machine.configure(daemons={"declare": "apps"})
    service.student("sara", project=None)
    machine.student("alice")
    machine.once()
    service.answers = False
    machine.student("bob")
    assert Exit.CONVERGED == machine.once()
    assert {"alice", "bob"} == machine.stanzas


def test_no_reload_leaves_out_who_is_not_named(machine: Machine, service: Service) -> None:
    """Apache is about to start, and would not with her: `--no-reload` publishes the rest."""
    machine.student("alice")
    service.student("sara")
    machine.once()
    service.answers = False
    assert Exit.CONVERGED == machine.once(reload=False)
    assert {"alice"} == machine.stanzas
    assert 1 == machine.apache.reloads
    assert "sara" in machine.published  # her set may stay: she is back with the service


def test_published_stanzas_are_kept_for_who_does_not_resolve(
    machine: Machine, service: Service
) -> None:
    """A process that starts during the outage has nothing else to know her text by."""
    service.student("sara")
    machine.student("alice")
    machine.once()
    before = machine.text("django.conf")
    service.answers = False
    with machine.daemon():
        assert before == machine.text("django.conf")
        assert 1 == machine.generation
