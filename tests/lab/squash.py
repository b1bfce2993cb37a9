"""A file system as two kinds of server make them, by FUSE's own protocol: no NFS is to be had here.

`python -m tests.lab.squash BEHIND MOUNT [--unlisted]` shows the directory BEHIND at MOUNT, to read.
Each call is made with its caller's fsuid and fsgid, as NFS carries them, and root's as nobody's, as
under `root_squash`. With `--unlisted` the top lists a name only once it was called, as autofs does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.model import Account
from reconciler.observe.identity import become
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
READ_ONLY = 1
_IN, _OUT = struct.Struct("=IIQQIIII"), struct.Struct("=IiQ")
_ATTR = struct.Struct("=6Q10I")
_NO_REPLY = {2, 36, 42}
"""FORGET, INTERRUPT, BATCH_FORGET."""


@contextlib.contextmanager
def mounted(behind: Path, mount: Path, *more: str) -> Iterator[None]:
    """Serve `behind` at `mount` for the length of a block."""
    server = subprocess.Popen([sys.executable, "-m", "tests.lab.squash", behind, mount, *more])
    try:
        wait_for(lambda: os.path.ismount(mount), 20, "the mount")
        yield
    finally:
        # A daemon of mod_wsgi's has its home as its directory, so that it is busy.
        subprocess.run(["umount", "--lazy", mount], check=True)
        server.kill()
        server.wait(10)


class Server:
    """Answers one request after the other."""

    def __init__(self, behind: str, *, unlisted: bool) -> None:
        self._paths = {1: behind}
        self._numbers = {behind: 1}
        self._called: set[str] | None = set() if unlisted else None
        self._calls = {
            1: self.lookup, 3: self.getattr, 5: self.readlink, 14: self.open, 15: self.read,
            17: self.statfs, 18: self.release, 25: self.nothing, 26: self.init, 27: self.opendir,
            28: self.readdir, 29: self.nothing, 34: self.access,
        }  # fmt: skip

    def serve(self, device: int) -> None:
        """Go on until it is unmounted."""
        while True:
            try:
                request = os.read(device, 1 << 20)
            except OSError:
                return
            _, opcode, unique, node, uid, gid, _, _ = _IN.unpack_from(request)
            if opcode in _NO_REPLY:
                continue
            error, body = 0, b""
            try:
                become(_account(uid, gid))
                if opcode not in self._calls:
                    raise OSError(38, "ENOSYS")
                body = self._calls[opcode](self._paths.get(node, ""), request[_IN.size :])
            except OSError as problem:
                error = -(problem.errno or 5)
            finally:
                become(None)
            with contextlib.suppress(OSError):
                os.write(device, _OUT.pack(_OUT.size + len(body), error, unique) + body)

    def init(self, _path: str, _data: bytes) -> bytes:
        return struct.pack("=4I2H2I2H8I", 7, 31, 65536, 0, 12, 9, 65536, 1, 0, 0, *[0] * 8)

    def lookup(self, path: str, data: bytes) -> bytes:
        name = os.fsdecode(data.rstrip(b"\0"))
        found = f"{path}/{name}"
        attributes = _attributes(found)
        if self._called is not None and path == self._paths[1]:
            self._called.add(name)
        number = self._numbers.setdefault(found, len(self._numbers) + 1)
        self._paths[number] = found
        return struct.pack("=4Q2I", number, 0, 0, 0, 0, 0) + attributes

    def getattr(self, path: str, _data: bytes) -> bytes:
        return struct.pack("=Q2I", 0, 0, 0) + _attributes(path)

    def readlink(self, path: str, _data: bytes) -> bytes:
        return os.fsencode(os.readlink(path))

    def access(self, path: str, data: bytes) -> bytes:
        # Else it would ask for the real uid, which is root's.
        if not os.access(path, struct.unpack_from("=I", data)[0], effective_ids=True):
            raise PermissionError(13, "EACCES")
        return b""

    def open(self, path: str, _data: bytes) -> bytes:
        return struct.pack("=Q2I", os.open(path, os.O_RDONLY), 0, 0)

    def read(self, _path: str, data: bytes) -> bytes:
        descriptor, offset, size = struct.unpack_from("=QQI", data)
        return os.pread(descriptor, size, offset)

    def release(self, _path: str, data: bytes) -> bytes:
        os.close(struct.unpack_from("=Q", data)[0])
        return b""

    def opendir(self, path: str, _data: bytes) -> bytes:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
        return struct.pack("=Q2I", 0, 0, 0)

    def readdir(self, path: str, data: bytes) -> bytes:
        _, offset, size = struct.unpack_from("=QQI", data)
        names = sorted(os.listdir(path))
        if self._called is not None and path == self._paths[1]:
            names = [name for name in names if name in self._called]
        body = b""
        for number, name in enumerate(names[offset:], offset + 1):
            raw = os.fsencode(name)
            status = os.lstat(f"{path}/{name}")
            kind = status.st_mode >> 12
            row = struct.pack("=2Q2I", status.st_ino, number, len(raw), kind) + raw
            row += b"\0" * (-len(row) % 8)
            if len(body) + len(row) > size:
                break
            body += row
        return body

    def statfs(self, _path: str, _data: bytes) -> bytes:
        return struct.pack("=5Q10I", 0, 0, 0, 0, 0, 4096, 255, 4096, *[0] * 7)

    def nothing(self, _path: str, _data: bytes) -> bytes:
        return b""


def _attributes(path: str) -> bytes:
    status = os.lstat(path)
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    return _ATTR.pack(
        status.st_ino, status.st_size, status.st_blocks, *(t // 10**9 for t in times),
        *(t % 10**9 for t in times), status.st_mode, status.st_nlink, status.st_uid, status.st_gid,
        0, 4096, 0,
    )  # fmt: skip


def _account(uid: int, gid: int) -> Account:
    uid, gid = (NOBODY, NOBODY) if uid == 0 else (uid, gid)
    return Account("caller", uid, gid, "/", "caller", private_group=True)


def main(behind: str, mount: str, *more: str) -> None:
    """Mount it, and serve until it is unmounted."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"squash", os.fsencode(mount), b"fuse", READ_ONLY, options) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    Server(behind, unlisted="--unlisted" in more).serve(device)


if __name__ == "__main__":
    main(*sys.argv[1:])
