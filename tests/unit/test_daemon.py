"""The daemon: what it makes of events and signals, and when it is ready."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.publish.sets import Sets
from reconciler.watch import Watch

if TYPE_CHECKING:
    from tests.unit.machine import Machine

BROKEN = "def application(:\n"


# ---- events --------------------------------------------------------------------------------------


def test_a_new_student_is_served(machine: Machine) -> None:
    """By the kernel's events alone."""
    with machine.daemon():
        machine.student("alice")
        machine.until(lambda: machine.serves("alice"))
    assert ["app.published"] == machine.log.names("alice")


def test_an_account_whose_home_came_first_is_served(machine: Machine) -> None:
    """`useradd` after the home was restored: the database itself is watched."""
    machine.student("alice")
    row = machine.rows["alice"]
    machine.forget("alice")
    with machine.daemon():
        machine.rows["alice"] = row
        machine.database()
        machine.until(lambda: machine.serves("alice"))


def test_one_event_per_change(machine: Machine) -> None:
    """Published, changed, switched, withdrawn and rejected: each once, under its name."""
    with machine.daemon():
        machine.student("alice")
        machine.until(lambda: machine.serves("alice"))
        machine.project("alice", text="application = 1\n")
        machine.until(lambda: machine.log.of("app.changed"))
        machine.project("alice", "other")
        machine.remove("alice", "mysite")
        machine.until(lambda: "other/other/wsgi.py" == machine.visit("alice"))
        machine.project("alice", "other", text=BROKEN)
        machine.until(lambda: not machine.serves("alice"))
        for _ in range(3):
            machine.project("alice", "other", text=BROKEN)
        machine.project("alice", "other")
        machine.until(lambda: machine.serves("alice"))
    assert ["app.published", "app.changed", "app.switched", "app.withdrawn", "app.published"] == [
        name for name in machine.log.names("alice") if name != "app.rejected"
    ]
    assert {"url": "/django/alice/", "account": "alice"}.items() <= machine.log.of("app.changed")[
        0
    ].items()


def test_an_unchanged_rejection_is_told_once(machine: Machine) -> None:
    """However often it is looked at; another reason is news."""
    machine.student("alice", project=None)
    with machine.daemon():
        for text in (BROKEN, BROKEN, BROKEN, "x = 1\n", "x = 1\n"):
            passes = machine.log.passes
            machine.project("alice", text=text)
            machine.until(lambda p=passes: machine.log.passes > p)
        machine.until(lambda: 2 <= len(machine.log.of("app.rejected")))
    codes = [keys["code"] for keys in machine.log.of("app.rejected")]
    assert ["syntax-error", "no-application"] == codes


def test_a_root_that_is_replaced_is_watched_and_looked_at(machine: Machine) -> None:
    """A restored backup is moved into its place: whose homes differ is not known, so all are."""
    machine.students("alice", "bob")
    with machine.daemon():
        other = machine.home / "restored"
        other.mkdir()
        (machine.root / "alice").rename(other / "alice")
        machine.until(lambda: {"bob"} == machine.published)
        machine.root.rename(machine.home / "aside")
        other.rename(machine.root)
        machine.until(lambda: {"alice"} == machine.published)
        machine.until(lambda: machine.log.of("watch.resync"))
        machine.student("carol")
        machine.until(lambda: machine.serves("carol"))


# ---- grace ---------------------------------------------------------------------------------------


def test_a_soft_fault_is_kept_for_grace_and_no_longer(machine: Machine) -> None:
    """An editor at work makes no site flicker; and the end of grace needs no event."""
    machine.student("alice")
    machine.configure(timing={"grace": 0.5})
    with machine.daemon():
        machine.project("alice", text=BROKEN)
        machine.until(lambda: machine.log.of("app.at_risk"))
        machine.stays(lambda: machine.serves("alice"), during=0.2)
        machine.until(lambda: not machine.serves("alice"))
        machine.until(lambda: "syntax-error" == machine.code("alice"))
    assert "rejected" == machine.entry("alice")["state"]


