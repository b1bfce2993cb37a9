"""What is impossible in the jail, tried from inside it with the jail's own text."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.observe import jail, roots

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give privileges up")

PROBE = """
import json, os, resource, signal, socket, sys, threading, time
jail = {"__name__": "jail"}
exec(compile(os.environ["ROOTS"], "roots.py", "exec"), jail)
exec(compile(os.environ["JAIL"], "jail.py", "exec"), jail)
port, outside, victim = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
jail["lockdown"]()

def tell(call):
    try:
        return "did it: %r" % (call(),)
    except BaseException as error:
        return type(error).__name__

def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)

print(json.dumps({
    "read": tell(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "read above": tell(lambda: os.open("../../../../etc/passwd", os.O_RDONLY)),
    "list": tell(lambda: os.listdir("/")),
    "create": tell(lambda: os.open("/x", os.O_CREAT | os.O_WRONLY)),
    "tmpfile": tell(lambda: os.open("/tmp", os.O_TMPFILE | os.O_WRONLY)),
    "mkdir": tell(lambda: os.mkdir("/x")),
    "stat": tell(lambda: os.stat("/etc/passwd")),
    "unlink": tell(lambda: os.unlink(outside)),
    "chmod": tell(lambda: os.chmod(outside, 0o777)),
    "chroot": tell(lambda: os.chroot("/")),
    "tcp": tell(lambda: socket.socket()),
    "unix": tell(lambda: socket.socket(socket.AF_UNIX)),
    "netlink": tell(lambda: socket.socket(socket.AF_NETLINK)),
    "connect": tell(lambda: socket.create_connection(("127.0.0.1", port), 1)),
    "pipe": tell(os.pipe),
    "dup": tell(lambda: os.dup(1)),
    "memfd": tell(lambda: os.memfd_create("x")),
    "fork": tell(fork),
    "thread": tell(lambda: threading.Thread(target=int).start()),
    "exec": tell(lambda: os.execv("/bin/true", ["true"])),
    "kill": tell(lambda: os.kill(victim, 9)),
    "root again": tell(lambda: os.setresuid(0, 0, 0)),
    "groups again": tell(lambda: os.setgroups([0])),
    "more descriptors": tell(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))),
    "more processes": tell(lambda: resource.setrlimit(resource.RLIMIT_NPROC, (99, 99))),
    "memory": tell(lambda: len(bytearray(300 << 20))),
    "import": tell(lambda: __import__("csv")),
    "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
}), flush=True)
sys.stdin.read(1)
"""

WHAT_FAILS = {
    "read": "OSError", "read above": "OSError", "list": "OSError", "create": "OSError",
    "tmpfile": "OSError", "tcp": "OSError", "unix": "OSError", "netlink": "OSError",
    "connect": "OSError", "pipe": "OSError", "dup": "OSError", "memfd": "OSError",
    "fork": "BlockingIOError", "thread": "RuntimeError", "memory": "MemoryError",
    "more descriptors": "ValueError", "more processes": "ValueError",
}  # fmt: skip
WHAT_FAILS_ROOT = {
    "mkdir": "FileNotFoundError", "stat": "FileNotFoundError", "unlink": "FileNotFoundError",
    "chmod": "FileNotFoundError", "chroot": "PermissionError", "kill": "PermissionError",
    "root again": "PermissionError", "groups again": "PermissionError", "exec": "FileNotFoundError",
}  # fmt: skip


def _jailed(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            "ROOTS": Path(roots.__file__).read_text(),
            "JAIL": Path(jail.__file__).read_text(),
            "LC_ALL": "C.UTF-8",
        },
    )


def test_the_jail_leaves_nothing_to_use(tmp_path: Path) -> None:
    """No file, socket, process, privilege; and what is tried here would succeed outside."""
    outside = tmp_path / "outside"
    outside.touch()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        subprocess.Popen(["sleep", "60"]) as victim,
        _jailed(PROBE, str(server.getsockname()[1]), str(outside), str(victim.pid)) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{child.pid}/status").read_text().splitlines()
        )
        child.stdin.close()
        still_there = victim.poll() is None
        victim.kill()
    assert WHAT_FAILS == {name: told[name] for name in WHAT_FAILS}
    assert "1" == status["NoNewPrivs"]
    if os.geteuid() == 0:
        assert WHAT_FAILS_ROOT == {name: told[name] for name in WHAT_FAILS_ROOT}
        assert [[jail.NOBODY] * 3, [jail.NOBODY] * 3, []] == told["ids"]
        assert {0} == {int(status[kind], 16) for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb")}
        assert still_there
        assert 0o644 == outside.stat().st_mode & 0o777


@as_root
def test_a_step_that_fails_opens_no_half_jail() -> None:
    """A unit that takes CAP_SYS_CHROOT away: an error that names the step, and no parsing."""
    code = """
import os
jail = {"__name__": "jail"}
exec(compile(os.environ["ROOTS"], "roots.py", "exec"), jail)
exec(compile(os.environ["JAIL"], "jail.py", "exec"), jail)
def refuse(path):
    raise PermissionError(1, "Operation not permitted")
os.chroot = refuse
jail["main"]("parser", "2")
"""
    with _jailed(code) as child:
        out = child.communicate()[0]
    assert ["failed", "chroot: [Errno 1] Operation not permitted"] == json.loads(out[4:])


def test_a_busy_loop_ends_by_the_cpu_limit() -> None:
    """SIGXCPU comes by itself, with no one left who could send a signal; even if it was blocked."""
    code = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXCPU])
jail = {"__name__": "jail"}
exec(compile(os.environ["ROOTS"], "roots.py", "exec"), jail)
exec(compile(os.environ["JAIL"], "jail.py", "exec"), jail)
jail["lockdown"]()
jail["renew"](1)
while True: pass
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with _jailed(code) as child:
        assert -signal.SIGXCPU == child.wait(30)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 3


def test_cpu_is_granted_anew_for_each_script() -> None:
    """A helper that lives for weeks has used far more than one script may."""
    code = """
import os, time
jail = {"__name__": "jail"}
exec(compile(os.environ["ROOTS"], "roots.py", "exec"), jail)
exec(compile(os.environ["JAIL"], "jail.py", "exec"), jail)
jail["lockdown"]()
for turn in range(5):
    jail["renew"](1)
    end = time.process_time() + 0.5
    while time.process_time() < end: pass
print("lived")
"""
    with _jailed(code) as child:
        assert "lived\n" == child.communicate()[0]


@pytest.mark.parametrize("frame", [b"", b"\0", b"\0\0\0\5abc", b"\xff\xff\xff\xff", b"GET / HTTP"])
def test_a_broken_request_ends_the_helper_quietly(frame: bytes) -> None:
    """Its owner died in mid-sentence: nothing to say, and nobody to say it to."""
    code = """
import os
jail = {"__name__": "jail"}
exec(compile(os.environ["ROOTS"], "roots.py", "exec"), jail)
exec(compile(os.environ["JAIL"], "jail.py", "exec"), jail)
jail["main"]("parser", "2")
"""
    with _jailed(code) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.buffer.write(frame)
        child.stdin.close()
        assert b'\0\0\0\x09["ready"]' == child.stdout.buffer.read()
        assert 0 == child.wait(10)
