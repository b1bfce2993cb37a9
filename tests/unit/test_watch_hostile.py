"""What students can do to the watcher by renaming, linking and flooding, and that it holds."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import (
    InotifyConstants,
    InotifyEvent,
    Mask,
    WatchDescriptor,
    inotify_add_watch,
)

from reconciler.watch import Wake, emitter, forest, quota, session, table
from reconciler.watch.opening import Descent
from reconciler.watch.session import Session
from reconciler.watch.table import Table
from tests.lab.waiting import wait_for
from tests.unit.test_watch_support import (
    PATIENCE,
    SENTINEL,
    Ear,
    descriptors,
    inodes,
    listening,
    script,
    watched,
)

ANN, BOB = frozenset({"ann"}), frozenset({"bob"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory of the homes, with two homes and a project in each."""
    for name in ("ann", "bob"):
        script(tmp_path / "homes" / name / "mysite" / "mysite" / "wsgi.py")
    (tmp_path / "outside").mkdir()
    return tmp_path / "homes"


@pytest.fixture
def ear(root: Path) -> Iterator[Ear]:
    """A watch over `root`."""
    with listening(root) as ear:
        yield ear


def fresh(root: Path) -> set[str]:
    """What a Watch started now would watch."""
    others = descriptors()
    with listening(root):
        return watched(root, without=others)


