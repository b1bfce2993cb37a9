"""Whether one script, or one `~/.slp.toml`, is fit to be used: every check in one place.

The order is that of the danger: what a name, a link, an owner or a mode says comes before anything
that the text says, and the first fault found on the way from the home to the file is the one told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.decide.rules import MISSING, reject
from reconciler.model import Account, Home, News, Node, Rejection, Script, Wishes
from reconciler.settings import Settings

COMPONENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,254}")
"""What a directory or file may be called. An allow-list, since a configuration quotes it."""

MAX_SCRIPT = 64 * 1024
MAX_WISHES = 8 * 1024

_WHAT = {"directory": "a directory", "other": "a device, pipe or socket", "link": "a link"}


def base_of(home: Home, settings: Settings) -> str:
    """Return the home's real path, which what is published names."""
    return home.path or f"{settings.homes.root}/{home.name}"


def judge_script(script: Script, account: Account, *, content: bool = True) -> Rejection | None:
    """Return why `script` cannot be an app, or None. `content=False` skips what its text says."""
    unsafe = _judge_name(script.path)
    if unsafe is not None:
        return unsafe
    fault = next(_node_faults(script.nodes, account, target=script.path, limit=MAX_SCRIPT), None)
    if fault is not None and fault.news is News.UNSAFE:
        return fault  # that much is known, whatever else could not be told
    if script.trouble is not None:
        return reject("unreadable", path=_shown(script.path), why=script.trouble)
    if script.file is None and script.nodes and script.nodes[-1].kind == "directory":
        return _missing(script.path)
    if fault is not None or not content:
        return fault
    return _judge_source(script)


def judge_wishes(wishes: Wishes, account: Account) -> Rejection | None:
    """Return why a student's `~/.slp.toml` cannot be followed, or None."""
    if not wishes.nodes:
        return None
    faults = _node_faults(wishes.nodes, account, target=".slp.toml", limit=MAX_WISHES)
    found = next(faults, None)
    if found is not None or wishes.fault is None:
        return found
    fault = wishes.fault
    if fault.code == "encoding":
        return reject("encoding", path="~/.slp.toml", why=fault.message)
    return reject(
        "syntax-error", path="~/.slp.toml", line=fault.line, why=fault.message, show="cat -n"
    )


def judge_home(node: Node, account: Account) -> Rejection | None:
    """Return why nothing below this home can be trusted, or None."""
    return next(_node_faults((node,), account, target=None, limit=0), None)


def _judge_name(path: str) -> Rejection | None:
    parts = path.split("/")
    for depth, part in enumerate(parts):
        if not COMPONENT.fullmatch(part):
            # The first on the way: what is above it is plain already.
            above = "/".join(["~", *parts[:depth]])
            plain = re.sub(r"^[^A-Za-z0-9_]|[^A-Za-z0-9_.+-]", "_", part)
            return reject(
                "unsafe-name",
                path=f"{above}/{part}",
                part=part,
                why="has characters other than letters, digits and _ . + -, or begins with . or -",
                plain=f"{above}/{plain}",
            )
    return None


def _judge_source(script: Script) -> Rejection | None:
    source, path = script.source, _shown(script.path)
    if source is None:
        return reject("unreadable", path=path, why="its text was not read")
    if source.encoding is not None:
        return reject("encoding", path=path, why=source.encoding)
    if source.syntax is not None:
        line, why = source.syntax
        return reject("syntax-error", path=path, line=line, why=why, show="python3 -m py_compile")
    if not source.binds_application:
        return reject("no-application", path=path)
    return None


def _missing(path: str) -> Rejection:
    return reject(
        "not-regular",
        news=News.SOFT,  # a checkout or an editor may be at work, as with one that is gone
        path=_shown(path),
        what="not there",
        wanted="a regular file",
        mend=MISSING,
    )


def _node_faults(
    nodes: tuple[Node, ...], account: Account, *, target: str | None, limit: int
) -> Iterator[Rejection]:
    """Yield what is wrong, from the home downwards."""
    for node in nodes:
        path = _shown(node.path)
        is_target = node.path == target
        wanted = "file" if is_target else "directory"
        if node.kind == "link":
            yield reject("symlink", path=path)
        elif node.kind != wanted:
            yield reject(
                "not-regular",
                path=path,
                what=_WHAT.get(node.kind, "a file"),
                wanted="a regular file" if is_target else "a directory",
            )
        # A directory of root's is a fixture of the machine; a file of root's is no student's code.
        if node.uid != account.uid and (is_target or node.uid != 0 or node.path == ""):
            yield reject("wrong-owner", path=path, uid=node.uid, name=account.name, own=account.uid)
        if is_target and node.links != 1:
            yield reject("hard-link", path=path, links=node.links)
        yield from _mode_faults(node, account, is_target=is_target)
        if is_target and node.size > limit:
            yield reject("too-large", path=path, size=node.size, limit=limit)


def _mode_faults(node: Node, account: Account, *, is_target: bool) -> Iterator[Rejection]:
    if not node.mode & 0o6022:  # what is looked at below: most have none of it
        return
    path, mode = _shown(node.path), f"{node.mode:04o}"
    # All that is below as well, since `chmod -R 777 mysite` is how it came about; not in a home.
    change = "-R go-w" if node.kind == "directory" and node.path else "go-w"
    if node.mode & 0o002:
        yield reject("writable-by-others", path=path, mode=mode, who="every account", change=change)
    # The default umask of many distributions gives 0664; where the group has nobody else, that
    # lets nobody else in.
    own_group = account.private_group and node.gid == account.gid
    if node.mode & 0o020 and not own_group:
        yield reject(
            "writable-by-others", path=path, mode=mode, who=f"group {node.gid}", change=change
        )
    if is_target and node.mode & 0o6000:
        yield reject(
            "writable-by-others",
            path=path,
            mode=mode,
            who="whoever runs it (it is setuid or setgid)",
            change="ug-s",
        )


def _shown(path: str) -> str:
    return f"~/{path}" if path else "~"
