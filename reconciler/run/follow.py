"""Follow: a process that has loaded an app ends when a file of it changes.

What it watches is what it has: the directories of the modules that it imported from the home, its
templates, the `.env` beside them, and where its virtualenv's packages lie. So no process that has
loaded nothing watches anything, and a change costs nobody but its own app. By inotify, since
nothing else is told of a change at once and costs nothing until then.
"""

import ctypes
import os
import select
import struct
import sys
import time

from . import changes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Optional

    from .process import Process

_WRITTEN, _FROM, _TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_OVERFLOW, _IS_DIRECTORY = 0x4000, 0x40000000
_MASK = _WRITTEN | _FROM | _TO | _CREATE | _DELETE | 0x01000000  # and directories alone
_WATCHES = 256  # of the 8,192 or more that one user has
_QUIET, _PATIENCE = 0.02, 2.0
"""Seconds without a change that end a save, or a `git pull`; and at most so long altogether."""
_QUIET_INSTALL = 1.0  # pip unpacks one distribution after the other
_TICK = 5.0  # seconds between looks at answers that take long
_CODE, _TEMPLATES, _PACKAGES = "code", "templates", "packages"
_REPLACED = 0x4 | 0x400 | 0x800 | 0x02000000
"""Its attributes, which are its last name as well, its end, its move; of a link itself."""


def follow(process: "Process") -> None:
    """Return when a change has ended the process; or at once, where nothing can be watched."""
    read, process.wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        watches = _Watches(process) if process.run["follow"] or process.link else None
    except OSError:  # the user's instances are used up: it goes on as it was loaded
        process.log.say("changes are not followed: there are too many inotify instances")
        watches = None
    poll = select.poll()
    poll.register(read, select.POLLIN)
    if watches is not None:
        poll.register(watches.fd, select.POLLIN)
    changed: set[str] = set()
    has_worked = False
    while not changed:
        if process.is_replaced:
            process.make_room()
            return
        _look_at_answers(process)
        if process.answered and not has_worked:
            has_worked = bool(process.log.worked(process.began))
        if watches is not None:
            changed |= watches.renew()
        if not changed:
            poll.poll(_patience(process, watches))
            _drain(read)
            if watches is not None:
                changed |= watches.changed()
        if watches is not None and changed:
            _wait_for_quiet(watches, changed)
            changed = {path for path in changed if not _is_loaded(process, path)}
    for path in changed:
        _forget_compiled(path)
    process.end(changed)


def _patience(process: "Process", watches: "Optional[_Watches]") -> "Optional[float]":
    """Return in how many milliseconds to look again, whatever happens; None: not at all."""
    if process.ticking:
        return min(_TICK, process.limit or _TICK) * 1000
    return 1000 if watches is None and process.link else None


def _is_loaded(process: "Process", path: str) -> bool:
    """Whether a file is as the process has it, since the app writes it itself.

    As a `version.py` at each load: who ends for it ends for ever. What an answer writes over a
    template, as folium's maps are, Django and Flask would never show.
    """
    return process.is_own(path) and (
        changes.is_code(os.path.basename(path)) or changes.modified(path) <= process.loaded_at
    )


