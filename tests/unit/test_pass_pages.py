"""Pages, links and sets: in which order they change, and what a failure of one leaves."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.once import Exit

if TYPE_CHECKING:
    from tests.unit.machine import Machine

BROKEN = "def application(:\n"


def test_an_account_without_an_app_has_a_page(machine: Machine) -> None:
    """It says what is wrong and how to mend it; one that is served has none."""
    machine.student("alice")
    machine.student("bob", project=None)
    machine.student("carol")
    machine.project("carol", text=BROKEN)
    machine.once()
    assert machine.page("alice") is None
    assert "bob" in machine.visit("bob")
    assert "py_compile" in machine.visit("carol")
    machine.project("carol")
    machine.once()
    assert machine.page("carol") is None
    assert machine.serves("carol")


def test_the_page_is_there_before_the_link_goes(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No visitor meets Apache's own error in between."""
    machine.student("alice")
    machine.once()
    seen: list[str | None] = []
    real = os.unlink

    def unlink(path: Any, **keys: Any) -> None:
        if str(path) == f"{machine.state}/apps/alice":
            seen.append(machine.page("alice"))
        real(path, **keys)

    monkeypatch.setattr(os, "unlink", unlink)
    machine.project("alice", text=BROKEN)
    machine.once()
    assert not machine.serves("alice")
    assert [page for page in seen if page and "syntax" in page]
    assert None not in seen


def test_a_page_that_cannot_be_written_keeps_no_app_up(machine: Machine) -> None:
    """What is unsafe goes at once, page or not."""
    machine.student("alice")
    machine.once()
    (machine.state / "pages" / "alice.html").mkdir()
    (machine.root / "alice" / "mysite").chmod(0o777)
    machine.once()
    assert machine.app("alice") is None
    assert "writable-by-others" == machine.code("alice")


def test_a_pass_writes_a_page_that_could_not_be_written(machine: Machine) -> None:
    """The next one does, in another process."""
    machine.student("bob", project=None)
    machine.once()
    place = machine.state / "pages" / "bob.html"
    place.unlink()
    place.mkdir()
    machine.once()
    assert place.is_dir()
    place.rmdir()
    assert Exit.CONVERGED == machine.once()
    assert "bob" in (machine.page("bob") or "")


def test_a_daemon_writes_the_page_of_an_app_that_went_without_one(machine: Machine) -> None:
    """At a resync, though nothing in the home is another."""
    machine.student("alice")
    machine.configure(timing={"resync": 0.1})
    with machine.daemon():
        place = machine.state / "pages" / "alice.html"
        place.mkdir()
        machine.project("alice", text=BROKEN)
        machine.until(lambda: machine.app("alice") is None)
        place.rmdir()
        machine.until(lambda: "py_compile" in (machine.page("alice") or ""), within=1.0)


def test_a_daemon_writes_a_page_that_could_not_be_written(machine: Machine) -> None:
    """The same for a student who never had an app."""
    machine.student("bob", project=None)
    machine.configure(timing={"resync": 0.1})
    place = machine.state / "pages" / "bob.html"
    place.mkdir(parents=True)
    with machine.daemon():
        place.rmdir()
        machine.until(lambda: machine.page("bob"), within=1.0)


def test_a_daemon_writes_a_page_that_somebody_removed(machine: Machine) -> None:
    """At a resync: a page answers at all times."""
    machine.student("bob", project=None)
    machine.configure(timing={"resync": 0.1})
    with machine.daemon():
        assert machine.page("bob")
        passes = machine.log.passes
        machine.until(lambda: machine.log.passes > passes + 3)
        (machine.state / "pages" / "bob.html").unlink()
        machine.until(lambda: machine.page("bob"), within=1.0)


def test_the_pages_of_who_left_go(machine: Machine) -> None:
    """With the account, its home and its entry."""
    machine.student("alice")
    machine.student("bob", project=None)
    machine.once()
    machine.remove("bob")
    machine.forget("bob")
    machine.once()
    assert machine.page("bob") is None
    assert "bob" not in machine.status["accounts"]


def test_a_name_that_is_no_account_has_an_entry_and_no_page(machine: Machine) -> None:
    """A directory below the root that nobody owns is told of; no stanza could show a page."""
    (machine.root / "lost+found").mkdir()
    machine.once()
    assert "no-account" == machine.code("lost+found")
    assert machine.page("lost+found") is None
    assert set() == machine.stanzas


def test_what_a_page_says_is_escaped(machine: Machine) -> None:
    """A directory may be called what would be a script in a browser."""
    machine.student("bob", project=None)
    machine.project("bob", "<b>&'\"")
    machine.once()
    page = machine.visit("bob")
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page


