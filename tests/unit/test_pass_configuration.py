"""The configuration: whose stanzas are in it, when it waits, and when it is published."""

from __future__ import annotations

import errno
import os
import pwd
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.once import Exit
from reconciler.publish.render import Templates
from tests.unit.machine.machine import ROOT

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


def texts(machine: Machine) -> list[str]:
    """Return `server.conf` of every generation that there is."""
    return [path.read_text() for path in machine.state.glob("generations/*/server.conf")]


# ---- everybody first ---------------------------------------------------------------------------


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


# ---- the account database ------------------------------------------------------------------------


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


# ---- whose text it is ----------------------------------------------------------------------------


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


def test_adopting_never_goes_over_what_was_rendered(machine: Machine) -> None:
    """A `--once` with other settings publishes beside a daemon: the daemon's text comes back."""
    machine.student("alice")
    machine.configure(timing={"resync": 0.2})
    with machine.daemon():
        machine.until(lambda: "threads=3" in machine.text())
        other = machine.settings_with(daemons={"options": {"threads": 5}})
        assert Exit.CONVERGED == machine.once(other)
        machine.until(lambda: "threads=3" in machine.text())
        machine.until(lambda: "threads=3" in machine.apache.read)


@pytest.mark.xfail(
    strict=True,
    reason="two accounts with each other's uid: not a byte of the configuration differs",
)
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


@pytest.mark.xfail(strict=True, reason="the queue for places is by the wall's clock")
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


# ---- who is at fault -----------------------------------------------------------------------------


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
    from reconciler.publish.render import shipped

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
