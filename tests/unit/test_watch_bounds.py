"""Each bound of the watcher, at its edge: what one home or directory may cost, and for how long."""

from __future__ import annotations

import ctypes
import errno
import logging
import math
import os
import queue
import threading
import time
from pathlib import Path

import pytest
from watchdog.observers.api import ObservedWatch
from watchdog.observers.inotify_c import Mask, inotify_add_watch

from reconciler.watch import Wake, emitter, forest, ownpaths, quota, session, table
from reconciler.watch.emitter import CALM, FIRST_PAUSE, LAST_PAUSE, Emitter
from reconciler.watch.opening import directories
from reconciler.watch.patterns import is_noise
from reconciler.watch.quota import MUTE, WINDOW, WORK, Quota
from reconciler.watch.session import Session, Spec
from reconciler.watch.table import Table
from tests.unit.test_watch_support import PATTERNS, listening, script, watched


def test_the_last_unit_of_work_mutes_and_none_before() -> None:
    """In one window; a home's own work alone."""
    spent = Quota(1)
    spent.tick(100.0)
    spent.charge("ann", WORK)
    spent.charge("bob", 1)
    assert not spent.muted("ann")
    assert [] == spent.take_muted()
    spent.charge("ann", 1)
    assert spent.muted("ann")
    assert not spent.muted("bob")
    spent.charge("ann", WORK)
    assert ["ann"] == spent.take_muted()  # told once
    assert [] == spent.take_muted()


def test_a_home_with_a_large_budget_may_do_more_before_it_is_muted() -> None:
    """A whole look at one must not mute it."""
    budget = WORK
    spent = Quota(budget)
    spent.tick(100.0)
    spent.charge("ann", 16 * budget)
    assert not spent.muted("ann")
    spent.charge("ann", 1)
    assert spent.muted("ann")


def test_work_is_added_up_over_one_window_and_then_forgotten() -> None:
    """A home that does a little all day is never muted."""
    spent = Quota(1)
    spent.tick(100.0)
    spent.charge("ann", WORK)
    spent.tick(100.0 + WINDOW)
    spent.charge("bob", WORK)
    spent.tick(100.1 + WINDOW)
    spent.charge("ann", WORK)
    assert not spent.muted("ann")
    spent.tick(100.2 + WINDOW)
    spent.charge("ann", 1)
    assert spent.muted("ann")


def test_a_muted_home_is_released_when_its_time_is_over_and_starts_with_nothing() -> None:
    """Not a moment before; the reader wakes for it, and for the next one."""
    spent = Quota(1)
    assert math.inf == spent.deadline()
    spent.tick(100.0)
    spent.charge("ann", WORK + 1)
    spent.tick(100.5)
    spent.charge("bob", WORK + 1)
    assert 100.0 + MUTE == spent.deadline()
    spent.tick(99.9 + MUTE)
    assert [] == spent.take_released()
    spent.tick(100.0 + MUTE)
    assert ["ann"] == spent.take_released()
    assert not spent.muted("ann")
    assert 100.5 + MUTE == spent.deadline()
    spent.charge("ann", WORK)
    assert not spent.muted("ann")


def test_building_everything_is_counted_against_nobody() -> None:
    """It is forgiven, but who was muted stays so: they may be why all had to be built again."""
    spent = Quota(1)
    spent.tick(100.0)
    spent.charge("ann", WORK)
    spent.charge("bob", WORK + 1)
    spent.forgive()
    spent.charge("ann", WORK)
    assert not spent.muted("ann")
    assert spent.muted("bob")


