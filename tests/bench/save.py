"""From a module saved to the new code's answer; against the save and a `touch` of the script.

Ours is followed by the app's own process, and needs no touch; mod_wsgi's own restart needs one.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.bench import load, school
from tests.bench.beside import Pair, pairs, rows, turn_by_turn
from tests.bench.figures import Figure

_SCRIPT = "from mysite.views import application\n"


def run(samples: int) -> list[Figure]:
    """Measure turn by turn, an account of ours and one of the manual's own stanza."""
    with pairs(samples, ready) as pair:
        ours, theirs = turn_by_turn(pair, lambda index, phase: _sample(pair, index, phase))
    against = "mod_wsgi's own, with a touch of the script"
    return rows(f"views.py saved, {samples} samples", ours, against, theirs)


def ready(index: int) -> None:
    """Give an account a project whose script takes its app from another module."""
    package = school.ROOT / school.name(index) / "mysite/mysite"
    package.mkdir(parents=True)
    (package.parent / "manage.py").write_text("#\n")
    (package / "__init__.py").touch()
    (package / "wsgi.py").write_text(_SCRIPT)
    (package / "views.py").write_text(school.SCRIPT % school.name(index))


def put(index: int, text: str) -> Path:
    """Write a `views.py` beside its place; return it, for one rename as good editors do."""
    package = school.ROOT / school.name(index) / "mysite/mysite"
    draft = package / ".draft"
    draft.write_text(text)
    school.own(package, index)
    return draft


def save(pair: Pair, index: int, draft: Path) -> None:
    """Rename it into place; and where nobody follows, touch the script."""
    os.rename(draft, draft.with_name("views.py"))
    if index in pair.theirs:
        os.utime(draft.with_name("wsgi.py"))


def _sample(pair: Pair, index: int, phase: float) -> float:
    load.until(pair.url(index), school.name(index).encode())
    draft = put(index, school.SCRIPT % f"{school.name(index)} anew")
    time.sleep(0.5 + phase)  # it is followed by then
    started = time.perf_counter()
    save(pair, index, draft)
    load.until(pair.url(index), f"{school.name(index)} anew".encode(), pause=0.002)
    return (time.perf_counter() - started) * 1e3
