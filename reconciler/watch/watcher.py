"""The public face of the package."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from watchdog.events import FileSystemEventHandler

from reconciler.watch.emitter import JOIN, Emitter, Observer
from reconciler.watch.sight import Sight, Spec
from reconciler.watch.wake import Wake


class Watch:
    """Kernel events under the homes → names of accounts to look at again.

    `root` is the directory of the homes; `patterns` are the scripts' globs relative to a home, and
    settle how deep directories are watched; `budget` is the number of watches per home; `files` are
    paths of root's own, absent or not, with a directory's entries and its directories' entries.
    `wake` is called from one thread of ours, at once and with all that one read of the kernel's
    queue amounts to; while it runs, what happens is gathered for its next call.

    Two threads, whatever the number of homes. Started once, stopped once.
    """

    def __init__(
        self,
        root: str,
        *,
        patterns: Sequence[str],
        budget: int,
        files: Sequence[str],
        wake: Callable[[Wake], None],
    ) -> None:
        self._spec = Spec(root, tuple(patterns), budget, tuple(files))
        self._observer = Observer(self._spec, wake)

    def start(self) -> None:
        """Returns once the watches stand: whatever is scanned after it, no change is missed.

        Where the kernel has no descriptor left it returns too: `watches()` is 0, building is tried
        again, and ends in a `Wake` for everything. Raises RuntimeError if called twice.
        """
        self._observer.schedule(FileSystemEventHandler(), self._spec.root)
        self._observer.start()

    def stop(self) -> None:
        """Ends both threads, within seconds even if a disk or the callback hangs."""
        self._observer.stop()
        if self._observer.is_alive() and self._observer is not threading.current_thread():
            self._observer.join(JOIN)

    def alive(self) -> bool:
        """Whether both threads run."""
        emitters = list(self._observer.emitters)
        return self._observer.is_alive() and any(e.is_alive() for e in emitters)

    def over_budget(self) -> Mapping[str, int]:
        """Account → directories left unwatched, at least: its budget is spent, or it was muted."""
        sight = self._sight()
        return {} if sight is None else sight.over_budget()

    def refused(self) -> int:
        """Watches that the kernel refused (fs.inotify.max_user_watches and the like), by now.

        1 where none could be made at all. While it is not 0, they are tried again each minute.
        """
        sight = self._sight()
        if sight is None:
            return 1 if self.alive() else 0
        return sight.refused()

    def watches(self) -> int:
        """Watches that stand now."""
        sight = self._sight()
        return 0 if sight is None else sight.watches()

    def _sight(self) -> Sight | None:
        for emitter in list(self._observer.emitters):
            if isinstance(emitter, Emitter):
                return emitter.sight
        return None
