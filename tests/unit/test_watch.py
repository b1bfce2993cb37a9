"""What wakes, what does not, and how the watcher lives and ends: real inotify, real homes."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from watchdog.utils import BaseThread

from reconciler.watch import Wake, Watch, watcher
from tests.unit.test_watch_support import PATTERNS, Ear, descriptors, listening, script, watched

ANN = frozenset({"ann"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory of the homes, with two homes and a project in each."""
    for name in ("ann", "bob"):
        script(tmp_path / "homes" / name / "mysite" / "mysite" / "wsgi.py")
    return tmp_path / "homes"


@pytest.fixture
def ear(root: Path) -> Iterator[Ear]:
    """A watch over `root`."""
    with listening(root) as ear:
        yield ear


@pytest.mark.parametrize("place", ["mysite/mysite/wsgi.py", "mysite/wsgi.py"])
def test_a_script_written_in_place_wakes_its_account_alone(ear: Ear, place: str) -> None:
    """CLOSE_WRITE, at either depth."""
    heard = ear.after(lambda: (ear.root / "ann" / place).write_text("application = 2\n"))
    assert Wake(accounts=ANN) == heard


@pytest.mark.parametrize(
    "act",
    [
        lambda home: script(home / "mysite/mysite/wsgi.py"),
        lambda home: (home / "mysite/mysite/wsgi.py").unlink(),
        lambda home: (home / "mysite/mysite/wsgi.py").rename(home / "mysite/mysite/old"),
        lambda home: (home / "mysite/mysite/wsgi.py").chmod(0o600),
        lambda home: os.utime(home / "mysite/mysite/wsgi.py"),
        lambda home: (home / "mysite/manage.py").write_text(""),
        lambda home: (home / ".slp.toml").write_text(""),
        lambda home: (home / "mysite/pyvenv.cfg").write_text(""),
        lambda home: (home / "mysite/static").mkdir(),
        lambda home: (home / "mysite/venv").mkdir(),
        lambda home: (home / "other").mkdir(),
        lambda home: shutil.rmtree(home / "mysite"),
        lambda home: home.chmod(0o700),
        lambda home: (home / "mysite").chmod(0o700),
        lambda home: (home / "mysite/mysite").chmod(0o700),
        shutil.rmtree,
        lambda home: home.rename(home.with_name(".away")),
    ],
    ids=[
        "renamed into place", "removed", "renamed away", "chmod", "touch", "manage.py",
        ".slp.toml", "pyvenv.cfg", "static appears", "venv appears", "directory appears",
        "project removed", "chmod home", "chmod project", "chmod package", "home removed",
        "home renamed away",
    ],
)  # fmt: skip
def test_what_can_change_a_verdict_wakes_the_account(
    ear: Ear, act: Callable[[Path], object]
) -> None:
    """Each way in which an app comes, goes, or becomes right or wrong."""
    assert Wake(accounts=ANN) == ear.after(lambda: act(ear.root / "ann"))


def _noise(home: Path) -> None:
    """What a home does all day."""
    for number in range(20):
        (home / "mysite/db.sqlite3").write_text(str(number))
        (home / f"mysite/mysite/m{number}.pyc").write_text("")
        (home / f"mysite/mysite/m{number}.pyc").unlink()
    for name in (".bash_history", "notes.txt", "mysite/mysite/views.py", "mysite/wsgi.py~"):
        (home / name).write_text("")
    for name in ("mysite/mysite/__pycache__", ".git", "mysite/node_modules", ".cache"):
        (home / name).mkdir()
        (home / name / "wsgi.py").write_text("")
    (home / "mysite/mysite/wsgi.py").read_text()


def test_other_files_and_the_directories_of_programs_wake_nobody(ear: Ear) -> None:
    """A database, byte code, editors' backups, version control: none is a reason to look."""
    assert Wake() == ear.after(lambda: _noise(ear.root / "ann"))


def test_a_script_being_written_wakes_nobody_until_it_is_closed(ear: Ear) -> None:
    """Neither CREATE nor MODIFY: what is half-written must not be judged."""
    with ExitStack() as stack:

        def write() -> None:
            file = stack.enter_context((ear.root / "ann/mysite/wsgi.py").open("w"))
            file.write("application =")
            file.flush()

        assert Wake() == ear.after(write)
        assert Wake(accounts=ANN) == ear.after(stack.close)


