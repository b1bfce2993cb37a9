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

Which of those admitted it is, and when one that a setting names goes before the one served, is in
the table of `choice.py`: there a `~/.slp.toml` that is not to be followed is a warning. A home
without scripts is empty only if all of it was looked through; else it is `over-budget`.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reconciler.decide.choice import choose
from reconciler.decide.judge import base_of, judge_home, judge_wishes
from reconciler.decide.rules import GONE, OWN_WISH, Mend, quoted, reject
from reconciler.model import Account, App, Home, News, Rejection, Standing, State, Verdict
from reconciler.settings import Settings

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Context(Struct, frozen=True):
    """What a verdict depends on beside the home itself."""

    settings: Settings
    now: float
    """Seconds on `Clock.now()`."""
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
    has_units: bool = False
    """systemd runs the apps, to which an account is an instance's name."""


def judge(home: Home, context: Context) -> Verdict | None:
    """Return the verdict, or None for a name that is no account and has no home."""
    account = home.account
    if home.node is None and home.trouble is None and home.standing is not Standing.UNKNOWN:
        # "Gone" is news of the soft kind: a home is moved aside while it is restored.
        url = context.settings.url(home.name)
        kept = _bridged(Verdict(home.name, State.EMPTY, account, url), News.SOFT, context)
        return kept if account is not None and kept.keep else None
    reason = _account_fault(home, context)
    if reason is not None:
        return _without(home, None, reason, context)
    assert account is not None  # that would be a reason
    reason = _home_fault(home, account, context)
    if reason is not None:
        # A stanza may stand for it although it has no app, unless its home is none.
        may_stand = home.trouble is not None or (home.node and home.node.kind == "directory")
        return _without(home, account if may_stand else None, reason, context)
    return _with_scripts(home, account, context)


def _account_fault(home: Home, context: Context) -> Rejection | None:
    """Return why no stanza may name it, whatever is in its home."""
    settings = context.settings
    account, path = home.account, f"{settings.homes.root}/{home.name}"
    if home.standing is Standing.UNKNOWN:
        return reject("unreadable", path=path, why="the account database does not answer")
    if account is None:
        return reject("no-account", path=path, login=quoted(home.name))
    min_uid = settings.homes.min_uid
    if account.uid < min_uid:
        return reject("system-account", name=home.name, uid=account.uid, min_uid=min_uid)
    if not home.is_accounts and account.home.rstrip("/") != path:
        login = quoted(home.name)
        return reject("home-mismatch", path=path, name=home.name, login=login, actual=account.home)
    # Both: an administrator's looser pattern must not let a quote into a configuration.
    if not (
        re.fullmatch(settings.homes.account_pattern, home.name) and _PLAIN.fullmatch(home.name)
    ):
        return reject(
            "url-name",
            url=home.name,
            why="is not a name that a URL and a configuration can carry",
            advice="ask the administrator for an account whose name has only letters, digits "
            "and _ . -",
        )
    if context.has_units and home.name.isdigit():  # `User=30001` is the uid, not the name
        why = "is a number, and systemd, which runs the apps here, would take it for a uid"
        advice = Mend("ask the administrator for an account whose name has a letter")
        return reject("unsafe-name", mend=advice, path=path, part=home.name, why=why)
    return None


def _home_fault(home: Home, account: Account, context: Context) -> Rejection | None:
    """Return why nothing in the home is looked at."""
    settings, path = context.settings, f"{context.settings.homes.root}/{home.name}"
    if not settings.of(home.name).enabled:
        return reject("disabled", name=home.name, who="the administrator")
    if home.vacant and context.served is not None:
        why = "it belongs to root and is empty, as if its file system were not mounted"
        return reject("unreadable", path=path, why=why)
    unsafe = judge_home(home.node, account) if home.node is not None else None
    if unsafe is None and home.trouble is not None:
        return reject("unreadable", path=path, why=home.trouble)
    if unsafe is None and not home.wishes.enabled and judge_wishes(home.wishes, account) is None:
        return reject("disabled", name=home.name, who="~/.slp.toml", mend=OWN_WISH)
    return unsafe


def _without(home: Home, account: Account | None, reason: Rejection, context: Context) -> Verdict:
    """The verdict where the account as a whole stands in the way; `account` may be in a stanza."""
    others = tuple((script.path, reason) for script in home.scripts)
    url = context.settings.url(home.name)
    verdict = Verdict(home.name, State.REJECTED, account, url, reason=reason, others=others)
    return _bridged(verdict, reason.news, context)


def _with_scripts(home: Home, account: Account, context: Context) -> Verdict:
    settings, served = context.settings, context.served
    found = choose(
        home,
        account,
        settings,
        served=served,
        python=context.python,
        names_scripts=context.names_scripts,
    )
    state = State.SERVED if found.app else State.REJECTED if found.reason else State.EMPTY
    verdict = Verdict(
        home.name,
        state,
        account,
        settings.url(home.name),
        app=found.app,
        reason=found.reason,
        warnings=(*found.about_home, *found.about_app),
        others=found.others(found.path),
    )
    now = served.within(base_of(home, settings)) if served is not None else None
    if served is None or (found.app is not None and found.path in (now, found.named)):
        return verdict
    # What was served has lost its place, by a fault of its own.
    reason = (found.faults.get(now) if now is not None else None) or _gone(served, now)
    warnings = tuple(warning for warning in found.about_home if warning != reason)
    others = found.others(now)
    return _bridged(verdict, reason.news, context, reason=reason, warnings=warnings, others=others)


def _gone(served: App, path: str | None) -> Rejection:
    return reject(
        "not-regular",
        news=News.SOFT,
        path=served.script if path is None else f"~/{path}",
        what="not there any more",
        wanted="a regular file",
        mend=GONE,
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