class _Watches:
    """What is watched, and by which rule a name in it counts."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._since = process.began
        self._known: dict[str, str] = {}
        self._folders: dict[int, str] = {}
        if process.link:  # for the thread to wake: what it says is read from the link
            self._libc.inotify_add_watch(self.fd, os.fsencode(process.link), _REPLACED)
        self._collected = ""
        """Where Django collects static files, and keeps the list of their names."""

    def renew(self) -> "set[str]":
        """Watch what was imported since; return what had changed before that."""
        if not self._process.run["follow"]:
            return set()
        process, began = self._process, changes.files_clock()
        process.modules, known = len(sys.modules), set(self._known)
        for folder in _of_code(process):
            self._watch(folder, _CODE)
        self._collected = _of_settings("STATIC_ROOT")
        if self._collected.startswith(process.home + os.sep):
            self._watch(self._collected, _CODE)
        for folder in _of_templates(process, sorted(set(self._known) - known)):
            if len(self._known) >= _WATCHES:
                break
            self._watch(folder, _TEMPLATES)
        if process.app["site_packages"]:
            self._watch(process.app["site_packages"], _PACKAGES)
        changed: set[str] = set()
        watched = time.time()  # ahead of all that was written by then
        for folder in set(self._known) - known:
            if self._known[folder] != _PACKAGES:
                changed |= self._changed_before(folder, watched)
        self._since = began
        return changed

    def _watch(self, folder: str, kind: str) -> None:
        if folder in self._known or len(self._known) >= _WATCHES:
            return
        number = self._libc.inotify_add_watch(self.fd, os.fsencode(folder), _MASK)
        if number >= 0:
            self._known[folder] = kind
            self._folders[number] = folder

    def _changed_before(self, folder: str, now: float) -> "set[str]":
        """Return what may have been saved after it was loaded, before it was watched.

        Not what is of the future, as all is that was unpacked from another time zone: with that,
        each load would be followed by another one.
        """
        try:
            paths = [os.path.join(folder, name) for name in os.listdir(folder)]
        except OSError:
            return set()
        counting = (path for path in paths if self._counts(folder, path, 0))
        return {path for path in counting if self._since <= changes.modified(path) <= now}

    def _counts(self, folder: str, path: str, mask: int) -> bool:
        name, kind = os.path.basename(path), self._known[folder]
        if path == self._process.app["script"]:
            return False  # the daemon hears of it, and makes a new set: one restart, not two
        if kind == _PACKAGES:
            return name.endswith((".dist-info", ".egg-link", ".pth", ".py"))
        if mask & _IS_DIRECTORY:  # Django looks once which apps have templates
            known = path in self._known or path == self._collected
            return known or name in ("templates", "templatetags")
        return changes.is_template(name) if kind == _TEMPLATES else changes.is_code(name)

    def changed(self) -> "set[str]":
        """Return the paths that events tell of, and count."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return set()
        found, at = set(), 0
        while at < len(data):
            number, mask, _, length = struct.unpack_from("iIII", data, at)
            name = os.fsdecode(data[at + 16 : at + 16 + length].rstrip(b"\0"))
            at += 16 + length
            folder = self._folders.get(number, "")
            if mask & _OVERFLOW:
                found.add(self._process.app["project"])
            elif folder and name and (mask & ~_CREATE & 0xFFFF or mask & _IS_DIRECTORY):
                path = os.path.join(folder, name)
                if self._counts(folder, path, mask):
                    found.add(path)
        return found

    def quiet(self, changed: "set[str]") -> float:
        """Return the seconds without another change that these want."""
        folders = {os.path.dirname(path) for path in changed}
        installing = any(self._known.get(folder) == _PACKAGES for folder in folders)
        return _QUIET_INSTALL if installing else _QUIET


def _of_code(process: "Process") -> "Iterator[str]":
    """Yield the directories of what was imported from the home, less those of packages."""
    home, project = process.home + os.sep, process.app["project"]
    yield project
    yield process.app["package"]
    for module in list(sys.modules.values()):
        # Not by an attribute: some modules import another when they are asked for one.
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str) and file.startswith(home) and "-packages" + os.sep not in file:
            yield os.path.dirname(file)


def _of_templates(process: "Process", folders: "list[str]") -> "Iterator[str]":
    """Yield directories of templates: those beside code, and those of Django's settings."""
    todo = [os.path.join(folder, "templates") for folder in folders]
    try:
        for engine in _setting("TEMPLATES") or ():
            todo += map(os.fspath, engine.get("DIRS", ()))
    except Exception:
        pass
    for top in todo:
        if top.startswith(process.home + os.sep):
            for folder, _ in changes.folders(top):
                yield folder


def _setting(name: str) -> "Any":
    """Return one of Django's settings, None where it is not set or there is no Django."""
    settings: Any = getattr(sys.modules.get("django.conf"), "settings", None)
    try:
        return getattr(settings, name, None) if settings.configured else None
    except Exception:
        return None


def _of_settings(name: str) -> str:
    """Return the directory that a setting names, "" where it names none."""
    try:
        path = os.fspath(_setting(name) or "")
    except TypeError:
        return ""
    return os.path.abspath(path) if path else ""


def _wait_for_quiet(watches: _Watches, changed: "set[str]") -> None:
    poll, until = select.poll(), time.monotonic() + _PATIENCE
    poll.register(watches.fd, select.POLLIN)
    while time.monotonic() < until and poll.poll(watches.quiet(changed) * 1000):
        changed |= watches.changed()


def _look_at_answers(process: "Process") -> None:
    """Tell of answers that take too long."""
    now, limit = time.monotonic(), process.limit
    process.ticking = bool(process.active)
    for thread, since in list(process.active.items()):
        if limit and now - since >= limit:
            process.active.pop(thread, None)
            process.hanging(thread)


def _forget_compiled(path: str) -> None:
    """Remove what Python compiled of a file that has changed.

    It compares seconds and sizes: of two saves within a second, the first stays.
    """
    if path.endswith(".py"):
        from importlib.util import cache_from_source  # 150 KB, for a process that ends

        try:
            os.unlink(cache_from_source(path))
        except (OSError, NotImplementedError):
            pass


def _drain(pipe: int) -> None:
    try:
        os.read(pipe, 4096)
    except BlockingIOError:
        pass