def test_a_link_wakes_though_it_is_only_created(ear: Ear) -> None:
    """`ln -s` and `ln` end with their CREATE; no CLOSE_WRITE will come."""
    home = ear.root / "ann"
    (home / "finished").write_text("application = 1\n")
    assert Wake(accounts=ANN) == ear.after(lambda: (home / "mysite/wsgi.py").symlink_to("x"))
    assert Wake(accounts=ANN) == ear.after(
        lambda: os.link(home / "finished", home / "mysite/manage.py")
    )


def test_exactly_home_project_and_package_are_watched(root: Path) -> None:
    """Neither deeper, nor what is hidden, served as it is, or made by programs."""
    for name in (
        "ann/.git/x", "ann/mysite/static/css", "ann/mysite/media", "ann/mysite/node_modules/x",
        "ann/mysite/__pycache__", "ann/mysite/mysite/migrations/deep", "ann/site-packages/x",
        ".snapshot/ann",
    ):  # fmt: skip
        (root / name).mkdir(parents=True)
    (root / "link").symlink_to(root / "ann")
    (root / "ann/link").symlink_to("mysite")
    with listening(root) as ear:
        expected = {f"{n}{d}" for n in ("ann", "bob") for d in ("", "/mysite", "/mysite/mysite")}
        assert expected == watched(root)
        assert {} == ear.watch.over_budget()
        assert 0 == ear.watch.refused()


def test_patterns_settle_depth_and_names(root: Path) -> None:
    """A literal component watches only that directory; a glob as last matches its names."""
    (root / "ann/web/a/b").mkdir(parents=True)
    with listening(root, patterns=["web/*/[ab]*.wsgi"]) as ear:
        assert {"ann", "ann/web", "ann/web/a", "bob"} == watched(root)
        assert Wake(accounts=ANN) == ear.after(
            lambda: (root / "ann/web/a/app.wsgi").write_text("x")
        )
        assert Wake() == ear.after(lambda: (root / "ann/web/a/c.wsgi").write_text("x"))


def test_a_virtualenv_is_watched_until_it_is_one(ear: Ear) -> None:
    """Its `pyvenv.cfg` wakes, since by then it can be used; its thousands of files never do."""
    place = ear.root / "ann/mysite/.venv"
    assert Wake(accounts=ANN) == ear.after(place.mkdir)
    assert "ann/mysite/.venv" in watched(ear.root)
    assert Wake(accounts=ANN) == ear.after(lambda: (place / "pyvenv.cfg").write_text(""))
    assert "ann/mysite/.venv" not in watched(ear.root)
    assert Wake() == ear.after(lambda: (place / "wsgi.py").write_text(""))
    assert Wake(accounts=ANN) == ear.after(lambda: shutil.rmtree(place))


def test_a_project_inside_its_own_virtualenv_is_watched_without_the_virtualenv(ear: Ear) -> None:
    """`python -m venv mysite; cd mysite; django-admin startproject app .` is what many do."""
    place = ear.root / "ann/mysite"
    (place / "lib").mkdir()
    ear.settle()
    assert "ann/mysite/lib" in watched(ear.root)
    ear.after(lambda: (place / "pyvenv.cfg").write_text(""))
    (place / "bin").mkdir()
    ear.settle()
    assert {"ann/mysite", "ann/mysite/mysite"} == {
        path for path in watched(ear.root) if path.startswith("ann/")
    }


def test_a_new_home_is_woken_and_watched(ear: Ear) -> None:
    """With all that was in it before the watch stood."""
    eve = ear.root / "eve"
    heard = ear.after(lambda: script(eve / "mysite/mysite/wsgi.py"))
    assert Wake(accounts=frozenset({"eve"})) == heard
    assert {"eve", "eve/mysite", "eve/mysite/mysite"} <= watched(ear.root)
    assert {"eve"} == ear.after(lambda: script(eve / "mysite/mysite/wsgi.py")).accounts


def test_a_home_moved_in_with_its_projects_is_watched(ear: Ear, tmp_path: Path) -> None:
    """MOVED_TO of a tree makes no event for what is in it."""
    script(tmp_path / "restored/mysite/mysite/wsgi.py")
    ear.after(lambda: (tmp_path / "restored").rename(ear.root / "eve"))
    assert {"eve", "eve/mysite", "eve/mysite/mysite"} <= watched(ear.root)


def test_what_gathers_while_the_callback_runs_is_one_wake(root: Path) -> None:
    """A slow daemon is not told a thousand things."""
    busy, go, calls = threading.Event(), threading.Event(), []

    def wake(wake: Wake) -> None:
        calls.append(wake)
        busy.set()
        go.wait(20)

    watch = Watch(str(root), patterns=PATTERNS, budget=256, files=[], wake=wake)
    watch.start()
    script(root / "ann/mysite/wsgi.py")
    assert busy.wait(20)
    for number in range(50):
        script(root / "ann/mysite/wsgi.py", str(number))
        script(root / "bob/mysite/wsgi.py", str(number))
    with listening(root) as other:
        other.settle()  # by now the events of the first are read as well, or soon
    time.sleep(0.2)
    go.set()
    end = time.monotonic() + 20
    while len(calls) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    watch.stop()
    assert {"ann", "bob"} <= calls[1].accounts
    assert len(calls) <= 3


