"""The pages: an account's own URL while it has no app, and the overview for instructors.

Plain and complete: no script, no other file, nothing of a student's unescaped.
"""

from __future__ import annotations

from functools import cache

import jinja2

from reconciler.model import Verdict
from reconciler.report.status import Status, counts
from reconciler.settings import Settings
from reconciler.text import printable


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("reconciler.report", "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def account(verdict: Verdict, settings: Settings) -> bytes:
    """Return the page of an account that has no app: what is wrong and how to mend it, or begin."""
    template = _environment().get_template("account.html.j2")
    return template.render(
        name=verdict.name,
        url=verdict.url,
        home=f"{settings.homes.root}/{verdict.name}",
        explain=settings.pages.explain,
        reason=verdict.reason,
        warnings=verdict.warnings,
        others=[
            (printable(path), reason)
            for path, reason in verdict.others
            if reason is not verdict.reason
        ],
    ).encode()


def dashboard(status: Status) -> bytes:
    """Return the overview of all accounts."""
    template = _environment().get_template("dashboard.html.j2")
    return template.render(status=status, counts=counts(status.accounts.values())).encode()
