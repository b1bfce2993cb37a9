"""What an app tells reaches the status, the log and the page; and so does that it works again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.health.reports import Event, Report
from reconciler.passes import Passes
from reconciler.report import status as statuses
from reconciler.report import tables

if TYPE_CHECKING:
    from tests.unit.machine import Machine

MISSING: dict[str, Any] = {
    "code": "missing-module",
    "kind": "ModuleNotFoundError",
    "name": "crispy_forms",
    "message": "No module named 'crispy_forms'",
    "where": "mysite/mysite/settings.py:33",
}
RAISES: dict[str, Any] = {"code": "raises", "kind": "ValueError", "where": "mysite/shop/views.py:9"}


def state(machine: Machine, name: str = "alice") -> str:
    """Return how an account's app is."""
    return str(machine.health(name)["state"])


def fail(machine: Machine, name: str = "alice", /, **keys: Any) -> None:
    """Have an account's app tell that it could not be loaded, and wait until the status says so."""
    tell(machine, name, "failing", "failed", **{**MISSING, **keys})


def load(machine: Machine, name: str = "alice", /) -> None:
    """Have it tell that it was loaded."""
    tell(machine, name, "working", "loaded")


def tell(machine: Machine, name: str, then: str, event: str, /, **keys: Any) -> None:
    """Have it tell something, and wait until the status says that it is so."""
    machine.later(2)  # the status is written once a second
    written = machine.notify.count("STATUS")
    machine.tell(name, event, **keys)
    machine.until(lambda: state(machine, name) == then)
    machine.until(lambda: machine.notify.count("STATUS") > written)


def test_a_failing_app_is_told_everywhere_and_so_is_its_mend(machine: Machine) -> None:
    """In the status, in one line of the log, and on a page of its own, each with the mend."""
    machine.student("alice")
    machine.student("bob", project=None)
    with machine.daemon():
        machine.until(lambda: machine.serves("alice"))
        assert "unknown" == state(machine)
        assert machine.entry("bob")["health"] is None
        load(machine)
        assert machine.page("alice") is None
        fail(machine, changed=["mysite/mysite/settings.py"])
        health = machine.health("alice")
        assert ("served", "missing-module") == (machine.entry("alice")["state"], health["code"])
        assert "django-crispy-forms" in health["fix"]
        assert MISSING["where"] == health["where"]
        assert health["worked_until"] >= health["since"]
        page = str(machine.page("alice"))
        for told in ("django-crispy-forms", "settings.py:33", "crispy_forms&#39;", "refresh"):
            assert told in page
        assert "worked until 20" in page
        assert "changed since: mysite/mysite/settings.py" in page
        (told,) = machine.log.of("app.failing")
        assert ("alice", "missing-module") == (told["account"], told["code"])
        assert machine.serves("alice")
        load(machine)
        machine.until(lambda: machine.page("alice") is None)
        assert 1 == len(machine.log.of("app.working"))
    assert not machine.log.of("reports.unheard")


def test_what_may_be_a_secret_is_on_no_page_and_in_no_status(machine: Machine) -> None:
    """Every student can read both; the app's own log has it."""
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: machine.serves("alice"))
        keys = {**RAISES, "message": "s3cret", "name": "s3cret"}
        tell(machine, "alice", "failing", "raised", **keys)
        assert "s3cret" not in str(machine.status)
        assert "s3cret" not in str(machine.page("alice"))
        assert "ValueError in ~/mysite/shop/views.py:9" in str(machine.page("alice"))
        assert "s3cret" not in repr(machine.log)


def test_a_page_that_explains_nothing_names_no_fault(machine: Machine) -> None:
    """`[pages] explain = false`: that it does not work, and whom to ask."""
    machine.configure(pages={"explain": False})
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: machine.serves("alice"))
        fail(machine)
        machine.until(lambda: machine.page("alice"))
        assert "crispy" not in str(machine.page("alice"))


