"""A socket for each account, and what a hostile process can do to those of others: nothing."""

from __future__ import annotations

import array
import contextlib
import json
import os
import queue
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reconciler.health import ears as module
from reconciler.health.ears import Ears, Heard
from reconciler.health.reports import Event, Report
from reconciler.model import Failure
from tests.lab.waiting import wait_for
from tests.unit.machine.machine import temporary

OURS = (os.geteuid(), os.getegid())
LOADED = b'{"event": "loaded"}'


class Room:
    """Ears, and the inbox that they put their message into."""

    def __init__(self, runtime: Path, most: int = 1000) -> None:
        self.told = runtime / "told"
        self.inbox: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self.ears = Ears(str(runtime), self.inbox.put, most=most)

    def attend(self, *accounts: str) -> str | None:
        """Listen to these, and return why somebody cannot be."""
        self.ears.attend(dict.fromkeys(accounts, OURS))
        return self.ears.trouble

    def heard(self, within: float = 5.0) -> dict[str, Report]:
        """Return what the next message has."""
        return dict(self.inbox.get(timeout=within).take())

    def say(self, account: str, data: bytes, *descriptors: int) -> bool:
        """Send a datagram as the account's app does; return whether there was room."""
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as own:
            own.setblocking(False)
            own.connect(str(self.told / account))
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
            try:
                own.sendmsg([data], [rights] if descriptors else [])
            except BlockingIOError:
                return False
            return True


def failed(where: str) -> bytes:
    """Return that a load failed there."""
    return json.dumps({"event": "failed", "code": "exits", "kind": "E", "where": where}).encode()


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Return a directory whose path is short enough for a socket's."""
    with temporary() as home:
        yield home


@pytest.fixture
def room(runtime: Path) -> Iterator[Room]:
    """Return ears that listen."""
    made = Room(runtime)
    made.ears.start()
    yield made
    made.ears.stop()


# ---- who is listened to --------------------------------------------------------------------------


