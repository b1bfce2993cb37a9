"""The page of a load or an answer that failed: what, where, and the mend.

The world sees it: so it has file, line and exception, and what Python said only where that cannot
carry a secret; never a source line. The sentences are those of `mends.json`, the same that the
status has.
"""

import html
import json
import os
import shlex
import string
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .faults import Fault

_PUBLIC = {
    "missing-module", "import-name", "syntax-error", "name-error", "attribute", "missing-file",
}  # fmt: skip
"""Of these a message can carry no secret; that of a KeyError, or of a database, can."""
_RETRY = "2"  # seconds: the process that keeps the page is gone by then


def of(
    fault: "Fault", app: "dict[str, Any]", home: str, accept: str
) -> "tuple[list[tuple[str, str]], bytes]":
    """Return headers and body: HTML, or JSON for who prefers that."""
    explain = app["run"]["explain"]
    said = _said(fault, app, home) if explain else {"error": "the app does not work just now"}
    if _prefers_json(accept):
        kind, body = "application/json", json.dumps(said, indent=1) + "\n"
    else:
        kind, body = "text/html; charset=utf-8", _html(said, app["account"])
    data = body.encode("utf-8", "replace")
    headers = [
        ("Content-Type", kind), ("Content-Length", str(len(data))), ("Cache-Control", "no-store"),
        ("Retry-After", _RETRY),
    ]  # fmt: skip
    return headers, data


def _prefers_json(accept: str) -> bool:
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return "application/json" in kinds and "text/html" not in kinds


def _said(fault: "Fault", app: "dict[str, Any]", home: str) -> "dict[str, str]":
    """Return what is told: the row of the table, filled in."""
    with open(_beside("mends.json"), encoding="utf-8") as stream:
        table = json.load(stream)
    row = table["mends"].get(fault.code) or table["mends"]["raises"]
    texts, words = _texts(fault, app, home), _words(fault, app, home, table["distributions"])
    names = {name for _, name, _, _ in string.Formatter().parse(row.get("command", "")) if name}
    is_known = all(words.get(name) for name in names)
    said = {
        "error": row["message"].format_map(texts),
        "code": fault.code,
        "kind": fault.kind,
        "where": fault.where,
        "message": fault.message if fault.code in _PUBLIC else "",
        "advice": row["advice"].format_map(texts),
        "command": row.get("command", "").format_map(words) if is_known else "",
    }
    return {key: _printable(text) for key, text in said.items()}


class _Texts(dict):  # type: ignore[type-arg]
    def __missing__(self, key: str) -> str:
        return "one that was not named"


def _texts(fault: "Fault", app: "dict[str, Any]", home: str) -> "dict[str, str]":
    texts = {
        "account": app["account"], "url": app["run"]["url"], "home": "~", "where": fault.where,
        "project": _shown(app["project"], home), "kind": fault.kind, "name": fault.name,
        "module": fault.name, "message": fault.message,
    }  # fmt: skip
    return _Texts({key: text for key, text in texts.items() if text})


def _words(
    fault: "Fault", app: "dict[str, Any]", home: str, distributions: "dict[str, str]"
) -> "dict[str, str]":
    """Return what a command may name, quoted for a shell."""
    system = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    project, own = _quoted(app["project"], home), app["virtualenv"]
    fresh = _quoted(os.path.join(app["project"], ".venv"), home)
    python = _quoted(os.path.join(own, "bin/python"), home) if own else system
    # With the distribution's packages, which the app had until now: its Django may be theirs.
    made = f"{system} -m venv --system-site-packages {fresh} && {fresh}/bin/pip"
    file = fault.where.rpartition(":")[0]
    return {
        "account": shlex.quote(app["account"]),
        "project": project,
        "python": python,
        "manage": f"cd {project} && {python} manage.py",
        "pip": _quoted(os.path.join(own, "bin/pip"), home) if own else made,
        "packages": _packages(fault.name, app["project"], home, distributions),
        "file": _quoted(os.path.join(home, file), home) if file else "",
    }


def _packages(module: str, project: str, home: str, distributions: "dict[str, str]") -> str:
    """Return what pip is to install.

    Where the project has a list of its own, a name that only might be a distribution's is left to
    it: who guesses may install a stranger's package that has the name of a student's module.
    """
    requirements = os.path.join(project, "requirements.txt")
    listed = f"-r {_quoted(requirements, home)}" if os.path.isfile(requirements) else ""
    # pip takes a path, an address and `--index-url=...` for what to install as well.
    parts = module.split(".") if all(map(str.isidentifier, module.split("."))) else []
    tried = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    known = next((distributions[name] for name in tried if name in distributions), "")
    guess = parts[0] if parts and not listed else ""
    return " ".join(filter(None, (listed, shlex.quote(known or guess) if known or guess else "")))


def _shown(path: str, home: str) -> str:
    return "~" + path[len(home) :] if path == home or path.startswith(home + "/") else path


def _quoted(path: str, home: str) -> str:
    shown = _shown(path, home)
    return "~/" + shlex.quote(shown[2:]) if shown[:2] == "~/" and shown[2:] else shlex.quote(shown)


def _printable(text: str) -> str:
    """Return a text without what would end or colour a line, or is no text."""
    text = text.encode("utf-8", "replace").decode()
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _html(said: "dict[str, str]", account: str) -> str:
    safe = {key: html.escape(text) for key, text in said.items()}
    place, kind, advice = safe.get("where"), safe.get("kind"), safe.get("advice")
    what = ": ".join(filter(None, (kind, safe.get("message"))))
    parts = [f"<p>{safe['error']}</p>"]
    parts += [f"<p><code>{text}</code></p>" for text in (place and f"~/{place}", what) if text]
    mend = []
    if advice:
        command = safe["command"]
        mend.append(f'<p class="advice">{advice}{":" if command else "."}</p>')
        mend += [f"<pre>{command}</pre>"] if command else []
    with open(_beside("page.html"), encoding="utf-8") as stream:
        return string.Template(stream.read()).substitute(
            account=html.escape(account), fault="\n".join(parts), mend="\n".join(mend)
        )


def _beside(name: str) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
