"""Becoming a student, for one thread and while it looks: what it may read is what the student may.

The kernel decides on a file by the thread's fsuid, fsgid and supplementary groups. All else, as who
may trace or signal it, goes by the other ids, which stay: a student gets no hold on us.
"""

from __future__ import annotations

import array
import ctypes
import errno
import os
import platform
import struct
import threading
from collections.abc import Callable

from reconciler.model import Account
from reconciler.observe.accounts import Accounts

Become = Callable[[Account | None], None]
"""The calling thread becomes that account, or with None goes back to what the process is."""

# glibc's own setgroups changes every thread of the process, as POSIX wants it; the system call one.
_SETGROUPS = {"x86_64": 116, "aarch64": 159, "riscv64": 159, "ppc64le": 81, "s390x": 206}
_SETGROUPS32 = dict.fromkeys(
    ("i386", "i486", "i586", "i686", "armv6l", "armv7l", "armv8l", "x86_64", "aarch64"), 206
)
"""In a process of 32 bits, also on a kernel of 64."""
_ASK = 0xFFFFFFFF
"""As an id: change nothing, and say which one it is."""

# PyDLL keeps Python's lock: none of the calls waits, and to give it up and take it costs as much.
_LIBC = ctypes.PyDLL(None, use_errno=True)
_setfsuid, _setfsgid, _syscall = _LIBC.setfsuid, _LIBC.setfsgid, _LIBC.syscall
_setfsuid.argtypes = _setfsgid.argtypes = (ctypes.c_uint32,)
_setfsuid.restype = _setfsgid.restype = ctypes.c_uint32
_syscall.argtypes = (ctypes.c_long, ctypes.c_size_t, ctypes.c_char_p)
_syscall.restype = ctypes.c_long

_Ids = tuple[int, int, tuple[int, ...]]
"""uid, gid, and the supplementary groups in the kernel's own order."""
_OWN: _Ids = os.geteuid(), os.getegid(), tuple(os.getgroups())
"""What the process was when it began, before any thread could be somebody else."""


class _Thread(threading.local):
    """What the calling thread is known to be."""

    ids: _Ids | None = None
    """None: not known, as of a thread that a student's thread has started."""


_THREAD = _Thread()


def become(account: Account | None) -> None:
    """Make the calling thread this account for the file system, or with None itself again.

    From one student to the next without going back in between: *measured* on a virtual machine,
    7 µs, and 12 there and back. No process and no thread may be started meanwhile: it would begin
    as the student.

    Raises:
        OSError: it cannot. It is itself then, unless the text says that it cannot be that either.
    """
    if account is not None and account.uid == 0:
        raise PermissionError(errno.EPERM, f"{account.name} has root's uid, and is no student")
    wanted = _OWN if account is None else (account.uid, account.gid, account.groups)
    if wanted == _THREAD.ids:
        return
    try:
        _take(wanted)
    except OSError as error:
        try:
            _take(_OWN)
        except OSError as worse:
            raise OSError(worse.errno, f"cannot be itself again: {worse.strerror}") from error
        if account is None:
            return
        raise OSError(error.errno, f"cannot read as {account.name}: {error.strerror}") from error


def _take(wanted: _Ids) -> None:
    uid, gid, groups = wanted
    known, _THREAD.ids = _THREAD.ids, None
    if known is None or known[2] != groups:
        _set_groups(groups)
    _setfsgid(gid)
    _setfsuid(uid)  # last: most of root's powers over files go with it, and come back with it
    # Neither call says whether it did anything.
    if _setfsuid(_ASK) != uid or _setfsgid(_ASK) != gid:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    _THREAD.ids = wanted


def _set_groups(groups: tuple[int, ...]) -> None:
    if tuple(os.getgroups()) == groups:
        return
    call = number_of_setgroups(platform.machine(), 8 * struct.calcsize("P"))
    if _syscall(call, len(groups), array.array("I", groups).tobytes()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if tuple(os.getgroups()) != groups:
        raise PermissionError(errno.EPERM, "it has other groups than it asked for")


def number_of_setgroups(machine: str, bits: int) -> int:
    """Return the number of the system call in a process of so many bits.

    Raises:
        OSError: it is not known.
    """
    number = (_SETGROUPS if bits == 64 else _SETGROUPS32).get(machine)
    if number is None:
        why = f"the system call setgroups has no number known for {machine} of {bits} bits"
        raise OSError(errno.ENOSYS, why)
    return number


class Residents:
    """For a thread that knows homes by their names: becomes whoever lives there."""

    def __init__(self, accounts: Accounts, become: Become) -> None:
        """`accounts` is for that thread alone."""
        self._accounts = accounts
        self._become = become
        self._known: dict[str, Account | None] = {}

    def enter(self, name: str | None) -> bool:
        """Become the account of that name; None: back to the process, and the round is over.

        The database is read once a round, as the process, and asked once for each name.

        Returns:
            whether it may go on: False, and the thread is the process, where there is no such
            account, or none that can be become.

        Raises:
            OSError: it cannot go back.
        """
        if name is None:
            self._become(None)
            self._known.clear()
            return True
        if name not in self._known:
            self._become(None)
            if not self._known:
                self._accounts.refresh()
            self._known[name] = self._accounts.find(name, {})[1]
        account = self._known[name]
        try:
            self._become(account)
        except OSError:
            self._become(None)
            return False
        return account is not None
