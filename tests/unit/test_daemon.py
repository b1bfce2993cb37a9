"""The daemon: what it makes of events, and of looks that fail."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.publish.sets import Sets

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
