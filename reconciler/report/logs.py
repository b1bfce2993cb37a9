"""The log: one line per change. Coloured on a terminal, logfmt in the journal, JSON elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

FORMATS = ("auto", "console", "json", "logfmt")
LEVELS = ("debug", "info", "warning", "error")
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""syslog(3)'s, for `journalctl -p warning`."""


def configure(form: str, level: str, stream: TextIO | None = None) -> None:
    """Send the log to `stream` (stderr) in the format and from the level given.

    In systemd's journal, "auto" is logfmt, which leaves out the time that the journal has itself;
    in any format, a line then begins with its priority (sd-daemon(3)), which the journal takes off.
    """
    out = stream or sys.stderr
    journal = _is_journal(out)
    if form == "auto":
        form = "console" if out.isatty() else "logfmt" if journal else "json"
    renderers: dict[str, Any] = {
        "json": structlog.processors.JSONRenderer(ensure_ascii=True),
        "logfmt": structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], drop_missing=True
        ),
        "console": structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=20),
    }
    clock = structlog.processors.TimeStamper(
        fmt="%H:%M:%S" if form == "console" else "iso", utc=form != "console"
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            *([] if journal and form == "logfmt" else [clock]),
            structlog.processors.format_exc_info,
            _escape,
            _prioritised(renderers[form]) if journal else renderers[form],
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def _is_journal(out: TextIO) -> bool:
    """Whether `out` is what systemd says it connected to the journal (systemd.exec(5))."""
    try:
        found = os.fstat(out.fileno())
    except (OSError, ValueError):  # no file at all
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _prioritised(render: Any) -> Any:
    def rendered(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        priority = _PRIORITIES.get(str(event.get("level")), 6)
        return f"<{priority}>{render(logger, method, event)}"

    return rendered


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
