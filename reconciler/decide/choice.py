"""Which of a home's scripts is the app, and what it consists of.

A script that a setting names, `[accounts]`'s before that of `~/.slp.toml`, comes first:

    the one named     the one served     the app
    ----------------  -----------------  ---------------------------------------------------------
    admitted          any                the one named
    not admitted      admitted           the one served; a warning says what is wrong with the other
    not admitted      not admitted       none: no third counts while the one named exists
    not there         any                as if none were named, with a warning
    (none)            admitted           the one served
    (none)            not admitted       the newest mtime of those admitted, ties by path

A `~/.slp.toml` that is not to be followed, for its links, owners, modes or text, names nothing and
is a warning: what is served stays, with the static directory and the virtualenv that it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from reconciler.decide.belongings import unfit_virtualenv, unreachable, without_script
from reconciler.decide.judge import base_of, judge_script, judge_wishes
from reconciler.decide.rules import reject
from reconciler.model import NO_WISHES, Account, App, Home, News, Rejection, Run, Script
from reconciler.settings import AccountSettings, Settings


class Choice(Struct, frozen=True):
    """What became of a home's scripts."""

    app: App | None
    path: str | None
    """The app's script; where there is none, the one whose fault is the account's."""
    named: str | None
    """Where there is an app: the script that a setting names, if it is there."""
    reason: Rejection | None
    """Why there is no app; None where there is one, or no script."""
    about_home: tuple[Rejection, ...]
    """Warnings that hold whatever is served."""
    about_app: tuple[Rejection, ...]
    faults: Mapping[str, Rejection | None]
    """Of every script: why it cannot be the app, or None."""

    def others(self, told: str | None) -> tuple[tuple[str, Rejection], ...]:
        """Return every script but the one told of elsewhere, each with its one reason."""
        return tuple(
            (path, fault or _superseded(path, told))
            for path, fault in sorted(self.faults.items())
            if path != told
        )


def choose(
    home: Home,
    account: Account,
    settings: Settings,
    *,
    served: App | None,
    python: str,
    names_scripts: bool,
) -> Choice:
    """Return the choice. `python` and `names_scripts` are as in a verdict's `Context`."""
    own, base = settings.of(account.name), base_of(home, settings)
    unfit = judge_wishes(home.wishes, account)
    if unfit is not None:
        home = _unfollowed(home, own)
    scripts = {script.path: script for script in home.scripts}
    faults = {
        path: _fault(script, account, settings, base, python, names_scripts)
        for path, script in scripts.items()
    }
    wanted = [p for p in dict.fromkeys((own.script, home.wishes.script)) if p in scripts]
    named = next((path for path in wanted if scripts[path].file is not None), None)
    now = served.within(base) if served is not None else None
    order = sorted(scripts.values(), key=lambda script: _rank(script, named, now))
    able = (script for script in order if faults[script.path] is None)
    best = next((s for s in able if named is None or s.path in (named, now)), None)
    blamed = order[0].path if order and best is None else None
    about_home = [unfit] if unfit is not None else []
    for path in wanted:
        fault = faults[path]
        if fault is not None and path != blamed:
            about_home.append(fault)
    if home.instead is not None and not home.unseen:
        about_home.append(without_script(home.instead, account.name, base, python, settings))
    if scripts and home.unwatched:
        about_home.append(_over_watch_budget(home.unwatched))
    if best is None:
        reason = faults[blamed] if blamed is not None else _unseen(home.unseen)
        return Choice(None, blamed, None, reason, tuple(about_home), (), faults)
    app = _app(best, account, base, settings)
    if unfit is not None and served is not None and served.script == app.script:
        app = _as_served(app, served, own)
    about_app = tuple(_app_warnings(best, base, settings, python))
    return Choice(app, best.path, named, None, tuple(about_home), about_app, faults)


def _rank(script: Script, named: str | None, served: str | None) -> tuple[bool, bool, int, str]:
    mtime = script.file.mtime_ns if script.file is not None else 0
    return script.path != named, script.path != served, -mtime, script.path


