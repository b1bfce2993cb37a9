"""What Apache's own user can get at, asked as that user: real files, modes and processes."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from reconciler.observe.helper import HelperError
from reconciler.observe.reach import Reach

USER = "nobody"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="module")
def reach() -> Iterator[Reach]:
    """One reader for all tests, as the daemon has it."""
    reach = Reach(USER)
    yield reach
    reach.close()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that anybody can get to, unlike pytest's own (0700)."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@as_root
@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o755, True), (0o705, True), (0o711, False), (0o744, False), (0o700, False), (0o770, False)],
)
def test_a_directory_must_be_listed_and_reached_into(
    reach: Reach, place: Path, mode: int, expected: bool
) -> None:
    """Root could, whatever the mode; serving takes r, to list, and x, to open what is inside."""
    (place / "static").mkdir()
    (place / "static").chmod(mode)
    assert expected is reach.can_list_or_read(str(place / "static"), directory=True)


@as_root
@pytest.mark.parametrize(("mode", "expected"), [(0o644, True), (0o604, True), (0o640, False)])
def test_a_file_must_be_readable(reach: Reach, place: Path, mode: int, expected: bool) -> None:
    """Its mode decides, and so does every directory above it."""
    script = place / "wsgi.py"
    script.touch()
    script.chmod(mode)
    assert expected is reach.can_list_or_read(str(script), directory=False)
    place.chmod(0o750)
    assert False is reach.can_list_or_read(str(script), directory=False)


@as_root
def test_the_groups_of_the_user_count(place: Path) -> None:
    """The first and the others, as for Apache: `adduser www-data alice` is a course's usual way."""
    for member in grp.getgrall():
        if member.gr_mem and member.gr_mem[0] != "root":
            user, group = member.gr_mem[0], member.gr_gid
            break
    else:
        user, group = USER, pwd.getpwnam(USER).pw_gid
    os.chown(place, 0, group)
    place.chmod(0o750)
    reach = Reach(user)
    assert True is reach.can_list_or_read(str(place), directory=True)
    process = reach._helper._process
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text()
    row = pwd.getpwnam(user)
    wanted = " ".join(map(str, sorted(os.getgrouplist(user, row.pw_gid))))
    assert f"\nGroups:\t{wanted} \n" in status
    assert f"\nUid:\t{row.pw_uid}\t{row.pw_uid}\t{row.pw_uid}\t{row.pw_uid}\n" in status
    reach.close()


@as_root
def test_what_is_not_there_or_in_the_way_cannot_be_reached(reach: Reach, place: Path) -> None:
    """ENOENT, ENOTDIR, ELOOP and a name that cannot be: all mean no, none means unknown."""
    (place / "file").touch()
    (place / "loop").symlink_to("loop")
    (place / "dangling").symlink_to("/no/such")
    for path in ("none", "file/below", "loop", "dangling", "nul\0byte"):
        assert (path, False) == (path, reach.can_list_or_read(f"{place}/{path}", directory=False))
    assert False is reach.can_list_or_read(str(place / "file"), directory=True)


@as_root
def test_odd_names_are_names(reach: Reach, place: Path) -> None:
    """A name need not be UTF-8, nor one line."""
    for name in (b"\xe9\xff", b"a\nb", " é ".encode()):
        path = os.path.join(os.fsencode(place), name)
        os.mkdir(path, 0o755)
        assert True is reach.can_list_or_read(os.fsdecode(path), directory=True)


@as_root
def test_a_fifo_in_place_of_a_file_holds_nobody(reach: Reach, place: Path) -> None:
    """An open without O_NONBLOCK would wait for a writer for ever."""
    os.mkfifo(place / "wsgi.py", 0o644)
    assert True is reach.can_list_or_read(str(place / "wsgi.py"), directory=False)


