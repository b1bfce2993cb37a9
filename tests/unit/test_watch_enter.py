"""Homes are opened as their students: whom the watcher's thread enters, when, and for what."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from reconciler.watch import Wake, opening, session, table
from tests.unit.test_watch_support import listening, script, watched

ANN = frozenset({"ann"})
_LIBC = ctypes.CDLL(None, use_errno=True)


class Door:
    """An `enter` that notes what the watcher's thread opens, reads and watches, and as whom."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.names = set(names)
        self.entered: list[str | None] = []
        self.threads: set[threading.Thread] = set()
        self.current: str | None = None
        self.seen: set[tuple[str | None, str | None]] = set()
        """Who was entered, and whose home something was done in; None: outside of all."""
        self.shut: str | None = None
        """A home that nobody can open but its student."""
        self._root = str(root)
        self._wrap(monkeypatch, os, "open", lambda result, *_: result)
        self._wrap(monkeypatch, os, "scandir", lambda _, fd: fd)
        self._wrap(monkeypatch, table, "inotify_add_watch", lambda _, __, path, ___: path)

    def __call__(self, name: str | None) -> bool:
        self.threads.add(threading.current_thread())
        self.entered.append(name)
        if name is None or name in self.names:
            self.current = name
            return True
        return False

    def _wrap(self, monkeypatch: pytest.MonkeyPatch, module: object, name: str, fd_of) -> None:  # type: ignore[no-untyped-def]
        real = getattr(module, name)

        def wrapped(*arguments: object, **options: object) -> object:
            result = real(*arguments, **options)
            if threading.current_thread() in self.threads:
                fd = fd_of(result, *arguments)
                link = f"/proc/self/fd/{fd}" if isinstance(fd, int) else fd
                home = self._home(os.path.realpath(link))
                if home is not None and home == self.shut and self.current != home:
                    os.close(fd)
                    raise PermissionError(errno.EACCES, "Permission denied")
                self.seen.add((self.current, home))
            return result

        monkeypatch.setattr(module, name, wrapped)

    def _home(self, path: str | bytes) -> str | None:
        text = os.fsdecode(path).removesuffix(" (deleted)")  # opened, and gone since
        inside = text.startswith(f"{self._root}/")
        return text[len(self._root) + 1 :].split("/")[0] if inside else None


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory of the homes, with two homes and a project in each, and an account database."""
    for name in ("ann", "bob"):
        script(tmp_path / "homes" / name / "mysite" / "mysite" / "wsgi.py")
    (tmp_path / "passwd").touch()
    return tmp_path / "homes"


@pytest.fixture
def door(root: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Students for both homes; those that `settle` makes have none."""
    return Door(root, monkeypatch, "ann", "bob")


def test_whatever_is_done_in_a_home_is_done_as_its_student_and_all_else_as_nobody(
    root: Path, door: Door
) -> None:
    """At the start, at events of all kinds, and when files of root's own change."""
    passwd = root.parent / "passwd"
    with listening(root, enter=door, files=[passwd]) as ear:
        assert {"ann/mysite/mysite", "bob/mysite/mysite"} <= watched(root)
        heard = ear.after(lambda: script(root / "ann/new/new/wsgi.py"))
        assert ANN == heard.accounts
        ear.after(lambda: (root / "bob/mysite/wsgi.py").symlink_to("x"))
        ear.after(lambda: script(passwd))
        ear.after(lambda: shutil.rmtree(root / "bob"))
    assert {("ann", "ann"), ("bob", "bob"), (None, None)} == door.seen
    assert door.current is None


def test_it_goes_from_student_to_student_and_back_to_root_once(root: Path, door: Door) -> None:
    """Each change of identity costs; the caller's thread is none of those that change."""
    with listening(root, enter=door):
        assert {None, "ann", "bob"} == set(door.entered)
        assert 4 == len(door.entered)
        assert door.entered[0] is door.entered[-1] is None
    assert threading.current_thread() not in door.threads
    assert 1 == len(door.threads)


