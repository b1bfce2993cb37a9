"""`make mutants`: does a test fail for each small change of the code? (mutmut, with reasons.)

    make mutants                                 decide/, observe/, schedule.py, rounds.py
    make mutants ARGS="decide/plan.py observe"   these files, or directories

mutmut makes the changes, one at a time, in a copy of the repository, and asks for each those unit
tests that reach it; one that takes five times as long as it should has failed. A mutant that no
test fails for is printed, and is a question: either a test is missing, or `tests/mutants.toml` says
why that mutant is the same program, or one that no user could tell from it. A reason whose mutant
does not survive any more is an error too. Both lead to status 1.

Which tests: for each file those of its suite below, which is mutmut run once; with all that reach
observe/ by way of a whole pass it took hours. None is a `*_random.py`: what a property finds by
chance is an example that a test ought to give. Hypothesis' "ci" profile makes the others draw the
same examples each time.

What mutmut does not change: text outside functions, such as bounds, tables and expressions, and
functions with a decorator. Tests at the edges of each bound are for people to write. cosmic-ray
changes numbers there, but neither strings nor arguments; it works in place, in the files as they
are checked out, and starts pytest anew for each mutant.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

ROOT = Path(__file__).parents[1]
REASONS = ROOT / "tests" / "mutants.toml"
TARGETS = ("decide", "observe", "schedule.py", "rounds.py")


class Suite(NamedTuple):
    """Files, and the unit tests that are to fail for each change of them."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


SUITES = (
    Suite(
        tuple(f"decide/{n}.py" for n in ("choice", "judge", "plan", "roster", "rules", "verdict")),
        ("choice", "decide", "decide_accounts", "judge", "plan", "roster", "rules"),
    ),
    Suite(
        ("decide/belongings.py",),
        ("choice", "decide", "decide_accounts", "hints", "judge", "rules"),
    ),
    Suite(("decide/ailments.py", "decide/visits.py"), ("ailments", "visits")),
    Suite(("schedule.py",), ("schedule",)),
    Suite(("rounds.py",), ("rounds",)),
    Suite(("observe/accounts.py", "observe/identity.py"), ("accounts", "identity")),
    Suite(
        tuple(f"observe/{n}.py" for n in ("candidates", "descent", "interior", "projects")),
        ("django", "interior", "observe", "observer_settings", "projects", "survey"),
    ),
    Suite(
        ("observe/observer.py", "observe/sighting.py", "observe/survey.py"),
        ("observer", "observer_asks", "observer_settings", "projects", "survey"),
    ),
    Suite(
        ("observe/django.py", "observe/links.py"),
        ("django", "links", "observer_settings", "projects"),
    ),
    Suite(("observe/virtualenvs.py",), ("virtualenvs",)),
    Suite(("observe/hints.py",), ("hints",)),
    Suite(("observe/roots.py",), ("roots",)),
    Suite(("observe/interpreter.py",), ("interpreter",)),
    Suite(("observe/pipes.py",), ("pipes",)),
    Suite(("observe/reach.py",), ("reach",)),
    # Not `test_source*.py`: hundreds of texts for each Python that the machine has, and waits for
    # what takes the processor, are of the jail.
    Suite(("observe/helper.py",), ("helper",)),
    Suite(("observe/source.py",), ("parser",)),
)
LIMIT = 60 * 60
"""Seconds for one suite."""
LEFT_OUT = {
    "observe/jail.py": "runs in a process of its own, with another Python: its tests start that",
}
MEASURES = "test_hostile_text_costs_little_and_the_next_home_nothing"
"""It fails by itself beside mutants that take the processors."""
COPIED = ("conf", "systemd", "pyproject.toml", "reconciler", "tests")
SURVIVED = {0: "survived", 5: "no test", 33: "no test"}
"""mutmut's exit statuses of a mutant that nothing failed for."""


class Mutant(NamedTuple):
    """One change: the lines as they are, and as they were made."""

    file: str
    function: str
    was: str
    now: str


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a mutant may survive."""

    file: str
    function: str
    was: str
    now: str
    reason: str


class Found(NamedTuple):
    """What became of the mutants of one file."""

    made: int
    survivors: list[tuple[Mutant, str]]
    """Each with mutmut's word for it."""


def main(arguments: list[str]) -> int:
    """Run, print, and return the exit status."""
    files = chosen(arguments or [t for t in TARGETS if (ROOT / "reconciler" / t).exists()])
    found: dict[str, Found] = {}
    for suite in suites(files):
        with tempfile.TemporaryDirectory(prefix="slp-mutants-") as scratch:
            prepare(Path(scratch), suite)
            run(Path(scratch))
            found |= {file: results(Path(scratch), file) for file in suite.files}
    return report(found, reasons())


def chosen(arguments: list[str]) -> list[str]:
    """Return the files meant, relative to the package."""
    found: set[str] = set()
    for argument in arguments:
        path = ROOT / "reconciler" / argument
        if not path.exists():
            sys.exit(f"mutants: there is no reconciler/{argument}")
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            name = str(file.relative_to(ROOT / "reconciler"))
            if file.name != "__init__.py" and name not in LEFT_OUT:
                found.add(name)
    return sorted(found)


