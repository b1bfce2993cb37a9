"""The pages: what an account's URL says where its app does not, and the overview for instructors.

Plain and complete: no script, no other file, nothing of a student's unescaped. They load themselves
anew, so that a page turns into the app once that is mended. The world sees file, line, exception
and mend, and what the exception said only where that cannot carry a secret (`health.reports`).
"""

from __future__ import annotations

from functools import cache

import jinja2

from reconciler.model import Rejection, Verdict
from reconciler.report import common
from reconciler.report.status import Status, Wellness, counts
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
        follows=settings.apps.follow and settings.apache.template_set != "classic",
        reason=verdict.reason,
        warnings=verdict.warnings,
        others=[
            (printable(path), reason)
            for path, reason in verdict.others
            if reason is not verdict.reason
        ],
    ).encode()


def failing(name: str, health: Wellness, ailment: Rejection, settings: Settings) -> bytes:
    """Return the page of an app that fails, for where Apache cannot ask the app itself."""
    template = _environment().get_template("failing.html.j2")
    explain = settings.pages.explain
    return template.render(name=name, explain=explain, health=health, reason=ailment).encode()


@cache
def general() -> bytes:
    """Return the page for an app that did not answer, and of which there is nothing to say."""
    return _environment().get_template("general.html.j2").render().encode()


def dashboard(status: Status) -> bytes:
    """Return the overview of all accounts."""
    template = _environment().get_template("dashboard.html.j2")
    failing = sum(account.is_failing for account in status.accounts.values())
    found = counts(status.accounts.values()) | {"failing": failing}
    many = common.faults(status.accounts)
    return template.render(status=status, counts=found, common=many).encode()
