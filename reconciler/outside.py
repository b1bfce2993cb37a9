"""What the program meets outside itself: made once in `cli`, and the one seam for tests.

The file system, inotify, threads and locks are real in every test. These five are not always to be
had: a test that needs no root brings an account database, an Apache, a clock, an identity and a
systemd of its own, and then runs a whole reconciler with its daemon in a temporary directory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from reconciler.clock import Clock
from reconciler.notify import Supervisor
from reconciler.observe.accounts import Accounts
from reconciler.observe.identity import Become, become
from reconciler.publish.apache import Server
from reconciler.settings import Settings


def _server(settings: Settings) -> Server:
    return Server(settings.apache, prefix=settings.urls.prefix, state=settings.state.directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The five; each default is the machine's own."""

    accounts: Callable[[], Accounts] = Accounts
    """A new view of the account database, for one thread."""
    server: Callable[[Settings], Server] = _server
    as_student: Become = become
    """How the calling thread becomes a student, or itself again."""
    clock: Clock = field(default_factory=Clock)
    notify: Supervisor = field(default_factory=Supervisor)