def test_the_next_process_remembers(machine: Machine) -> None:
    """How each app is, since when, and what the log has said: a restart is no news."""
    machine.student("alice")
    machine.student("bob")
    with machine.daemon():
        machine.until(lambda: machine.serves("bob"))
        load(machine, "bob")
        load(machine)
        fail(machine, changed=["a.py"])
    before = machine.status["accounts"]
    page = machine.page("alice")
    machine.later(100)
    with machine.daemon():
        machine.until(lambda: machine.log.names().count("daemon.started") == 2)
        assert before == machine.status["accounts"]
        assert page == machine.page("alice")
        machine.tell("alice", "loaded")
        machine.until(lambda: machine.log.of("app.working"))
    assert 1 == len(machine.log.of("app.failing"))


def test_another_account_of_the_name_has_nothing_of_the_ones_health(machine: Machine) -> None:
    """A new uid: nothing is known, not even that it ever worked."""
    machine.students("alice", "bob")  # a root without anybody would be one that is not mounted
    with machine.daemon():
        machine.until(lambda: machine.serves("alice"))
        load(machine)
        fail(machine)
        machine.remove("alice")
        machine.until(lambda: "alice" not in machine.published)
        machine.until(lambda: not (machine.runtime / "told/alice").exists())
        machine.student("alice")
        machine.until(lambda: machine.serves("alice"))
        machine.until((machine.runtime / "told/alice").exists)
        machine.until(lambda: state(machine) == "unknown")
        assert machine.health("alice")["worked_until"] is None
        assert machine.page("alice") is None


def test_a_new_set_is_not_known_until_it_tells(machine: Machine) -> None:
    """And what a process of the set before tells still, is not believed."""
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: machine.serves("alice"))
        load(machine)
        fail(machine)
        before = machine.health("alice")["set"]
        machine.project("alice", text="x = 1\ndef application(e, s): return []\n")
        machine.until(lambda: state(machine) == "unknown")
        assert before != machine.health("alice")["set"]
        assert machine.health("alice")["worked_until"]
        machine.until(lambda: machine.page("alice") is None)
        machine.tell("alice", "failed", **MISSING, set=before)
        machine.stays(lambda: state(machine) == "unknown", during=0.2)


def test_the_log_folds_what_goes_to_and_fro(machine: Machine) -> None:
    """A few lines, then one when there is something new to say, with how many were left out."""
    machine.students("alice", "bob")
    with machine.daemon():
        machine.until(lambda: machine.serves("alice"))
        for _ in range(4):
            fail(machine)
            load(machine)
        told = [n for n in machine.log.names("alice") if n in {"app.failing", "app.working"}]
        assert ["app.failing", "app.working"] * 2 == told
        fail(machine)
        machine.log.clear()
        machine.later(60)
        load(machine, "bob")  # whatever wakes it
        machine.until(lambda: machine.log.of("app.failing"))
        assert 4 == machine.log.of("app.failing")[0]["folded"]


def test_an_app_that_raises_all_the_time_costs_a_line_and_a_status(machine: Machine) -> None:
    """A thousand times a second, the same: one event, and no file is written for it."""
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: machine.serves("alice"))
        tell(machine, "alice", "failing", "raised", **RAISES)
        written = machine.notify.count("STATUS")
        looks = machine.log.passes
        end, sent = time.monotonic() + 1.0, 0
        while time.monotonic() < end:
            sent += machine.tell("alice", "raised", **RAISES)
            time.sleep(0.0005)
        assert sent > 20
        assert looks == machine.log.passes
        assert machine.notify.count("STATUS") <= written + 1  # of the configuration
    assert 1 == len(machine.log.of("app.failing"))


def test_an_app_that_fails_otherwise_each_time_costs_a_bounded_number(machine: Machine) -> None:
    """Told as fast as there is room: a few lines of the log, and a status a second."""
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: machine.serves("alice"))
        written, looks = machine.notify.count("STATUS"), machine.log.passes
        end, number = time.monotonic() + 2.0, 0
        while time.monotonic() < end:
            number += 1
            machine.tell("alice", "failed", **{**MISSING, "name": f"m{number}"})
        assert machine.notify.count("STATUS") - written <= 4
        assert machine.log.passes - looks <= 20
    assert 4 >= len(machine.log.of("app.failing")) > 0


