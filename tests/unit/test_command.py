"""An administrator's command: bounded in time and words, without shell, input or leftovers."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from reconciler.publish import command
from reconciler.publish.command import CommandError
from tests.lab.waiting import wait_for


def sh(script: str, **more: object) -> str:
    return command.run(["sh", "-c", script], **{"timeout": 10, **more})  # type: ignore[arg-type]


def test_what_it_printed_is_returned() -> None:
    """Both streams, in order, and what the environment adds."""
    assert "one\ntwo three\n" == sh("echo one; echo two $MORE >&2", environment={"MORE": "three"})


def test_it_has_no_input_and_no_shell() -> None:
    """It reads nothing of ours; its words are its own."""
    assert "" == command.run(["cat"], timeout=10)
    assert "$HOME; x\n" == command.run(["echo", "$HOME;", "x"], timeout=10)


def test_only_the_end_of_many_words_is_kept() -> None:
    """64 KiB, and of that 4,096 characters in an error."""
    said = sh("yes abcdefg | head -c 1000000; echo END")
    assert 65536 == len(said)
    assert said.endswith("END\n")
    with pytest.raises(CommandError) as raised:
        sh("yes abcdefg | head -c 1000000; echo END; exit 3")
    assert (3, 65536) == (raised.value.status, len(raised.value.said))
    assert len(str(raised.value)) <= 4096
    assert str(raised.value).endswith("END")


def test_bytes_that_are_no_text_are_told_all_the_same() -> None:
    """Nothing that a command prints raises."""
    assert "�\n" == sh("printf '\\377\\n'")


def test_one_that_fails_silently_is_named() -> None:
    """With its status."""
    with pytest.raises(CommandError, match=r"`sh -c exit 4` ended with 4"):
        sh("exit 4")


def test_one_that_is_not_there_has_no_status() -> None:
    """It blames nobody."""
    with pytest.raises(CommandError, match="/nowhere: No such file") as raised:
        command.run(["/nowhere"], timeout=1)
    assert None is raised.value.status


def test_one_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    """In its time, though its children ignore signals."""
    began = time.monotonic()
    with pytest.raises(CommandError, match=r"did not end within 0\.3 s") as raised:
        sh(f"trap '' TERM HUP; sleep 60 & echo $! >{tmp_path}/child; wait", timeout=0.3)
    assert None is raised.value.status
    assert time.monotonic() - began < 5
    child = int((tmp_path / "child").read_text())

    def ended() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except FileNotFoundError:
            return True

    wait_for(ended)


def test_one_that_leaves_a_child_behind_is_not_waited_for() -> None:
    """A daemon that it started keeps its output open: that is no pipe that we would wait at."""
    began = time.monotonic()
    pid = int(sh("sleep 30 & echo $!"))
    assert time.monotonic() - began < 5
    os.kill(pid, 9)