def test_looking_into_a_home_costs_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each directory opened, and what was read of it; an event costs one, of whatever it is."""
    for number in range(2 * quota.ENTRIES - 3):
        (tmp_path / f"homes/ann/d{number}").mkdir(parents=True)
    charged: list[tuple[str, int]] = []
    monkeypatch.setattr(Quota, "charge", lambda self, *charge: charged.append(charge))
    with listening(tmp_path / "homes", patterns=["*/wsgi.py"]) as ear:
        units = sum(units for name, units in charged if name == "ann")
        assert quota.OPENED * (2 * quota.ENTRIES - 2) + 1 == units
        charged.clear()
        ear.after(lambda: [(tmp_path / f"homes/ann/f{number}").touch() for number in range(5)])
        # Created, chmod by utime, closed: none of them says anything, each had to be read.
        assert 10 <= sum(units for name, units in charged if name == "ann") <= 15


def test_a_home_that_floods_with_chmod_of_its_own_is_muted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those are events of the root's watch, which no muting ends; so they stop to wake."""
    monkeypatch.setattr(quota, "WORK", 200)
    home = tmp_path / "homes/ann"
    home.mkdir(parents=True)
    with listening(tmp_path / "homes", budget=1) as ear:

        def flood() -> None:
            for number in range(400):
                home.chmod(0o700 + number % 2)

        ear.after(flood)
        assert {"ann": 1} == ear.watch.over_budget()
        assert set() == watched(tmp_path / "homes")
        assert Wake() == ear.after(lambda: home.chmod(0o755))
        assert set() == watched(tmp_path / "homes")


def test_homes_without_watches_that_flood_with_chmod_stop_to_wake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of no account have no events of their own that would be counted."""
    monkeypatch.setattr(quota, "WORK", 200)
    homes = [tmp_path / "ann", tmp_path / "bob"]  # in turn: equal events in a row are made one
    for home in homes:
        home.mkdir()
    with listening(tmp_path, budget=1, enter=lambda name: name is None) as ear:
        ear.after(lambda: [homes[number % 2].chmod(0o700) for number in range(600)])
        assert {"ann": 1, "bob": 1} == ear.watch.over_budget()
        assert Wake() == ear.after(lambda: homes[0].chmod(0o755))


def test_a_home_that_is_muted_is_told_whatever_it_flooded_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is written to without end is no reason to look, but being muted is."""
    monkeypatch.setattr(quota, "WORK", 200)
    home = tmp_path / "ann"
    home.mkdir()
    with listening(tmp_path, budget=1) as ear:
        heard = ear.after(lambda: [(home / f"db{n % 2}.sqlite3").touch() for n in range(600)])
        assert Wake(accounts=frozenset({"ann"})) == heard
        assert {"ann": 1} == ear.watch.over_budget()


def test_what_building_took_is_not_added_to_what_a_home_does_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large home would be muted for its first save after each start."""
    monkeypatch.setattr(quota, "WORK", 0)
    monkeypatch.setattr(quota, "WINDOW", 600.0)
    monkeypatch.setattr(quota, "OPENED", 16)  # a whole look takes all that a budget of 12 gives
    for number in range(11):
        (tmp_path / f"ann/d{number}").mkdir(parents=True)
    with listening(tmp_path, patterns=["*/wsgi.py"], budget=12) as ear:
        ear.after(lambda: script(tmp_path / "ann/d1/wsgi.py"))
        assert {} == ear.watch.over_budget()


def test_a_muted_home_stays_without_watches_when_all_is_built_again(tmp_path: Path) -> None:
    """Else the one who made the queue overflow does it again at once."""
    script(tmp_path / "ann/mysite/wsgi.py")
    script(tmp_path / "bob/mysite/wsgi.py")
    spent = Quota(8)
    spent.tick(time.monotonic())
    spent.charge("ann", WORK + 1)
    watching = Session(Spec(str(tmp_path), PATTERNS, 8, (), lambda _: True), spent)
    try:
        assert {"bob", "bob/mysite"} == watched(tmp_path)
        assert {"ann": 1} == watching.over_budget()
    finally:
        watching.table.discard()


def test_nothing_is_watched_below_what_was_let_go_in_the_same_read(tmp_path: Path) -> None:
    """Whichever of the two is put right first; a watch without its parent's would never end."""
    (tmp_path / "ann/ENV/lib").mkdir(parents=True)
    spec = Spec(str(tmp_path), ("*/*/*/wsgi.py",), 64, (), lambda _: True)
    watching = Session(spec, Quota(64))
    try:
        assert {"ann", "ann/ENV", "ann/ENV/lib"} == watched(tmp_path)
        for number in range(16):
            (tmp_path / f"ann/ENV/lib/d{number}").mkdir()
        (tmp_path / "ann/ENV/pyvenv.cfg").touch()
        assert Wake(accounts=frozenset({"ann"})) == watching.take()
        assert {"ann", "ann/ENV"} == watched(tmp_path)
    finally:
        watching.table.discard()


