"""Runs benchmarks, each on a machine of its own.

`python -m tests.bench [NAME…] [--quick] [--markdown]`
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rich.console import Console

from tests.bench import figures

HERE = Path(__file__).resolve().parents[2]
# Name → the runs, as arguments: in full, and quick.
RUNS: dict[str, tuple[list[list[float]], list[list[float]]]] = {
    "scan": ([[1000], [10_000]], [[300]]),
    "growth": ([[100], [1000], [10_000]], [[100], [1000]]),
    "footprint": ([[10_000, 60]], [[1000, 10]]),
    "change": ([[30]], [[5]]),
    "save": ([[60]], [[5]]),
    "failing": ([[30]], [[5]]),
    "first": ([[200], [60, 1]], [[10], [10, 1]]),
    "idle": ([[300, 120]], [[10, 20]]),
    "isolated": ([[20]], [[4]]),
    "crowd": ([[2000]], [[100]]),
    "neighbours": ([[100, 60]], [[30, 10]]),
    "starve": ([[300, 30]], [[300, 10]]),
    "reload": ([[300]], [[30]]),
    "burst": ([[500, 20_000]], [[50, 2000]]),
    "publish": (
        [[10, 100, 1000], [100, 100, 1000], [300, 300, 1000], [30, 30, 1000, 1]],
        [[10, 60, 60], [10, 10, 60, 1]],
    ),
    "churn": ([[300, 60]], [[40, 20]]),
}
SYSTEMD = {"churn", "crowd", "isolated"}
"""Those for which PID 1 of the box is systemd."""


def main(arguments: list[str]) -> None:
    """Outside a box, start one for each run; inside, run it."""
    markdown = "--markdown" in arguments
    arguments = [argument for argument in arguments if argument != "--markdown"]
    if arguments[:1] == ["--inside"]:
        module = __import__(f"tests.bench.{arguments[1]}", fromlist=["run"])
        values = [float(value) for value in arguments[2:]]
        rows = module.run(*(int(v) if v == int(v) else v for v in values))
        figures.show(f"{arguments[1]} {' '.join(arguments[2:])}", rows, markdown=markdown)
        return
    quick = "--quick" in arguments
    names = [name for name in arguments if name != "--quick"] or list(RUNS)
    console = Console(stderr=True)
    for name in names:
        for values in RUNS[name][quick]:
            told = [f"{value:g}" for value in values]
            with console.status(f"{name} {' '.join(told)} …"):
                inside = [sys.executable, "-m", "tests.bench", "--inside", name, *told]
                inside += ["--markdown"] if markdown else []
                box = [HERE / "tests/lab/box", *(["--systemd"] if name in SYSTEMD else [])]
                done = subprocess.run(
                    [*box, "--", *inside],
                    cwd=HERE,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=1800,
                )
            print(done.stdout, end="", flush=True)
            if done.returncode:
                console.print(f"{name} {told}: {done.stderr[-2000:]}", markup=False)
                sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