def students_link(place: Path, target: Path) -> None:
    """A link that is not root's own, not for a moment: root's, to a home, would be followed."""
    beside = place.with_name(f".{threading.get_ident()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    if os.geteuid() == 0:
        os.lchown(beside, 12345, 12345)
    beside.rename(place)


def eventually(true: Callable[[], object]) -> bool:
    """Whether something becomes true in good time."""
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_the_sequence_that_ends_watchdogs_own_emitter(ear: Ear, tmp_path: Path) -> None:
    """`mkdir a; mv a ../outside; mkdir a; rmdir a; rmdir ../outside/a`, over and over."""
    here, there = ear.root / "ann/a", tmp_path / "outside/a"
    for _ in range(30):
        here.mkdir()
        here.rename(there)
        here.mkdir()
        here.rmdir()
        there.rmdir()
    heard = ear.settle()
    assert heard.everything is None
    assert fresh(ear.root) == watched(ear.root)
    assert BOB == ear.after(lambda: script(ear.root / "bob/mysite/wsgi.py")).accounts


def test_a_directory_moved_out_is_let_go(ear: Ear, tmp_path: Path) -> None:
    """It must neither wake nor cost a watch where it is now."""
    before = ear.watch.watches()
    away = tmp_path / "outside/mysite"
    assert Wake(accounts=ANN) == ear.after(lambda: (ear.root / "ann/mysite").rename(away))
    # The home that marks the end of the events has a watch too, for a moment.
    wait_for(lambda: before - 2 == ear.watch.watches(), what="both watches to be let go")
    assert Wake() == ear.after(lambda: script(away / "mysite/wsgi.py"))


def test_a_directory_moved_to_another_home_wakes_its_new_account_alone(ear: Ear) -> None:
    """First both, for the move; then only whose it is."""
    moved = ear.root / "bob/annsite"
    assert Wake(accounts=ANN | BOB) == ear.after(lambda: (ear.root / "ann/mysite").rename(moved))
    assert Wake(accounts=BOB) == ear.after(lambda: script(moved / "mysite/wsgi.py"))


def test_a_directory_seen_in_both_homes_at_once_is_then_told_apart(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved back and forth within one read: the last place counts."""
    gate, take = threading.Event(), Session.take

    def slow(self: Session) -> Wake:
        gate.wait(PATIENCE)
        return take(self)

    monkeypatch.setattr(Session, "take", slow)
    (ear.root / "ann/first").mkdir()
    for _ in range(7):
        (ear.root / "ann/mysite").rename(ear.root / "bob/annsite")
        (ear.root / "bob/annsite").rename(ear.root / "ann/mysite")
    gate.set()
    ear.settle()
    assert Wake(accounts=ANN) == ear.after(lambda: script(ear.root / "ann/mysite/mysite/wsgi.py"))
    assert fresh(ear.root) == watched(ear.root)


def test_a_home_replaced_by_a_rename_is_watched_anew(ear: Ear, tmp_path: Path) -> None:
    """The old one keeps its inode, and must not keep the watch."""
    script(tmp_path / "new/project/app/wsgi.py")
    old = tmp_path / "outside/ann"

    def replace() -> None:
        (ear.root / "ann").rename(old)
        (tmp_path / "new").rename(ear.root / "ann")

    assert Wake(accounts=ANN) == ear.after(replace)
    assert {"ann", "ann/project", "ann/project/app"} <= watched(ear.root)
    assert Wake() == ear.after(lambda: script(old / "mysite/mysite/wsgi.py"))
    assert Wake(accounts=ANN) == ear.after(lambda: script(ear.root / "ann/project/app/wsgi.py"))


def test_a_home_renamed_over_another_name_tells_both(ear: Ear) -> None:
    """`usermod -m`: the old account lost its home, the new one has it."""
    heard = ear.after(lambda: (ear.root / "ann").rename(ear.root / "anna"))
    assert {"ann", "anna"} == heard.accounts
    assert {"anna"} == ear.after(lambda: script(ear.root / "anna/mysite/wsgi.py")).accounts


@pytest.mark.parametrize("place", ["ann", "ann/mysite", "ann/mysite/mysite"])
def test_a_directory_replaced_by_a_link_is_not_followed(
    ear: Ear, tmp_path: Path, place: str
) -> None:
    """Else a student has us watch what is not theirs, and wakes their account for it."""
    victim = tmp_path / "outside/victim"
    (victim / "mysite").mkdir(parents=True)

    def replace() -> None:
        shutil.rmtree(ear.root / place)
        students_link(ear.root / place, victim)

    ear.after(replace)
    assert victim.stat().st_ino not in inodes()
    assert Wake() == ear.after(lambda: script(victim / "wsgi.py"))


def test_a_link_swapped_in_while_we_look_is_never_watched(ear: Ear, tmp_path: Path) -> None:
    """Each component is opened through no link, and what was opened is what gets watched."""
    victim = tmp_path / "outside/victim"
    (victim / "mysite").mkdir(parents=True)
    forbidden = {victim.stat().st_ino, (victim / "mysite").stat().st_ino}
    place, spare, link = ear.root / "ann/mysite", ear.root / "ann/.spare", ear.root / "ann/.link"
    students_link(link, victim)
    for number in range(400):
        place.rename(spare)
        link.rename(place)
        (ear.root / f"ann/d{number % 5}").mkdir(exist_ok=True)
        place.rename(link)
        spare.rename(place)
        if number % 40 == 0:
            assert not forbidden & set(inodes())
    ear.settle()
    assert not forbidden & set(inodes())
    assert fresh(ear.root) == watched(ear.root)


def test_a_home_spends_its_own_budget_and_no_more(root: Path) -> None:
    """A student with many directories is told how many are unwatched; neighbours lose nothing."""
    for number in range(40):
        (root / f"ann/d{number:02}").mkdir()
    with listening(root, budget=10) as ear:
        assert ear.watch.over_budget()["ann"] in {32, 33}  # 33 if `mysite` had one of the ten
        assert 10 == len([path for path in watched(root) if path.startswith("ann")])
        assert 3 == len([path for path in watched(root) if path.startswith("bob")])
        assert Wake(accounts=BOB) == ear.after(lambda: script(root / "bob/mysite/wsgi.py"))


def test_what_lies_near_is_watched_before_what_lies_deep(root: Path) -> None:
    """One project full of directories does not hide the next."""
    for number in range(40):
        (root / f"ann/a/d{number:02}").mkdir(parents=True)
    with listening(root, budget=4):
        assert {"ann", "ann/a", "ann/mysite"} < watched(root)


def test_the_budget_is_given_back(root: Path) -> None:
    """What is removed makes room for what had none, and the count falls."""
    for number in range(20):
        (root / f"ann/d{number:02}").mkdir()
    with listening(root, budget=10) as ear:
        assert ear.watch.over_budget()["ann"] in {12, 13}  # 13 if `mysite` had one of the ten

        def remove() -> None:
            for number in range(20):
                (root / f"ann/d{number:02}").rmdir()

        ear.after(remove)
        assert {} == ear.watch.over_budget()
        assert {"ann", "ann/mysite", "ann/mysite/mysite"} == {
            path for path in watched(root) if path.startswith("ann")
        }
        assert Wake(accounts=ANN) == ear.after(lambda: script(root / "ann/mysite/mysite/wsgi.py"))


def test_a_removed_home_owes_nothing(root: Path) -> None:
    """Its overdraft goes with it."""
    for number in range(20):
        (root / f"ann/d{number:02}").mkdir()
    with listening(root, budget=10) as ear:
        ear.after(lambda: shutil.rmtree(root / "ann"))
        assert {} == ear.watch.over_budget()


def test_entries_read_of_one_directory_are_bounded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory with a million entries costs what four thousand cost, and counts as over."""
    monkeypatch.setattr(forest, "HOME_ENTRIES", 50)
    for number in range(200):
        (root / f"ann/f{number}").touch()
    with listening(root) as ear:
        assert {"ann": 1} == ear.watch.over_budget()
        assert Wake(accounts=BOB) == ear.after(lambda: script(root / "bob/mysite/wsgi.py"))


def test_a_home_that_floods_is_muted_for_a_while_and_nobody_else(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is watched and looked at again; *measured*: unmuted, the queue overflows for all."""
    monkeypatch.setattr(quota, "WORK", 3000)
    monkeypatch.setattr(quota, "MUTE", 2.0)
    with listening(root, budget=8) as ear:
        place = root / "ann/a"
        place.mkdir()
        end = time.monotonic() + PATIENCE
        while "ann" not in ear.watch.over_budget() and time.monotonic() < end:
            place.rename(root / "ann/b")
            (root / "ann/b").rename(place)
        assert {"ann"} == set(ear.watch.over_budget())
        assert eventually(lambda: 3 == len(watched(root)))
        assert BOB <= ear.after(lambda: script(root / "bob/mysite/wsgi.py")).accounts
        assert eventually(lambda: not ear.watch.over_budget())
        ear.wait(lambda wake: "ann" in wake.accounts)
        assert Wake(accounts=ANN) == ear.after(lambda: script(root / "ann/mysite/mysite/wsgi.py"))
        assert fresh(root) == watched(root)


def test_an_overflow_wakes_everything_and_all_is_watched_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real one: the reader is held while more happens than the kernel's queue takes."""
    length = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    gate, take = threading.Event(), Session.take
    gate.set()

    def held(self: Session) -> Wake:
        gate.wait(PATIENCE)
        return take(self)

    monkeypatch.setattr(Session, "take", held)
    names = [f"u{number}" for number in range(8)]
    for name in names:
        (root / name / "a").mkdir(parents=True)
    with listening(root) as ear:
        gate.clear()
        # The reader is past the gate once already; its next read waits.
        script(root / "bob/mysite/mysite/wsgi.py")
        for number in range(length):
            here, there = root / names[number % 8] / "a", root / names[number % 8] / "b"
            here.rename(there)
            there.rename(here)
        script(root / "bob/late/late/wsgi.py")
        gate.set()
        ear.wait(lambda wake: "overflow" == wake.everything)
        assert Wake(accounts=BOB) == ear.after(lambda: script(root / "bob/late/late/wsgi.py"))
        assert fresh(root) == watched(root)
        assert ear.watch.alive()


def test_a_failure_of_ours_is_repaired_and_told(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it was: all is watched again, and everything has to be looked at."""
    event, failures = Session._event, [1, 2]

    def fail(self: Session, *arguments: object) -> None:
        if failures:
            failures.pop()
            raise ZeroDivisionError
        event(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Session, "_event", fail)
    for _ in range(2):
        ear.forget()
        script(ear.root / "ann/mysite/mysite/wsgi.py")
        ear.wait(lambda wake: "emitter-restarted" == wake.everything)
    assert ear.watch.alive()
    assert Wake(accounts=ANN) == ear.after(lambda: script(ear.root / "ann/mysite/mysite/wsgi.py"))
    assert fresh(ear.root) == watched(ear.root)


def test_watches_that_the_kernel_refuses_are_counted_and_tried_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC, faked where it comes from; once there is room, the home is watched and woken."""
    room = threading.Event()
    forbidden = (root / "ann/mysite").stat().st_ino

    def refuse(fd: int, path: bytes, mask: int) -> int:
        if os.stat(path).st_ino == forbidden and not room.is_set():
            ctypes.set_errno(errno.ENOSPC)
            return -1
        return inotify_add_watch(fd, path, Mask(mask))

    monkeypatch.setattr(table, "inotify_add_watch", refuse)
    monkeypatch.setattr(session, "RETRY", 0.3)
    with listening(root) as ear:
        assert 1 == ear.watch.refused()
        assert {"ann", "bob", "bob/mysite", "bob/mysite/mysite"} == watched(root)
        room.set()
        ear.wait(lambda wake: ANN == wake.accounts)
        assert 0 == ear.watch.refused()
        assert {"ann/mysite", "ann/mysite/mysite"} < watched(root)


def test_without_a_descriptor_it_tries_until_there_is_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fs.inotify.max_user_instances: the resync goes on meanwhile, and the state shows."""
    create, room = Table._create_inotify_fd, threading.Event()

    def refuse() -> int:
        if not room.is_set():
            raise OSError(errno.EMFILE, "inotify instance limit reached")
        return create()

    monkeypatch.setattr(Table, "_create_inotify_fd", staticmethod(refuse))
    with listening(root) as ear:
        assert (True, 1, 0) == (ear.watch.alive(), ear.watch.refused(), ear.watch.watches())
        room.set()
        ear.wait(lambda wake: "emitter-restarted" == wake.everything)
        assert 0 == ear.watch.refused()
        assert Wake(accounts=ANN) == ear.after(lambda: script(root / "ann/mysite/wsgi.py"))


def test_a_directory_that_cannot_be_opened_harms_only_its_home(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A student's own FUSE mount refuses even root; it is nobody's limit, and nobody's end."""

    opens = Descent.open

    def refuse(self: Descent, path: str) -> int | None:
        if path.endswith("/fuse"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return opens(self, path)

    monkeypatch.setattr(Descent, "open", refuse)
    with listening(root) as ear:
        heard = ear.after((root / "ann/fuse").mkdir)
        assert Wake(accounts=ANN) == heard
        assert 0 == ear.watch.refused()
        assert Wake(accounts=ANN) == ear.after(lambda: script(root / "ann/mysite/mysite/wsgi.py"))


def test_late_events_of_a_watch_number_given_out_again_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until its IN_IGNORED is read, what comes for the number is the old watch's."""
    monkeypatch.setattr(table, "inotify_add_watch", lambda *_: 7)
    monkeypatch.setattr(table, "inotify_rm_watch", lambda *_: 0)
    book, old, new = Table(), "ann", "bob"
    wd = WatchDescriptor(7)
    late = InotifyEvent(wd, InotifyConstants.IN_DELETE, 0, b"x")
    ignored = InotifyEvent(wd, InotifyConstants.IN_IGNORED, 0, b"")
    book.claim(old, 0)
    assert (old,) == book.concerned(late)
    book.drop(old)
    book.claim(new, 0)
    assert [(), (), (new,)] == [book.concerned(event) for event in (late, ignored, late)]
    assert (new,) == book.concerned(ignored)
    assert (False, 0) == (new in book, len(book))
    assert Mask(0) == table.MASK & (
        InotifyConstants.IN_OPEN | InotifyConstants.IN_MODIFY | InotifyConstants.IN_CLOSE_NOWRITE
    )
    book.discard()


def test_a_watch_with_two_owners_goes_with_the_last(tmp_path: Path) -> None:
    """A bind mount, or a directory on its way from one home to another."""
    book, one, two = Table(), "ann", "bob/x"
    directory = os.open(tmp_path, os.O_RDONLY)
    book.claim(one, directory)
    book.claim(two, directory)
    book.drop(one)
    assert 1 == len(book)
    (tmp_path / "x").mkdir()
    assert [(two,)] == [book.concerned(event) for event in book.take()]
    book.drop(two)
    assert 0 == len(book)
    assert [()] == [book.concerned(event) for event in book.take()]  # its IN_IGNORED
    os.close(directory)
    book.discard()


NAMES = ("mysite", "a", "b", "venv", "static", ".hid")


def _churn(root: Path, outside: Path, seed: int) -> None:
    """What several students do to one another's names, at random."""
    dice = random.Random(seed)
    homes_ = [root / name for name in ("ann", "bob", "cyd", "dan")]

    def place() -> Path:
        home = dice.choice([*homes_, outside])
        return home.joinpath(*dice.choices(NAMES, k=dice.choice((1, 1, 2, 2, 3))))

    for _ in range(500):
        with suppress(OSError):
            match dice.randrange(9):
                case 0 | 1:
                    place().mkdir(parents=dice.random() < 0.5)
                case 2 | 3 | 4:
                    place().rename(place())
                case 5:
                    place().rmdir()
                case 6:
                    students_link(place(), place())
                case 7:
                    (place() / dice.choice(("wsgi.py", "pyvenv.cfg"))).touch()
                case 8:
                    home = dice.choice(homes_)
                    away = outside / f"home{dice.randrange(3)}"
                    home.rename(away)
                    dice.choice([away, *outside.iterdir()]).rename(home)


@pytest.mark.parametrize("seed", range(6))
def test_after_any_churn_the_watches_are_those_of_a_fresh_start(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three writers at once; then every home's script still wakes it, and it alone."""
    monkeypatch.setattr(quota, "WORK", 10**9)  # the churn would have everybody muted
    monkeypatch.setattr(emitter, "FIRST_PAUSE", 0.01)
    root, outside = tmp_path / "homes", tmp_path / "outside"
    outside.mkdir()
    for name in ("ann", "bob", "cyd", "dan"):
        script(root / name / "mysite/mysite/wsgi.py")
    with listening(root) as ear:
        writers = [
            threading.Thread(target=_churn, args=(root, outside, 10 * seed + number))
            for number in range(3)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        heard = ear.settle()
        assert heard.everything is None
        assert {"ann", "bob", "cyd", "dan"} <= heard.accounts  # the churn was no empty one
        there = watched(root)
        assert fresh(root) == there
        assert len(there) == len([i for i in inodes() if i in _below(root)])
        for name in ("ann", "bob", "cyd", "dan"):
            home = root / name
            if home.is_symlink():
                home.unlink()
            home.mkdir(exist_ok=True)
            valid = home / "valid/valid/wsgi.py"
            for act in (partial(script, valid), partial(os.utime, valid)):
                assert Wake(accounts=frozenset({name})) == ear.after(act)


def _below(root: Path) -> set[int]:
    """The inodes of the directories below the root."""
    return {
        os.stat(path).st_ino
        for path, _, _ in os.walk(root)
        if path != str(root) and not os.path.basename(path).startswith(SENTINEL)
    }
