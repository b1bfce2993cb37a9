"""What the tests of the watcher share: an ear, and the kernel's own list of watches."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial, reduce
from operator import or_
from pathlib import Path

from reconciler.watch import Wake, Watch

PATTERNS = ("*/*/wsgi.py", "*/wsgi.py")
PATIENCE = 20.0
"""Seconds until a wake that does not come is a failure; it comes within a millisecond."""
SENTINEL = "zz-sentinel"


class Ear:
    """A Watch over `root` with all that it said. `settle` waits until it has read everything."""

    def __init__(
        self,
        root: Path,
        *,
        patterns: Sequence[str] = PATTERNS,
        budget: int = 256,
        files: Sequence[Path] = (),
        enter: Callable[[str | None], bool] = lambda _: True,
    ) -> None:
        self.root = root
        self.wakes: list[Wake] = []
        self._heard = threading.Condition()
        self.watch = Watch(
            str(root),
            patterns=patterns,
            budget=budget,
            files=[str(file) for file in files],
            wake=self._wake,
            enter=enter,
        )

    def _wake(self, wake: Wake) -> None:
        with self._heard:
            self.wakes.append(wake)
            self._heard.notify_all()

    def forget(self) -> None:
        """Start with nothing heard."""
        with self._heard:
            self.wakes.clear()

    def wait(self, told: Callable[[Wake], object], patience: float = PATIENCE) -> Wake:
        """Return all heard since the last `forget`, as one, once `told` is content with it.

        Without the homes that `settle` made.
        """
        end = time.monotonic() + patience
        with self._heard:
            while not told(heard := reduce(or_, self.wakes, Wake())):
                left = end - time.monotonic()
                assert left > 0, f"not heard; what was: {heard}"
                self._heard.wait(left)
        own = {name for name in heard.accounts if name.startswith(SENTINEL)}
        return Wake(heard.accounts - own, heard.everything, heard.files)

    def settle(self) -> Wake:
        """Return what was heard once every event up to now has been read.

        The kernel's queue is in order, so an event of a home made for this ends it: no sleeping.
        """
        for patience in (PATIENCE / 20,) * 20:  # a mark is missed where all is being built anew
            mark = self.root / f"{SENTINEL}-{time.monotonic_ns()}"
            mark.mkdir()
            try:
                with suppress(AssertionError):
                    return self.wait(partial(_names, mark.name), patience)
            finally:
                mark.rmdir()
        raise AssertionError("nothing is heard any more")

    def after(self, act: Callable[[], object]) -> Wake:
        """Return all that an act makes heard, and nothing from before it."""
        self.settle()
        self.forget()
        act()
        return self.settle()


def _names(name: str, wake: Wake) -> bool:
    return name in wake.accounts


@contextmanager
def listening(root: Path, **options: object) -> Iterator[Ear]:
    """An Ear whose watch is started, and stopped at the end."""
    ear = Ear(root, **options)  # type: ignore[arg-type]
    ear.watch.start()
    try:
        yield ear
    finally:
        ear.watch.stop()


def descriptors() -> set[int]:
    """This process's inotify descriptors."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:inotify":
                found.add(int(name))
    return found


def inodes(without: set[int] = frozenset()) -> list[int]:  # type: ignore[assignment]
    """The inode of every watch that the kernel has for this process, by its own account."""
    found: list[int] = []
    for number in descriptors() - without:
        with suppress(OSError):
            text = Path(f"/proc/self/fdinfo/{number}").read_text()
            found += [int(ino, 16) for ino in re.findall(r"^inotify wd:\w+ ino:(\w+)", text, re.M)]
    return found


def watched(root: Path, without: set[int] = frozenset()) -> set[str]:  # type: ignore[assignment]
    """The directories below `root` that the kernel watches for us, relative to it."""
    there = set(inodes(without))
    found = set()
    for path, names, _ in os.walk(root):
        for name in names:
            full = os.path.join(path, name)
            if not os.path.islink(full) and os.stat(full).st_ino in there:
                found.add(os.path.relpath(full, root))
    return {path for path in found if not path.startswith(SENTINEL)}


def script(path: Path, text: str = "application = 1\n") -> Path:
    """Write a script as an editor does: beside it, then renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name("beside.tmp")
    beside.write_text(text)
    return beside.rename(path)
