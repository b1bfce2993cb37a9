"""Arguments, logging, exit codes."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import structlog

from reconciler import once as single
from reconciler.daemon import Daemon
from reconciler.observe.descent import Unreadable
from reconciler.once import Exit
from reconciler.outside import Outside
from reconciler.publish.render import TemplateError
from reconciler.publish.usage import usage
from reconciler.report import logs, tables
from reconciler.report import status as statuses
from reconciler.settings import DEFAULT_FILE, Settings, SettingsError, load

_DESCRIPTORS = 16384
"""As in the unit. Not as many as may be: some programs try each of a billion."""
F = TypeVar("F", bound=Callable[..., Any])


def _common(command: F) -> F:
    """Give a command the options that every one has."""
    for option in (
        click.option("--log-level", type=click.Choice(logs.LEVELS), help="[default: info]"),
        click.option("--log-format", type=click.Choice(logs.FORMATS), help="[default: auto]"),
        click.option("--config", metavar="FILE", help=f"[default: {DEFAULT_FILE}]"),
    ):
        command = option(command)
    return command


def _settings(config: str | None) -> Settings:
    try:
        return load(config)
    except SettingsError as error:
        click.echo(f"slp-reconciler: {error}", err=True)
        sys.exit(Exit.USAGE)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@_common
@click.option("--once", is_flag=True, help="One full pass, verified, then exit.")
@click.option(
    "--dry-run", is_flag=True, help="With --once: print what would change; change nothing."
)
@click.option("--no-reload", is_flag=True, help="With --once: publish, and touch no server.")
@click.option("--force", is_flag=True, help="With --once: let held withdrawals through.")
@click.version_option(package_name="slp-reconciler", prog_name="slp-reconciler")
@click.pass_context
def cli(
    context: click.Context,
    /,
    *,
    config: str | None,
    log_format: str | None,
    log_level: str | None,
    once: bool,
    dry_run: bool,
    no_reload: bool,
    force: bool,
) -> None:
    """Publish students' WSGI projects as they appear in their homes.

    Without a command it watches until TERM or INT; HUP reads the settings again.
    """
    context.obj = config, log_format, log_level
    if context.invoked_subcommand is not None:
        if once or dry_run or no_reload or force:
            raise click.UsageError("--once and its options go without a command")
        return
    if (dry_run or no_reload or force) and not once:
        raise click.UsageError("--dry-run, --no-reload and --force go with --once")
    logs.configure(log_format or "auto", log_level or "info")
    log = structlog.get_logger()
    settings, outside = _settings(config), Outside()
    try:
        if dry_run:
            sys.exit(_preview(settings, log, outside))
        if once:
            sys.exit(single.run(settings, log, outside, reload=not no_reload, force=force))
        _raise_descriptors()
        daemon = Daemon(config, settings, log, outside)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: daemon.signal(number))
        sys.exit(daemon.run())
    except OSError as error:
        log.error("pass.failed", message=f"{error.strerror}: {error.filename}")
        sys.exit(Exit.UNEXPECTED)


def _raise_descriptors() -> None:
    """Let the daemon have a descriptor for each app that tells how it is: a shell allows 1,024."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if most == resource.RLIM_INFINITY else min(most, _DESCRIPTORS)
    if wanted > now != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError):  # under the unit, which sets a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _preview(settings: Settings, log: Any, outside: Outside) -> Exit:
    try:
        for line in single.preview(settings, outside):
            click.echo(line)
    except (TemplateError, Unreadable) as error:
        log.error("preview.failed", message=str(error))
        return Exit.UNEXPECTED
    return Exit.CONVERGED


def _read_status(settings: Settings) -> statuses.Status:
    path = f"{settings.state.directory}/status.json"
    try:
        with open(path, "rb") as stream:
            return statuses.read(stream.read())
    except OSError as error:
        click.echo(f"slp-reconciler: {path}: {error.strerror}: has a pass been made?", err=True)
        sys.exit(Exit.UNEXPECTED)


@cli.command()
@_common
@click.argument("account", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(
    context: click.Context,
    /,
    *,
    account: str | None,
    as_json: bool,
    config: str | None,
    log_format: str | None,
    log_level: str | None,
) -> None:
    """What is served, what is not, and why."""
    del log_format, log_level
    settings = _settings(config or context.obj[0])
    found = _read_status(settings)
    for name, used in usage().items():
        if name in found.accounts:
            found.accounts[name].usage = used
    if account is not None and account not in found.accounts:
        click.echo(f"slp-reconciler: {account} is not known below {settings.homes.root}", err=True)
        sys.exit(Exit.UNEXPECTED)
    if as_json:
        value = found if account is None else found.accounts[account]
        click.echo(statuses.to_json(value))
    elif account is None:
        tables.overview(found)
    else:
        tables.one(account, found.accounts[account])


@cli.command("list")
@_common
@click.pass_context
def list_(
    context: click.Context,
    /,
    *,
    config: str | None,
    log_format: str | None,
    log_level: str | None,
) -> None:
    """One line an account, as `wsgi-admin -list -compact` had it: for grep and awk."""
    del log_format, log_level
    for line in statuses.lines(_read_status(_settings(config or context.obj[0]))):
        click.echo(line)


@cli.command()
@_common
@click.argument("registry", metavar="DB")
@click.pass_context
def import_wsgi_admin(
    context: click.Context,
    /,
    *,
    registry: str,
    config: str | None,
    log_format: str | None,
    log_level: str | None,
) -> None:
    """Print the settings that reproduce DB, a registry of wsgi-admin (/etc/apache2/django.db).

    Nothing is written: read what is printed, and put what you want of it into the settings.

    DB is SQLite with a table `wsgi`. Of it are read the columns id, wsgi and valid, and where they
    are there rootdir (-root), staticdir (-staticdir), urluserid, morepath (-path) and removed.
    """
    del log_format, log_level
    settings = _settings(config or context.obj[0])
    # Only here: SQLite is loaded with it.
    from reconciler import wsgi_admin  # noqa: PLC0415

    try:
        entries = wsgi_admin.read(registry)
    except wsgi_admin.RegistryError as error:
        click.echo(f"slp-reconciler: {error}", err=True)
        sys.exit(Exit.USAGE)
    for line in wsgi_admin.settings(registry, entries, settings):
        click.echo(line)


def main() -> None:
    """Run the console script."""
    # Apache and the students' daemons read what is published, whatever umask root's shell has.
    os.umask(0o022)
    cli(prog_name="slp-reconciler")