def test_a_callback_that_raises_does_not_end_the_watching(root: Path) -> None:
    """The next event is told all the same."""
    calls: list[Wake] = []
    said = threading.Semaphore(0)

    def wake(wake: Wake) -> None:
        calls.append(wake)
        said.release()
        raise RuntimeError("not yours")

    watch = Watch(str(root), patterns=PATTERNS, budget=256, files=[], wake=wake)
    watch.start()
    for _ in range(3):
        script(root / "ann/mysite/mysite/wsgi.py")
        assert said.acquire(timeout=20)
    assert watch.alive()
    watch.stop()


def test_two_threads_whatever_the_number_of_homes(root: Path) -> None:
    """One reads, one calls back."""
    for number in range(50):
        (root / f"u{number}" / "a" / "b").mkdir(parents=True)
    before = threading.active_count()
    with listening(root) as ear:
        assert 2 == threading.active_count() - before
        assert ear.watch.watches() >= 150


def test_stop_frees_threads_and_descriptors_and_may_be_said_twice(root: Path) -> None:
    """Nothing is left behind, so that tests and HUP may start and stop at will."""
    threads, before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with listening(root) as ear:
            assert ear.watch.alive()
            assert 1 == len(descriptors())
        ear.watch.stop()
        assert not ear.watch.alive()
        assert 0 == ear.watch.watches()
    assert threads == threading.active_count()
    assert before == len(os.listdir("/proc/self/fd"))


def test_stop_before_start_is_harmless(root: Path) -> None:
    """A daemon that fails early stops what it has."""
    watch = Ear(root).watch
    watch.stop()
    assert not watch.alive()


def test_stop_ends_though_the_callback_waits_for_ever(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And though the callback waits for whoever stops."""
    monkeypatch.setattr(watcher, "JOIN", 0.2)
    stuck, release = threading.Event(), threading.Event()

    def wake(_: Wake) -> None:
        stuck.set()
        release.wait(60)

    watch = Watch(str(root), patterns=PATTERNS, budget=256, files=[], wake=wake)
    watch.start()
    script(root / "ann/mysite/mysite/wsgi.py")
    assert stuck.wait(20)
    stopping = threading.Thread(target=watch.stop, daemon=True)
    stopping.start()
    stopping.join(30)
    assert not stopping.is_alive()
    release.set()


def test_stop_may_be_said_by_the_callback(root: Path) -> None:
    """It cannot wait for its own thread, and does not."""
    done = threading.Event()

    def wake(_: Wake) -> None:
        watch.stop()
        done.set()

    watch = Watch(str(root), patterns=PATTERNS, budget=256, files=[], wake=wake)
    watch.start()
    script(root / "ann/mysite/mysite/wsgi.py")
    assert done.wait(20)


def test_idle_threads_are_never_scheduled(ear: Ear) -> None:
    """No polling: over a second without events neither thread switches context once."""
    ear.settle()
    threads = [t for t in threading.enumerate() if isinstance(t, BaseThread)]
    assert 2 == len(threads)

    def switches() -> list[str]:
        texts = [Path(f"/proc/self/task/{t.native_id}/status").read_text() for t in threads]
        return [line for text in texts for line in text.splitlines() if "voluntary" in line]

    def quiet() -> bool:
        before = switches()
        time.sleep(1.2)
        return before == switches()

    # A mount anywhere on the machine is an event too, and tests beside this one make many.
    assert any(quiet() for _ in range(25))


def test_what_is_made_while_it_starts_is_watched(root: Path) -> None:
    """Watch first, then scan: whichever saw it, it is watched in the end."""
    go_on = threading.Event()

    def make() -> None:
        number = 0
        while not go_on.is_set() and number < 300:
            number += 1
            script(root / f"u{number}/mysite/mysite/wsgi.py")

    maker = threading.Thread(target=make)
    maker.start()
    with listening(root) as ear:
        go_on.set()
        maker.join()
        ear.settle()
        made = [path.name for path in root.iterdir() if path.name.startswith("u")]
        expected = {f"{n}{d}" for n in made for d in ("", "/mysite", "/mysite/mysite")}
        assert expected <= watched(root)
