"""Which files an app depends on, by their names; and which of them changed since it worked."""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 2000  # entries that are looked at
_TOLD = 10
_TEMPLATES = (".html", ".htm", ".djhtml", ".txt", ".xml", ".md", ".jinja", ".jinja2", ".j2")
_SKIPPED = {"node_modules", "static", "staticfiles", "media"}


def is_code(name: str) -> bool:
    """Whether a file of this name is Python, settings beside it, or what Django reads once."""
    return name.endswith(".py") or name in {".env", "staticfiles.json"} or name.startswith(".env.")


def is_template(name: str) -> bool:
    """Whether it can be a template: no upload and no database, where those lie beside them."""
    return not name.startswith(".") and name.endswith(_TEMPLATES)


def folders(top: str) -> "Iterator[tuple[str, list[str]]]":
    """Yield the directories from `top` down that can hold code or templates, and their files."""
    for folder, inner, names in os.walk(top):
        if "pyvenv.cfg" in names:  # a virtualenv, whatever its name
            inner.clear()
            continue
        inner[:] = [name for name in inner if not name.startswith((".", "__"))]
        inner[:] = [name for name in inner if name not in _SKIPPED]
        yield folder, names


def since(moment: float, project: str, home: str) -> "list[str]":
    """Return what of a project changed since `moment` (of the files' clock), newest first.

    Relative to the home. Nothing where it never worked.
    """
    found: list[tuple[float, str]] = []
    left, now = _MOST, time.time()
    for folder, names in folders(project) if moment else ():
        left -= len(names)
        if left < 0:
            break
        paths = (os.path.join(folder, name) for name in names if is_code(name) or is_template(name))
        times = ((modified(path), path) for path in paths)
        # Not of the future, where what was unpacked from another time zone lies for hours.
        found += [(at, os.path.relpath(path, home)) for at, path in times if moment < at <= now]
    return [path for _, path in sorted(found, reverse=True)[:_TOLD]]


def files_clock() -> float:
    """Return a time that what is written from now on is not before.

    Files' own times are up to 4 ms behind the clock; since Linux 6.13 only some of them are, so
    that `time.time()` alone is not before what was written until now.
    """
    return time.clock_gettime(5)  # CLOCK_REALTIME_COARSE


def modified(path: str) -> float:
    """Return when a file was written last; 0.0 where it is not there."""
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except OSError:
        return 0.0