@as_root
def test_any_other_error_is_unknown(reach: Reach, place: Path) -> None:
    """A socket answers ENXIO; EIO cannot be had for the asking, and takes the same way."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place / "s"))
        (place / "s").chmod(0o666)
        with pytest.raises(HelperError, match="No such device"):
            reach.can_list_or_read(str(place / "s"), directory=False)
    for path in (f"/{'a' * 300}", "/a" * 3000):
        with pytest.raises(HelperError, match="too long"):
            reach.can_list_or_read(path, directory=False)


def test_the_longest_path_that_can_be_is_asked_for() -> None:
    """4,095 bytes, and no more: the kernel takes none, so that nobody can tell."""
    reach = Reach(pwd.getpwuid(os.geteuid()).pw_name)
    assert False is reach.can_list_or_read("/a" * 2047 + "/", directory=False)
    longer = "/a" * 2048
    with pytest.raises(HelperError, match="too long") as told:
        reach.can_list_or_read(longer, directory=False)
    assert (errno.ENAMETOOLONG, longer) == (told.value.errno, told.value.filename)
    reach.close()


@pytest.mark.parametrize("answer", ["x", True, None, -1, 4096, [0]])
def test_an_answer_that_no_open_gives_ends_the_helper(
    monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    """Asked twice, each time of another one: it may have been taken over."""
    reach, closed = Reach(USER), []
    monkeypatch.setattr(reach._helper, "ask", lambda _: answer)
    monkeypatch.setattr(reach._helper, "close", lambda: closed.append(True))
    with pytest.raises(HelperError, match=r"^a helper answered what no open says$"):
        reach.can_list_or_read("/", directory=True)
    assert 2 == len(closed)


@pytest.mark.parametrize(
    "number", [errno.ENOENT, errno.EACCES, errno.ELOOP, errno.ENOTDIR, errno.EPERM]
)
def test_some_errors_mean_that_it_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Not there, closed, or in the way."""
    reach = Reach(USER)
    monkeypatch.setattr(reach._helper, "ask", lambda _: number)
    assert False is reach.can_list_or_read("/srv", directory=True)


def test_an_answer_that_is_no_no_is_told_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows, then; a number that no error has is one as well."""
    reach = Reach(USER)
    for number in (errno.EIO, 4095):
        monkeypatch.setattr(reach._helper, "ask", lambda _, number=number: number)
        with pytest.raises(HelperError) as told:
            reach.can_list_or_read("/srv", directory=True)
        assert (number, "/srv") == (told.value.errno, told.value.filename)
        assert os.strerror(number) == told.value.strerror


def test_an_unknown_user_is_unknown_not_a_no() -> None:
    """A database that does not answer must not make every static directory unreachable."""
    reach = Reach("no-such-user")
    with pytest.raises(HelperError, match="there is no such user"):
        reach.can_list_or_read("/", directory=True)
    reach.close()


@as_root
def test_a_reader_killed_between_two_questions_is_replaced(reach: Reach) -> None:
    """And nobody notices."""
    for _ in range(5):
        assert True is reach.can_list_or_read("/", directory=True)
        process = reach._helper._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)


@as_root
def test_a_reader_that_hangs_is_unknown(place: Path) -> None:
    """As on a dead mount: stopped here, since a hung one cannot be had for the asking."""
    reach = Reach(USER, timeout=0.3)
    assert True is reach.can_list_or_read("/", directory=True)
    process = reach._helper._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(HelperError, match="no time"):
        reach.can_list_or_read("/", directory=True)
    assert True is reach.can_list_or_read("/", directory=True)
    reach.close()


def test_a_relative_path_is_a_mistake_of_the_caller(reach: Reach) -> None:
    """It would be relative to the helper's own root."""
    with pytest.raises(ValueError, match=r"^a path to reach must be absolute$"):
        reach.can_list_or_read("static", directory=True)


WITHOUT_ROOT = """
import os, sys
sys.path[:0] = sys.argv[1:]
from reconciler.observe.reach import HelperError, Reach
from reconciler.observe.source import Parser
mine, other = Reach("nobody"), Reach("root")
print(mine.can_list_or_read("/etc/passwd", directory=False),
      mine.can_list_or_read("/root", directory=True))
try:
    other.can_list_or_read("/", directory=True)
except HelperError as error:
    print("only root can ask as another user" in str(error))
parser = Parser(sys.executable)
print(parser.examine(b"application = 1").binds_application)
for each in (mine, other, parser):
    each.close()
"""


@as_root
def test_without_root_we_answer_as_ourselves_or_not_at_all() -> None:
    """As in a test, or in a dry run: the parser works, the reader is us or says so."""
    root, libraries = str(Path(__file__).parents[2]), str(Path(msgspec.__file__).parents[1])
    row = pwd.getpwnam(USER)
    python = "/usr/bin/python3"
    probe = [
        python,
        "-c",
        "import sys, os; sys.path[:0] = sys.argv[1:]; import reconciler.model",
    ]
    if subprocess.call([*probe, root, libraries], user=row.pw_uid, group=row.pw_gid, stderr=-3):
        pytest.skip("nobody has no Python that could run us")
    out = subprocess.run(
        [python, "-B", "-c", WITHOUT_ROOT, root, libraries],
        check=False,
        user=row.pw_uid,
        group=row.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert "True False\nTrue\nTrue\n" == out.stdout