def _unfollowed(home: Home, own: AccountSettings) -> Home:
    """Return the home without its wishes, which somebody else may have written."""
    wishes = home.wishes
    scripts = home.scripts
    if wishes.static is not None and own.static is None:
        scripts = tuple(replace(script, links=()) for script in scripts)
    if wishes.virtualenv is not None and own.virtualenv is None:
        scripts = tuple(replace(script, virtualenv=None) for script in scripts)
    return replace(home, scripts=scripts, wishes=NO_WISHES)


def _as_served(app: App, served: App, own: AccountSettings) -> App:
    """Return the app with what was wished for when it was published."""
    if own.static is None:
        app = replace(app, links=served.links)
    if own.virtualenv is None:
        app = replace(app, virtualenv=served.virtualenv, site_packages=served.site_packages)
    return app


def _fault(
    script: Script,
    account: Account,
    settings: Settings,
    base: str,
    python: str,
    names_scripts: bool,
) -> Rejection | None:
    fault = judge_script(script, account, content=not settings.of(account.name).skip_checks)
    if fault is not None:
        return fault
    venv = script.virtualenv
    if venv is not None and venv.chosen and venv.site_packages is None:
        return unfit_virtualenv(venv, script, base, python)
    if names_scripts and script.reachable is False:
        return reject("unreachable", path=f"~/{script.path}", user=settings.apache.user)
    return None


def _superseded(path: str, winner: str | None) -> Rejection:
    return reject("superseded", path=f"~/{path}", winner=f"~/{winner}", relative=path)


def _app(script: Script, account: Account, base: str, settings: Settings) -> App:
    file, venv = script.file, script.virtualenv
    assert file is not None  # it is admitted
    return App(
        account=account.name,
        uid=account.uid,
        gid=account.gid,
        script=f"{base}/{script.path}",
        project=f"{base}/{script.project}".rstrip("/"),  # which may be the home
        package=f"{base}/{script.package}",
        links=tuple((link.name, link.path) for link in script.links),
        virtualenv=venv.path if venv and venv.site_packages else None,
        site_packages=venv.site_packages if venv else None,
        identity=(file.inode, file.size, file.mtime_ns),
        system_site_packages=not (venv and venv.site_packages) or venv.system_site_packages,
        run=Run(
            url=settings.url(account.name),
            told=f"{settings.state.runtime}/told/{account.name}",
            explain=settings.pages.explain,
            idle=int(settings.daemon_options["inactivity-timeout"]),
            follow=settings.apps.follow,
            log_bytes=settings.apps.log_bytes,
            startup_timeout=settings.startup_timeout,
        ),
    )


def _app_warnings(
    script: Script, base: str, settings: Settings, python: str
) -> Iterator[Rejection]:
    venv = script.virtualenv
    for link in script.links:
        if link.reachable is False:
            yield unreachable(link, base, settings.apache.user)
    if venv is not None and not venv.chosen and venv.site_packages is None:
        yield unfit_virtualenv(venv, script, base, python)


_HIDE = (
    "move directories that hold no project into a hidden one, such as ~/.other: it is left alone"
)
"""Into one that is not hidden would not do: what is right below it counts as well."""


def _over_watch_budget(unwatched: int) -> Rejection:
    """Return the warning of a home with more directories than are watched."""
    return reject(
        "over-budget",
        why=f"the home has {unwatched} directories more than are watched; a change in those is "
        "seen only by the next resync",
        advice=_HIDE,
    )


def _unseen(unseen: int) -> Rejection | None:
    """Return why a home has no script, if it may have one where nobody looked."""
    if not unseen:
        return None
    return reject(
        "over-budget",
        news=News.SOFT,  # what it had may only be out of sight: the brake counts that as gone
        why=f"no script was found, but {unseen} directories of the home were not looked into, "
        "since it has too many",
        advice=_HIDE,
    )
