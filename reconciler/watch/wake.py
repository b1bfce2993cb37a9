"""What the watcher says, and the notes it takes while it reads."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Wake:
    """A reason to look again; never a statement about what is there now."""

    accounts: frozenset[str] = frozenset()
    """Look at these again."""
    everything: str | None = None
    """Why all must be looked at: "overflow", "root-replaced", "root-changed", "unmounted" or
    "emitter-restarted". Whatever happened before was perhaps not seen; from now on it is."""
    files: frozenset[str] = frozenset()
    """Which of the watched files changed, as the caller spelled them."""

    def __bool__(self) -> bool:
        return bool(self.accounts or self.everything or self.files)

    def __or__(self, other: Wake) -> Wake:
        """Both; the earlier reason for everything stands."""
        return Wake(
            self.accounts | other.accounts,
            self.everything or other.everything,
            self.files | other.files,
        )


@dataclass(slots=True)
class Notes:
    """What one read of the kernel's queue amounts to, while it is being gathered."""

    accounts: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    everything: str | None = None
    due: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Account → paths whose watches are to be put right; its own name for the whole home."""
    created: defaultdict[str, set[tuple[str, bytes]]] = field(
        default_factory=lambda: defaultdict(set)
    )
    """Account → files that were created, as directory and name; they may be half-written."""

    def home(self, account: str) -> None:
        """A whole home is to be looked at, by the caller too."""
        self.accounts.add(account)
        self.due[account].add(account)

    def all(self, why: str) -> None:
        """Everything is to be looked at by the caller; the first reason stands."""
        self.everything = self.everything or why

    def wake(self) -> Wake:
        """What of it is the caller's, frozen."""
        return Wake(frozenset(self.accounts), self.everything, frozenset(self.files))


class StaleError(Exception):
    """The watches no longer say what is there; the text is the reason for `Wake.everything`."""
