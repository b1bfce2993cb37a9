"""Why an app does not work, or not wholly, in words: rows of `run/mends.json`, filled in.

That file is one table for two readers: the runner, for the page of a load that fails, and this
module, for the status, the log and the account's page. Of a report only the code, the name, the
place, the kind and the exception's text are believed; sentences and commands are this program's
own. What a command names is quoted for a shell, and a row whose command would name what nobody
told has none.

Texts may name: account, url, project, host, hosts, name, module, where, kind, message, seconds.
Commands may name the same, quoted, and
  python, manage   the interpreter; `manage.py` run by it, in the project
  pip, packages    the virtualenv's pip, made first where there is none; what it is to install
  requirements, settings, static, script, file      paths; `above` are the directories to `static`
"""

from __future__ import annotations

import importlib.resources
import re
import string

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from reconciler.decide.judge import base_of
from reconciler.decide.rules import printable, quoted
from reconciler.model import App, Failure, Home, News, Rejection
from reconciler.settings import Settings


class _Mend(Struct, frozen=True):
    message: str
    advice: str
    command: str = ""


class _Table(Struct, frozen=True):
    distributions: dict[str, str]
    mends: dict[str, _Mend]


_FILE = importlib.resources.files("reconciler") / "run" / "mends.json"
_TABLE = msgspec.json.decode(_FILE.read_bytes(), type=_Table)
CODES = frozenset(key.partition(":")[0] for key in _TABLE.mends)
"""Every code that has a row. `code:variant` is a row for one of several causes of `code`."""

# A name that an exception told is a module's only if it is one of Python's: pip takes `.`, `..`, a
# path, an address and `--index-url=…` for what to install as well.
_MODULE = re.compile(r"(?=.{1,100}\Z)[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*\Z")
_PLACE = re.compile(r"(.+?)(?::[0-9]+)?\Z", re.DOTALL)
_UNNAMED = "one that was not named"


class Facts(Struct, frozen=True, kw_only=True):
    """What a row can be filled with. "" and () are "not known". Paths are absolute, or `~/…`."""

    account: str
    home: str
    project: str
    python: str
    """The version that runs the app, as "3.11"."""
    virtualenv: str | None = None
    requirements: str | None = None
    """The project's `requirements.txt`, where it has one."""
    settings: str | None = None
    """The file of its settings."""
    static: str | None = None
    """The directory of its static files."""
    links: tuple[tuple[str, str], ...] = ()
    """Directories whose files Apache serves, by the first segment of their URLs."""
    base: str = ""
    """The path that its addresses begin with, as it was visited; "" at a host of its own."""
    script: str | None = None
    package: str = ""
    name: str = ""
    """What it is about: a module, an attribute, a file, a table, an address."""
    where: str = ""
    """File and line, relative to the home."""
    kind: str = ""
    message: str = ""
    host: str = ""
    hosts: tuple[str, ...] = ()
    """Every name that the app ought to answer for."""
    seconds: float = 0


def facts_of(app: App, home: Home, settings: Settings, python: str) -> Facts:
    """Return what is known of an account's app, as it is published; `python` is its version."""
    base = base_of(home, settings)
    script = next((one for one in home.scripts if f"{base}/{one.path}" == app.script), None)
    listed, settings_file, static = (
        (script.requirements, script.settings, script.static_root) if script else (None,) * 3
    )
    return Facts(
        account=app.account,
        home=base,
        project=app.project,
        python=python,
        virtualenv=app.virtualenv,
        requirements=None if listed is None else f"{base}/{listed}",
        settings=None if settings_file is None else f"{base}/{settings_file}",
        static=None if static is None else f"{base}/{static}",
        links=app.links,
        script=app.script,
        base=settings.url(app.account),
    )