def test_a_fault_of_many_is_said_once(machine: Machine) -> None:
    """After it has stopped to spread; with the number, and the reason in one line."""
    names = [f"s{n}" for n in range(5)]
    machine.students(*names)
    with machine.daemon():
        machine.until(lambda: set(names) == machine.published)
        for name in names[:4]:
            machine.tell(name, "failed", **{**MISSING, "where": f"{name}/settings.py:3"})
        machine.until(lambda: machine.status["accounts"]["s3"]["health"]["state"] == "failing")
        machine.later(6)
        machine.tell("s4", "loaded")
        machine.until(lambda: machine.log.of("apps.failing"), within=15)
        (told,) = machine.log.of("apps.failing")
        wanted = "4 of 5 fail for the same reason: ModuleNotFoundError: No module named"
        assert told["message"].startswith(wanted)
        machine.later(60)
        machine.tell("s4", "failed", **MISSING)
        machine.until(lambda: machine.status["accounts"]["s4"]["health"]["state"] == "failing")
    assert 1 == len(machine.log.of("apps.failing"))
    assert "5 of 5 fail for the same reason" in (machine.state / "pages/.status.html").read_text()


def test_reports_of_who_is_not_served_are_nobodys(machine: Machine) -> None:
    """Withdrawn while it told, or never heard of: there is no app that it could be about."""
    machine.student("alice", project=None)
    passes = Passes(machine.settings, machine.outside)
    passes.look()
    told = dict.fromkeys(("alice", "mallory"), Report(Event.LOADED))
    assert {} == passes.checkup.heard(told)
    passes.close()


def test_settings_that_are_read_again_lose_no_report(machine: Machine) -> None:
    """The sockets are made anew; what was told before counts, and what is told after."""
    machine.student("alice")
    with machine.daemon() as running:
        machine.until(lambda: machine.serves("alice"))
        fail(machine)
        running.hup()
        machine.until(lambda: machine.log.of("settings.reread"))
        machine.until(lambda: machine.log.passes >= 2)
        assert "failing" == state(machine)
        machine.until(lambda: _told(machine))
        machine.until(lambda: state(machine) == "working")


def _told(machine: Machine) -> bool:
    try:
        return machine.tell("alice", "loaded")
    except OSError:  # between the one that listened and the next
        return False


def test_apps_that_cannot_tell_are_told_of_once(machine: Machine) -> None:
    """The directory of sockets cannot be made: everything else goes on."""
    machine.runtime.touch()
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: machine.serves("alice"))
        machine.student("bob")
        machine.until(lambda: machine.serves("bob"))
    (told, *_) = machine.log.of("reports.unheard")
    assert "cannot tell how it is: Not a directory" in told["message"]
    assert len(machine.log.of("reports.unheard")) <= 2


def test_the_general_page_is_there_from_the_first_look(machine: Machine) -> None:
    """For an app that does not answer, and of which nothing is known."""
    machine.once()
    assert "did not answer" in (machine.state / "pages/.general.html").read_text()


def test_the_terminal_shows_it(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """A line in the overview; of one account where, why, the mend, and what changed."""
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: machine.serves("alice"))
        load(machine)
        fail(machine, changed=["mysite/a.py"])
    found = statuses.read((machine.state / "status.json").read_bytes())
    tables.overview(found)
    shown = " ".join(capsys.readouterr().out.split())
    assert "served, failing" in shown
    assert "1 served (1 failing), 0 rejected" in shown
    tables.one("alice", found.accounts["alice"])
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "failing since 20",
        "No module named 'crispy_forms' in ~/mysite/mysite/settings.py:33",
        "worked until 20",
        "changed since: mysite/a.py",
        "django-crispy-forms",
    ):
        assert text in shown
    assert "1 apps, 1 failing, 0 rejected" in statuses.summary(found)