def suites(files: Iterable[str]) -> list[Suite]:
    """Return what is to be run for these files."""
    left = set(files)
    found = []
    for suite in SUITES:
        here = tuple(file for file in suite.files if file in left)
        left -= set(here)
        if here:
            found.append(Suite(here, suite.tests))
    if left:
        sys.exit(f"mutants: no suite of tests for {', '.join(sorted(left))}")
    return found


def prepare(scratch: Path, suite: Suite) -> None:
    """Copy what the tests need, with mutmut's settings."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, scratch / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, scratch / name)
    settings = {
        "source_paths": ["reconciler"],
        "only_mutate": [f"reconciler/{file}" for file in suite.files],
        "also_copy": [name for name in COPIED if name not in {"reconciler", "tests"}],
        "pytest_add_cli_args": [
            "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not box", "--hypothesis-profile=ci",
            "-k", f"not {MEASURES}",
        ],
        "pytest_add_cli_args_test_selection": [
            f"tests/unit/test_{name}.py" for name in suite.tests
        ],
        "timeout_multiplier": 5.0,
        "timeout_constant": 2.0,
        "use_git_change_detection": False,
    }  # fmt: skip
    with (scratch / "pyproject.toml").open("a") as stream:
        stream.write("\n[tool.mutmut]\n")
        stream.writelines(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


def run(scratch: Path) -> None:
    """Let mutmut make the mutants and try them; its own words are shown only if it fails."""
    log = scratch / "log"
    workers = os.environ.get("WORKERS", "2")
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", workers]
    with log.open("wb") as stream:
        mutmut = subprocess.Popen(
            command, cwd=scratch, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status: int | None = mutmut.wait(LIMIT)
        except subprocess.TimeoutExpired:
            status = None
        finally:  # Ctrl-C as well: its workers go with it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(mutmut.pid, signal.SIGKILL)
            mutmut.wait()
    if status is None:
        sys.exit(f"mutants: mutmut took longer than {LIMIT} s")
    if status != 0:
        sys.exit(f"{log.read_text(errors='replace')[-4000:]}\nmutants: mutmut failed")


def results(scratch: Path, file: str) -> Found:
    """Return what mutmut noted of one file."""
    with contextlib.chdir(scratch):  # where it reads its notes and its mutants
        from mutmut.mutation.diff_apply import get_diff_for_mutant
        from mutmut.utils.format_utils import orig_function_and_class_names_from_key

        path = Path("reconciler") / file
        statuses = json.loads(Path(f"mutants/{path}.meta").read_text())["exit_code_by_key"]
        survivors = []
        for name, status in statuses.items():
            if status is None:
                sys.exit(f"mutants: {name} was not tried")
            if status in SURVIVED:
                function, of_class = orig_function_and_class_names_from_key(name)
                function = f"{of_class}.{function}" if of_class else function
                diff = get_diff_for_mutant(name, path=path)
                survivors.append((Mutant(file, function, *lines_of(diff)), SURVIVED[status]))
    return Found(len(statuses), survivors)


def lines_of(diff: str) -> tuple[str, str]:
    """Return the lines that a mutant takes away, and those in their place."""
    was, now = (
        "\n".join(
            line[1:].strip()
            for line in diff.splitlines()
            if line.startswith(sign) and not line.startswith(sign * 3)
        )
        for sign in "-+"
    )
    return was, now


def reasons() -> list[Reason]:
    """Return what is in the file of reasons."""
    told = tomllib.loads(REASONS.read_text())
    return msgspec.convert(told.get("mutant", []), list[Reason])


def report(found: dict[str, Found], given: list[Reason]) -> int:
    """Print a line for each file, and what is wrong; return the exit status."""
    known = {Mutant(r.file, r.function, r.was, r.now) for r in given}
    wrong, met = 0, set()
    for file, of_file in found.items():
        told = Counter("with a reason" if m in known else s for m, s in of_file.survivors)
        met |= {mutant for mutant, _ in of_file.survivors}
        killed = of_file.made - len(of_file.survivors)
        rest = "".join(f", {count} {what}" for what, count in sorted(told.items()))
        print(f"{file}: {of_file.made} mutants, {killed} killed{rest}")
        for mutant, status in of_file.survivors:
            if mutant not in known:
                wrong += 1
                show(mutant, status)
    for mutant in sorted(known - met):
        if mutant.file in found or not (ROOT / "reconciler" / mutant.file).exists():
            wrong += 1
            show(mutant, f"{REASONS.name} has a reason for it, and it does not survive")
    return 1 if wrong else 0


def show(mutant: Mutant, what: str) -> None:
    """Print a mutant as a diff does."""
    print(f"\n  {mutant.file}, {mutant.function}: {what}")
    for sign, text in (("-", mutant.was), ("+", mutant.now)):
        for line in text.splitlines():
            print(f"    {sign} {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