def test_at_the_kernels_limit_one_home_is_tried_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands that were refused, each would meet it again."""
    for number in range(5):
        (tmp_path / f"homes/u{number}").mkdir(parents=True)
    tried: list[str] = []

    def refuse(fd: int, path: bytes, mask: int) -> int:
        place = os.readlink(path)
        if place.startswith(f"{tmp_path}/homes/".encode()):
            tried.append(os.fsdecode(place))
            ctypes.set_errno(errno.ENOSPC)
            return -1
        return inotify_add_watch(fd, path, Mask(mask))

    monkeypatch.setattr(table, "inotify_add_watch", refuse)
    monkeypatch.setattr(session, "RETRY", 0.0)
    spec = Spec(str(tmp_path / "homes"), PATTERNS, 64, (), lambda _: True)
    watching = Session(spec, Quota(64))
    try:
        assert 5 == watching.refused() == len(tried)
        tried.clear()
        assert Wake() == watching.take()
        assert 1 == len(tried)
        assert 5 == watching.refused()
    finally:
        watching.table.discard()


@pytest.mark.parametrize("asked", [(True,), (False, True)], ids=["there", "as it is watched"])
def test_a_virtualenv_is_never_left_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[bool, ...]
) -> None:
    """One that is there costs no watch, not for a moment; one may be finished while we look."""
    (tmp_path / "homes/ann/venv").mkdir(parents=True)
    answers, added = list(asked), []

    def add(fd: int, path: bytes, mask: int) -> int:
        added.append(os.fsdecode(os.readlink(path)))
        return inotify_add_watch(fd, path, Mask(mask))

    monkeypatch.setattr(table, "inotify_add_watch", add)
    monkeypatch.setattr(forest, "is_virtualenv", lambda _: answers.pop(0))
    with listening(tmp_path / "homes"):
        assert {"ann"} == watched(tmp_path / "homes")
        assert [] == answers
        assert len(asked) - 1 == sum(path.endswith("/venv") for path in added)


def test_a_home_that_is_muted_counts_no_less_than_before(tmp_path: Path) -> None:
    """It was told how many of its directories are unwatched; now it is all of them."""
    for number in range(20):
        (tmp_path / f"ann/d{number}").mkdir(parents=True)
    spent = Quota(8)
    spec = Spec(str(tmp_path), ("*/wsgi.py",), 8, (), lambda _: True)
    watching = Session(spec, spent)
    try:
        assert {"ann": 13} == watching.over_budget()
        spent.charge("ann", WORK + 1)
        script(tmp_path / "ann/wsgi.py")
        assert Wake(accounts=frozenset({"ann"})) == watching.take()
        assert {"ann": 13} == watching.over_budget()
        assert set() == watched(tmp_path)
    finally:
        watching.table.discard()


def test_entries_of_the_root_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistaken root, such as a mail spool, ends."""
    monkeypatch.setattr(forest, "ROOT_ENTRIES", 3)
    for number in range(8):
        (tmp_path / f"u{number}").mkdir()
    with listening(tmp_path):
        assert 3 == len(watched(tmp_path))


def test_what_is_read_of_a_directory_is_bounded_and_says_so(tmp_path: Path) -> None:
    """At the bound nothing is left out; one beyond it is counted and not named."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("a")
    names, count = directories(str(tmp_path), 4)
    assert ({"a", "b", "c"}, 4) == (set(names), count)
    names, count = directories(str(tmp_path), 2)
    assert 3 == count
    assert len(names) <= 2
    assert "link" in directories(str(tmp_path), 4, links=True)[0]


def test_a_directory_at_the_bound_is_not_over_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One entry more is."""
    monkeypatch.setattr(forest, "HOME_ENTRIES", 5)
    for number in range(5):
        (tmp_path / f"ann/d{number}").mkdir(parents=True)
    with listening(tmp_path) as ear:
        assert {} == ear.watch.over_budget()
        assert 6 == len(watched(tmp_path))
        ear.after((tmp_path / "ann/d5").mkdir)
    with listening(tmp_path) as ear:
        assert {"ann": 1} == ear.watch.over_budget()


