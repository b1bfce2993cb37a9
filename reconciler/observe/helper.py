"""A process that does for us what we would rather not do ourselves, and may die of it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from reconciler.observe import jail, pipes, roots

ANSWER_LIMIT = 4096  # bytes; the longest honest answer is some 1,300 (200 characters as \uXXXX)
AHEAD = 256
"""Requests made ahead, of at most 4 KiB each: as many homes are seen while a helper starts. Its
pipe has room for all their answers, or each side could wait for the other to read."""
_AWAITED = object()
GOODBYE = 1.0  # seconds in which an idle helper ends when its input is closed; measured: 3 ms

# The program comes through the pipe. As an argument, its 300 lines would be in every `ps`; as a
# file, it would have to be readable to a user that may read nothing.
_BOOT = """\
import os
text, size = b"", int.from_bytes(os.read(0, 4), "big")
while len(text) < size:  # and no more: what follows are requests
    part = os.read(0, size - len(text))
    if not part:
        os._exit(1)
    text += part
for part in text.split(b"\\0"):
    exec(compile(part, "jail.py", "exec"))
"""
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


class HelperError(OSError):
    """It could not be told: a helper cannot be started, or the machine gives it no time."""


class HelperDied(HelperError):  # noqa: N818 what happened, and to whom; not our error
    """The helper ended, talked nonsense or ran out of time at this very request."""


class Helper:
    """A long-lived child that answers one request at a time; started when first needed.

    It is taken for hostile once it has seen a stranger's text: whatever it answers is bounded
    and is JSON, or it is killed. `role` and `argument` are those of `jail.main`; `timeout` is in
    seconds and holds for a start and for each request. Safe to share between threads.
    """

    def __init__(self, python: str, role: str, argument: str, *, timeout: float) -> None:
        self._command = [python, "-I", "-S", "-B", "-c", _BOOT, role, argument]
        self._timeout = timeout
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._greeted = False
        """It has said that it is ready."""
        self._failed: tuple[float, str] | None = None
        self._ahead: deque[bytes] = deque()
        """Requests whose answers were not read, in their order."""
        self._unsent = b""
        """The frames of the last of those, still to be written."""
        self._room = 0
        """How many answers its pipe has room for."""
        self._read = b""
        """Read and not yet taken: answers to requests made ahead come together."""
        self._answers: dict[bytes, object] = {}
        """By request: `_AWAITED`, or the answer to one made ahead that nobody has asked for yet."""

    def ask(self, request: bytes) -> object:
        """The helper's answer to `request`.

        Raises:
            HelperDied: this request was the end of it; the next one gets a new helper.
            HelperError: it cannot be started, or it got too little of the processor to blame it.
        """
        with self._lock:
            process = self._running()
            try:
                if request not in self._answers:
                    self._expect(request, pipes.framed(request))
                if self._unsent:
                    assert process.stdin is not None
                    pipes.write(process.stdin.fileno(), self._unsent, self._deadline)
                    self._unsent = b""
                while self._answers[request] is _AWAITED:
                    self._answers[self._ahead[0]] = self._answer(process)
                    self._ahead.popleft()
                return self._answers.pop(request)
            except TimeoutError:
                blamed = self._is_at(request)
                # The CPU limit of jail.py ends a busy helper long before this. One that hardly
                # ran was starved, on a machine too loaded to judge anybody by.
                if self._kill() < self._timeout / 2 or not blamed:
                    raise HelperError("a helper was given no time to answer") from None
                raise HelperDied(f"a helper did not answer within {self._timeout:g} s") from None
            except (OSError, ValueError, RecursionError) as error:
                blamed = self._is_at(request)
                self._kill()
                raise (HelperDied if blamed else HelperError)(f"a helper died: {error}") from None
            except BaseException:  # Ctrl-C in mid-frame: the next answer would be the wrong one
                self._kill()
                raise

    @property
    def _deadline(self) -> float:
        return time.monotonic() + self._timeout

    def _is_at(self, request: bytes) -> bool:
        """Whether it was sent this request, and works on no other made ahead before it."""
        return not self._unsent and (not self._ahead or self._ahead[0] == request)

    def _expect(self, request: bytes, frame: bytes) -> None:
        self._unsent += frame
        self._ahead.append(request)
        self._answers[request] = _AWAITED

    def foresee(self, request: bytes) -> None:
        """Send a request whose answer will be asked for, to work on meanwhile; or do nothing.

        It starts no helper: whoever calls may be a student just now. Short ones alone, and as many
        together as a pipe takes as a whole or not at all: each write wakes the helper.
        """
        frame = pipes.framed(request)
        if len(frame) > select.PIPE_BUF:
            return
        with self._lock:
            process = self._process
            if process is None or process.stdin is None:
                return
            if request in self._answers or len(self._answers) >= self._room:
                return
            with contextlib.suppress(OSError):  # whoever asks will hear of it
                if len(self._unsent) + len(frame) > select.PIPE_BUF:
                    os.write(process.stdin.fileno(), self._unsent)
                    self._unsent = b""
                self._expect(request, frame)

    def begin(self) -> None:
        """Begins to start the helper; where that fails, whoever asks will hear of it."""
        with self._lock, contextlib.suppress(HelperError):
            self._process = self._process or self._spawn()

    def start(self) -> None:
        """Starts the helper if it does not run, so that the next request need not wait for that.

        Raises:
            HelperError: it cannot be started.
        """
        with self._lock:
            self._running()

    def close(self) -> None:
        """Ends the helper by closing its input; a later `ask` starts another."""
        with self._lock:
            process = self._process
            if process is not None and process.stdin is not None:
                process.stdin.close()
                try:
                    process.wait(GOODBYE)
                except subprocess.TimeoutExpired:
                    pass
                self._kill()

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is not None and self._greeted and not self._ahead and process.poll() is not None:
            self._kill()  # it died between two requests: nobody's fault
        process = self._process or self._spawn()
        if not self._greeted:
            with self._starting():
                _greet(self._answer(process))
            self._greeted = True
        return process

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start one, without waiting until it is ready."""
        # A pass over 1,000 homes must not wait for 1,000 starts that hang.
        if self._failed is not None and time.monotonic() < self._failed[0]:
            raise HelperError(self._failed[1])
        self._failed = None
        self._greeted = False
        with self._starting():
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
            )
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            size = pipes.widened(self._process.stdout.fileno(), AHEAD * ANSWER_LIMIT)
            self._room = size // ANSWER_LIMIT
            texts = [Path(str(part.__file__)).read_bytes() for part in (roots, jail)]
            program = pipes.framed(b"\0".join(texts))
            pipes.write(self._process.stdin.fileno(), program, self._deadline)
        return self._process

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """Whatever goes wrong in the block, there is no helper; and the next is not at once."""
        try:
            yield
        except (OSError, ValueError, RecursionError) as error:
            self._kill()
            why = f"a helper cannot be started ({self._command[0]}): {error}"
            self._failed = (time.monotonic() + self._timeout, why)
            raise HelperError(why) from None
        except BaseException:
            self._kill()
            raise

    def _answer(self, process: subprocess.Popen[bytes]) -> object:
        deadline = self._deadline
        size = int.from_bytes(self._take(process, 4, deadline), "big")
        if not 0 < size <= ANSWER_LIMIT:
            raise ValueError("its answer is too long")
        return json.loads(self._take(process, size, deadline))

    def _take(self, process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        assert process.stdout is not None
        while len(self._read) < size:
            part = pipes.read(process.stdout.fileno(), deadline)
            if not part:
                raise ValueError("it ended without an answer")
            self._read += part
        data, self._read = self._read[:size], self._read[size:]
        return data

    def _kill(self) -> float:
        """Ends the helper whatever state it is in; the seconds of CPU that it had."""
        process, self._process = self._process, None
        self._ahead.clear()
        self._answers.clear()
        self._read = self._unsent = b""
        if process is None:
            return 0.0
        has_ended = process.poll() is not None
        # Before its input is closed: by that it would end as well, and what it used be forgotten. A
        # unit without CAP_KILL may not, and waits for just that, or for its CPU limit.
        with contextlib.suppress(PermissionError):
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        if has_ended:
            return 0.0
        deadline = time.monotonic() + GOODBYE
        while time.monotonic() < deadline:
            try:
                pid, status, used = os.wait4(process.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else in this process reaped it
                break
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return used.ru_utime + used.ru_stime
            time.sleep(0.001)
        return 0.0  # stuck in the kernel, as on a dead mount: not worth hanging with it


def _greet(hello: object) -> None:
    match hello:
        case ["ready"]:
            return
        case ["failed", str() as why]:
            raise OSError(jail.printable(why))
    raise OSError("it does not speak our language")
