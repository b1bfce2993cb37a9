"""Sockets of systemd: a pair for each account with an app, where the template set has units.

    slp-front@NAME.socket   Apache asks here         slp-front@NAME.service  the relay
    slp-app@NAME.socket     the relay asks here      slp-app@NAME.service    the app, as the student

The units are the template set's, rendered from settings alone, and lie in `/run/systemd/system`: an
account is an instance of them and has no file, but for limits that the settings give it. An app's
process begins with its first visitor, and ends by itself when another set is published; so what is
done here is to make and to end sockets.

A socket that systemd took down, as of an account that could not start for long, is put back.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import re
import threading
from collections.abc import Iterable, Mapping, Set

from reconciler.publish import command, files, unit
from reconciler.publish.command import CommandError

DIRECTORY = "/run/systemd/system"
RELAY = "slp-relay"
"""Whose the relays are, in the units."""
_LIMIT = 64 * 1024  # bytes of a unit
_AT_ONCE = 100  # accounts in one command: their names are some 10 KB of words
_SOCKETS = ("slp-app@{}.socket", "slp-front@{}.socket")
_APP = "slp-app@{}.service"
_SERVICES = ("slp-front@{}.service", _APP)
_LIMITS = f"{_APP}.d/limits.conf"
_OURS = re.compile(
    r"slp-(?:(?:app|front)@\.(?:socket|service)|apps\.slice|"
    r"app@[A-Za-z0-9_][A-Za-z0-9_.-]*\.service\.d/limits\.conf)"
)
_LISTED = re.compile(r"slp-(app|front)@(\S+)\.socket\s+\S+\s+(\S+)")


class Units:
    """The sockets of one machine. Any thread may ask for them."""

    def __init__(
        self,
        texts: Mapping[str, str],
        *,
        limits: Mapping[str, tuple[str, ...]] | None = None,
        timeout: float,
    ) -> None:
        """`texts` are the units by their names; none: apps are run by somebody else.

        `limits` are properties of single accounts' apps, as "MemoryMax=1G".
        """
        self._texts, self._timeout = dict(texts), timeout
        for name, said in limits.items() if texts and limits else ():
            if _OURS.fullmatch(_LIMITS.format(name)):
                self._texts[_LIMITS.format(name)] = "\n".join(("[Service]", *said, ""))
        self._lock = threading.Lock()
        self.there: frozenset[str] | None = None
        """Whose sockets stand, as far as is known; None: that is to be looked up."""

    @property
    def are_wanted(self) -> bool:
        """Whether apps are run so."""
        return bool(self._texts)

    def begin(self, names: Set[str]) -> None:
        """See to it that the sockets of these accounts stand.

        Raises:
            CommandError: systemd is not there, or refused.
            OSError: the units cannot be written.
        """
        if not self._texts:
            return
        if not unit.is_there():
            raise CommandError("this template set needs systemd, which does not run", status=None)
        with self._lock:
            self._install()
            missing = sorted(names - self._standing())
            for some in _portions(missing):
                sockets = [name.format(account) for account in some for name in _SOCKETS]
                self._start(sockets)
            self.there = frozenset(names)

    def end_others(self, names: Set[str]) -> None:
        """End what stands for anybody but these, and where nobody is run so, the units as well.

        Raises:
            CommandError, OSError: as for `begin`.
        """
        if not unit.is_there() or (not self._texts and not self._installed()):
            return
        with self._lock:
            kept = names if self._texts else frozenset[str]()
            for some in _portions(sorted(self._listed() - kept)):
                both = [name.format(account) for account in some for name in _SOCKETS + _SERVICES]
                # Not waited for: an app may take its time to end, and nobody asks it any more.
                self._run("stop", "--no-block", *both)
            if not self._texts:
                self._install()

    def _start(self, sockets: list[str]) -> None:
        try:
            self._run("start", *sockets)
        except CommandError as error:
            raise CommandError(f"{error}{_why()}", status=error.status) from error

    def _install(self) -> None:
        altered = False
        for name, text in self._texts.items():
            path, data = f"{DIRECTORY}/{name}", text.encode()
            if files.read(path, limit=_LIMIT) != data:
                os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
                files.write(path, data, durable=False)
                altered = True
        for name in set(self._installed()) - self._texts.keys():
            os.unlink(f"{DIRECTORY}/{name}")
            if "/" in name:
                with contextlib.suppress(OSError):  # an administrator's are in there as well
                    os.rmdir(os.path.dirname(f"{DIRECTORY}/{name}"))
            altered = True
        if altered:
            self.there = None
            self._run("daemon-reload")

    @staticmethod
    def _installed() -> list[str]:
        found = (
            os.path.relpath(os.path.join(directory, name), DIRECTORY)
            for directory in (DIRECTORY, *glob.iglob(f"{DIRECTORY}/{_APP.format('*')}.d"))
            for name in (os.listdir(directory) if os.path.isdir(directory) else ())
        )
        return list(filter(_OURS.fullmatch, found))

    def _standing(self) -> Set[str]:
        return self._listed(active=True) if self.there is None else self.there

    def _listed(self, *, active: bool = False) -> set[str]:
        """Return who has a socket, or with `active` who has both and can be asked."""
        words = ["list-units", "--all", "--full", "--plain", "--no-legend", "--no-pager"]
        said = self._run(*words, *(name.format("*") for name in _SOCKETS))
        found: dict[str, set[str]] = {"app": set(), "front": set()}
        for kind, name, state in _LISTED.findall(said):
            if state == "active" or not active:
                found[kind].add(name)
        return found["app"] & found["front"] if active else found["app"] | found["front"]

    def _run(self, *words: str) -> str:
        return command.run(["systemctl", *words], timeout=self._timeout)


def _why() -> str:
    """Return what systemd says to its journal alone, where it is what an administrator forgot."""
    try:
        pwd.getpwnam(RELAY)
    except KeyError:
        return f" There is no user {RELAY}: `systemd-sysusers` makes it, see the README."
    return ""


def _portions(names: list[str]) -> Iterable[list[str]]:
    return (names[first : first + _AT_ONCE] for first in range(0, len(names), _AT_ONCE))
