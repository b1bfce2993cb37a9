"""A helper that hangs ends itself: the unit has no power to kill another user's process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.observe import jail

IMPORT = "from reconciler.observe.roots import roots"
ROLES = '{"parser": parser, "reader": reader}[role](argument)'


def helper(answer: str) -> subprocess.Popen[bytes]:
    """Start jail.py's own loop with another `answer`, and a second for each request."""
    text = Path(jail.__file__).read_text()
    assert 1 == text.count(f"HANG = {jail.HANG}")
    assert 1 == text.count(ROLES)
    text = text.replace(f"HANG = {jail.HANG}", "HANG = 1").replace(ROLES, answer)
    assert 1 == text.count(IMPORT)
    text = text.replace(IMPORT, "pass")
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", text, "reader", "nobody"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert b'["ready"]' == said(process)
    assert process.stdin
    process.stdin.write(b"\0\0\0\1x")
    return process


def said(process: subprocess.Popen[bytes]) -> bytes:
    """Return the body of one frame."""
    assert process.stdout
    return process.stdout.read(int.from_bytes(process.stdout.read(4), "big"))


def test_a_request_that_hangs_is_the_end_of_it() -> None:
    """As an open below a mount whose server is dead does, closed input or not."""
    with helper("lambda request: time.sleep(1000)") as process:
        assert -signal.SIGALRM == process.wait(20)


def test_an_idle_helper_waits_as_long_as_it_takes() -> None:
    """The time is a request's, not the helper's."""
    with helper("len") as process:
        assert b"1" == said(process)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        assert process.stdin
        process.stdin.close()
        assert 0 == process.wait(20)