def test_a_soft_fault_mended_within_grace_is_forgotten(machine: Machine) -> None:
    """The next one has its whole grace again."""
    machine.student("alice")
    machine.configure(timing={"grace": 0.4})
    with machine.daemon():
        for _ in range(3):
            machine.project("alice", text=BROKEN)
            machine.stays(lambda: machine.serves("alice"), during=0.2)
            machine.project("alice")
            machine.stays(lambda: machine.serves("alice"), during=0.1)


def test_what_is_unsafe_has_no_grace(machine: Machine) -> None:
    """Everybody could write the code that runs as alice."""
    machine.student("alice")
    machine.configure(timing={"grace": 60.0})
    with machine.daemon():
        (machine.root / "alice" / "mysite").chmod(0o777)
        machine.until(lambda: not machine.serves("alice"))


# ---- what may be remembered ----------------------------------------------------------------------


def test_an_account_with_another_row_is_not_what_was_remembered_of_it(machine: Machine) -> None:
    """Nothing in the home differs; the files are no longer the account's."""
    machine.student("alice")
    machine.configure(timing={"resync": 0.1})
    with machine.daemon():
        passes = machine.log.passes
        machine.until(lambda: machine.log.passes > passes + 3)  # seen, and old enough to be kept
        machine.account("alice", uid=54321)
        machine.until(lambda: not machine.serves("alice"))
        machine.until(lambda: "wrong-owner" == machine.code("alice"))


def test_what_lies_outside_the_home_is_looked_at_again(machine: Machine) -> None:
    """A virtualenv that a setting names: it comes, and no event tells of it."""
    machine.student("alice")
    venv = machine.home / "venv"
    machine.configure(accounts={"alice": {"virtualenv": str(venv)}}, timing={"resync": 0.1})
    with machine.daemon():
        machine.until(lambda: "virtualenv" == machine.code("alice"))
        passes = machine.log.passes
        machine.until(lambda: machine.log.passes > passes + 3)
        version = f"{os.sys.version_info[0]}.{os.sys.version_info[1]}"  # type: ignore[attr-defined]
        (venv / "lib" / f"python{version}" / "site-packages").mkdir(parents=True)
        (venv / "pyvenv.cfg").write_text(f"version = {version}\n")
        machine.until(lambda: machine.serves("alice"))


# ---- ready, alive, stopping ----------------------------------------------------------------------


def test_ready_is_said_when_apache_serves_it(machine: Machine) -> None:
    """Whoever is ordered after us finds everything published: not while it is being reloaded."""
    machine.student("alice")
    machine.apache.hold("graceful")
    with machine.daemon(ready=False):
        machine.until(lambda: machine.apache.reloads)
        machine.stays(lambda: not machine.notify.count("READY"), during=0.2)
        machine.apache.release("graceful")
        machine.until(lambda: machine.notify.count("READY"))
        assert {"alice"} == machine.apache.daemons
        assert "served" == machine.entry("alice")["state"]
    assert 1 == machine.notify.count("READY")
    assert 1 == machine.notify.count("STOPPING")


def test_ready_is_said_with_an_apache_that_is_stopped(machine: Machine) -> None:
    """To have tried is all that can be waited for."""
    machine.student("alice")
    machine.apache.stop()
    with machine.daemon():
        assert {"alice"} == machine.published


def test_ready_is_said_with_homes_that_do_not_answer(machine: Machine) -> None:
    """A start that fails would mend nothing; they are served when they are there."""
    machine.student("alice")
    machine.root.rename(machine.home / "aside")
    with machine.daemon():
        assert machine.log.of("pass.failed")
        (machine.home / "aside").rename(machine.root)
        machine.until(lambda: machine.serves("alice"))


def test_the_supervisor_is_told_how_many_there_are(machine: Machine) -> None:
    """One line for `systemctl status`."""
    machine.student("alice")
    machine.student("bob", project=None)
    with machine.daemon():
        machine.until(
            lambda: any("1 apps, 0 rejected" in v.get("STATUS", "") for v in machine.notify.told)
        )