def test_a_page_explains_only_where_it_is_to(machine: Machine) -> None:
    """`explain = false`: what is wrong is the student's to read in `status`."""
    machine.configure(pages={"explain": False})
    machine.student("bob")
    machine.project("bob", text=BROKEN)
    machine.once()
    assert "py_compile" not in machine.visit("bob")
    assert "syntax-error" == machine.code("bob")


def test_the_overview_names_all(machine: Machine) -> None:
    """The page for instructors, at its own address, with what mends each."""
    machine.students("alice", "bob")
    machine.project("bob", text=BROKEN)
    machine.once()
    status, page = machine.apache.answer("/slp-status")
    assert 200 == status
    assert all(word in page.decode() for word in ("alice", "bob", "py_compile", "1 served"))


def test_without_an_overview_there_is_none(machine: Machine) -> None:
    """`dashboard = ""` writes no such file."""
    machine.configure(pages={"dashboard": ""})
    machine.student("alice")
    machine.once()
    assert not (machine.state / "pages" / ".status.html").exists()


# ---- sets ----------------------------------------------------------------------------------------


def sets(machine: Machine, name: str) -> set[str]:
    """Return the sets that an account has on the disk."""
    return {path.name for path in (machine.state / "sets" / name).iterdir()}


def current(machine: Machine, name: str) -> str:
    """Return the set that the account's link chooses."""
    return os.path.basename(os.readlink(machine.state / "apps" / name))


def test_the_set_before_stays_since_it_may_be_being_read(machine: Machine) -> None:
    """A request that began before the switch finds its files; the one before that is gone."""
    machine.student("alice")
    with machine.daemon():
        machine.until(lambda: machine.app("alice"))
        for _ in range(3):
            before = current(machine, "alice")
            os.utime(machine.root / "alice/mysite/mysite/wsgi.py")
            machine.until(lambda b=before: current(machine, "alice") != b)
            machine.until(lambda b=before: sets(machine, "alice") == {b, current(machine, "alice")})


def test_a_pass_removes_sets_that_nothing_points_to(machine: Machine) -> None:
    """Of crashes and of accounts that left, names of writes cut short included."""
    machine.students("alice", "bob")
    machine.once()
    kept = current(machine, "alice")
    left = machine.state / "sets" / "alice" / ".0123.new"
    left.mkdir()
    shutil.copytree(machine.state / "sets" / "alice" / kept, left.with_name("old"))
    (machine.state / "apps" / ".zed.new").symlink_to("nowhere")
    machine.remove("bob")
    machine.forget("bob")
    machine.once()
    assert {kept} == sets(machine, "alice")
    assert ["alice"] == os.listdir(machine.state / "apps")
    assert ["alice"] == os.listdir(machine.state / "sets")


@pytest.mark.parametrize("file", ["app.json", "app.wsgi"])
@pytest.mark.parametrize("damage", ["removed", "changed"])
def test_a_damaged_set_is_made_anew(machine: Machine, file: str, damage: str) -> None:
    """It is no longer what its name says."""
    machine.student("alice")
    machine.once()
    place = machine.state / "apps" / "alice" / file
    whole = place.read_bytes()
    if damage == "removed":
        place.unlink()
    else:
        place.write_text("{}")
    assert Exit.CONVERGED == machine.once()
    assert whole == (machine.state / "apps" / "alice" / file).read_bytes()


def test_nothing_is_pruned_while_a_configuration_is_under_way(machine: Machine) -> None:
    """What it is writing would look like a crash's leftover: full passes go on beside its test."""
    machine.student("alice")
    machine.configure(timing={"resync": 0.05})
    machine.apache.hold("configtest")
    with machine.daemon(ready=False):
        machine.until(lambda: machine.apache.tests)
        passes = machine.log.passes
        machine.until(lambda: machine.log.passes > passes + 3)
        machine.apache.release("configtest")
        machine.until(lambda: {"alice"} == machine.apache.daemons)
    assert not machine.log.of("generation.refused")
    assert not machine.log.of("generation.failed")


def test_static_files_are_linked_as_the_students_own(machine: Machine) -> None:
    """Apache follows the link only where link and target have one owner."""
    machine.student("alice")
    machine.write("alice", "mysite/static/style.css", "")
    machine.once()
    link = machine.state / "apps" / "alice" / "static"
    assert machine.root / "alice" / "mysite" / "static" == link.readlink()
    assert machine.rows["alice"].uid == link.lstat().st_uid
