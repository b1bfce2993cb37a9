"""Listens to what apps tell of themselves: a socket for each account, `<runtime>/told/<account>`.

A socket belongs to its account alone, in a directory of root's: so whose report it is, is known by
where it came in, and the kernel queues ten for each. (*Measured* with one socket for all: two
processes of one student muted up to 96 % of everybody's reports.)

Who sends may be hostile. Of one account there is room for one report, the last; a turn takes a
bounded number of datagrams, and an account has a bounded number of turns: the rest stays in the
kernel, and its sender is told that there is no room. A datagram may also carry descriptors, and
who takes such a one closes them: *measured*, a connection with SO_LINGER and unsent data, sent
along and dropped, held this thread for as long as its sender wished. So each datagram is looked at
before it is taken, and who sends descriptors is not listened to any more.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

from reconciler.health.reports import MOST_BYTES, Report, latest, read

DATAGRAMS = 16
"""Taken of one account in a turn: what the kernel queues (`net.unix.max_dgram_qlen`), and more."""
BURST, TURNS = 8, 4
"""Turns that an account has at once, and then each second. An app tells a few times at each save;
who floods is read late, so what it tells when it stops finds room within a quarter of a second.
*Measured*: 22 µs a datagram, so that one who floods costs a thousandth of a processor."""
RESERVE = 256
"""Descriptors that are left for homes, the helpers and Apache's test."""

