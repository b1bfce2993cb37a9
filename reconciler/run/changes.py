"""Which files an app depends on, by their names; and which of them changed since it worked."""

import os
import time

_MOST = 2000  # entries that are looked at
_TOLD = 10
_SKIPPED = {"node_modules", "static", "staticfiles", "media"}


def is_code(name: str) -> bool:
    """Whether a file of this name is Python, settings beside it, or what Django reads once."""
    return name.endswith(".py") or name in {".env", "staticfiles.json"} or name.startswith(".env.")


def is_template(name: str) -> bool:
    """Whether it can be a template: no editor's own file."""
    return not name.startswith(".") and not name.endswith(("~", ".swp", ".tmp"))


def since(moment: float, project: str, home: str) -> "list[str]":
    """Return what of a project changed since `moment` (of the files' clock), newest first.

    Relative to the home. Nothing where it never worked.
    """
    found, left = [], _MOST
    for folder, folders, files in os.walk(project) if moment else ():
        if "pyvenv.cfg" in files:  # a virtualenv, whatever its name
            folders.clear()
            continue
        folders[:] = [f for f in folders if not f.startswith((".", "__")) and f not in _SKIPPED]
        left -= len(files)
        if left < 0:
            break
        for name in files:
            if is_code(name) or name.endswith(".html"):
                path = os.path.join(folder, name)
                changed = modified(path)
                if changed > moment:
                    found.append((changed, os.path.relpath(path, home)))
    return [path for _, path in sorted(found, reverse=True)[:_TOLD]]


def files_clock() -> float:
    """Return the time by the clock that files' own times are of, which is up to 4 ms behind."""
    return time.clock_gettime(5)  # CLOCK_REALTIME_COARSE


def modified(path: str) -> float:
    """Return when a file was written last; 0.0 where it is not there."""
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except OSError:
        return 0.0
