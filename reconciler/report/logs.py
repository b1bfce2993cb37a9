"""The log: one line per change. Coloured on a terminal, JSON or logfmt elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

FORMATS = ("auto", "console", "json", "logfmt")
LEVELS = ("debug", "info", "warning", "error")


def configure(form: str, level: str, stream: TextIO | None = None) -> None:
    """Send the log to `stream` (stderr) in the format and from the level given."""
    out = stream or sys.stderr
    if form == "auto":
        form = "console" if out.isatty() else "json"
    renderers: dict[str, Any] = {
        "json": structlog.processors.JSONRenderer(ensure_ascii=True),
        "logfmt": structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        "console": structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=20),
    }
    clock = structlog.processors.TimeStamper(
        fmt="%H:%M:%S" if form == "console" else "iso", utc=form != "console"
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            clock,
            structlog.processors.format_exc_info,
            _escape,
            renderers[form],
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def _escape(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    r"""Give control characters as \x…: a name may hold a newline, or a terminal's own commands."""
    del logger, method
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = "".join(
                c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
                for c in value
            )
    return event