def test_a_sign_of_life_goes_through_the_watcher(machine: Machine) -> None:
    """The loop writes a file, the watcher hears of it, and then systemd does."""
    machine.notify.beat_every = 0.05
    with machine.daemon():
        machine.until(lambda: machine.notify.count("WATCHDOG") >= 3)


def test_a_deaf_watcher_gives_no_sign_of_life(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that goes round and hears nothing would ping for ever."""
    machine.notify.beat_every = 0.05
    monkeypatch.setattr(Watch, "start", lambda self: None)
    with machine.daemon():
        machine.stays(lambda: not machine.notify.count("WATCHDOG"))


def test_without_a_supervisor_nothing_beats(machine: Machine) -> None:
    """Nobody waits for signs of life: none is given, and no file is written for it."""
    with machine.daemon():
        machine.student("alice")
        machine.until(lambda: machine.serves("alice"))
    assert 0 == machine.notify.count("WATCHDOG")
    assert not (machine.state / "canary").exists()


def test_a_sign_of_life_that_cannot_be_written_is_told(machine: Machine) -> None:
    """A full disk: the supervisor decides whether that is the end, and students are served."""
    machine.notify.beat_every = 0.05
    with machine.daemon():
        machine.until(lambda: machine.notify.count("WATCHDOG"))
        (machine.state / "canary").rename(machine.home / "aside")
        (machine.state / "canary").touch()
        machine.until(lambda: machine.log.of("canary.failed"))
        machine.student("alice")
        machine.until(lambda: machine.serves("alice"))


def test_what_cannot_be_tidied_is_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leftovers harm nobody: everything else goes on."""

    def prune_all(self: Sets) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "sets")

    monkeypatch.setattr(Sets, "prune_all", prune_all)
    with machine.daemon():
        machine.until(lambda: machine.log.of("prune.failed"))
        machine.student("alice")
        machine.until(lambda: machine.serves("alice"))