def test_no_thread_is_started_from_the_one_that_enters(
    root: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread started as a student would stay one."""
    starters = set()
    start = threading.Thread.start

    def noted(self: threading.Thread) -> None:
        starters.add(threading.current_thread())
        start(self)

    monkeypatch.setattr(threading.Thread, "start", noted)
    with listening(root, enter=door) as ear:
        ear.after(lambda: script(root / "ann/new/new/wsgi.py"))
    assert starters
    assert not starters & door.threads


def test_a_home_that_only_its_student_can_open_is_watched(root: Path, door: Door) -> None:
    """NFS with `root_squash`, FUSE: root itself gets EACCES there."""
    door.shut = "ann"
    with listening(root, enter=door) as ear:
        assert {"ann", "ann/mysite", "ann/mysite/mysite"} <= watched(root)
        assert 0 == ear.watch.refused()


@pytest.mark.parametrize("shut", ["ann", "ann/private"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_the_student_cannot_read_is_not_watched_though_root_could(
    root: Path, shut: str
) -> None:
    """With the kernel's own fsuid, which takes root's powers along; it comes back for the next."""
    (root / shut).mkdir(exist_ok=True)
    (root / shut).chmod(0o700)
    for path in (root.parent.parent, root.parent):
        path.chmod(0o755)

    def enter(name: str | None) -> bool:
        _LIBC.setfsuid(0)
        _LIBC.setfsuid({"ann": 12345, "bob": 12346}.get(name or "", 0))
        return True

    with listening(root, enter=enter) as ear:
        assert shut not in watched(root)
        assert {"bob", "bob/mysite", "bob/mysite/mysite"} <= watched(root)
        assert 0 == ear.watch.refused()
        os.chown(root / shut, 12345, 12345)
        ear.settle()
        assert shut in watched(root)


def test_of_a_home_without_an_account_nothing_is_opened(root: Path, door: Door) -> None:
    """It is woken all the same, and is no fault of the machine's."""
    door.names.discard("ann")
    with listening(root, enter=door) as ear:
        assert {"bob", "bob/mysite", "bob/mysite/mysite"} == watched(root)
        assert 0 == ear.watch.refused()
        assert Wake(accounts=ANN) == ear.after(lambda: (root / "ann").chmod(0o700))
    assert "ann" not in {home for _, home in door.seen}


def test_a_home_whose_account_comes_is_watched_when_the_database_changes(
    root: Path, door: Door
) -> None:
    """`mkdir` first, `useradd` afterwards: without waiting for anybody's next try."""
    door.names.discard("ann")
    passwd = root.parent / "passwd"
    with listening(root, enter=door, files=[passwd]) as ear:
        assert "ann" not in watched(root)
        door.names.add("ann")
        heard = ear.after(lambda: script(passwd))
        assert Wake(accounts=ANN, files=frozenset({str(passwd)})) == heard
        assert {"ann", "ann/mysite", "ann/mysite/mysite"} <= watched(root)
        heard = ear.after(lambda: script(passwd))
        assert Wake(files=frozenset({str(passwd)})) == heard  # it is a stranger no more
        assert Wake(accounts=ANN) == ear.after(lambda: script(root / "ann/mysite/wsgi.py"))


def test_a_home_whose_account_comes_is_watched_at_the_next_try(
    root: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory service says nothing of its changes."""
    monkeypatch.setattr(session, "RETRY", 0.3)
    door.names.discard("ann")
    with listening(root, enter=door) as ear:
        door.names.add("ann")
        assert ANN == ear.wait(lambda wake: wake.accounts).accounts
        assert {"ann", "ann/mysite", "ann/mysite/mysite"} <= watched(root)


def test_a_home_whose_account_went_is_let_go_when_it_is_looked_at(root: Path, door: Door) -> None:
    """What nobody may open keeps no watch from before."""
    with listening(root, enter=door) as ear:
        door.names.discard("ann")
        ear.after(lambda: (root / "ann").rename(root / "bob/ann"))
        ear.after(lambda: (root / "bob/ann").rename(root / "ann"))
        assert {"bob", "bob/mysite", "bob/mysite/mysite"} == watched(root)


def test_an_identity_that_cannot_be_taken_on_costs_that_home_alone(
    root: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next is entered all the same, root's own paths as root."""

    def enter(name: str | None) -> bool:
        if name == "ann":
            raise OSError(errno.EPERM, "setgroups")
        return door(name)

    with listening(root, enter=enter) as ear:
        assert {"bob", "bob/mysite", "bob/mysite/mysite"} == watched(root)
        assert ear.watch.alive()
        assert door.current is None


def test_who_cannot_become_root_again_builds_nothing_and_tries(
    root: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's own paths are never opened as a student."""
    stuck = threading.Event()
    stuck.set()

    def enter(name: str | None) -> bool:
        if name is None and stuck.is_set():
            raise OSError(errno.EPERM, "setfsuid")
        return door(name)

    with listening(root, enter=enter) as ear:
        assert (0, 1) == (ear.watch.watches(), ear.watch.refused())
        stuck.clear()
        ear.wait(lambda wake: "emitter-restarted" == wake.everything)
        assert {"ann", "bob"} <= watched(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has links of root's own")
def test_a_home_that_roots_own_link_leads_to_is_watched(root: Path) -> None:
    """Homes on several disks, linked one by one; also once the disk is there."""
    away = root.parent / "disk/eve"
    script(away / "mysite/mysite/wsgi.py")
    with listening(root) as ear:
        ear.after(lambda: (root / "eve").symlink_to(away))
        assert frozenset({"eve"}) == ear.after(lambda: script(away / "mysite/wsgi.py")).accounts
        (root / "eve").unlink()
        ear.settle()
        assert Wake() == ear.after(lambda: script(away / "mysite/wsgi.py"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has links of root's own")
def test_a_home_whose_link_leads_nowhere_yet_is_tried_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is mounted later than the daemon starts."""
    monkeypatch.setattr(session, "RETRY", 0.3)
    away = root.parent / "disk"
    (root / "eve").symlink_to(away / "eve")
    with listening(root) as ear:
        assert 0 == ear.watch.refused()
        script(root.parent / "new/eve/mysite/wsgi.py")
        (root.parent / "new").rename(away)
        assert frozenset({"eve"}) == ear.wait(lambda wake: wake.accounts).accounts
        assert frozenset({"eve"}) == ear.after(lambda: script(away / "eve/mysite/wsgi.py")).accounts


@pytest.mark.parametrize("loose", ["directory", "link"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has links of root's own")
def test_a_link_that_somebody_else_could_have_made_is_not_followed(root: Path, loose: str) -> None:
    """One in a directory that others write to, or that belongs to them."""
    script(root.parent / "disk/eve/mysite/wsgi.py")
    (root / "eve").symlink_to(root.parent / "disk/eve")
    if loose == "directory":
        root.chmod(0o775)
    else:
        os.lchown(root / "eve", 12345, 12345)
    with listening(root) as ear:
        ear.settle()
        assert Wake() == ear.after(lambda: script(root.parent / "disk/eve/mysite/wsgi.py"))


def test_a_virtualenv_is_asked_for_as_the_student(tmp_path: Path) -> None:
    """`access` would ask as the process's real user, who is root; a link is not followed."""
    fd = os.open(tmp_path, os.O_RDONLY)
    assert not opening.is_virtualenv(fd)
    (tmp_path / "pyvenv.cfg").symlink_to("nowhere")
    assert opening.is_virtualenv(fd)
    os.close(fd)
