"""The one table of rejections: code, kind of news, sentence, and what mends it.

The page, the status, the log and the manual all print from it. A sentence names the file and the
fault; a command can be pasted into the student's own shell, or root's.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from reconciler.model import News, Rejection


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: `{…}` are filled in by `reject`.

    What mends it is a command that can be pasted, or says in words what to do, or is both: whom to
    ask, and what they paste. Words have no command in them.
    """

    news: News
    message: str
    advice: str = ""
    command: str = ""
    above: bool = False
    """Its cause lies above the home."""
    home: Mend | None = None
    """What mends it where `path` is the home, whose own entry is not the student's to change: then
    its cause lies above the home as well."""


@dataclass(frozen=True, slots=True)
class Mend:
    """Advice and command, as in a `Rule`."""

    advice: str = ""
    command: str = ""


_ASK = "ask the administrator"

RULES: dict[str, Rule] = {
    "no-account": Rule(
        News.UNSAFE,
        "{path} belongs to no account on this machine, or to one whose group is not there",
        _ASK,
        "useradd -d {quoted} {login} && chown -R {login}: {quoted}",
        above=True,
    ),
    "system-account": Rule(
        News.UNSAFE,
        "{name} has uid {uid}, below {min_uid}: system accounts are not published",
        f"{_ASK} for an ordinary account",
        above=True,
    ),
    "home-mismatch": Rule(
        News.UNSAFE,
        "the account database gives {name} the home {actual}, not {path}",
        _ASK,
        "usermod -d {quoted} {login}",
        above=True,
    ),
    "url-name": Rule(
        News.UNSAFE,
        "{url} {why}",
        "{advice}",
        above=True,
    ),
    "unsafe-name": Rule(
        News.UNSAFE,
        "{path}: the name {part} {why}",
        command="mv -T -- {quoted} {plain}",
    ),
    "symlink": Rule(
        News.UNSAFE,
        "{path} is a symbolic link, and links are not followed",
        command="cp -rL -- {quoted} {quoted}.real && rm -- {quoted} && "
        "mv -- {quoted}.real {quoted}",
        home=Mend(f"{_ASK} to put a directory in the place of the link"),
    ),
    "not-regular": Rule(
        News.UNSAFE,
        "{path} is {what}, not {wanted}",
        command="mv -T -- {quoted} {quoted}.old  # and create it anew",
        home=Mend(f"{_ASK} to put a directory in its place"),
    ),
    "hard-link": Rule(
        News.UNSAFE,
        "{path} has {links} names (hard links), so somebody else's copy of it could change",
        command="cp -- {quoted} {quoted}.own && mv -- {quoted}.own {quoted}",
    ),
    "wrong-owner": Rule(
        News.UNSAFE,
        "{path} belongs to uid {uid}, not to {name} (uid {own})",
        # Renamed, not removed: what another account has in a directory of its own is not the
        # student's to remove.
        command="cp -r -- {quoted} {quoted}.own && mv -T -- {quoted} {quoted}.old && "
        "mv -T -- {quoted}.own {quoted}",
        home=Mend(_ASK, "chown {name} ~{name}"),
    ),
    "writable-by-others": Rule(
        News.UNSAFE,
        "{path} has mode {mode}, so {who} could put code of theirs into your app",
        command="chmod {change} -- {quoted}",
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
        "mend line {line} of {path}, which this shows",
        "{show} {quoted}",
    ),
    "no-application": Rule(
        News.SOFT,
        "{path} defines no `application`, which is what the server calls",
        "end {path} with a line, not indented, that says application = get_wsgi_application(); "
        "for Flask, from app import app as application",
    ),
    "virtualenv": Rule(
        News.SOFT,
        "the virtualenv {path} {has} for Python {version}, which the server runs",
        # Without --clear: it would empty a project that was named by mistake.
        command="{aside}python{version} -m venv {fresh} && {fresh}/bin/pip install {packages}",
    ),
    "superseded": Rule(
        News.CHOICE,
        "{path} is valid, but an account has one app, and {winner} is it",
        command="printf 'script = \"%s\"\\n' {relative} > ~/.slp.toml",
    ),
    "disabled": Rule(
        News.CHOICE,
        "{who} has disabled {name}",
        _ASK + ' to take enabled = false out of [accounts."{name}"]',
    ),
    "quarantined": Rule(
        News.CHOICE,
        "Apache refuses its configuration for {name}: {why}",
        f"{_ASK} to look at the log; a change of the account's settings or of the templates tries "
        "it again",
    ),
    "unreadable": Rule(
        News.UNKNOWN,
        "{path} could not be looked at: {why}; what was published stays",
        "nothing: it is tried again by itself; if it lasts, tell the administrator",
    ),
    "over-budget": Rule(
        News.CHOICE,
        "{why}",
        "{advice}",
    ),
    "unreachable": Rule(
        News.SOFT,
        "Apache's own user ({user}) cannot get at {path}",
        command="chmod o+x {above} && chmod o+r -- {quoted}",
    ),
    "static-unreachable": Rule(
        News.SOFT,
        "Apache's own user ({user}) cannot read {path}, so it serves no file from there",
        command="{open}chmod -R o+rX -- {quoted}",
    ),
}
MISSING = Mend("create {path}, or name another script")
"""In the place of what the row "not-regular" says, where nothing is there yet."""
OWN_WISH = Mend("take enabled = false out of ~/.slp.toml")
"""In the place of what the row "disabled" says, where it is the student who wants it."""
GONE = Mend("put {path} back, and it is served as before")


def printable(text: str) -> str:
    r"""Return a name of a student's with control, undecodable and odd characters as \x…, \u….

    Right-to-left marks and the like are not `isprintable`, so that a name cannot rewrite the line
    that it stands in.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def reject(
    code: str, *, news: News | None = None, mend: Mend | None = None, **values: object
) -> Rejection:
    """Fill in the row `code`; `news` and `mend` stand in the place of the row's own.

    `path`, where given, is also there as `quoted`, for a shell, and the directories from the home
    down to it as `above`.
    """
    rule = RULES[code]
    above = rule.above
    if "path" in values:
        path = str(values["path"])
        parts = path.split("/")
        values["quoted"] = quoted(path)
        values["above"] = " ".join(quoted("/".join(parts[:n])) for n in range(1, len(parts)))
        if path == "~" and rule.home is not None:
            mend, above = rule.home, True
    told = mend or rule
    shown = {key: printable(str(value)) for key, value in values.items()}
    texts = (text.format(**shown) for text in (rule.message, told.advice, told.command))
    message, advice, command = texts
    return Rejection(code, message, news or rule.news, advice, command, above)


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
