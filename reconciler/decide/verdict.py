"""One account's facts → one `Verdict`.

    the served script    another admitted   what becomes of the link            state
    -------------------  -----------------  ----------------------------------  --------
    admitted             any                stays, or a new set if it changed   served
    unsafe               yes                switched at once                    served
    unsafe               no                 withdrawn at once                   rejected
    soft fault or gone   any, in `grace`    stays, with a reason                served
    soft fault or gone   yes, after         switched                            served
    soft fault or gone   no, after          withdrawn                           rejected, empty
    unknown              any                stays, with a reason                served
    (none served)        yes                published                           served
    (none served)        no                 nothing                             rejected, empty

A script named by a setting is the only one that counts while it exists.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reconciler.decide.judge import judge_home, judge_script, judge_wishes
from reconciler.decide.rules import quoted, reject
from reconciler.model import (
    Account,
    App,
    Home,
    News,
    Rejection,
    Script,
    Standing,
    State,
    Static,
    Verdict,
)
from reconciler.settings import Settings

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Context(Struct, frozen=True):
    """What a verdict depends on beside the home itself."""

    settings: Settings
    now: float
    """Monotonic seconds."""
    grace: float
    """Seconds; 0 where what is so now is to be published."""
    python: str
    """The version that mod_wsgi embeds, as "3.11"."""
    served: App | None
    """What the account's link points to now."""
    soft_since: float | None
    """When the soft fault, if any, was first seen."""
    names_scripts: bool = False
    """The template set writes students' paths into the configuration."""


def judge(home: Home, context: Context) -> Verdict | None:
    """Return the verdict, or None for a name that is no account and has no home."""
    settings, account = context.settings, home.account
    url = settings.url(home.name)
    reason = _account_fault(home, context)
    if home.node is None and home.trouble is None and home.standing is not Standing.UNKNOWN:
        # "Gone" is news of the soft kind: a home is moved aside while it is restored.
        kept = _without(home, account, url, None, context)
        return kept if account is not None and kept.keep else None
    if reason is not None or account is None:
        assert reason is not None, "a name without an account has a reason"
        listed = account if _nameable(home, settings) else None
        return _without(home, listed, url, reason, context)
    return _judge_scripts(home, account, url, context)


def _account_fault(home: Home, context: Context) -> Rejection | None:
    settings, account = context.settings, home.account
    path = f"{settings.homes.root}/{home.name}"
    if home.standing is Standing.UNKNOWN:
        return reject("unreadable", path=path, why="the account database does not answer")
    if account is None:
        return reject("no-account", path=path, login=quoted(home.name))
    if account.uid < settings.homes.min_uid:
        return reject(
            "system-account", name=home.name, uid=account.uid, min_uid=settings.homes.min_uid
        )
    if not home.is_accounts and account.home.rstrip("/") != path:
        return reject(
            "home-mismatch",
            path=path,
            name=home.name,
            login=quoted(home.name),
            actual=account.home,
        )
    if not _plain(home.name, settings):
        why = "is not a name that a URL and a configuration can carry"
        mend = "ask the administrator for an account whose name has only letters, digits and _ . -"
        return reject("url-name", url=home.name, why=why, mend=mend)
    if not settings.of(home.name).enabled:
        return reject("disabled", name=home.name)
    if home.vacant and context.served is not None:
        why = "it belongs to root and is empty, as if its file system were not mounted"
        return reject("unreadable", path=path, why=why)
    unsafe = judge_home(home.node, account) if home.node is not None else None
    if unsafe is None and home.trouble is not None:
        return reject("unreadable", path=path, why=home.trouble)
    return unsafe or judge_wishes(home.wishes, account)


def _plain(name: str, settings: Settings) -> bool:
    # Both: an administrator's looser pattern must not let a quote into a configuration.
    return bool(re.fullmatch(settings.homes.account_pattern, name) and _PLAIN.fullmatch(name))


def _nameable(home: Home, settings: Settings) -> bool:
    """Whether a stanza may stand for the account, although it has no app."""
    account = home.account
    return (
        account is not None
        and (home.trouble is not None or (home.node is not None and home.node.kind == "directory"))
        and account.uid >= settings.homes.min_uid
        and (home.is_accounts or account.home.rstrip("/") == f"{settings.homes.root}/{home.name}")
        and _plain(home.name, settings)
    )


def _without(
    home: Home, account: Account | None, url: str, reason: Rejection | None, context: Context
) -> Verdict:
    """The verdict where the account as a whole stands in the way."""
    others = tuple((script.path, reason) for script in home.scripts) if reason else ()
    news = reason.news if reason else News.SOFT
    state = State.REJECTED if reason else State.EMPTY
    return _bridged(
        Verdict(home.name, state, account, url, reason=reason, others=others), news, context
    )


