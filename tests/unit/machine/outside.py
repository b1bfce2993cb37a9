"""The stand-ins that are the machine's own, and those that are not: a clock, systemd, a log."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.clock import Clock
from reconciler.notify import Supervisor


class Settable(Clock):
    """The machine's clock, and how far a test has set it."""

    def __init__(self) -> None:
        self.ahead = 0.0
        """Seconds that have passed without anybody waiting for them."""
        self.wrong = 0.0
        """Seconds by which the wall's clock is ahead of the truth; negative: behind."""
        self.boot_id: str | None = None

    def now(self) -> float:
        """Return seconds since the boot."""
        return super().now() + self.ahead

    def boot(self) -> str:
        """Return which boot that is."""
        return self.boot_id or super().boot()

    def wall(self) -> str:
        """Return what the clock on the wall shows."""
        shown = datetime.now(UTC) + timedelta(seconds=self.ahead + self.wrong)
        return shown.isoformat(timespec="seconds").replace("+00:00", "Z")


class Notify(Supervisor):
    """systemd's side of the notifications: keeps what it is told."""

    def __init__(self) -> None:
        self.beat_every = None
        self.told: list[dict[str, str]] = []

    def tell(self, **values: str) -> None:
        """Keep it."""
        self.told.append(values)

    def count(self, key: str) -> int:
        """Return how often this was told."""
        return sum(key in values for values in list(self.told))


class Log:
    """Keeps events, as (level, name, keys)."""

    def __init__(self) -> None:
        self._events: list[tuple[str, str, dict[str, Any]]] = []
        self._lock = threading.Lock()

    def __getattr__(self, level: str) -> Any:
        if level not in {"debug", "info", "warning", "error", "exception"}:
            raise AttributeError(level)

        def note(name: str, **keys: Any) -> None:
            with self._lock:
                self._events.append((level, name, keys))

        return note

    @property
    def events(self) -> list[tuple[str, str, dict[str, Any]]]:
        """All so far, debug aside."""
        with self._lock:
            return [event for event in self._events if event[0] != "debug"]

    @property
    def passes(self) -> int:
        """How many passes there were, those that changed nothing as well."""
        with self._lock:
            return sum(name == "pass.done" for _, name, _ in self._events)

    def names(self, account: str | None = None) -> list[str]:
        """Return the names of events above debug; of one account's alone."""
        return [n for _, n, keys in self.events if account in {None, keys.get("account")}]

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the keys of every event of that name."""
        return [keys for _, found, keys in self.events if found == name]

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._events.clear()

    def __repr__(self) -> str:
        return "\n".join(f"{level} {name} {keys}" for level, name, keys in self.events)
