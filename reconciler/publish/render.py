"""A template set → stanzas and heads.

A set is a directory: `set.toml`, and for each generated file F a `F.head.j2`, rendered once, and
a `F.account.j2`, rendered for each account. A file that is absent is empty. Where systemd runs the
apps, `units/` has a template for each unit.

What a template writes by `{{ … }}` is one plain word, or was put into quotes by `quote`: any other
value is refused, whichever line it stands in. Names were admitted by allow-lists before; this is
the second lock, since a configuration test is no security gate.
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

_PLAIN = re.compile(r"[A-Za-z0-9_.~/#:+-]*")
"""What ends no word, quoted or not, and begins nothing of Apache's own inside one."""
_NAME = re.compile(r"(?![.])[A-Za-z0-9_.~+-]+")
"""What an account can be called that a template may name, as one part of a path."""
_UNQUOTABLE = re.compile(r'["\\\x00-\x1f\x7f]|[$%]\{')


class _Written(str):
    """Text that stands as it is: ours, or in quotes."""

    __slots__ = ()


_ALLOW = {
    "2.4": _Written("Require all granted"),
    "2.2": _Written("Order deny,allow\n    Allow from all"),
}


class TemplateError(Exception):
    """A template set is missing, or does not render: the administrator's affair."""


class SetOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A template set's `set.toml`."""

    stanza_follows: str = "account"
    """"account": it is the same with and without an app; "app": it names the student's paths."""
    same: dict[str, str] = {}
    """Generated file → the one whose text it has: rendered, and kept in memory, once."""


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
            autoescape=False,  # noqa: S701  Apache's syntax, not HTML: see _plain
            finalize=_plain,
        )
        environment.filters.update(quote=_quote, regex=_regex, plain=_one_word)
        # What a template may name is given to it at each rendering. Jinja's own globals, which no
        # set needs, are looked up one by one in each: two thirds of a stanza's 45 us.
        environment.globals = {}
        options = settings.daemon_options
        try:
            self._always = {
                "state": _within_quotes(settings.state.directory),
                "runtime": _within_quotes(settings.state.runtime),
                "prefix": settings.urls.prefix,
                "moved": _moved(settings),
                "domain": settings.urls.hosts.removeprefix("{account}"),
                "keep_inside": settings.urls.keep_inside is not False,
                "elsewhere": _elsewhere(settings),
                "dashboard": settings.pages.dashboard,
                "allow": _ALLOW[settings.apache.access_control],
                "homes": _within_quotes(settings.homes.root),
                "proxy_timeout": int(options["request-timeout"]),  # 0 for none
                "options": options,  # for an administrator's own sets
                "daemon_options": _Written(" ".join(f"{k}={v}" for k, v in options.items())),
            }
            self.options = msgspec.convert(
                tomllib.loads((self._directory / "set.toml").read_text()), SetOptions
            )
            self._heads = _load(environment, "head")
            self._accounts = _load(environment, "account")
            self._units = _load_units(environment)
        except (OSError, ValueError, jinja2.TemplateError) as error:
            raise TemplateError(f"{self._directory}: {error}") from error

    @property
    def names_scripts(self) -> bool:
        """Whether a stanza names the student's own paths, and so changes with the app."""
        return self.options.stanza_follows == "app"

    def stanza(self, account: Account, url: str, app: App | None) -> Stanza:
        """Return the account's text for each file.

        Raises:
            TemplateError: it does not render for this account.
        """
        texts = self._render(
            self._accounts,
            account=account.name,
            group=account.group,
            daemon=f"slp-{account.name}",
            url=url,
            app=app if self.names_scripts else None,
        )
        return Stanza((account.uid, account.gid), texts)

    def units(self, python: str, runner: str) -> dict[str, str]:
        """Return the units by which systemd runs apps, by their names; none where it does not.

        They depend on the settings alone. `python` is the distribution's interpreter, `runner` the
        directory of the runner.

        Raises:
            TemplateError: they do not render.
        """
        settings = self._settings
        try:
            values = {
                **self._always,
                "python": python,
                "runner": runner,
                "apache": settings.apache.user,
                "memory": settings.apps.memory,
                "cpu": _Written(settings.apps.cpu),
                "tasks": settings.apps.tasks,
            }
            return {name: template.render(values) for name, template in self._units.items()}
        except Exception as error:
            raise TemplateError(f"{self._directory}: {error}") from error

    def configuration(self, stanzas: Mapping[str, Stanza], marker: str) -> Configuration:
        """Return the whole text; `marker` is the marker's path, as it is for `BLANK_DIGEST`.

        Raises:
            TemplateError: a head does not render.
        """
        return Configuration(self._render(self._heads, marker=marker), dict(stanzas))

    def _render(
        self, templates: Mapping[str, jinja2.Template], *, app: App | None = None, **words: str
    ) -> tuple[str, ...]:
        """Return the text for each of `FILES`, "" where there is no template."""
        try:
            # Looked at once, rather than at each place where a template has it.
            plain = {name: _Written(_plain(word)) for name, word in words.items()}
            values = {**self._always, **plain, "app": app}
            texts = {file: found.render(values) for file, found in templates.items()}
        except Exception as error:
            raise TemplateError(f"{self._directory}: {error}") from error
        return tuple(texts.get(self.options.same.get(file, file), "") for file in FILES)


