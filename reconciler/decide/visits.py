"""What a visit says of an app: whether it fails, and what its student stumbles over. Pure.

    the first page                                            then
    --------------------------------------------------------  ---------------------------------
    none: Apache is stopped, or nothing came in time          nothing is known
    503, 504: Apache's own, of an app that is busy or hangs   nothing is known
    500, 502, other 5xx                                       it fails; why, if the page says so
    anything else: an app's own 404, a redirect elsewhere     it works

A page that works may still lack its styles, refuse everybody, or lead out of the app's addresses:
these are warnings, of each kind one, and it names the first that was found.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from msgspec.structs import replace

from reconciler.decide.ailments import Facts, ailment
from reconciler.model import Failure, Rejection, Visit
from reconciler.settings import Settings

SLOW_START = 5.0
"""Seconds: a visitor who waits for longer thinks that it is down."""
CODES = frozenset(
    {"allowed-hosts", "static-missing", "outside-prefix", "slow-start", "migrations",
     "missing-module", "read-only-database"}
)  # fmt: skip
"""What `warnings` may tell."""
_UNTOLD = frozenset({503, 504})

# What exceptions say → the code, and what of it is the name. Django's page is titled
# "OperationalError at /", Flask's "builtins.OperationalError: … // Werkzeug Debugger".
_KINDS = (
    ("migrations", r"no such (?:table|column): ([\w.]+)"),
    ("migrations", r"(?:relation|column) \"?([\w.]+)\"? .{0,60}does not exist"),
    ("migrations", r"(?:Table|Unknown column) '([\w.]+)'"),
    ("read-only-database", r"attempt to write a readonly database()"),
    ("missing-module", r"No module named '?([\w.]+)"),
    ("settings", r"([A-Z_]{3,60}) setting"),
)
_SHOWN = tuple((code, re.compile(pattern)) for code, pattern in _KINDS)
_KIND = re.compile(r"(?:\w+\.)*([A-Z]\w{2,60})(?: at |: | //|\Z)")
# Django's own page for a 400, in English whatever the language: nothing else is in it.
_BAD_REQUEST = "Bad Request (400)"


def name_of(host: str) -> str:
    """Return the name, or the address, in what a `Host:` says."""
    return urlsplit(f"//{host}").hostname or ""


def works(visit: Visit) -> bool | None:
    """Whether the app answered well; None where that is not known."""
    if visit.status is None or visit.status in _UNTOLD:
        return None
    return visit.status < 500


def failure(visit: Visit) -> Failure | None:
    """Return why it fails, as far as its page says so; None unless it fails."""
    if works(visit) is not False:
        return None
    kind, text = _KIND.match(visit.title), f"{visit.said} {visit.title}"
    for code, pattern in _SHOWN:
        found = pattern.search(text)
        if found is not None:
            return Failure(code, kind=kind[1] if kind else "", name=found[1])
    return Failure("raises", kind=kind[1] if kind else f"an error ({visit.status})")


def warnings(
    visit: Visit, facts: Facts, settings: Settings, told: Collection[str] = ()
) -> tuple[Rejection, ...]:
    """Return what the student is to be told, each with what mends it for their own app.

    Args:
        visit: what was found.
        facts: what the texts are filled with; `hosts` are all the names that the app is to have.
        settings: they say its URL.
        told: codes of what is told of the app anyway.
    """
    found: dict[str, Rejection] = {}
    for row, changes in _found(visit, facts):
        code = row.partition(":")[0]
        known = code in told or (code == "static-missing" and "static-unreachable" in told)
        if code not in found and not known:
            found[code] = ailment(row, replace(facts, **changes), settings)
    return tuple(found.values())


def _found(visit: Visit, facts: Facts) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield rows of the table and what they are filled with; the first of a code counts."""
    refused = visit.title == _BAD_REQUEST or "ALLOWED_HOSTS" in visit.said
    if visit.status == 400 and refused:
        yield "allowed-hosts", {"host": name_of(visit.host)}
    why = failure(visit)
    if why is not None and why.code in CODES:
        yield why.code, {"name": why.name, "kind": why.kind}
    for kind, link in visit.outside:
        if kind == "redirect":
            login = "login" in link or "next=" in link
            yield f"outside-prefix{':login' if login else ''}", {"name": link}
        elif kind == "load" and link.startswith(("/static/", "/media/")):
            media = link.startswith("/media/")
            yield f"static-missing:{'media' if media else 'url'}", {"name": link}
        else:
            yield "outside-prefix", {"name": link}
    for path, status in visit.missing:
        yield _missing(path, status, facts)
    if visit.took > SLOW_START and visit.status is not None:
        yield "slow-start", {"seconds": visit.took}


def _missing(path: str, status: int, facts: Facts) -> tuple[str, dict[str, object]]:
    """Return why a file of the app's own addresses is not to be had."""
    below = path.removeprefix(facts.base).lstrip("/").partition("?")[0]
    name, _, file = below.partition("/")
    directory = dict(facts.links).get(name)
    if status == 403 and directory is not None:
        return "static-missing:chmod", {"name": path, "static": directory}
    if directory is not None and name == "media":
        return "static-missing", {"name": path, "static": directory}
    if directory is not None or (facts.static is not None and name != "media"):
        return "static-missing:collect", {"name": path}
    # Of Django's own administration: whoever wrote the project, its files are to be collected.
    if file.startswith("admin/") or facts.settings is not None:
        return "static-missing:root", {"name": path}
    return "static-missing", {"name": path}