def ailment(code: str, facts: Facts, settings: Settings) -> Rejection:
    """Fill in the row `code`, which may name a variant; a code that is not known is `raises`."""
    row = _TABLE.mends.get(code) or _TABLE.mends["raises"]
    known = code.partition(":")[0] if code in _TABLE.mends else "raises"
    texts = _texts(facts, settings)
    told = {key: printable(text) or _UNNAMED for key, text in texts.items()}
    message, advice = (text.format(**told) for text in (row.message, row.advice))
    return Rejection(known, message, News.CHOICE, advice, _command(row.command, facts, texts))


def of_failure(failure: Failure, facts: Facts, settings: Settings) -> Rejection:
    """Return why an app does not work, in words, by what is known of it (`facts_of`)."""
    named = replace(
        facts,
        name=failure.name,
        where=failure.where,
        kind=failure.kind,
        message=failure.message,
    )
    return ailment(failure.code, named, settings)


def distribution(module: str) -> str | None:
    """Return what pip calls the distribution that has `module`; None where that is not known."""
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((found for name in names if (found := _TABLE.distributions.get(name))), None)


def _texts(facts: Facts, settings: Settings) -> dict[str, str]:
    home = facts.home
    script = _shown(facts.script, home)
    return {
        "account": facts.account,
        "url": settings.url(facts.account),
        "project": _shown(facts.project, home),
        "requirements": _shown(facts.requirements, home),
        "settings": _shown(facts.settings, home),
        "static": _shown(facts.static, home),
        "script": script,
        "directory": script.rpartition("/")[0],
        "relative": script.removeprefix("~/"),
        "file": _file(facts.where),
        "package": facts.package,
        "name": facts.name,
        "module": facts.name if _MODULE.match(facts.name) else "",
        "where": facts.where,
        "kind": facts.kind,
        "message": facts.message,
        "host": facts.host,
        "hosts": ", ".join(f'"{host}"' for host in facts.hosts),
        "seconds": f"{facts.seconds:.0f}",
    }


def _command(template: str, facts: Facts, texts: dict[str, str]) -> str:
    """Return the row's command; "" where something that it names is not known."""
    words = {key: quoted(text) if text else "" for key, text in texts.items()}
    words |= _programs(facts, texts)
    parts = texts["static"].split("/")
    words["above"] = " ".join(quoted("/".join(parts[:n])) for n in range(1, len(parts)))
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    return template.format(**words) if all(words[name] for name in names) else ""


def _programs(facts: Facts, texts: dict[str, str]) -> dict[str, str]:
    """Return what begins a command, ready for the shell."""
    system = f"python{facts.python}"
    project = texts["project"]
    own = _shown(facts.virtualenv, facts.home)
    python = quoted(f"{own}/bin/python") if own else system
    fresh = f"{project}/.venv"
    # With the distribution's packages, which the app had until now: its Django may be theirs.
    made = f"{system} -m venv --system-site-packages {quoted(fresh)} && "
    return {
        "python": python,
        "manage": f"cd {quoted(project)} && {python} manage.py",
        "pip": quoted(f"{own}/bin/pip") if own else made + quoted(f"{fresh}/bin/pip"),
        "packages": _packages(texts["module"], texts["requirements"]),
    }


def _packages(module: str, requirements: str) -> str:
    """Return what pip is to install.

    Where there is a list of the project's own, a name that only might be a distribution's is left
    to it: who guesses may install a stranger's package that has the name of a student's module.
    """
    listed = f"-r {quoted(requirements)}" if requirements else ""
    known = distribution(module)
    guess = module.partition(".")[0] if not listed else ""
    return " ".join(filter(None, (listed, quoted(known or guess) if known or guess else "")))


def _shown(path: str | None, home: str) -> str:
    """Return a path as a shell of the student's may write it."""
    if not path:
        return ""
    return f"~{path.removeprefix(home)}" if path == home or path.startswith(f"{home}/") else path


def _file(where: str) -> str:
    """Return the file of a place: in the home, unless it is absolute."""
    found = _PLACE.match(where)
    path = found[1] if found else ""
    return path if path.startswith("/") or not path else f"~/{path}"