def test_a_socket_is_its_accounts_alone(room: Room) -> None:
    """In a directory that nobody else can list, or put anything into."""
    assert room.attend("alice", "bob") is None
    assert 0o711 == stat.S_IMODE(room.told.stat().st_mode)
    found = (room.told / "alice").lstat()
    assert stat.S_ISSOCK(found.st_mode)
    assert (0o600, *OURS) == (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
    assert {"alice", "bob"} == set(os.listdir(room.told))


def test_what_is_told_is_the_accounts_whose_socket_it_came_by(room: Room) -> None:
    """Whatever else it says."""
    room.attend("alice", "bob")
    room.say("alice", b'{"event": "loaded", "account": "bob", "set": "1"}')
    assert {"alice": Report(Event.LOADED, "1")} == room.heard()


def test_a_withdrawn_account_has_no_socket(room: Room) -> None:
    """Nor what it told before: the next one by that name may be somebody else."""
    room.attend("alice", "bob")
    room.say("alice", LOADED)
    message = room.inbox.get(timeout=5)
    room.ears.attend({"alice": None})
    assert {"bob"} == set(os.listdir(room.told))
    assert {} == message.take()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives sockets to others")
def test_an_account_made_anew_has_a_socket_of_its_own(room: Room) -> None:
    """With another uid: whoever had the name before can send nothing more to it."""
    room.ears.attend({"alice": (3001, 3001)})
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as before:
        before.connect(str(room.told / "alice"))
        room.ears.attend({"alice": (3002, 3002)})
        with pytest.raises(ConnectionRefusedError):
            before.send(LOADED)
    assert 3002 == (room.told / "alice").lstat().st_uid


def test_a_name_that_somebody_took_away_is_made_again(room: Room) -> None:
    """As a tidy-up of `/run` does: the next full look puts it back."""
    room.attend("alice")
    (room.told / "alice").unlink()
    room.ears.tidy()
    room.say("alice", LOADED)
    assert {"alice": Report(Event.LOADED)} == room.heard()


def test_an_account_that_is_named_again_keeps_its_socket(room: Room) -> None:
    """Looked at each minute, nothing is lost for it."""
    room.attend("alice")
    before = (room.told / "alice").lstat().st_ino
    room.attend("alice")
    assert before == (room.told / "alice").lstat().st_ino


def test_names_that_an_earlier_process_left_are_removed(room: Room) -> None:
    """Those of who is served now are bound over, and stay."""
    room.attend("alice")
    for name in ("gone", ".1234abcd"):
        (room.told / name).touch()
    room.ears.tidy()
    assert {"alice"} == set(os.listdir(room.told))


def test_the_next_process_binds_over_the_names(runtime: Path) -> None:
    """Also while the one before has not ended: settings are read again so."""
    first, second = Room(runtime), Room(runtime)
    for room in (first, second):
        room.ears.start()
        room.attend("alice")
    first.ears.stop()
    second.say("alice", LOADED)
    assert {"alice": Report(Event.LOADED)} == second.heard()
    second.ears.stop()
    assert {"alice"} == set(os.listdir(first.told))


def test_what_was_told_until_the_end_is_taken(runtime: Path) -> None:
    """Whoever listens is made anew when settings are read again: nothing is lost for it."""
    room = Room(runtime)
    room.attend("alice")
    room.say("alice", LOADED)
    room.ears.stop()
    assert {"alice": Report(Event.LOADED)} == room.heard()


def test_what_cannot_be_listened_to_is_told(runtime: Path) -> None:
    """A directory that cannot be made, and more apps than descriptors; the others are heard."""
    (runtime / "file").touch()
    broken = Room(runtime / "file")
    assert "alice cannot tell how it is: Not a directory" == broken.attend("alice")
    broken.ears.stop()
    few = Room(runtime, most=1)
    assert "descriptors for 1" in str(few.attend("alice", "bob"))
    assert {"alice"} == set(os.listdir(few.told))
    few.attend("bob", "carol", "dave")
    assert "bob (and 2 more) cannot tell how it is" in str(few.ears.trouble)
    few.ears.attend({"alice": None, "bob": None, "dave": None})
    assert few.attend("carol") is None
    few.ears.stop()


# ---- hostile processes ---------------------------------------------------------------------------


@contextlib.contextmanager
def flooding(room: Room, account: str, processes: int) -> Iterator[None]:
    """Have as many processes send to an account's socket as fast as they can, meanwhile."""
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            own.setblocking(False)
            own.connect(str(room.told / account))
            texts = [LOADED, failed(f"{number}.py"), b"[" * 4096, b"x" * 100_000, b""]
            while True:
                for text in texts:
                    with contextlib.suppress(OSError):
                        own.send(text)
        children.append(child)
    try:
        yield
    finally:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)


def test_a_flood_makes_nobody_else_late(room: Room) -> None:
    """Ten processes of one student: each of another's reports is heard, and soon.

    Of the flood there is one message and one report at a time, and few turns.
    """
    room.attend("mallory", *(f"s{n}" for n in range(20)))
    late, messages = [], []
    with flooding(room, "mallory", 10):
        time.sleep(0.3)
        for n in range(20):
            began = time.monotonic()
            assert room.say(f"s{n}", failed(f"{n}.py"))
            told: dict[str, Report] = {}
            while f"s{n}" not in told:
                told = room.heard()
                messages.append(told)
            assert told[f"s{n}"].failure == Failure("exits", "E", "", f"{n}.py")
            late.append(time.monotonic() - began)
        ended = time.monotonic()
        while time.monotonic() < ended + 1.0:
            time.sleep(0.1)
            with contextlib.suppress(queue.Empty):
                messages.append(room.inbox.get_nowait().take())
    assert max(late) < 1.0
    assert sum("mallory" in told for told in messages) <= module.BURST + 12
    assert room.inbox.qsize() <= 1


