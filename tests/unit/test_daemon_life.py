"""The life of a daemon: ready, alive, stopped, and begun anew with other settings."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

import pytest

from reconciler.publish.protocol import Publisher
from reconciler.publish.sets import Sets
from reconciler.watch import Watch

if TYPE_CHECKING:
    from tests.unit.machine import Machine

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
    assert [] == list(machine.state.rglob("beat"))


def test_a_sign_of_life_that_cannot_be_written_is_told(machine: Machine) -> None:
    """A full disk: the supervisor decides whether that is the end, and students are served."""
    machine.notify.beat_every = 0.05
    with machine.daemon():
        machine.until(lambda: machine.notify.count("WATCHDOG"))
        where = next(machine.state.rglob("beat")).parent
        where.rename(machine.home / "aside")
        where.touch()
        machine.until(lambda: machine.log.of("alive.failed"))
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


def test_a_configuration_that_cannot_begin_is_tried_again(machine: Machine) -> None:
    """What is current cannot be read just as its turn has come: told, and no end of the daemon."""
    machine.configure(timing={"reload_interval": 0.3})
    machine.student("alice")
    machine.once()
    current = machine.state / "current"
    with machine.daemon() as daemon:
        machine.student("bob")
        machine.until(lambda: machine.app("bob"))
        target = os.readlink(current)
        current.unlink()
        current.mkdir()
        machine.until(lambda: not daemon.alive or machine.log.of("generation.failed"))
        assert daemon.alive
        current.rmdir()
        current.symlink_to(target)
        machine.until(lambda: machine.serves("bob"))


def test_a_stop_waits_for_the_look_in_hand_and_begins_no_other(machine: Machine) -> None:
    """The next start looks at all anyway; a stop has 30 s, and a full look may take 10."""
    machine.student("alice")
    machine.student("bob", project=None)
    machine.once()
    with machine.daemon() as daemon, machine.no_looks():
        daemon.signal(signal.SIGTERM)
        machine.project("bob")
    assert {"alice"} == machine.published


def test_what_cannot_be_asked_after_a_look_is_no_end(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full table of files, just when the other side's notes are read: the look is made again."""
    machine.student("alice")
    machine.once()
    once = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))]

    def unverified(publisher: Publisher) -> bool:
        if once:
            raise once.pop()
        return publisher.generations.current() != publisher.notes.seen

    monkeypatch.setattr(Publisher, "unverified", property(unverified))
    with machine.daemon():
        machine.until(lambda: machine.log.of("pass.failed"))
        machine.student("bob")
        machine.until(lambda: machine.serves("bob"))
