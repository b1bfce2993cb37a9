"""A thread that becomes a student: what it may read then, and that no other thread does."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from reconciler.model import Account
from reconciler.observe import identity
from reconciler.observe.accounts import Accounts
from reconciler.observe.identity import Residents, become

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALICE = Account("alice", 4101, 4101, "/home/slp/alice", "alice", private_group=True)
BOB = Account("bob", 4102, 4102, "/home/slp/bob", "bob", private_group=True)
CLASS = 4200
"""A group."""
NOT_PERMITTED = "cannot read as alice: Operation not permitted"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")


@pytest.fixture
def places() -> Iterator[Path]:
    """Return a directory that everybody may enter, with files that few may read."""
    top = Path(tempfile.mkdtemp())
    top.chmod(0o755)
    for name, uid, gid, mode in (
        ("alice", ALICE.uid, ALICE.gid, 0o600),
        ("bob", BOB.uid, BOB.gid, 0o600),
        ("root", 0, 0, 0o640),
        ("class", 0, CLASS, 0o640),
        ("bobs-group", 0, BOB.gid, 0o640),
    ):
        (top / name).write_text(name)
        if os.geteuid() == 0:
            os.chown(top / name, uid, gid)
        (top / name).chmod(mode)
    yield top
    shutil.rmtree(top)


def readable(places: Path) -> set[str]:
    """Return what the calling thread may open."""
    found = set()
    for name in os.listdir(places):
        with contextlib.suppress(PermissionError):
            os.close(os.open(places / name, os.O_RDONLY))
            found.add(name)
    return found


def ids() -> dict[str, str]:
    """Return what the kernel says of the calling thread."""
    text = Path("/proc/thread-self/status").read_text()
    rows = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    return {key: rows[key].strip() for key in ("Uid", "Gid", "Groups", "CapEff")}


def in_a_thread(act: Callable[[], Any]) -> Any:
    """Return what `act` returns, called in a thread that ends with it."""
    heard: list[Any] = []

    def work() -> None:
        try:
            heard.append(act())
        except BaseException as error:
            heard.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(heard[0], BaseException):
        raise heard[0]
    return heard[0]


@as_root
def test_a_student_reads_what_is_the_students_and_nothing_else(places: Path) -> None:
    """From one to the next without going back; and at the end all is as it was."""

    def act() -> None:
        before, all_of_them = ids(), readable(places)
        become(ALICE)
        assert {"alice"} == readable(places)
        become(BOB)
        assert {"bob", "bobs-group"} == readable(places), "not root's, whose group was root's own"
        become(replace(ALICE, groups=(BOB.gid, CLASS)))
        assert {"alice", "class", "bobs-group"} == readable(places)
        become(ALICE)
        assert {"alice"} == readable(places)
        become(None)
        assert before == ids()
        assert all_of_them == readable(places) == set(os.listdir(places))

    in_a_thread(act)


@as_root
def test_no_other_thread_becomes_anybody(places: Path) -> None:
    """The C library's own setgroups would give the student's groups to all of them."""
    mine, go, done = ids(), threading.Event(), threading.Event()
    theirs: list[dict[str, str]] = []

    def act() -> None:
        become(replace(ALICE, groups=(CLASS,)))
        theirs.append(ids())
        go.set()
        done.wait(10)
        become(None)

    thread = threading.Thread(target=act)
    thread.start()
    assert go.wait(10)
    try:
        assert mine == ids()
        assert "root" in readable(places)
    finally:
        done.set()
        thread.join()
    assert str(CLASS) == theirs[0]["Groups"]
    assert ["0", "0", "0", "4101"] == theirs[0]["Uid"].split(), "only for files"


@as_root
def test_a_thread_that_a_student_has_started_can_be_itself(places: Path) -> None:
    """It begins as that student, and nobody has told it so."""

    def child() -> tuple[set[str], set[str]]:
        first = readable(places)
        become(None)
        return first, readable(places)

    def act() -> tuple[set[str], set[str]]:
        become(ALICE)
        try:
            return in_a_thread(child)  # type: ignore[no-any-return]
        finally:
            become(None)

    assert ({"alice"}, set(os.listdir(places))) == in_a_thread(act)


@as_root
@pytest.mark.parametrize(
    ("account", "number", "why"),
    [
        (replace(ALICE, uid=0), errno.EPERM, "alice has root's uid, and is no student"),
        (replace(ALICE, uid=2**32 - 1), errno.EPERM, NOT_PERMITTED),
        (replace(ALICE, gid=2**32 - 1), errno.EPERM, NOT_PERMITTED),
        (
            replace(ALICE, groups=(2**32 - 1,)),
            errno.EINVAL,
            "cannot read as alice: Invalid argument",
        ),
        (
            replace(ALICE, groups=(5, 4)),
            errno.EPERM,
            "cannot read as alice: it has other groups than it asked for",
        ),
    ],
    ids=["root", "no uid", "no gid", "no group", "groups as the kernel never says them"],
)
def test_whoever_cannot_be_become_leaves_the_thread_itself(
    places: Path, account: Account, number: int, why: str
) -> None:
    """Root is no student, and the last number is "change nothing" to the kernel."""

    def act() -> None:
        before = ids()
        become(BOB)
        if account.uid == 0:
            become(None)  # that one is refused before anything is touched
        with pytest.raises(OSError, match="alice") as caught:
            become(account)
        assert (number, why) == (caught.value.errno, caught.value.strerror)
        assert before == ids()
        become(ALICE)
        assert {"alice"} == readable(places)
        become(None)

    in_a_thread(act)


def in_a_process(act: Callable[[], object]) -> str:
    """Return the error that `act` met in a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        said = "it passed"
        try:
            act()
        except OSError as error:
            said = f"{error.errno} {error.strerror}"
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


