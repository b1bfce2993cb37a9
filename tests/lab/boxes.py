"""One disposable machine a test: the outer half runs `tests/lab/box` with pytest on the same test.

Outside, a test marked `box` is replaced by a `BoxItem`, whose run is: start a new box, have pytest
run this one test in it with SLP_IN_BOX=1, and fail with the inner pytest's whole output. Inside,
the test is a plain function, root on its own machine. Only the directory `/box` is shared.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
SHARE = Path("/box")
PYTHON = "/opt/slp-lab/bin/python" if os.environ.get("SLP_BOX_SUITE") else sys.executable
"""In a box: ours, or on another release of Debian that release's own, with the same packages."""
NO_BOX = 125
"""The status of `box` and `layer` where a machine could not be had."""
TIMEOUT = 120.0
"""Seconds for one test in its box, unless its marker says another number."""
START = 60.0
"""Seconds for what is not the test: the box's start and end, twice as much as a busy CI took."""
GRACE = 10.0
"""Seconds that a test which is out of time has for its fixtures' ends and its report."""
LOG_LINES = 40


class BoxError(Exception):
    """The test failed in its box; the text is what the inner pytest printed."""


def inside() -> bool:
    """Whether this process runs in a box."""
    return "SLP_IN_BOX" in os.environ


def outer(item: pytest.Item) -> pytest.Item:
    """Return the test that starts a box for `item`, with its name, place and markers."""
    box: pytest.Item = BoxItem.from_parent(item.parent, name=item.name, inner=item)
    return box


@functools.cache
def unavailable() -> str:
    """Why no box can be had on this machine, in one line; empty if one can.

    Builds the layer of packages where there is none, which takes a minute or two.
    """
    for command in ([HERE / "box", "--bare", "--", "true"], [HERE / "layer"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.strip()
    return ""


class BoxItem(pytest.Item):
    """A test that runs another one, of the same node id, on a machine of its own."""

    def __init__(self, *, inner: pytest.Item, **more: object) -> None:
        super().__init__(**more)
        self.inner = inner
        self.own_markers = list(inner.own_markers)
        self.keywords.update(dict(inner.keywords))

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Where the test stands, for people."""
        return self.inner.reportinfo()

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> object:
        """Show the inner pytest's output as it is, without our own traceback above it."""
        if isinstance(excinfo.value, BoxError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def runtest(self) -> None:
        """Run the test in a new box.

        Raises:
            BoxError: It failed, or did not end in time.
        """
        if reason := unavailable():
            # A run that must prove something (make test, CI) is not to pass by skipping it.
            (pytest.fail if os.environ.get("SLP_REQUIRE_BOX") else pytest.skip)(reason)
        with tempfile.TemporaryDirectory(prefix="slp-test.") as directory:
            self.run_in(Path(directory))

    def run_in(self, directory: Path) -> None:
        """Start the box with a share below `directory`, and judge by what it left there."""
        timeout = seconds(self)
        share = directory / "share"
        coverage = share / "coverage"
        coverage.mkdir(parents=True)
        # Students' processes and those of Apache's user may be measured too, and write here.
        share.chmod(0o755)
        coverage.chmod(0o1777)

        env = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("PYTEST_XDIST", "PYTEST_CURRENT"))
        }
        env |= {"SLP_IN_BOX": "1", "SLP_BOX_SHARE": str(share), "TMPDIR": str(directory)}
        if "COVERAGE_PROCESS_START" in env:
            env["COVERAGE_FILE"] = str(SHARE / "coverage" / ".coverage")
        # The inner pytest ends the test in time by itself (see `alarm`); this is if it cannot.
        command = [HERE / "box", *(["--systemd"] if wants_systemd(self) else []), "--"]
        command += ["timeout", "--signal=INT", "--kill-after=10", str(timeout + GRACE)]
        command += [PYTHON, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "--runxfail"]
        # Hypothesis's plugin takes a second to load, and @given works without it.
        command += ["-p", "no:hypothesispytest", "--no-header", "--tb=short", "-rs", self.nodeid]

        # Into a file: a pipe would stay open for as long as a stray grandchild holds it.
        log = directory / "output"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.config.rootpath,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(timeout + GRACE + START)
            except BaseException as problem:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(problem, subprocess.TimeoutExpired):
                    raise
                status = -1
        collect(coverage)
        said = log.read_text(errors="replace")
        if status:
            late = f" (its {timeout:g} s were over)" if status in {-1, 124, 137} else ""
            raise BoxError(f"status {status}{late} in the box:\n{said}")
        outcome = share / "skipped.json"
        if outcome.exists():
            pytest.skip(json.loads(outcome.read_text()))


def collect(coverage: Path) -> None:
    """Move the coverage data of a box to where this process's own go, under names still unused."""
    target = os.environ.get("COVERAGE_FILE")
    if not target:
        return
    for data in coverage.iterdir():
        # The host name, `box`, and the process's number are the same in every box.
        unique = tempfile.mktemp(prefix=f"{target}.{data.name.lstrip('.')}.", dir="/")
        shutil.move(data, unique)


def seconds(item: pytest.Item) -> float:
    """Return the time that a test has in its box."""
    marker = item.get_closest_marker("box")
    return float(marker.kwargs.get("timeout", TIMEOUT)) if marker else TIMEOUT


def wants_systemd(item: pytest.Item) -> bool:
    """Whether PID 1 of the test's box is to be systemd."""
    marker = item.get_closest_marker("box")
    return bool(marker and marker.kwargs.get("systemd"))


@contextmanager
def alarm(after: float) -> Iterator[None]:
    """Fail the test from within after that many seconds, wherever it hangs, with its traceback."""

    def over(*_: object) -> None:
        # No Exception, which a `wait_for` or the test might take for its own.
        pytest.fail(f"the test's {after:g} s were over")

    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def tell(report: pytest.TestReport) -> None:
    """Leave word of a skipped test in the share; its exit status alone says nothing."""
    if report.skipped:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        (SHARE / "skipped.json").write_text(json.dumps(why.removeprefix("Skipped: ")))


def logs() -> list[tuple[str, str]]:
    """Return the ends of the machine's logs as titled sections of a report."""
    found = []
    for path in [Path("/var/log/apache2/error.log"), *sorted(Path("/var/log/slp-lab").glob("*"))]:
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            continue
        found.append((f"{path} (its last {LOG_LINES} lines)", "\n".join(lines[-LOG_LINES:])))
    return found
