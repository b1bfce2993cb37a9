"""Timing, and the table that it ends in."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: ours, beside what it is held against."""

    what: str
    ours: float
    unit: str
    against: str = ""
    other: float | None = None

    @property
    def ratio(self) -> str:
        """Ours over the other's; as a fraction where it is far less."""
        if not self.other:
            return ""
        ratio = self.ours / self.other
        return f"1/{1 / ratio:.0f}" if 0 < ratio < 0.1 else f"{ratio:.2f}x"


def seconds(act: Callable[[], object], *, times: int = 5) -> float:
    """Return the median of `times` runs, after one that does not count."""
    act()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of them are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(title: str, rows: Sequence[Figure], *, markdown: bool = False) -> None:
    """Print the rows, on a terminal or into a file; or as a table of Markdown's."""
    if markdown:
        print(f"\n| {title} | ours | held against | | ratio |\n|---|--:|---|--:|--:|")
        for row in rows:
            other = "" if row.other is None else f"{row.other:.4g} {row.unit}".strip()
            ours = f"{row.ours:.4g} {row.unit}".strip()
            print(f"| {row.what} | {ours} | {row.against} | {other} | {row.ratio} |")
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("what", "ours", "held against", "", "ratio"):
        table.add_column(
            heading, justify="left" if heading in {"what", "held against"} else "right"
        )
    for row in rows:
        other = "" if row.other is None else f"{row.other:.4g} {row.unit}"
        table.add_row(row.what, f"{row.ours:.4g} {row.unit}", row.against, other, row.ratio)
    Console(width=110).print(table)
