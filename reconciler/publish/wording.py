"""The configuration's text, account by account, with what each was made from."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from reconciler.model import Verdict
from reconciler.publish.configuration import Configuration, Stanza, digest_of
from reconciler.publish.notes import Quarantine
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
    refused: str | None = None
    """Why Apache refuses this very text."""


class Wording:
    """Renders what differs, and knows the last configuration: who asks again wants its digest."""

    def __init__(self, templates: Templates, marker: str) -> None:
        """`marker` is the marker's path, as it is for `BLANK_DIGEST`."""
        self._templates = templates
        self._marker = marker
        self._last: Configuration | None = None

    def phrase(
        self, verdict: Verdict, before: Phrase | None, quarantine: Quarantine | None
    ) -> Phrase | None:
        """Return the account's phrase; never dropped, as the plan may hold who is gone."""
        account, refused = verdict.account, None
        if account is None:
            return before
        app = verdict.app if self._templates.names_scripts else None
        inputs = (account, verdict.url, app)
        stanza, broken = (before.stanza, before.broken) if before is not None else (None, None)
        if before is None or before.inputs != inputs:
            try:
                stanza, broken = self._templates.stanza(account, verdict.url, app), None
            except TemplateError as error:
                broken = str(error)
        if quarantine is not None and stanza is not None:
            refused = quarantine.why if quarantine.stanza == digest_of(stanza) else None
        after = Phrase(inputs, stanza, broken, refused)
        return before if before == after else after

    def whole(
        self, stanzas: Mapping[str, Stanza], names: Set[str], *, altered: bool
    ) -> Configuration:
        """Return the whole text, for these accounts; the last one where nothing is `altered`.

        Raises:
            TemplateError: a head does not render.
        """
        if self._last is not None and not altered:
            return self._last
        wanted = {name: stanzas[name] for name in names if name in stanzas}
        if self._last is None or self._last.stanzas != wanted:
            self._last = self._templates.configuration(wanted, self._marker)
        return self._last
