"""The stanzas of all declared accounts, rendered once each and kept until what they say changes."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.model import Account, App
from reconciler.publish.apache import Server
from reconciler.publish.configuration import BLANK_DIGEST, Configuration, Stanza, digest_of
from reconciler.publish.render import TemplateError, Templates


class Stanzas:
    """A cache in front of the templates: one event renders one account."""

    def __init__(self, templates: Templates, server: Server) -> None:
        self._templates = templates
        self._server = server
        self._inputs: dict[str, tuple[Account, str, App | None]] = {}
        self._texts: dict[str, Stanza] = {}
        self._last: Configuration | None = None
        """The last configuration: whoever asks again for the same wants its digest."""
        self.broken: dict[str, str] = {}
        """Accounts for which the templates do not render, and why."""

    def update(self, name: str, account: Account, url: str, app: App | None) -> bool:
        """Render the account's stanza if its inputs differ; return whether its text changed."""
        inputs = (account, url, app if self._templates.options.stanza_follows == "app" else None)
        if self._inputs.get(name) == inputs:
            return False
        before = self._texts.pop(name, None)
        self.broken.pop(name, None)
        self._inputs[name] = inputs
        try:
            self._texts[name] = self._templates.stanza(*inputs)
        except TemplateError as error:
            self.broken[name] = str(error)
        return self._texts.get(name) != before

    def adopt(self, name: str, text: Stanza) -> None:
        """Keep a stanza that was published, for an account that does not resolve just now."""
        self._texts.setdefault(name, text)

    def drop(self, name: str) -> bool:
        """Forget an account; return whether it had a stanza."""
        self._inputs.pop(name, None)
        self.broken.pop(name, None)
        return self._texts.pop(name, None) is not None

    def has(self, name: str) -> bool:
        """Whether there is a text for the account."""
        return name in self._texts

    def digest(self, name: str) -> str:
        """Return what stands for the account's text in a quarantine."""
        found = self._texts.get(name)
        return "" if found is None else digest_of(found)

    def configuration(self, names: Collection[str]) -> Configuration:
        """Return the whole text for these accounts.

        Raises:
            TemplateError: a head does not render.
        """
        wanted = {name: self._texts[name] for name in names if name in self._texts}
        if self._last is None or self._last.stanzas != wanted:
            self._last = self._templates.configuration(wanted, self._server.marker(BLANK_DIGEST))
        return self._last