def _bridged(verdict: Verdict, news: News, context: Context, **told: Any) -> Verdict:
    """Keep what is served where the bad news is unknown, or soft and younger than `grace`.

    `told` replaces fields of a verdict that is kept.
    """
    if context.served is None:
        return verdict
    since = recheck = None
    if news is News.SOFT:
        since = context.now if context.soft_since is None else context.soft_since
        recheck = since + context.grace
        if context.now >= recheck:
            # Kept: where the brake holds the withdrawal, `grace` does not begin anew.
            return replace(verdict, soft_since=since)
    elif news is not News.UNKNOWN:
        return verdict
    kept = replace(verdict, **told)
    return replace(
        kept,
        state=State.SERVED,
        app=context.served,
        keep=True,
        soft_since=since,
        recheck_at=recheck,
    )


def _judge_scripts(home: Home, account: Account, url: str, context: Context) -> Verdict:
    base = f"{home.path or f'{context.settings.homes.root}/{home.name}'}/"
    served = context.served.script.removeprefix(base) if context.served else None
    found = {script.path: (script, _judge_one(script, account, context)) for script in home.scripts}
    order, named = _ranked(home, context.settings.of(home.name).script, served)
    winner = next((p for p in order if found[p][1] is None and named in (None, p)), None)
    if winner is not None:
        verdict = Verdict(
            home.name,
            State.SERVED,
            account,
            url,
            app=_app(found[winner][0], account, base),
            warnings=_warnings(home, found[winner][0], context),
            others=_others(found, winner, winner),
        )
    else:
        blamed = order[0] if order else None
        reason = found[blamed][1] if blamed else None
        state = State.REJECTED if reason else State.EMPTY
        others = _others(found, blamed, named)
        verdict = Verdict(home.name, state, account, url, reason=reason, others=others)
    if served is None or (winner is not None and winner in (served, named)):
        return verdict
    # What was served has lost its place: by its own fault, or by that of the one that is named.
    fault = found[served][1] or verdict.reason if served in found else None
    news = fault.news if fault else News.SOFT
    reason = fault or _gone(served)
    return _bridged(verdict, news, context, reason=reason, others=_others(found, served, served))


def _ranked(home: Home, own: str | None, served: str | None) -> tuple[list[str], str | None]:
    """Return the scripts, the one that is to be the app first, and which one a setting names.

    One that a setting names wins while it exists, valid or not.
    """
    files = {script.path: script.file for script in home.scripts}
    named = next((path for path in (own, home.wishes.script) if path and files.get(path)), None)

    def rank(path: str) -> tuple[bool, bool, int, str]:
        file = files[path]
        return path != named, path != served, -(file.mtime_ns if file else 0), path

    return sorted(files, key=rank), named


def _gone(path: str) -> Rejection:
    return reject(
        "not-regular",
        path=f"~/{path}",
        what="not there any more",
        wanted="a regular file",
        mend="put it back, and it is served as before",
    )


def _judge_one(script: Script, account: Account, context: Context) -> Rejection | None:
    fault = judge_script(script, account, content=not context.settings.of(account.name).skip_checks)
    if fault is not None:
        return fault
    venv = script.virtualenv
    if venv is not None and venv.chosen and venv.site_packages is None:
        return reject("virtualenv", path=venv.path, version=context.python)
    if context.names_scripts and script.reachable is False:
        user = context.settings.apache.user
        return reject("unreachable", path=f"~/{script.path}", user=user)
    return None


def _others(
    found: dict[str, tuple[Script, Rejection | None]], told: str | None, winner: str | None
) -> tuple[tuple[str, Rejection], ...]:
    """Return every script but the one told of elsewhere, each with its one reason."""
    return tuple(
        (
            path,
            fault or reject("superseded", path=f"~/{path}", winner=f"~/{winner}", relative=path),
        )
        for path, (_, fault) in sorted(found.items())
        if path != told
    )


def _app(script: Script, account: Account, base: str) -> App:
    file = script.file
    assert file is not None, "an admitted script has a node"
    venv = script.virtualenv if script.virtualenv and script.virtualenv.site_packages else None
    return App(
        account=account.name,
        uid=account.uid,
        gid=account.gid,
        script=base + script.path,
        project=(base + script.project).rstrip("/"),
        package=(base + script.package).rstrip("/"),
        static=script.static.path if script.static else None,
        virtualenv=venv.path if venv else None,
        site_packages=venv.site_packages if venv else None,
        identity=(file.inode, file.size, file.mtime_ns),
    )


def _warnings(home: Home, script: Script, context: Context) -> tuple[Rejection, ...]:
    found = []
    static: Static | None = script.static
    if static is not None and static.reachable is False:
        user = context.settings.apache.user
        base = home.path or f"{context.settings.homes.root}/{home.name}"
        path = "~" + static.path.removeprefix(base)
        found.append(reject("static-unreachable", path=path, user=user))
    venv = script.virtualenv
    if venv is not None and not venv.chosen and venv.site_packages is None:
        found.append(reject("virtualenv", path=venv.path, version=context.python))
    if home.unwatched:
        found.append(over_watch_budget(home.unwatched))
    return tuple(found)


def over_watch_budget(unseen: int) -> Rejection:
    """Return the warning of a home with more directories than are watched."""
    return reject(
        "over-budget",
        why=f"the home has {unseen} directories more than are watched; a change in those is "
        "seen only by the next resync",
        mend="put directories that hold no project into one of their own",
    )
