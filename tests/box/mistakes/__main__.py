"""Prints docs/mistakes.md."""

from __future__ import annotations

from tests.box.mistakes import MISTAKES, Mistake

HEAD = """\
# Everyday mistakes

What beginners of Django, Flask and Python get wrong on a shared server, and what this program
tells them. Each was looked for where beginners ask, and was found in the thread or on the page
that is named. Each is a test: a project that works is broken in this way alone; it must be told
under this code, in the status and where a student sees it first, with file and line or the
command that mends it; and the mend alone, without a touch, must bring the app back
(`tests/box/test_mistakes.py`). Where the mend is a command, the test types what the status
says. Where nothing else runs each is told, and back, within ten seconds (a loop without an end:
after `startup-timeout`); beside other tests four times as much is allowed.

This page is printed by `python -m tests.box.mistakes`.
"""
MENDS = {True: "as it stands there", False: "the file, put right"}


def page() -> str:
    """Return the page."""
    return HEAD + "".join(
        f"\n## {framework}\n\n"
        "| mistake | code | seen at | with | mend | found in |\n|---|---|---|---|---|---|\n"
        + "".join(row(m) for m in MISTAKES if m.project.framework == framework)
        for framework in ("Django", "Flask", "WSGI")
    )


def row(mistake: Mistake) -> str:
    """Return a mistake's row."""
    place = f"`{mistake.place()}`" if mistake.where else ""
    told = ", ".join(filter(None, (place, *(f"`{word}`" for word in mistake.words))))
    mend = mistake.mend or mistake.mend_as_root
    cells = (
        mistake.what,
        f"`{mistake.code}`",
        {"url": "its URL", "status": "`status`"}[mistake.at],
        told,
        f"`{mend}`" if mend else MENDS[mistake.typed],
        mistake.source,
    )
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


if __name__ == "__main__":
    print(page(), end="")
