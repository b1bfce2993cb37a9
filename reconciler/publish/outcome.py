"""What is to go live, and what became of it: the values that `protocol` takes, keeps and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from reconciler.publish.configuration import Configuration
from reconciler.publish.notes import Quarantine


class Ending(Enum):
    """How a publication of configuration ended."""

    CONVERGED = "converged"
    OVERTAKEN = "overtaken"
    """Another generation is current than the one that this was made over: nothing was touched."""
    REFUSED_BY_TEST = "refused-by-test"
    """The last good generation stays; nobody can be blamed."""
    NOT_RELOADED = "not-reloaded"
    """`current` is tested, and Apache was not seen to serve it: to be tried again."""
    PUT_BACK = "put-back"
    """Apache took it and served something else; the last verified generation is current."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ought to be current."""

    configuration: Configuration
    left_out: Mapping[str, Quarantine]
    """Accounts that are quarantined, and so not in it."""
    over: int | None
    """The generation that was current when it was made."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it."""

    ending: Ending
    generation: int | None
    """The one that is current now."""
    published: bool = False
    """A new generation is current."""
    reloaded: bool = False
    quarantined: Mapping[str, Quarantine] = field(default_factory=dict)
    """Account → the text that Apache refuses, and why: new ones of this publication."""
    message: str | None = None
    """What went wrong, and what was seen, when it did."""
    warning: str | None = None
    """What keeps the configuration test from what is staged; said once."""
    took_ms: float = 0.0
    stall: float = 0.0
    """Seconds that the last reload took until it was seen."""


class Ended(Exception):  # noqa: N818  no error: how a run ends, short of converged
    """A step that is the last of its run."""

    def __init__(self, ending: Ending, message: str) -> None:
        super().__init__(message)
        self.ending = ending


@dataclass(slots=True)
class Run:
    """What one call of `configure` has done so far: its steps hand it on."""

    before: int | None
    """The generation that was current when it began."""
    number: int | None
    """The one that is, or is to be, current."""
    published: bool = False
    reloaded: bool = False
    quarantined: dict[str, Quarantine] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    """Files that the last test did not read where they were staged."""
    warning: str | None = None
    said: str = ""
    """What was seen last."""
