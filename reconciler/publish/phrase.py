"""An account's text in the configuration, with what it was made from."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model import Verdict
from reconciler.publish.configuration import Stanza
from reconciler.publish.render import TemplateError, Templates


@dataclass(frozen=True, slots=True)
class Phrase:
    """The stanza of one account."""

    inputs: tuple[object, ...] | None
    """What it was rendered from; None: it was adopted from what is published."""
    stanza: Stanza | None
    """The last text that did render; None where none ever did."""
    broken: str | None = None
    """Why the templates do not render for these inputs."""


def phrase(templates: Templates, verdict: Verdict, before: Phrase | None) -> Phrase | None:
    """Return the account's phrase: `before` itself where its inputs are the same.

    It is never dropped here, whatever the verdict: whether an account that is gone keeps its text
    is settled by the plan, which may hold it.
    """
    account = verdict.account
    if account is None:
        return before
    app = verdict.app if templates.options.stanza_follows == "app" else None
    inputs = (account, verdict.url, app)
    if before is not None and before.inputs == inputs:
        return before
    try:
        return Phrase(inputs, templates.stanza(account, verdict.url, app))
    except TemplateError as error:
        return Phrase(inputs, None if before is None else before.stanza, str(error))
