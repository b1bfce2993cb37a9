"""Paths of root's own: the account database, the settings, the templates, the homes' root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from reconciler.watch import Wake, ownpaths
from tests.lab.waiting import wait_for
from tests.unit.test_watch_support import PATIENCE, Ear, inodes, listening, script, watched

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory of the homes, with one home."""
    script(tmp_path / "srv/homes/ann/mysite/mysite/wsgi.py")
    return tmp_path / "srv/homes"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A directory with a file that is replaced by renames."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("")
    return tmp_path / "etc"


def told(*files: Path) -> Wake:
    """The wake for these files and nothing else."""
    return Wake(files=frozenset(map(str, files)))


@contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[None]:
    """A mount over a directory; the test is skipped where this machine does not allow it."""
    done = subprocess.run(["mount", *arguments, str(place)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no mount here: {done.stderr.decode()}")
    try:
        yield
    finally:
        unmount(place)


def unmount(place: Path) -> None:
    """A directory is open for the moment in which its own event is looked into, and no longer."""

    def gone() -> bool:
        subprocess.run(["umount", place], capture_output=True, check=False, timeout=PATIENCE)
        return not os.path.ismount(place)

    wait_for(gone, what=f"{place} to be let go")


@pytest.mark.parametrize(
    "act",
    [
        script,
        lambda file: file.write_text("x"),
        lambda file: file.unlink(),
        lambda file: file.rename(file.with_name("old")),
        lambda file: file.chmod(0o600),
    ],
    ids=["renamed into place", "written", "removed", "renamed away", "chmod"],
)
def test_a_file_is_watched_by_its_directory(
    root: Path, etc: Path, act: Callable[[Path], object]
) -> None:
    """`useradd` and editors replace it; a watch on the file would be the old one's."""
    file = etc / "passwd"
    with listening(root, files=[file]) as ear:
        assert told(file) == ear.after(lambda: act(file))
        assert told(file) == ear.after(lambda: script(file))


def test_its_neighbours_wake_nobody(root: Path, etc: Path) -> None:
    """`/etc` has many files."""
    with listening(root, files=[etc / "passwd"]) as ear:
        assert Wake() == ear.after(lambda: script(etc / "motd"))


def test_a_file_being_written_is_told_once_closed(root: Path, etc: Path) -> None:
    """Half of the settings must not be read."""
    file = etc / "settings.toml"
    with listening(root, files=[file]) as ear, ExitStack() as stack:

        def write() -> None:
            text = stack.enter_context(file.open("w"))
            text.write("half")
            text.flush()

        assert Wake() == ear.after(write)
        assert told(file) == ear.after(stack.close)


def test_the_spelling_given_is_the_spelling_told(
    root: Path, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller compares with what it gave, relative or not."""
    monkeypatch.chdir(etc.parent)
    with listening(root, files=[Path("etc/passwd")]) as ear:
        assert told(Path("etc/passwd")) == ear.after(lambda: script(etc / "passwd"))


def test_an_absent_file_in_an_absent_directory_is_picked_up(root: Path, tmp_path: Path) -> None:
    """The nearest directory that is there is watched, then the next, then the file's."""
    file = tmp_path / "opt/slp/conf/settings.toml"
    with listening(root, files=[file]) as ear:
        assert Wake() == ear.after((tmp_path / "opt").mkdir)
        assert Wake() == ear.after((tmp_path / "opt/slp").mkdir)
        assert told(file) == ear.after(lambda: script(file))
        assert told(file) == ear.after(lambda: script(file))
        assert told(file) == ear.after(lambda: shutil.rmtree(tmp_path / "opt"))
        assert told(file) == ear.after(lambda: script(file))


def test_a_directory_that_comes_with_the_file_in_it_is_told(root: Path, tmp_path: Path) -> None:
    """Installed elsewhere and renamed into place: there is no event for the file itself."""
    file = tmp_path / "conf/settings.toml"
    script(tmp_path / "new/settings.toml")
    with listening(root, files=[file]) as ear:
        assert told(file) == ear.after(lambda: (tmp_path / "new").rename(tmp_path / "conf"))
        assert told(file) == ear.after(lambda: script(file))


def test_a_directory_replaced_is_followed_by_its_path(root: Path, etc: Path) -> None:
    """The one moved away is let go, the one in its place is watched."""
    file, old = etc / "passwd", etc.with_name("old")
    with listening(root, files=[file]) as ear:

        def replace() -> None:
            etc.rename(old)
            script(file)

        assert told(file) == ear.after(replace)
        assert Wake() == ear.after(lambda: script(old / "passwd"))
        assert told(file) == ear.after(lambda: script(file))
        assert old.stat().st_ino not in inodes()


def test_a_link_is_watched_where_it_stands_and_where_it_leads(root: Path, etc: Path) -> None:
    """Settings kept in a repository, linked from /etc."""
    script(etc.parent / "repo/one.toml")
    script(etc.parent / "repo/two.toml")
    link = etc / "settings.toml"
    link.symlink_to(etc.parent / "repo/one.toml")
    with listening(root, files=[link]) as ear:
        assert told(link) == ear.after(lambda: script(etc.parent / "repo/one.toml"))
        (etc / "new").symlink_to(etc.parent / "repo/two.toml")
        assert told(link) == ear.after(lambda: (etc / "new").rename(link))
        assert told(link) == ear.after(lambda: script(etc.parent / "repo/two.toml"))
        assert Wake() == ear.after(lambda: script(etc.parent / "repo/one.toml"))


def test_where_a_link_led_before_is_let_go(root: Path, etc: Path) -> None:
    """Each new version in a directory of its own would leave a watch behind."""
    for name in ("one", "two"):
        script(etc.parent / name / "settings.toml")
    link = etc / "settings.toml"
    link.symlink_to(etc.parent / "one/settings.toml")
    with listening(root, files=[link]) as ear:
        (etc / "new").symlink_to(etc.parent / "two/settings.toml")
        assert told(link) == ear.after(lambda: (etc / "new").rename(link))
        assert (etc.parent / "two").stat().st_ino in inodes()
        assert (etc.parent / "one").stat().st_ino not in inodes()


def test_a_directory_is_watched_with_its_children_one_level(root: Path, tmp_path: Path) -> None:
    """The templates: a directory of sets, which are directories of files."""
    templates = tmp_path / "templates"
    script(templates / "stable/site.conf")
    with listening(root, files=[templates]) as ear:
        assert told(templates) == ear.after(lambda: script(templates / "stable/site.conf"))
        assert told(templates) == ear.after((templates / "mine").mkdir)
        assert told(templates) == ear.after(lambda: script(templates / "mine/site.conf"))
        assert told(templates) == ear.after(lambda: shutil.rmtree(templates / "mine"))
        (templates / "stable/deep").mkdir()
        assert Wake() == ear.after(lambda: script(templates / "stable/deep/x"))
        assert told(templates) == ear.after(lambda: shutil.rmtree(templates))
        assert told(templates) == ear.after(lambda: script(templates / "new/site.conf"))
        assert told(templates) == ear.after(lambda: script(templates / "new/site.conf"))


def test_a_directory_that_goes_while_it_is_read_costs_no_restart(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen under load: all watches were built anew, and everybody was looked at."""
    templates, real = tmp_path / "templates", ownpaths.directories
    script(templates / "stable/site.conf")

    def late(path: str, bound: int) -> tuple[list[str], int]:
        shutil.rmtree(path, ignore_errors=True)
        return real(path, bound)

    with listening(root, files=[templates]) as ear:
        monkeypatch.setattr(ownpaths, "directories", late)
        assert told(templates) == ear.after((templates / "mine").mkdir)


def test_a_file_beside_the_root_shares_a_watch_with_it(root: Path) -> None:
    """One directory, two reasons: neither takes the other's events."""
    file = root.parent / "settings.toml"
    with listening(root, files=[file]) as ear:
        assert told(file) == ear.after(lambda: script(file))
        assert Wake(accounts=frozenset({"ann"})) == ear.after(
            lambda: script(root / "ann/mysite/wsgi.py")
        )


def test_a_file_in_the_root_is_told_and_a_home_beside_it_is_no_change_of_the_root(
    root: Path,
) -> None:
    """A student can chmod their home, which must not have everybody looked at."""
    file = root / "settings.toml"
    with listening(root, files=[file]) as ear:
        assert {str(file)} == ear.after(lambda: script(file)).files
        heard = ear.after(lambda: (root / "ann").chmod(0o700))
        assert Wake(accounts=frozenset({"ann"})) == heard


def _alive(ear: Ear) -> None:
    """The homes at the root's path are watched, each one's script wakes it."""
    script(ear.root / "ann/mysite/mysite/wsgi.py")
    ear.settle()
    assert {"ann", "ann/mysite", "ann/mysite/mysite"} <= watched(ear.root)
    assert {"ann"} == ear.after(lambda: script(ear.root / "ann/mysite/mysite/wsgi.py")).accounts


def test_a_root_that_is_absent_is_watched_once_it_appears(root: Path) -> None:
    """A disk mounted late, a directory made by hand: told as replaced."""
    root.parent.rename(root.parent.with_name("away"))
    with listening(root) as ear:
        assert ear.watch.alive()
        root.parent.with_name("away").rename(root.parent)
        ear.wait(lambda wake: "root-replaced" == wake.everything)
        _alive(ear)


def test_a_root_removed_and_made_again_is_watched_anew(root: Path) -> None:
    """Even where the file system gives it the same inode number."""
    with listening(root) as ear:
        for _ in range(3):
            ear.forget()
            shutil.rmtree(root)
            root.mkdir()
            ear.wait(lambda wake: "root-replaced" == wake.everything)
            _alive(ear)


def test_a_root_replaced_by_a_rename_is_watched_anew(root: Path) -> None:
    """A restored backup moved into place."""
    script(root.with_name("restored") / "ann/mysite/mysite/wsgi.py")
    old = root.with_name("old")
    with listening(root) as ear:
        root.rename(old)
        root.with_name("restored").rename(root)
        ear.wait(lambda wake: "root-replaced" == wake.everything)
        _alive(ear)
        assert Wake() == ear.after(lambda: script(old / "ann/mysite/mysite/wsgi.py"))


def test_a_directory_above_the_root_replaced_is_noticed(root: Path) -> None:
    """The root's own parent has no event of it, so its whole way is watched."""
    with listening(root) as ear:
        root.parent.rename(root.parent.with_name("old"))
        script(root / "ann/mysite/mysite/wsgi.py")
        ear.wait(lambda wake: "root-replaced" == wake.everything)
        _alive(ear)


def test_a_root_reached_through_a_link_follows_the_link(root: Path) -> None:
    """`/home/slp -> /data/slp`, then the link is changed."""
    script(root.with_name("other") / "ann/mysite/mysite/wsgi.py")
    link = root.with_name("link")
    link.symlink_to(root)
    with listening(link) as ear:
        _alive(ear)
        root.with_name("new").symlink_to(root.with_name("other"))
        root.with_name("new").rename(link)
        ear.wait(lambda wake: "root-replaced" == wake.everything)
        _alive(ear)


def test_a_chmod_of_the_root_asks_for_everything(root: Path) -> None:
    """It may make every home unreachable, or unsafe; the watches stand."""
    with listening(root) as ear:
        before = watched(root)
        assert "root-changed" == ear.after(lambda: root.chmod(0o777)).everything
        assert before == watched(root)
        assert "root-changed" == ear.after(lambda: root.parent.chmod(0o777)).everything


@as_root
def test_a_mount_over_the_root_and_its_end_are_noticed(root: Path) -> None:
    """inotify says nothing of a mount; the mount table does."""
    with listening(root) as ear:
        with mounted(root, "-t", "tmpfs", "homes"):
            ear.wait(lambda wake: "root-replaced" == wake.everything)
            _alive(ear)
            ear.forget()
        ear.wait(lambda wake: wake.everything in {"unmounted", "root-replaced"})
        _alive(ear)


@as_root
def test_a_mount_over_a_home_wakes_it_alone(root: Path) -> None:
    """A home on a disk of its own, as with autofs."""
    script(root / "bob/mysite/wsgi.py")
    with listening(root) as ear:
        ear.settle()
        ear.forget()
        with mounted(root / "ann", "-t", "tmpfs", "ann"):
            ear.wait(lambda wake: wake.accounts)
            _alive(ear)
            ear.forget()
        heard = ear.wait(lambda wake: "ann" in wake.accounts)
        assert Wake(accounts=frozenset({"ann"})) == heard
        _alive(ear)
        assert {"ann"} == ear.after(lambda: script(root / "ann/mysite/wsgi.py")).accounts


@as_root
def test_a_directory_bound_into_another_home_wakes_both(root: Path) -> None:
    """One directory, one watch, two accounts."""
    (root / "bob/shared").mkdir(parents=True)
    with mounted(root / "bob/shared", "--bind", str(root / "ann/mysite")), listening(root) as ear:
        heard = ear.after(lambda: script(root / "ann/mysite/wsgi.py"))
        assert Wake(accounts=frozenset({"ann", "bob"})) == heard


@as_root
def test_watching_does_not_keep_a_mount_busy(root: Path) -> None:
    """No descriptor below the root stays open: `umount` must work while the daemon runs."""
    with mounted(root, "-t", "tmpfs", "homes"), listening(root) as ear:
        script(root / "ann/mysite/mysite/wsgi.py")
        ear.settle()
        unmount(root)
        ear.wait(lambda wake: wake.everything in {"unmounted", "root-replaced"})
