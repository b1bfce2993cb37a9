"""Runs an administrator's command with a bound on its time and its words."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

_SAID = 65536  # bytes kept of what it prints: the end, where the fault is
_WORDS = 4096  # and of that, what an error shows


class CommandError(Exception):
    """The command could not be run, did not end in time, or ended badly."""

    def __init__(self, text: str, *, status: int | None, said: str = "") -> None:
        super().__init__(text)
        self.status = status
        """Its exit status; None where it has none."""
        self.said = said
        """The end of what it printed."""


def run(
    command: Sequence[str], *, timeout: float, environment: Mapping[str, str] | None = None
) -> str:
    """Run it to its end, without a shell and without input; return the end of what it printed.

    Raises:
        CommandError: see there. One that hangs is killed with all that it started.
    """
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(f"{command[0]}: {error.strerror}", status=None) from error
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            text = f"`{' '.join(command)}` did not end within {timeout:g} s"
            raise CommandError(text, status=None) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        words.seek(0, os.SEEK_END)
        words.seek(max(0, words.tell() - _SAID))
        said = words.read().decode(errors="replace")
    if status != 0:
        text = " ".join(said[-_WORDS:].split()) or f"`{' '.join(command)}` ended with {status}"
        raise CommandError(text, status=status, said=said)
    return said
