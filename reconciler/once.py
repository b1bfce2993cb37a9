"""One full pass, then an exit status: `--once`, and its `--dry-run`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from reconciler.announce import Teller
from reconciler.observe.descent import Unreadable
from reconciler.outside import Outside
from reconciler.passes import Passes
from reconciler.publish.command import CommandError
from reconciler.publish.configuration import FILES, Configuration
from reconciler.publish.lock import LockTimeoutError
from reconciler.publish.outcome import Ending, Outcome
from reconciler.publish.render import TemplateError
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
    Ending.CONVERGED: Exit.CONVERGED,
    Ending.REFUSED_BY_TEST: Exit.CONFIG_TEST,
    Ending.NOT_RELOADED: Exit.NOT_SERVED,
    Ending.PUT_BACK: Exit.NOT_SERVED,
    Ending.OVERTAKEN: Exit.LOCKED,
}
_TRIES = 3
"""Looks in a row that a daemon's configuration may overtake."""


def run(
    settings: Settings, log: Any, outside: Outside, *, reload: bool = True, force: bool = False
) -> Exit:
    """Make one full pass, see that it is served, and return how it ended.

    Raises:
        OSError: the state directory cannot be written.
    """
    passes = None
    try:
        passes = Passes(settings, outside)
        return _pass(passes, Teller(log), reload=reload, force=force)
    except LockTimeoutError as error:
        log.error("pass.locked_out", message=str(error))
        return Exit.LOCKED
    except TemplateError as error:
        log.error("templates.unusable", message=str(error))
        return Exit.CONFIG_TEST
    except Unreadable as error:
        log.error("homes.unreadable", message=str(error))
        return Exit.UNEXPECTED
    except CommandError as error:
        log.error("sockets.failed", message=str(error))
        return Exit.NOT_SERVED
    finally:
        if passes is not None:
            passes.close()


def _pass(passes: Passes, teller: Teller, *, reload: bool, force: bool) -> Exit:
    for _ in range(_TRIES):
        found = passes.look(force=force, drop_unresolved=not reload)
        teller.look(found, passes)
        ended = Outcome(Ending.CONVERGED, passes.generations.current())
        if reload or found.wanted is not None:
            ended = passes.configure(found.wanted, passes.served, reload=reload)
            teller.outcome(ended)
            if reload:
                passes.make_sockets(passes.served)
        if ended.ending is not Ending.OVERTAKEN:
            break
    if ended.quarantined:
        again = passes.look(ended.quarantined, force=force, drop_unresolved=not reload)
        teller.look(again, passes)
    passes.tidy()
    passes.write_status()
    status = _OF[ended.ending]
    if status is Exit.CONVERGED and passes.fault is not None:
        return Exit.CONFIG_TEST
    if status is Exit.CONVERGED and (found.failed or found.trouble is not None):
        return Exit.UNEXPECTED
    return Exit.HELD if status is Exit.CONVERGED and passes.waits else status


def preview(settings: Settings, outside: Outside) -> Iterator[str]:
    """Yield the lines of what a pass would do. Writes nothing, signals nothing.

    Raises:
        TemplateError, Unreadable: there is no telling.
    """
    passes = Passes(settings, outside)
    try:
        found = passes.look(dry_run=True)
        if found.wanted is not None:
            yield from _diff(passes, found.wanted.configuration)
        for change in found.plan.changes:
            script = change.app.script if change.app else change.reason and change.reason.message
            yield f"{change.event} {change.account} {script or 'gone'}"
        if found.plan.held_text is not None:
            yield found.plan.held_text
    finally:
        passes.close()


def _diff(passes: Passes, wanted: Configuration) -> Iterator[str]:
    current = passes.generations.current()
    published = None if current is None else passes.generations.read(current)
    before = published.files if published else {}
    after = wanted.files
    for name in FILES:
        yield from difflib.unified_diff(
            before.get(name, b"").decode().splitlines(),
            after[name].decode().splitlines(),
            f"current/{name}",
            f"generations/next/{name}",
            lineterm="",
        )