def _load(environment: jinja2.Environment, part: str) -> dict[str, jinja2.Template]:
    """Return each generated file's template for a "head" or an "account", where it has one."""
    there = environment.list_templates()
    names = {file: f"{file}.{part}.j2" for file in FILES}
    return {file: environment.get_template(name) for file, name in names.items() if name in there}


def _load_units(environment: jinja2.Environment) -> dict[str, jinja2.Template]:
    """Return each unit's template, by the unit's name."""
    found = [name for name in environment.list_templates() if name.startswith("units/")]
    return {
        name.removeprefix("units/").removesuffix(".j2"): environment.get_template(name)
        for name in found
    }


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


def _moved(settings: Settings) -> dict[str, str]:
    """Return whose URL is not `<prefix>/<account>`, by the settings' own word, and what it is.

    "" for one that would hide what is ours: the roster refuses it, and no rule may stand for it.
    """
    urls = {name: settings.url(name) for name in sorted(settings.accounts) if _NAME.fullmatch(name)}
    ours = [f"{path}/" for path in (settings.urls.prefix, settings.pages.dashboard)]
    return {
        name: "" if any(path.startswith(f"{url}/") for path in ours) else url
        for name, url in urls.items()
        if url != f"{settings.urls.prefix}/{name}"
    }


def _elsewhere(settings: Settings) -> list[str]:
    """Return how the paths begin that apps may lead to as to their own."""
    kept = settings.urls.keep_inside
    return kept if isinstance(kept, list) else []


def _plain(value: object) -> str:
    """Return a template's `{{ value }}` if it was quoted, or is one word that cannot be more."""
    if isinstance(value, _Written):
        return value
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    raise ValueError(f"{text!r} cannot stand in a configuration without `| quote`")


def _within_quotes(value: object) -> str:
    r"""Return `value` as it may stand between Apache's double quotes, or refuse.

    In there, `x" user=backup home="/tmp` would end the word and pass every test, a newline would
    begin a directive, a trailing `\` would swallow the quote, and `${…}` and `%{…}` are Apache's
    own.
    """
    text = str(value)
    if _UNQUOTABLE.search(text) or not text.isprintable():
        raise ValueError(f"{text!r} cannot stand in a configuration")
    return _Written(text)


def _one_word(value: object) -> str:
    """Return what may stand in a string of an expression's, whose quotes are others, or refuse."""
    return _Written(_plain(str(value)))


def _regex(value: object) -> str:
    """Return one plain word as a regular expression that matches it alone: a `.` is a dot."""
    return _Written(re.escape(_plain(value)))


def _quote(value: object) -> str:
    """Return `value` in Apache's double quotes, or refuse."""
    return _Written(f'"{_within_quotes(value)}"')
