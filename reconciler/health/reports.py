"""What an app's process tells of itself: one datagram, which is a student's word.

Whose it is, is whose socket it came by; of nobody else is it believed. Every field has a type and a
bound, and prints. No sentence and no command is taken from it: those are this program's own.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec
from msgspec import Struct

from reconciler.model import Failure
from reconciler.text import clipped

MOST_BYTES = 4096
"""Of one datagram; a larger one is no report."""
FAILURES = frozenset(
    {
        "missing-module", "import-name", "syntax-error", "name-error", "attribute", "settings",
        "missing-file", "permission", "read-only-database", "migrations", "database", "hangs",
        "exits", "not-callable", "returns-nothing", "memory", "encoding", "raises",
    }
)  # fmt: skip
"""The codes that a runner may tell; another one is `raises`."""
PUBLIC = frozenset(
    {"missing-module", "import-name", "syntax-error", "name-error", "attribute", "missing-file"}
)
"""What Python says of these cannot carry a secret: the status and the page are for everybody.

`OperationalError: … password "…"`, `KeyError: '<a token>'` can; the app's own log has them."""
_CHANGED = 10
_TEXT, _PATH, _NAME = 500, 200, 100
"""Characters: of a message, of a path with its line, of a name."""
_KIND = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*\Z")


class Event(StrEnum):
    """What has happened to an app's process."""

    LOADED = "loaded"
    """It can answer."""
    FAILED = "failed"
    """It could not be loaded."""
    RAISED = "raised"
    """An answer of it was an exception."""
    ENDS = "ends"


class Report(Struct, frozen=True, gc=False):
    """One report, as far as it is believed."""

    event: Event
    set: str = ""
    """The name of the set that it was loaded from; "" where that is not told."""
    failure: Failure | None = None
    """What went wrong, if it failed or raised."""
    changed: tuple[str, ...] = ()
    """Files that have changed since it last worked, relative to the home."""
    is_outdated: bool = False
    """It ends since its code has changed: how the new code is, is not known."""


class _Datagram(Struct, frozen=True, gc=False):
    """Its form: a datagram that is not like this is no report. Other keys are passed over."""

    event: Event
    set: str | None = None
    code: str | None = None
    kind: str | None = None
    message: str | None = None
    where: str | None = None
    name: str | None = None
    changed: list[str] | None = None
    why: str | None = None


_decode = msgspec.json.Decoder(_Datagram).decode


def read(datagram: bytes) -> Report | None:
    """Return what a datagram says; None where it is no report."""
    if len(datagram) > MOST_BYTES:
        return None
    try:
        said = _decode(datagram)
    except (msgspec.DecodeError, ValueError, RecursionError):  # nested as deep as it is long
        return None
    has_failed = said.event in {Event.FAILED, Event.RAISED}
    return Report(
        event=said.event,
        set=clipped(said.set or "", _NAME),
        failure=_failure(said) if has_failed else None,
        changed=tuple(clipped(path, _PATH) for path in (said.changed or ())[:_CHANGED]),
        is_outdated=said.event is Event.ENDS and said.why == "changed",
    )


def latest(before: Report | None, after: Report) -> Report:
    """Return the one of two that says how the app is now.

    There is room for one, so that nobody fills our memory; and a process that says why it could not
    load, and then that it ends, must not have said only the latter.
    """
    ends_only = after.event is Event.ENDS and not after.is_outdated
    return before if before is not None and ends_only else after


def _failure(said: _Datagram) -> Failure:
    code = said.code if said.code in FAILURES else "raises"
    kind = said.kind or ""
    return Failure(
        code=code,
        kind=clipped(kind, _NAME) if _KIND.match(kind) else "Exception",
        name=clipped(said.name or "", _NAME) if code != "raises" else "",
        where=clipped(said.where or "", _PATH),
        message=clipped(said.message or "", _TEXT) if code in PUBLIC else "",
    )
