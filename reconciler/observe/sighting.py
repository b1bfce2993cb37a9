"""Whom to look at, a home that was looked at, and what was found: the values of one look."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model import Account, Home
from reconciler.observe.interior import Interior, Signature

MAX_TEXTS = 8
"""New texts of one home that are examined in one look; the rest wait for the next."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at one home has brought."""

    home: Home
    origin: str | None
    """Where its account was found."""
    memo: Mapping[str, Signature]
    """What makes the next look cheap, and says nothing to anybody else; empty: look at it all."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A home to look at."""

    name: str
    served: str | None = None
    """A script that is looked at in any case if it is in the home; absolute."""
    before: Seen | None = None
    """What was seen the last time."""


@dataclass(slots=True)
class Sighting:
    """A home as it was seen, with what the process itself has still to find out of it."""

    home: Home
    origin: str | None
    subject: Subject
    student: Account | None = None
    """Whom the home is read as; None: nothing inside is looked at."""
    began: int = field(default_factory=time.time_ns)
    """When the look at it began: what changes later may not show in a signature of before."""
    texts: dict[str, bytes] = field(default_factory=dict)
    """New texts, at most `MAX_TEXTS`, by their scripts' paths."""
    settings: set[bytes] = field(default_factory=set)
    """What the helper is still to be asked of settings, at most `MAX_TEXTS`."""
    memo: Mapping[str, Signature] = field(default_factory=dict)
    """That of before, where nothing has changed since."""
    interior: Interior | None = None
    """What it was seen by, if it was surveyed as a whole; its descriptors are closed."""

    @property
    def is_light(self) -> bool:
        """Whether it may wait, with many others, for what is under way."""
        return sum(map(len, (*self.texts.values(), *self.settings))) <= select.PIPE_BUF