def test_watches_that_the_kernel_refused_are_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many, what it means, and the command that mends it."""
    monkeypatch.setattr(Watch, "refused", lambda self: 7)
    with machine.daemon():
        machine.until(lambda: machine.log.of("watch.degraded"))
    (told,) = machine.log.of("watch.degraded")
    assert "7 watches" in told["message"]
    assert "max_user_watches" in told["fix"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(machine: Machine, number: signal.Signals) -> None:
    """Status 0, the state on disk, and both said."""
    with machine.daemon() as daemon:
        machine.student("alice")
        machine.until(lambda: machine.app("alice"))
        daemon.signal(number)
        machine.until(lambda: not daemon.alive)
        assert 0 == daemon.status
    assert ("daemon.started", "daemon.stopped") == (
        machine.log.names()[0],
        machine.log.names()[-1],
    )
    assert "served" == machine.entry("alice")["state"]


def test_templates_that_are_not_usable_end_the_start(machine: Machine) -> None:
    """Status 3: systemd tells, and there is nothing to wait for."""
    machine.configure(apache={"template_set": "nowhere"})
    with machine.daemon(ready=False) as daemon:
        machine.until(lambda: not daemon.alive)
        assert 3 == daemon.status
    assert machine.log.of("templates.unusable")


# ---- reading the settings again ------------------------------------------------------------------


def test_a_changed_file_of_settings_is_read_again(machine: Machine) -> None:
    """Without a signal: another prefix, and another configuration."""
    machine.student("alice")
    with machine.daemon():
        machine.configure(urls={"prefix": "/apps"})
        machine.until(lambda: "/apps/alice/" == machine.entry("alice")["url"])
        machine.until(lambda: machine.serves("alice"))
    assert machine.log.of("settings.reread")


def test_hup_reads_the_settings_again(machine: Machine) -> None:
    """And says so; what is published is not touched for it."""
    machine.student("alice")
    with machine.daemon() as daemon:
        machine.until(lambda: machine.serves("alice"))
        daemon.hup()
        machine.until(lambda: [{"reason": "HUP"}] == machine.log.of("settings.reread"))
        machine.student("bob")
        machine.until(lambda: machine.serves("bob"))
    assert 1 == machine.log.names("alice").count("app.published")


@pytest.mark.parametrize("text", ["[homes]\nroot = 7\n", "no toml", ""])
def test_settings_that_are_not_usable_leave_the_old_ones(machine: Machine, text: str) -> None:
    """They are told, and everything goes on as before."""
    with machine.daemon() as daemon:
        if text:
            machine.config.write_text(text)
        else:
            machine.config.unlink()
        machine.until(lambda: machine.log.of("settings.invalid"))
        daemon.hup()
        machine.student("alice")
        machine.until(lambda: machine.app("alice"))
    assert not machine.log.of("settings.reread")


def test_a_template_set_that_is_not_usable_leaves_the_old_one(machine: Machine) -> None:
    """The same for what the settings name."""
    with machine.daemon():
        machine.configure(apache={"template_set": "nowhere"})
        machine.until(lambda: machine.log.of("settings.invalid"))
        machine.student("alice")
        machine.until(lambda: machine.serves("alice"))


@pytest.mark.xfail(strict=True, reason="of two lives, halves are left when a beginning raises")
@pytest.mark.parametrize(
    "error",
    [OSError(errno.EMFILE, os.strerror(errno.EMFILE)), RuntimeError("can't start new thread")],
    ids=["no descriptor left", "no thread left"],
)
def test_a_new_life_that_cannot_begin_leaves_the_old_one_whole(
    machine: Machine, error: Exception
) -> None:
    """HUP while nothing can be opened: told, and everything goes on as before."""
    with machine.daemon() as daemon:
        machine.accounts_raise = error
        daemon.hup()
        machine.until(lambda: machine.log.events[-1][0] == "error", within=1.0)
        machine.accounts_raise = None
        machine.student("alice")
        machine.until(lambda: machine.serves("alice"), within=1.0)
        machine.configure(urls={"prefix": "/apps"})
        machine.until(lambda: "/apps/alice/" == machine.entry("alice")["url"])


def test_reading_again_waits_for_a_configuration_under_way(machine: Machine) -> None:
    """How it ends is for those who began it; and then nothing is done twice."""
    with machine.daemon() as daemon:
        machine.apache.hold("graceful")
        reloads = machine.apache.reloads
        machine.student("alice")
        machine.until(lambda: machine.apache.reloads > reloads)
        daemon.hup()
        machine.stays(lambda: not machine.log.of("settings.reread"), during=0.2)
        machine.apache.release("graceful")
        machine.until(lambda: machine.log.of("settings.reread"))
        machine.until(lambda: {"alice"} == machine.apache.daemons)
        machine.student("bob")
        machine.until(lambda: machine.serves("bob"))
        assert reloads + 2 == machine.apache.reloads


# ---- failures of a look --------------------------------------------------------------------------


def test_a_look_that_failed_is_followed_by_one_at_everybody(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alice's event met a state that could not be entered, and only bob's events come after."""
    machine.students("alice", "bob")
    with machine.daemon():
        (machine.state / "apps").rename(machine.home / "aside")
        (machine.state / "apps").touch()
        machine.project("alice", text="application = 1\n")
        machine.until(lambda: machine.log.of("pass.failed"))
        (machine.state / "apps").unlink()
        (machine.home / "aside").rename(machine.state / "apps")

        def again() -> Any:
            machine.write("bob", "mysite/mysite/wsgi.py", "application = 2\n")
            return "alice" in [keys["account"] for keys in machine.log.of("app.changed")]

        machine.until(again, within=2.0)


def test_a_fault_of_ours_is_told_and_survived(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a pass raises, the daemon goes on, and the next try may do."""
    real, broken = Sets.publish, True

    def publish(self: Sets, *args: Any, **keys: Any) -> Any:
        if broken:
            raise ZeroDivisionError("a fault of ours")
        return real(self, *args, **keys)

    monkeypatch.setattr(Sets, "publish", publish)
    with machine.daemon():
        machine.student("alice")
        machine.until(lambda: machine.log.of("pass.failed"))
        assert "exception" in [level for level, _, _ in machine.log.events]
        broken = False
        machine.until(lambda: machine.serves("alice"))
