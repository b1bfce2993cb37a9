"""Makes facts as the observer would, for tests of what is decided on them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from reconciler.decide.verdict import Context
from reconciler.model import Account, App, Home, Node, Run, Script, Source, Standing
from reconciler.settings import Settings

ALICE = Account("alice", 1001, 1001, "/home/slp/alice", "alice", private_group=True)
GOOD = Source(None, None, binds_application=True)
RUN = Run(url="/django/alice", told="/run/slp-reconciler/told/alice")
BROKEN = Source(None, (3, "invalid syntax"), binds_application=False)


def node(path: str, kind: str = "directory", **changes: Any) -> Node:
    """Return a node of alice's, fit to be used."""
    mode = 0o755 if kind == "directory" else 0o644
    return replace(Node(path, kind, 1001, 1001, mode, 1, 300, 7, 1_000), **changes)


def script(
    project: str = "mysite",
    *,
    source: Source | None = GOOD,
    mtime: int = 1_000,
    kind: str = "file",
    **changes: Any,
) -> Script:
    """Return `~/project/project/wsgi.py`; `changes` are the file's."""
    package = f"{project}/{project}"
    path = f"{package}/wsgi.py"
    file = node(path, kind, mtime_ns=mtime, **changes)
    nodes = (node(""), node(project), node(package), file)
    return Script(path, nodes, source, None, project, package)


def link(project: str) -> Script:
    """Return a script that is a symbolic link."""
    return script(project, source=None, kind="link", mode=0o777)


def gone(path: str) -> Script:
    """Return a script that a setting names, and that is not there."""
    return Script(path, (node(""),), None, None, path.rpartition("/")[0], path.rpartition("/")[0])


def unknown(project: str) -> Script:
    """Return a script that could not be looked at."""
    return replace(script(project, source=None), trouble="Input/output error (EIO)")


def home(*scripts: Script, **changes: Any) -> Home:
    """Return alice's home with these scripts."""
    return replace(Home("alice", Standing.FOUND, ALICE, node(""), scripts=scripts), **changes)


def app(project: str = "mysite", *, mtime: int = 1_000) -> App:
    """Return the app that `script(project)` is, when it is admitted."""
    base = f"/home/slp/alice/{project}"
    file = f"{base}/{project}/wsgi.py"
    identity = (7, 300, mtime)
    package = f"{base}/{project}"
    return App("alice", 1001, 1001, file, base, package, (), None, None, identity, run=RUN)


def context(
    served: App | None = None,
    *,
    now: float = 100.0,
    grace: float = 2.0,
    soft_since: float | None = None,
    settings: Settings | None = None,
) -> Context:
    """Return what a verdict depends on beside the home."""
    return Context(settings or Settings(), now, grace, "3.11", served, soft_since)