def be_nobody() -> None:
    """Give up all privileges, for good."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)


def test_without_privileges_it_says_so() -> None:
    """In a process that is nobody, as where the unit lacks CAP_SETGID or CAP_SETUID."""

    def act() -> None:
        be_nobody()
        become(replace(ALICE, groups=(CLASS,)))

    assert in_a_process(act).startswith(f"{errno.EPERM} ")


@as_root
def test_whoever_cannot_be_itself_again_says_so() -> None:
    """The worst that can be: nobody may go on as if nothing were."""

    def act() -> None:
        become(replace(ALICE, groups=(CLASS,)))
        be_nobody()
        become(None)

    become(None)  # here as well: who calls what in another process, mutmut does not see
    assert f"{errno.EPERM} cannot be itself again: Operation not permitted" == in_a_process(act)


@as_root
def test_to_be_the_same_again_costs_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged look at a class is mostly this and the next."""
    taken: list[object] = []
    real = identity._take
    monkeypatch.setattr(identity, "_take", lambda ids: (taken.append(ids), real(ids)))

    def act() -> None:
        for account in (None, None, ALICE, ALICE, replace(ALICE), BOB, None, None):
            become(account)

    in_a_thread(act)
    assert [0, ALICE.uid, BOB.uid, 0] == [uid for uid, _, _ in taken]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("machine", "bits", "number"),
    [
        ("x86_64", 64, 116),
        ("aarch64", 64, 159),
        ("riscv64", 64, 159),
        ("ppc64le", 64, 81),
        ("s390x", 64, 206),
        ("x86_64", 32, 206),
        ("i686", 32, 206),
        ("armv7l", 32, 206),
        ("aarch64", 32, 206),
        ("i686", 64, None),
        ("mips", 32, None),
        ("sparc64", 64, None),
    ],
)
def test_the_number_of_the_call_is_that_of_the_machine(
    machine: str, bits: int, number: int | None
) -> None:
    """As the kernel's own tables have them; of another machine it says that it does not know."""
    if number is not None:
        assert number == identity.number_of_setgroups(machine, bits)
        return
    with pytest.raises(OSError, match=f"{machine} of {bits} bits") as caught:
        identity.number_of_setgroups(machine, bits)
    assert errno.ENOSYS == caught.value.errno


class Becoming:
    """Notes who is become."""

    def __init__(self) -> None:
        self.calls: list[str | None] = []
        self.refused: set[str] = set()

    def __call__(self, account: Account | None) -> None:
        self.calls.append(account and account.name)
        if account is not None and account.name in self.refused:
            raise PermissionError(errno.EPERM, "no")

    @property
    def now(self) -> str | None:
        return self.calls[-1]


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return a directory with an account database."""
    (tmp_path / "passwd").write_text("root:x:0:0::/root:\nalice:x:4101:4101::/h/alice:\n")
    (tmp_path / "group").write_text("root:x:0:\nalice:x:4101:\nbob:x:4102:\n")
    return tmp_path


def test_who_lives_in_a_home_is_become_by_its_name(etc: Path) -> None:
    """The database is asked as the process, once a round; a home of nobody's is not entered."""
    becoming = Becoming()
    residents = Residents(Accounts(str(etc)), becoming)
    assert residents.enter("alice")
    assert [None, "alice"] == becoming.calls
    assert residents.enter("alice")
    assert "alice" == becoming.now
    assert None not in becoming.calls[1:]
    assert not residents.enter("bob")
    assert becoming.now is None
    with (etc / "passwd").open("a") as passwd:
        passwd.write("bob:x:4102:4102::/h/bob:\n")
    assert not residents.enter("bob"), "the round is not over"
    residents.enter("alice")
    assert residents.enter(None)
    assert becoming.now is None
    assert residents.enter("bob")
    assert "bob" == becoming.now


def test_whoever_cannot_be_become_is_not_entered(etc: Path) -> None:
    """One odd row of the database must not end the thread that watches for all."""
    becoming = Becoming()
    becoming.refused = {"alice"}
    assert not Residents(Accounts(str(etc)), becoming).enter("alice")
    assert becoming.now is None