def test_who_stops_flooding_is_heard_again(room: Room) -> None:
    """A page that raised a thousand times a second was mended: what it tells then, counts."""
    room.attend("alice")
    for _ in range(200):
        room.say("alice", failed("views.py:1"))
    wait_for(lambda: room.say("alice", LOADED), 2.0, "there is room")
    wait_for(lambda: room.heard().get("alice") == Report(Event.LOADED), 2.0, "it is heard")


def test_the_rest_of_a_flood_stays_in_the_kernel(runtime: Path) -> None:
    """There is one slot for each account, however long nobody takes what is in it."""
    room = Room(runtime)
    room.attend("alice")
    room.ears.start()
    with flooding(room, "alice", 2):
        time.sleep(0.5)
        assert 1 == room.inbox.qsize()
        assert ["alice"] == list(room.heard())
    room.ears.stop()


@pytest.mark.parametrize("size", [4097, 65536, 200_000])
def test_what_is_too_long_is_dropped(room: Room, size: int) -> None:
    """The report after it is heard."""
    room.attend("alice")
    room.say("alice", b'{"event": "failed"}' + b" " * size)
    room.say("alice", LOADED)
    assert {"alice": Report(Event.LOADED)} == room.heard()


def test_descriptors_that_close_slowly_hold_nobody_up(room: Room) -> None:
    """A connection with SO_LINGER and unsent data closes for as long as its owner wished.

    *Measured*: taken by whoever reads the datagram, 5 s for 5. So such a datagram is never taken,
    also not when its socket is closed; and who sends one is not listened to any more.
    """
    room.attend("mallory", "alice")
    began = time.monotonic()
    with lingering(20) as slow:
        room.say("mallory", LOADED, slow)
    wait_for(lambda: {"mallory"} == room.ears.muted, 5.0, "mallory is muted")
    room.say("alice", LOADED)
    assert {"alice": Report(Event.LOADED)} == room.heard()
    room.ears.attend({"mallory": None, "alice": OURS})
    assert room.attend("mallory") is None
    assert {"alice"} == set(os.listdir(room.told))
    assert time.monotonic() - began < 5


def test_nor_do_they_when_their_socket_is_closed(runtime: Path) -> None:
    """Withdrawn with such a datagram unread: the thread that looks goes on at once."""
    room = Room(runtime)
    room.attend("mallory")
    with lingering(20) as slow:
        room.say("mallory", LOADED, slow)
    began = time.monotonic()
    room.ears.attend({"mallory": None})
    room.ears.stop()
    assert time.monotonic() - began < 5
    assert {"mallory"} == room.ears.muted


@contextlib.contextmanager
def lingering(seconds: int) -> Iterator[int]:
    """Yield a descriptor whose last close takes so long."""
    listener = socket.create_server(("127.0.0.1", 0))
    slow = socket.create_connection(listener.getsockname())
    peer, _ = listener.accept()
    slow.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            slow.send(b"x" * 65536)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
    try:
        yield slow.fileno()
    finally:
        slow.close()  # it was sent: this is not the last
        listener.close()
        _KEPT.append(peer)


_KEPT: list[Any] = []
"""The peers of what lingers: with one of them closed, nothing would linger."""


def test_everybody_is_heard_at_once(room: Room) -> None:
    """All tell in the same moment: nobody is lost, and there is one message at a time."""
    names = [f"s{n}" for n in range(300)]
    room.attend(*names)
    for name in names:
        assert room.say(name, LOADED)
    told: dict[str, Report] = {}
    wait_for(lambda: told.update(room.heard()) or len(told) == len(names), 5.0, "all are heard")


def test_of_several_reports_of_one_moment_the_one_that_counts_is_kept(runtime: Path) -> None:
    """Why it could not load, and not that it ended after that."""
    room = Room(runtime)
    room.attend("alice")
    for text in (LOADED, failed("views.py:1"), b'{"event": "ends", "why": "stopped"}', b"junk"):
        room.say("alice", text)
    room.ears.start()
    told = room.heard()["alice"]
    assert "views.py:1" == told.failure.where  # type: ignore[union-attr]
    room.ears.stop()
