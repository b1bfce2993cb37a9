"""One full pass, then an exit status: `--once`, and its `--dry-run`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from reconciler import announce
from reconciler.observe.descent import Unreadable
from reconciler.publish.configuration import FILES
from reconciler.publish.lock import LockTimeoutError
from reconciler.publish.protocol import Outcome, Standing
from reconciler.publish.render import TemplateError
from reconciler.reconcile import Look, Reconciler
from reconciler.settings import Settings


class Exit(IntEnum):
    """Exit statuses of `--once`: section 7 of the design."""

    CONVERGED = 0
    UNEXPECTED = 1
    USAGE = 2
    CONFIG_TEST = 3
    NOT_SERVED = 4
    LOCKED = 5
    HELD = 6


_OF = {
    Standing.CONVERGED: Exit.CONVERGED,
    Standing.REFUSED_BY_TEST: Exit.CONFIG_TEST,
    Standing.NOT_RELOADED: Exit.NOT_SERVED,
    Standing.PUT_BACK: Exit.NOT_SERVED,
}


def run(settings: Settings, log: Any, *, reload: bool = True, force: bool = False) -> Exit:
    """Make one full pass, see that it is served, and return how it ended.

    Raises:
        OSError: the state directory cannot be written.
    """
    try:
        reconciler = Reconciler(settings)
    except TemplateError as error:
        log.error("templates.unusable", message=str(error))
        return Exit.CONFIG_TEST
    try:
        with reconciler.exclusively():  # the steps of one pass, with nobody between them
            return _pass(reconciler, log, reload=reload, force=force)
    except LockTimeoutError as error:
        log.error("pass.locked_out", message=str(error))
        return Exit.LOCKED
    except TemplateError as error:
        log.error("templates.unusable", message=str(error))
        return Exit.CONFIG_TEST
    except Unreadable as error:
        log.error("homes.unreadable", message=str(error))
        return Exit.UNEXPECTED
    finally:
        reconciler.close()


def _pass(reconciler: Reconciler, log: Any, *, reload: bool, force: bool) -> Exit:
    found = reconciler.look(force=force, drop_unresolved=not reload)
    announce.look(log, found, reconciler)
    ended = Outcome(Standing.CONVERGED, reconciler.generations.current())
    if reload or found.configuration is not None:
        ended = reconciler.configure(found.configuration, reload=reload)
        announce.outcome(log, ended)
        again = reconciler.note(ended)
        if again:
            announce.look(log, reconciler.look(again, force=force), reconciler)
    reconciler.prune()
    reconciler.write_status()
    status = _OF[ended.standing]
    if status is Exit.CONVERGED and found.failed:
        return Exit.UNEXPECTED
    return Exit.HELD if status is Exit.CONVERGED and reconciler.held else status


def preview(settings: Settings) -> Iterator[str]:
    """Yield the lines of what a pass would do. Writes nothing, signals nothing.

    Raises:
        TemplateError, Unreadable: there is no telling.
    """
    reconciler = Reconciler(settings)
    try:
        found = reconciler.look(dry_run=True)
        yield from _diff(reconciler, found)
        for change in found.plan.changes:
            script = change.app.script if change.app else change.reason and change.reason.message
            yield f"{change.event} {change.account} {script or 'gone'}"
        if found.plan.held_text is not None:
            yield found.plan.held_text
    finally:
        reconciler.close()


def _diff(reconciler: Reconciler, found: Look) -> Iterator[str]:
    if found.configuration is None:
        return
    current = reconciler.generations.current()
    published = None if current is None else reconciler.generations.read(current)
    before = published.files if published else {}
    after = found.configuration.files
    for name in FILES:
        yield from difflib.unified_diff(
            before.get(name, b"").decode().splitlines(),
            after[name].decode().splitlines(),
            f"current/{name}",
            f"generations/next/{name}",
            lineterm="",
        )