Ids = tuple[int, int]
"""An account's uid and gid."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """The message that somebody has told something. There is one under way at a time."""

    take: Callable[[], Mapping[str, Report]]
    """Return what was told, the last of each account, and forget it."""


@dataclass(slots=True, eq=False)
class _Ear:
    account: str
    ids: Ids
    socket: socket.socket
    turns: float = BURST
    counted_at: float = 0.0


class Ears:
    """Listens, in a thread of its own. All else is for the thread that made it."""

    def __init__(self, runtime: str, send: Callable[[Heard], None], *, most: int) -> None:
        """`send` puts a message into the inbox; `most` accounts are listened to."""
        self._directory = f"{runtime}/told"
        self._send, self._most = send, most
        self._lock = threading.Lock()
        """Held for whatever is below."""
        self._ears: dict[str, _Ear] = {}
        self._by_descriptor: dict[int, _Ear] = {}
        self._told: dict[str, Report] = {}
        self._muted: set[str] = set()
        self._troubles: dict[str, str] = {}
        self._resting: dict[int, float] = {}
        """By descriptor: when it is listened to again."""
        self._poll = select.epoll()
        self._stop = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._stop, select.EPOLLIN)
        self._thread = threading.Thread(target=self._listen, name="ears", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Take what was told until now, and end. The names stay: who comes next binds over them."""
        os.eventfd_write(self._stop, 1)
        if self._thread.ident is not None:
            self._thread.join()
        with self._lock:
            for ear in list(self._ears.values()):
                self._turn(ear)
        for account in list(self._ears):
            self._let_go(account)
        self._poll.close()
        os.close(self._stop)

    @property
    def muted(self) -> Set[str]:
        """Who sent descriptors, and is not listened to any more."""
        with self._lock:
            return frozenset(self._muted)

    # ---- who is listened to --------------------------------------------------------------------

    @property
    def trouble(self) -> str | None:
        """Why somebody cannot be listened to: tried again when they are named again."""
        if not self._troubles:
            return None
        account, why = min(self._troubles.items())
        others = f" (and {len(self._troubles) - 1} more)" if len(self._troubles) > 1 else ""
        return f"{account}{others} cannot tell how it is: {why}"

    def attend(self, accounts: Mapping[str, Ids | None]) -> None:
        """Listen to these accounts as who they are now, and to those with None not any more."""
        for account, ids in accounts.items():
            ear = self._ears.get(account)
            if ear is not None and ear.ids != ids:
                self._let_go(account)
                with self._lock:
                    self._told.pop(account, None)  # it may be another's, by the same name
                self._unlink(account)
                ear = None
            self._troubles.pop(account, None)
            if ear is None and ids is not None and account not in self._muted:
                try:
                    self._open(account, ids)
                except OSError as error:
                    self._troubles[account] = error.strerror or str(error)

    def tidy(self) -> None:
        """Remove names that an earlier process left; put back what a tidy-up of `/run` took."""
        try:
            there = set(os.listdir(self._directory))
        except OSError:
            there = set()
        with self._lock:
            ours = {account: ear.ids for account, ear in self._ears.items()}
        for name in there - ours.keys():
            self._unlink(name)
        gone = {account: ids for account, ids in ours.items() if account not in there}
        self.attend(dict.fromkeys(gone))
        self.attend(gone)

    def _open(self, account: str, ids: Ids) -> None:
        """Make an account's socket, and give it its name only once it is the account's alone."""
        if len(self._ears) >= self._most:
            raise OSError(0, f"there are descriptors for {self._most} apps alone (LimitNOFILE=)")
        os.makedirs(self._directory, mode=0o711, exist_ok=True)
        temporary = f"{self._directory}/.{secrets.token_hex(4)}"
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            try:
                made.bind(temporary)
                os.chmod(temporary, 0o600)
                os.lchown(temporary, *ids)
                os.rename(temporary, f"{self._directory}/{account}")
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
            ear = _Ear(account, ids, made)
            with self._lock:
                self._ears[account] = self._by_descriptor[made.fileno()] = ear
                self._poll.register(made, select.EPOLLIN)
        except BaseException:
            made.close()
            raise

    def _unlink(self, account: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(f"{self._directory}/{account}")

    def _let_go(self, account: str) -> None:
        """Close an account's socket; what is still in it is not read."""
        with self._lock:
            ear = self._ears.get(account)
            if ear is None:  # muted meanwhile
                return
            self._forget(ear)
        ear.socket.shutdown(socket.SHUT_RD)  # from here on, nothing can be added
        while (found := _peek(ear.socket)) is not None:
            if found.has_descriptors:
                self._mute(ear)
                return
            ear.socket.recv(1)
        ear.socket.close()

    def _mute(self, ear: _Ear) -> None:
        """Leave its socket open until this process ends: to close it would close what is in it."""
        self._muted.add(ear.account)
        self._unlink(ear.account)
        ear.socket.detach()

    def _forget(self, ear: _Ear) -> None:
        descriptor = ear.socket.fileno()
        self._poll.unregister(descriptor)
        self._resting.pop(descriptor, None)
        del self._by_descriptor[descriptor], self._ears[ear.account]

    # ---- listening -----------------------------------------------------------------------------

    def _listen(self) -> None:
        while True:
            ready = self._poll.poll(self._wake_the_rested())
            for descriptor, _ in ready:
                if descriptor == self._stop:
                    return
                with self._lock:
                    ear = self._by_descriptor.get(descriptor)
                    if ear is not None:
                        self._turn(ear)

    def _turn(self, ear: _Ear) -> None:
        """Take what one account has told, up to a bound, and let it rest if it tells too much."""
        for _ in range(DATAGRAMS):
            found = _peek(ear.socket)
            if found is None:
                break
            if found.has_descriptors:
                self._forget(ear)
                self._mute(ear)
                return
            ear.socket.recv(1)
            report = None if found.is_cut else read(found.data)
            if report is not None:
                self._note(ear.account, report)
        now = time.monotonic()
        ear.turns = min(BURST, ear.turns + (now - ear.counted_at) * TURNS) - 1
        ear.counted_at = now
        if ear.turns < 1:
            self._poll.modify(ear.socket, 0)
            self._resting[ear.socket.fileno()] = now + (1 - ear.turns) / TURNS

    def _wake_the_rested(self) -> float | None:
        """Listen again to who has rested; return the seconds until the next has, if any rests."""
        with self._lock:
            now = time.monotonic()
            for descriptor in [d for d, until in self._resting.items() if until <= now]:
                del self._resting[descriptor]
                self._poll.modify(descriptor, select.EPOLLIN)
            return min(self._resting.values()) - now if self._resting else None

    def _note(self, account: str, report: Report) -> None:
        is_first = not self._told
        self._told[account] = latest(self._told.get(account), report)
        if is_first:
            self._send(Heard(self._take))

    def _take(self) -> Mapping[str, Report]:
        with self._lock:
            told, self._told = self._told, {}
        return told


@dataclass(frozen=True, slots=True)
class _Datagram:
    data: bytes
    is_cut: bool
    """It was longer than a report is."""
    has_descriptors: bool


def _peek(ear: socket.socket) -> _Datagram | None:
    """Return the next datagram, and leave it there; None where there is none."""
    try:
        data, _, flags, _ = ear.recvmsg(MOST_BYTES, 0, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    return _Datagram(data, bool(flags & socket.MSG_TRUNC), bool(flags & socket.MSG_CTRUNC))
