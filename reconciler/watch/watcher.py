"""The public face of the package."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from reconciler.watch.emitter import JOIN, Observer
from reconciler.watch.session import Spec
from reconciler.watch.wake import Wake


def _anybody(_: str | None) -> bool:
    return True


class Watch:
    """Kernel events under the homes → names of accounts to look at again.

    `root` is the directory of the homes; `patterns` are the scripts' globs relative to a home, and
    settle how deep directories are watched; `budget` is the number of watches per home; `files` are
    paths of root's own, absent or not, with a directory's entries and its directories' entries.
    `wake` is called from one thread of ours, at once and with all that one read of the kernel's
    queue amounts to; while it runs, what happens is gathered for its next call.

    `enter` is called in our other thread, with a home's name before anything of it is opened, and
    with None before anything else is: who the thread is, is the caller's. Where it says False,
    nothing of the home is opened; it is asked again when one of `files` changes, among which is the
    account database, and each minute. It must know the database as it is then: the caller has not
    heard of the change yet.

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
        enter: Callable[[str | None], bool] = _anybody,
    ) -> None:
        self._observer = Observer(Spec(root, tuple(patterns), budget, tuple(files), enter), wake)
        self._emitter = self._observer.emitter

    def start(self) -> None:
        """Returns once the watches stand: whatever is scanned after it, no change is missed.

        Where the kernel has no descriptor left it returns too: `watches()` is 0, building is tried
        again, and ends in a `Wake` for everything. Raises RuntimeError if called twice.
        """
        self._observer.start()
        self._emitter.tried.wait()

    def stop(self) -> None:
        """Ends both threads, within seconds even if a disk or the callback hangs."""
        self._observer.stop()
        if self._observer.is_alive() and self._observer is not threading.current_thread():
            self._observer.join(JOIN)

    def alive(self) -> bool:
        """Whether both threads run."""
        return self._observer.is_alive() and self._emitter.is_alive()

    def over_budget(self) -> Mapping[str, int]:
        """Account → directories left unwatched, at least: its budget is spent, or it was muted."""
        session = self._emitter.session
        return {} if session is None else session.over_budget()

    def refused(self) -> int:
        """Watches that the kernel refused (fs.inotify.max_user_watches and the like), by now.

        1 where none could be made at all. While it is not 0, they are tried again each minute.
        """
        session = self._emitter.session
        if session is None:
            return 1 if self.alive() else 0
        return session.refused()

    def watches(self) -> int:
        """Watches that stand now."""
        session = self._emitter.session
        return 0 if session is None else len(session.table)
