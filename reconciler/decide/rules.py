"""The one table of rejections: code, kind of news, sentence, mending command.

The page, the status, the log and the manual all print from it. A sentence names the file and the
fault; a command can be pasted into the student's own shell.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from reconciler.model import News, Rejection


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: `{…}` are filled in by `reject`."""

    news: News
    message: str
    fix: str
    fix_home: str | None = None
    """Instead of `fix` where `path` is the home, whose own entry is not the student's to change."""


RULES: dict[str, Rule] = {
    "no-account": Rule(
        News.UNSAFE,
        "{path} belongs to no account on this machine, or to one whose group is not there",
        "ask the administrator: useradd -d {quoted} {login} && chown -R {login}: {quoted}",
    ),
    "system-account": Rule(
        News.UNSAFE,
        "{name} has uid {uid}, below {min_uid}: system accounts are not published",
        "ask the administrator for an ordinary account",
    ),
    "home-mismatch": Rule(
        News.UNSAFE,
        "the account database gives {name} the home {actual}, not {path}",
        "ask the administrator: usermod -d {quoted} {login}",
    ),
    "url-name": Rule(
        News.UNSAFE,
        "{url} {why}",
        "{mend}",
    ),
    "unsafe-name": Rule(
        News.UNSAFE,
        "{path}: the name {part} has characters other than letters, digits and _ . + -, "
        "or begins with . or -",
        "mv -T -- {quoted} {plain}",
    ),
    "symlink": Rule(
        News.UNSAFE,
        "{path} is a symbolic link, and links are not followed",
        "cp -rL -- {quoted} {quoted}.real && rm -- {quoted} && mv -- {quoted}.real {quoted}",
        "ask the administrator to put a directory in the place of the link",
    ),
    "not-regular": Rule(
        News.UNSAFE,
        "{path} is {what}, not {wanted}",
        "{mend}",
    ),
    "hard-link": Rule(
        News.UNSAFE,
        "{path} has {links} names (hard links), so somebody else's copy of it could change",
        "cp -- {quoted} {quoted}.own && mv -- {quoted}.own {quoted}",
    ),
    "wrong-owner": Rule(
        News.UNSAFE,
        "{path} belongs to uid {uid}, not to {name} (uid {own})",
        # Renamed, not removed: what another account has in a directory of its own is not the
        # student's to remove.
        "cp -r -- {quoted} {quoted}.own && mv -T -- {quoted} {quoted}.old && "
        "mv -T -- {quoted}.own {quoted}",
        "ask the administrator: chown {name} ~{name}",
    ),
    "writable-by-others": Rule(
        News.UNSAFE,
        "{path} has mode {mode}, so {who} could put code of theirs into your app",
        "chmod {change} -- {quoted}",
    ),
    "too-large": Rule(
        News.SOFT,
        "{path} has {size} bytes; at most {limit} are read",
        "shorten {path}: a script's code can move into a module beside it, and be imported from "
        "there",
    ),
    "encoding": Rule(
        News.SOFT,
        "{path}: {why}",
        "save {path} as UTF-8, or declare ASCII, Latin-1 or cp1252 in its first line",
    ),
    "syntax-error": Rule(
        News.SOFT,
        "{path}, line {line}: {why}",
        "mend line {line} of {path}; `{show} {quoted}` shows the place",
    ),
    "no-application": Rule(
        News.SOFT,
        "{path} defines no `application`, which is what the server calls",
        "put `application = get_wsgi_application()` at the end of {path}, not indented "
        "(for Flask: `from app import app as application`)",
    ),
    "virtualenv": Rule(
        News.SOFT,
        "the virtualenv {path} has no packages for Python {version}, which the server runs",
        # Without --clear: it would empty a project that was named by mistake.
        "python{version} -m venv {quoted} && {quoted}/bin/pip install django",
    ),
    "superseded": Rule(
        News.CHOICE,
        "{path} is valid, but an account has one app, and {winner} is it",
        "printf 'script = \"%s\"\\n' {relative} > ~/.slp.toml",
    ),
    "disabled": Rule(
        News.CHOICE,
        "the administrator has disabled {name}",
        'ask the administrator to take `enabled = false` out of [accounts."{name}"]',
    ),
    "quarantined": Rule(
        News.CHOICE,
        "Apache refuses its configuration for {name}: {why}",
        "ask the administrator to look at the log; a change of the account's settings or of the "
        "templates tries it again",
    ),
    "unreadable": Rule(
        News.UNKNOWN,
        "{path} could not be looked at: {why}; what was published stays",
        "nothing: it is tried again by itself; if it lasts, tell the administrator",
    ),
    "over-budget": Rule(
        News.CHOICE,
        "{why}",
        "{mend}",
    ),
    "unreachable": Rule(
        News.SOFT,
        "Apache's own user ({user}) cannot get at {path}",
        "chmod o+x {above} && chmod o+r -- {quoted}",
    ),
    "static-unreachable": Rule(
        News.SOFT,
        "Apache's own user ({user}) cannot read {path}, so static files answer 403",
        "chmod o+x {above} && chmod -R o+rX -- {quoted}",
    ),
}


def printable(text: str) -> str:
    r"""Return a name of a student's with control, undecodable and odd characters as \x…, \u….

    Right-to-left marks and the like are not `isprintable`, so that a name cannot rewrite the line
    that it stands in.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def reject(code: str, **values: object) -> Rejection:
    """Fill in the row `code`.

    `path`, where given, is also there as `quoted`, for a shell, and the directories from the home
    down to it as `above`.
    """
    rule = RULES[code]
    fix = rule.fix
    if "path" in values:
        path = str(values["path"])
        parts = path.split("/")
        values["quoted"] = quoted(path)
        values["above"] = " ".join(quoted("/".join(parts[:n])) for n in range(1, len(parts)))
        if path == "~" and rule.fix_home is not None:
            fix = rule.fix_home
    shown = {key: printable(str(value)) for key, value in values.items()}
    return Rejection(code, rule.message.format(**shown), fix.format(**shown), rule.news)


def quoted(path: str) -> str:
    r"""Quote for a POSIX shell, with `~` left bare so that the shell expands it.

    A name that does not print is given as `$'…'`, which bash, zsh and ksh read.
    """
    if path == "~":
        return path
    home, rest = ("~/", path[2:]) if path.startswith("~/") else ("", path)
    if rest.isprintable():
        return home + shlex.quote(rest)
    octets = rest.encode("utf-8", "surrogateescape")
    return (
        home
        + "$'"
        + "".join(chr(b) if 32 <= b < 127 and b not in b"\\'" else f"\\x{b:02x}" for b in octets)
        + "'"
    )
