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
import time
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
_PROPERTY = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)
_STAND = ("active", "active")
_PATIENCE, _LOOK = 1.0, 0.01  # seconds: without any more that stand; between looks
_NAMED = 5
_NOBODY = -1
_UNREAD = ".slp-reconciler.unread"
"""A file that is there while systemd has yet to read the others, whoever wrote them."""
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
        self._lock = threading.RLock()
        self.there: dict[str, int] | None = None
        """Whose sockets stand, as far as is known, and the uid that answers there; None: that is to
        be looked up."""

    @property
    def are_wanted(self) -> bool:
        """Whether apps are run so."""
        return bool(self._texts)

    def settle(self, wanted: Mapping[str, int]) -> None:
        """Let these accounts have sockets, and nobody else; each with its uid.

        Raises:
            CommandError, OSError: as for `begin`. What could be done is done.
        """
        with self._lock:
            try:
                self.begin(wanted)
            finally:
                self.end_others(wanted.keys())

    def begin(self, wanted: Mapping[str, int]) -> None:
        """See to it that the sockets of these accounts stand, and that nobody else answers there.

        Nobody waits long for somebody whose sockets cannot stand yet.

        Raises:
            CommandError: systemd is not there, or refused; or some do not stand yet.
            OSError: the units cannot be written.
        """
        if not self._texts:
            return
        if not unit.is_there():
            raise CommandError("this template set needs systemd, which does not run", status=None)
        with self._lock:
            self._install()
            there, self.there = self.there, None
            there = self._look(wanted) if there is None else there
            # Of an account that was made anew: a process ends by itself, unless it would not.
            self._stop(_APP, sorted(n for n, uid in wanted.items() if there.get(n, uid) != uid))
            missing = sorted(wanted.keys() - there.keys())
            refusal = self._start(missing)
            late = self._late(missing)
            self._stop(_APP, late)  # while it runs, its socket cannot begin
            self.there = {n: wanted.get(n, uid) for n, uid in there.items()}
            self.there |= {n: wanted[n] for n in missing if n not in set(late)}
        if late:
            text = refusal or f"do not stand yet: {', '.join(late[:_NAMED])}"
            raise CommandError(f"sockets of apps: {text}.{_why()}", status=None)

    def end_others(self, names: Set[str]) -> None:
        """End what stands for anybody but these, and where nobody is run so, the units as well.

        Raises:
            CommandError, OSError: as for `begin`.
        """
        if not unit.is_there() or (not self._texts and not self._installed()):
            return
        with self._lock:
            kept = names if self._texts else frozenset[str]()
            others = sorted(self._listed() - kept)
            for kind in (*_SOCKETS, *_SERVICES):
                self._stop(kind, others)
            if self.there is not None:
                self.there = {n: uid for n, uid in self.there.items() if n in kept}
            if not self._texts:
                self._install()

    def _start(self, names: list[str]) -> str:
        """Ask for sockets, without waiting for any; return what systemd says against it."""
        refusal = ""
        for some in _portions(names):
            try:
                self._run("start", "--no-block", *_sockets(some))
            except CommandError as error:  # of one, perhaps
                refusal = str(error)
        return refusal

    def _stop(self, kind: str, names: list[str]) -> None:
        """End units. Not waited for: an app may take its time, and nobody asks it any more."""
        for some in _portions(names):
            self._run("stop", "--no-block", *map(kind.format, some))

    def _late(self, names: list[str]) -> list[str]:
        """Wait for sockets for as long as there come more; return whose do not stand."""
        until = time.monotonic() + _PATIENCE
        while names:
            left = []
            for some in _portions(names):
                said = self._run("show", "--property=ActiveState", "--value", *_sockets(some))
                states = iter(said.split())
                left += [n for n in some if (next(states, ""), next(states, "")) != _STAND]
            if len(left) < len(names):
                until = time.monotonic() + _PATIENCE
            elif time.monotonic() > until:
                break
            names = left
            time.sleep(_LOOK if left else 0)
        return names

    def _install(self) -> None:
        unread = f"{DIRECTORY}/{_UNREAD}"
        for name, text in self._texts.items():
            path, data = f"{DIRECTORY}/{name}", text.encode()
            if files.read(path, limit=_LIMIT) != data:
                os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
                files.write(unread, b"", durable=False)
                files.write(path, data, durable=False)
        for name in set(self._installed()) - self._texts.keys():
            files.write(unread, b"", durable=False)
            os.unlink(f"{DIRECTORY}/{name}")
            if "/" in name:
                with contextlib.suppress(OSError):  # an administrator's are in there as well
                    os.rmdir(os.path.dirname(f"{DIRECTORY}/{name}"))
        if os.path.exists(unread):
            self.there = None
            self._run("daemon-reload")
            os.unlink(unread)

    @staticmethod
    def _installed() -> list[str]:
        found = (
            os.path.relpath(os.path.join(directory, name), DIRECTORY)
            for directory in (DIRECTORY, *glob.iglob(f"{DIRECTORY}/{_APP.format('*')}.d"))
            for name in (os.listdir(directory) if os.path.isdir(directory) else ())
        )
        return list(filter(_OURS.fullmatch, found))

    def _look(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """Return whose sockets stand, with the uid of the process that answers there, if any."""
        said = self._run("show", "--property=Id,UID", _APP.format("*"))
        found = (dict(_PROPERTY.findall(block)) for block in said.split("\n\n"))
        uids = {one["Id"]: int(one["UID"]) for one in found if one.get("UID", "").isdigit()}
        standing = self._listed(active=True)
        return {n: uids.get(_APP.format(n), wanted.get(n, _NOBODY)) for n in standing}

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


def _sockets(names: list[str]) -> list[str]:
    return [kind.format(name) for name in names for kind in _SOCKETS]


def _portions(names: list[str]) -> Iterable[list[str]]:
    return (names[first : first + _AT_ONCE] for first in range(0, len(names), _AT_ONCE))
