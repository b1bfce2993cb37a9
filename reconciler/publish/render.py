"""A template set → stanzas and heads.

A set is a directory: `set.toml`, and for each generated file F a `F.head.j2`, rendered once, and
a `F.account.j2`, rendered for each account. A file that is absent is empty.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import jinja2
import msgspec

from reconciler.model import Account, App
from reconciler.publish.configuration import FILES, Configuration, Stanza
from reconciler.settings import Settings

_ALLOW = {
    "2.4": "Require all granted",
    "2.2": "Order deny,allow\n    Allow from all",
}


_UNQUOTABLE = re.compile(r'["\\\x00-\x1f\x7f]|[$%]\{')


class TemplateError(Exception):
    """A template set is missing, or does not render: the administrator's affair."""


class SetOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A template set's `set.toml`."""

    stanza_follows: str = "account"
    """"account": it is the same with and without an app; "app": it names the student's paths."""


class Templates:
    """The template set that the settings pick."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directory = directory(settings)
        # No auto-reload: a daemon compares the directory itself, and builds a new one of these.
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(self._directory),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            autoescape=False,  # noqa: S701  Apache's syntax, not HTML: see _quote
        )
        environment.filters["quote"] = _quote
        environment.globals.update(
            {
                "state": settings.state.directory,
                "prefix": settings.urls.prefix,
                "dashboard": settings.pages.dashboard,
                "allow": _ALLOW[settings.apache.access_control],
                "homes": settings.homes.root,
                "options": settings.daemons.effective,  # for an administrator's own sets
                "daemon_options": " ".join(
                    f"{name}={value}" for name, value in settings.daemons.effective.items()
                ),
            }
        )
        self._globals = dict(environment.globals)
        try:
            self.options = msgspec.convert(
                tomllib.loads((self._directory / "set.toml").read_text()), SetOptions
            )
            self._heads = [self._load(environment, f"{file}.head.j2") for file in FILES]
            self._accounts = self._load_once(environment, [f"{file}.account.j2" for file in FILES])
        except (OSError, ValueError, jinja2.TemplateError) as error:
            raise TemplateError(f"{self._directory}: {error}") from error

    @staticmethod
    def _load(environment: jinja2.Environment, name: str) -> jinja2.Template | None:
        try:
            return environment.get_template(name)
        except jinja2.TemplateNotFound as error:
            if error.name == name:
                return None
            raise

    @classmethod
    def _load_once(
        cls, environment: jinja2.Environment, names: list[str]
    ) -> list[jinja2.Template | None]:
        """Load templates, those with one text as one: a route over https is mostly that over http.

        To render it once is a fifth of a first pass; and 10,000 texts that are kept add up.
        """
        found: dict[str, jinja2.Template | None] = {}
        texts = [cls._text(environment, name) for name in names]
        for name, text in zip(names, texts, strict=True):
            found.setdefault(text, cls._load(environment, name))
        return [found[text] for text in texts]

    @staticmethod
    def _text(environment: jinja2.Environment, name: str) -> str:
        assert environment.loader is not None
        try:
            return environment.loader.get_source(environment, name)[0]
        except jinja2.TemplateNotFound:
            return ""

    def stanza(self, account: Account, url: str, app: App | None) -> Stanza:
        """Return the account's text for each file.

        Raises:
            TemplateError: it does not render for this account.
        """
        values = {
            **self._globals,
            "account": account.name,
            "group": account.group,
            "daemon": f"slp-{account.name}",
            "url": url,
            "app": app if self.options.stanza_follows == "app" else None,
        }
        try:
            texts = {template: _rendered(template, values) for template in set(self._accounts)}
            return tuple(texts[template] for template in self._accounts)
        except Exception as error:
            raise TemplateError(f"{self._directory}: {error}") from error

    def configuration(self, stanzas: Mapping[str, Stanza], marker: str) -> Configuration:
        """Return the whole text.

        Raises:
            TemplateError: a head does not render.
        """
        try:
            head = tuple("" if t is None else t.render(marker=marker) for t in self._heads)
        except Exception as error:
            raise TemplateError(f"{self._directory}: {error}") from error
        return Configuration(head, dict(stanzas))


def _rendered(template: jinja2.Template | None, values: dict[str, object]) -> str:
    """Return the text; `values` are all that it may name, so that nothing is copied for each."""
    if template is None:
        return ""
    return "".join(template.root_render_func(template.new_context(values, shared=True)))


def shipped() -> Path:
    """Return the directory of what the program ships: beside the package, or inside its wheel."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def directory(settings: Settings) -> Path:
    """Return the template set's directory: the administrator's where it is there, else ours."""
    name = settings.apache.template_set
    own = Path(settings.apache.templates) / name
    return own if own.is_dir() else shipped() / "templates" / name


def _quote(value: object) -> str:
    r"""Return `value` in Apache's double quotes, or refuse.

    Inside them `x" user=backup home="/tmp` would end the word and pass every test, a newline
    would begin a directive, a trailing `\` would swallow the quote, and `${…}` and `%{…}` are
    Apache's own. Names were admitted by allow-lists before; this is the second lock.
    """
    text = str(value)
    if _UNQUOTABLE.search(text) or not text.isprintable():
        raise ValueError(f"{text!r} cannot stand in a configuration")
    return f'"{text}"'
