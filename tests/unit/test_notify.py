"""What systemd is told, over a real datagram socket, and that a ping takes a watcher that hears."""

from __future__ import annotations

import os
import queue
import socket
from typing import TYPE_CHECKING

import pytest

from reconciler.notify import Supervisor
from reconciler.watch import Wake, Watch
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """The other end of `NOTIFY_SOCKET`, in either of the forms that systemd gives it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        if request.param == "path":
            address = str(tmp_path / "notify")
            end.bind(address)
        else:
            address = f"@slp-{os.getpid()}-{tmp_path.name}"
            end.bind(f"\0{address[1:]}")
        end.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "180000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield end


def heard(end: socket.socket) -> list[str]:
    """Return the datagrams that have come since the last call."""
    found = []
    while True:
        try:
            found.append(end.recv(4096).decode())
        except BlockingIOError:
            return found


def test_each_telling_is_one_datagram(systemd: socket.socket, tmp_path: Path) -> None:
    """`KEY=value` lines, as sd_notify(3) has them."""
    supervisor = Supervisor(str(tmp_path))
    supervisor.tell(READY="1", STATUS="412 apps, 9 rejected, generation 57")
    supervisor.tell(STOPPING="1")
    assert [
        "READY=1\nSTATUS=412 apps, 9 rejected, generation 57",
        "STOPPING=1",
    ] == heard(systemd)


def test_a_beat_is_no_ping_until_the_watcher_has_seen_it(
    systemd: socket.socket, tmp_path: Path
) -> None:
    """With a watcher each beat comes back and pings; without one it goes unheard."""
    supervisor = Supervisor(str(tmp_path))
    supervisor.prepare()
    (tmp_path / "homes").mkdir()
    wakes: queue.SimpleQueue[Wake] = queue.SimpleQueue()
    watch = Watch(
        str(tmp_path / "homes"),
        patterns=["*/wsgi.py"],
        budget=8,
        files=[supervisor.canary],
        wake=wakes.put,
    )
    watch.start()
    try:
        for _ in range(2):  # the second replaces a file, the first makes one
            supervisor.beat()
            assert [] == heard(systemd)
            assert frozenset({supervisor.canary}) == wakes.get(timeout=10).files
            supervisor.heard()
            assert ["WATCHDOG=1"] == heard(systemd)
    finally:
        watch.stop()
    wait_for(lambda: not watch.alive(), 10, "the watcher to end")
    supervisor.beat()
    with pytest.raises(queue.Empty):
        wakes.get(timeout=0.3)
    assert [] == heard(systemd)


def test_a_beat_says_that_the_state_cannot_be_written(
    systemd: socket.socket, tmp_path: Path
) -> None:
    """Its failure is the loop's to tell, and no ping."""
    supervisor = Supervisor(str(tmp_path / "gone"))
    with pytest.raises(OSError, match="No such file"):
        supervisor.beat()
    assert [] == heard(systemd)


def test_three_beats_fit_in_the_watchdogs_time(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is late is no death; and another process's watchdog is none of ours."""
    del systemd
    assert 60.0 == Supervisor(str(tmp_path)).beat_every
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert 60.0 == Supervisor(str(tmp_path)).beat_every
    monkeypatch.setenv("WATCHDOG_PID", str(os.getppid()))
    assert None is Supervisor(str(tmp_path)).beat_every


def test_without_systemd_nothing_is_told_or_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand or in a container it runs just so."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    supervisor = Supervisor(str(tmp_path))
    supervisor.tell(READY="1")
    supervisor.prepare()
    assert None is supervisor.beat_every
    assert [] == list(tmp_path.iterdir())


def test_a_supervisor_that_does_not_listen_stops_nobody(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a full queue nor a socket that is gone blocks or raises."""
    supervisor = Supervisor(str(tmp_path))
    for number in range(5000):  # net.unix.max_dgram_qlen is 10 to 512
        supervisor.tell(STATUS=str(number))
    assert "STATUS=0" == heard(systemd)[0]
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    Supervisor(str(tmp_path)).tell(READY="1")
