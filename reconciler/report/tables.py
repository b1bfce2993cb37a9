"""The status on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reconciler.report import common
from reconciler.report.status import AccountStatus, Reason, Status, Wellness, counts

_COLOURS = {"served": "green", "failing": "red", "rejected": "red", "empty": "bright_black"}


def overview(status: Status) -> None:
    """Print a line per account, and the counts."""
    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    counted = any(account.usage for account in status.accounts.values())
    for heading in ("ACCOUNT", "STATE", "URL", *(("USES",) if counted else ()), "WHY"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"STATE", "USES"})
    for name, account in status.accounts.items():
        uses = (Text(_uses(account)),) if counted else ()
        table.add_row(Text(name), _state(account), Text(account.url), *uses, Text(_why(account)))
    console.print(table)
    found = counts(status.accounts.values())
    generation = status.generation or "none"
    console.print(
        f"{found['served']} served{_failing(status)}, {found['rejected']} rejected, "
        f"{found['empty']} empty; "
        f"generation {generation}; {status.time}",
        style="bright_black",
    )
    for fault in common.faults(status.accounts):
        console.print(Text(fault.text), style="red")
    if status.held is not None:
        console.print(Text(status.held), style="red")


def one(name: str, account: AccountStatus) -> None:
    """Print all that is known of one account."""
    console = Console()
    console.print(Text(name, style="bold"), _state(account), Text(account.url))
    facts = (("host", account.host), ("script", account.script), ("project", account.project))
    for label, value in facts:
        if value is not None:
            console.print(Text(f"  {label:<8} {value}"))
    console.print(Text(f"  since    {account.since}"))
    if account.usage:
        console.print(Text(f"  uses     {_uses(account)}"))
    if account.health is not None:
        _health(console, account.health)
    if account.reason is not None:
        _reason(console, account.reason)
    for warning in account.warnings:
        _reason(console, warning)
    for other in account.others:
        console.print(Text(f"  {other.script}"))
        _reason(console, other.reason)


def _uses(account: AccountStatus) -> str:
    if not account.usage:
        return ""
    memory, cpu = account.usage.memory, account.usage.cpu
    said = [] if memory is None else [f"{memory / 1e6:.0f} MB"]
    return ", ".join(said if cpu is None else [*said, f"{cpu:.1f} s"])


def _failing(status: Status) -> str:
    count = sum(account.is_failing for account in status.accounts.values())
    return f" ({count} failing)" if count else ""


def _state(account: AccountStatus) -> Text:
    shown = Text(account.state, style=_COLOURS.get(account.state, ""))
    return shown.append(", failing", style="red") if account.is_failing else shown


def _health(console: Console, health: Wellness) -> None:
    """Print how the app is: since when, and if it fails, where, why and what mends it."""
    console.print(Text(f"  {health.state:<8} since {health.since}"))
    for line in health.story:
        console.print(Text(f"      {line}"))
    if health.code is not None:
        _reason(console, Reason(health.code, health.message, health.fix))


def _why(account: AccountStatus) -> str:
    if account.health is not None and account.health.code is not None:
        return f"{account.health.code}: {account.health.message}"
    if account.reason is not None:
        return f"{account.reason.code}: {account.reason.message}"
    return "; ".join(f"{w.code}: {w.message}" for w in account.warnings)


def _reason(console: Console, reason: Reason) -> None:
    console.print(Text(f"  {reason.code}: {reason.message}"))
    console.print(Text(f"      {reason.fix}", style="cyan"))
