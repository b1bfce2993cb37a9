"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from reconciler.notify import Supervisor

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


def test_each_telling_is_one_datagram(systemd: socket.socket) -> None:
    """`KEY=value` lines, as sd_notify(3) has them."""
    supervisor = Supervisor()
    supervisor.tell(READY="1", STATUS="412 apps, 9 rejected, generation 57")
    supervisor.tell(STOPPING="1")
    assert [
        "READY=1\nSTATUS=412 apps, 9 rejected, generation 57",
        "STOPPING=1",
    ] == heard(systemd)


def test_three_beats_fit_in_the_watchdogs_time(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is late is no death; and another process's watchdog is none of ours."""
    del systemd
    assert 60.0 == Supervisor().beat_every
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert 60.0 == Supervisor().beat_every
    monkeypatch.setenv("WATCHDOG_PID", str(os.getppid()))
    assert None is Supervisor().beat_every


def test_without_systemd_nothing_is_told_or_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand or in a container it runs just so."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    supervisor = Supervisor()
    supervisor.tell(READY="1")
    assert None is supervisor.beat_every


def test_a_supervisor_that_does_not_listen_stops_nobody(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a full queue nor a socket that is gone blocks or raises."""
    supervisor = Supervisor()
    for number in range(5000):  # net.unix.max_dgram_qlen is 10 to 512
        supervisor.tell(STATUS=str(number))
    assert "STATUS=0" == heard(systemd)[0]
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    Supervisor().tell(READY="1")