def test_what_is_watched_beyond_the_bound_stays_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was seen to come; a list that is cut short is no reason to let it go."""
    monkeypatch.setattr(forest, "HOME_ENTRIES", 5)
    (tmp_path / "ann").mkdir()
    with listening(tmp_path) as ear:
        for number in range(12):
            ear.after((tmp_path / f"ann/d{number}").mkdir)
        assert 13 == len([path for path in watched(tmp_path) if path.startswith("ann")])


def test_of_a_directory_given_the_noise_and_what_is_beyond_the_bound_is_not_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates kept in a repository: git's own thousand directories say nothing."""
    (tmp_path / "homes").mkdir()
    for name in (".git", "__pycache__", "node_modules", "stable"):
        (tmp_path / "templates" / name).mkdir(parents=True)
    templates = tmp_path / "templates"
    with listening(tmp_path / "homes", files=[templates]) as ear:
        assert {"templates/stable"} == _in(templates)
        assert Wake() == ear.after((templates / ".git/x").touch)
    monkeypatch.setattr(ownpaths, "CHILDREN", 6)
    for number in range(20):
        (templates / f"set{number}").mkdir()
    with listening(tmp_path / "homes", files=[templates]):
        assert 1 <= len(_in(templates)) <= 6


def _in(directory: Path) -> set[str]:
    return {path for path in watched(directory.parent) if path.startswith(f"{directory.name}/")}


@pytest.mark.parametrize(
    ("name", "silent"),
    [
        ("__pycache__", True), ("site-packages", True), (".git", True), (".cache", True),
        ("venv", False), (".venv", False), ("static", False), ("mysite", False),
    ],
)  # fmt: skip
def test_noise_is_what_programs_make(name: str, silent: bool) -> None:
    """A virtualenv and static files come and go by people's hands, and change what is served."""
    assert silent == is_noise(name)


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emitter:
    """An emitter that is not started, and can build nothing."""
    spec = Spec(str(tmp_path), PATTERNS, 8, (), lambda _: True)
    monkeypatch.setattr(emitter, "Session", None)
    logging.getLogger("reconciler.watch.emitter").setLevel(logging.ERROR)
    return Emitter(queue.Queue(), ObservedWatch(str(tmp_path), recursive=False), spec=spec)  # type: ignore[arg-type]


def test_building_again_is_put_off_longer_each_time_up_to_a_bound_and_anew_after_calm(
    failing: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once at first; a root that answers EIO for an hour is asked every half minute."""
    now, pauses = 1000.0, []

    class Stopped(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout)
            return False

    monkeypatch.setattr(emitter.time, "monotonic", lambda: now)
    failing._stopped_event = Stopped()
    for _ in range(12):
        failing.queue_events(1.0)
    assert [0.0, FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE] == pauses[:4]
    assert [LAST_PAUSE] * 2 == pauses[-2:]
    assert LAST_PAUSE == max(pauses)
    now += CALM
    failing.queue_events(1.0)
    assert LAST_PAUSE == pauses[-1]
    now += CALM + 0.1
    failing.queue_events(1.0)
    assert 0.0 == pauses[-1]


def test_a_stop_ends_the_pause_before_the_next_attempt(failing: Emitter) -> None:
    """And nothing is built any more."""
    failing._pause = 30.0
    failing._tried_at = math.inf
    failing.stop()
    failing.queue_events(1.0)
    assert failing.session is None
    assert not failing.tried.is_set()


def test_the_reader_waits_for_what_is_due_and_not_longer(tmp_path: Path) -> None:
    """Rounded up, so that it never turns in circles; without anything due, for ever."""
    waits: list[int | None] = []

    class Poll:
        def poll(self, wait: int | None) -> list[tuple[int, int]]:
            waits.append(wait)
            return []

    book = Table()
    book._poll = Poll()  # type: ignore[assignment]
    for patience in (None, 0.0, 0.0004, 2.0):
        book.patience = patience
        assert [] == book.take()
    assert [None, 1, 1, 2001] == waits
    book.discard()


def test_a_failed_beginning_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried every half minute, for as long as it takes."""

    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    before = len(os.listdir("/proc/self/fd"))
    spec, spent = Spec(str(tmp_path), PATTERNS, 8, (), lambda _: True), Quota(8)
    for place, name in ((forest.Forest, "build"), (Table, "_create_inotify_fd"), (os, "pipe")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, refuse)
            with pytest.raises(OSError, match="Too many"):
                Session(spec, spent)
    assert before == len(os.listdir("/proc/self/fd"))
