"""A bad day under systemd: students at work at random, the daemon and Apache killed at random."""

from __future__ import annotations

import os
import random
import signal
import time
from http.client import HTTPException
from typing import TYPE_CHECKING

import msgspec

from tests.lab import units
from tests.lab.apache import STATE, Server
from tests.lab.asking import Asking, make_untouched
from tests.lab.homes import Homes
from tests.lab.judgement import Log, Told, judge
from tests.lab.program import Program
from tests.lab.right import Wanted, wrong
from tests.lab.students import Students
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

RESYNC = 15.0
RELOAD_INTERVAL = 5.0
SETTLE = 15.0
"""Seconds for what is under way at the end: a daemon's start (2 s later, by its unit) and first
pass, a configuration's test, reload and verification, on a machine that others use as well."""
# The brake on mass withdrawals holds for a minute, and a churn is one: it is tested elsewhere.
SETTINGS = f"""\
[timing]
resync = {RESYNC}
reload_interval = {RELOAD_INTERVAL}
[safety]
max_withdrawn_share = 1.0
"""
EVERY = 0.1
"""Seconds between two operations."""
KILLS = (5.0, 15.0)
"""Seconds between two kills: of the daemon, of Apache's parent, or of all that is Apache's."""
REVIVE = (1.0, 3.0)
"""Seconds until somebody starts an Apache that systemd has given up."""
RATE = 30.0
"""Requests a second."""


class Churn:
    """So many accounts: a third is left alone, some come and go, and the others are at work."""

    def __init__(self, seed: int, accounts: int) -> None:
        # One each, so that how long things take changes neither who is killed nor what is done.
        self.chance = random.Random(f"{seed} kills")
        self.server, self.homes, self.program = Server(), Homes(), Program()
        names = [f"s{number:03}" for number in range(accounts)]
        third, guests = accounts // 3, max(2, accounts // 15)
        self.untouched, churning = names[:third], names[third:]
        self.students = Students(
            self.homes, churning[guests:], churning[:guests], random.Random(f"{seed} work")
        )
        self.names = names
        self.told = Told()
        self.diary: list[tuple[float, str]] = []
        self.killed: list[tuple[float, int]] = []
        """When Apache was killed, and which parent of it."""
        self.revive_at: float | None = None
        self.look_at = 0.0

    def run(self, seconds: float) -> Told:
        """Set all up, churn for so long, and wait for the state to be right."""
        self.begin()
        reloads = self.server.reloads()
        with Asking(self.server, self.untouched, rate=RATE) as asking:
            self.churn(seconds)
            self.settle()
            self.told.idle = self.idle()
        self.told.reloads = self.server.reloads() - reloads
        judge(self.told, asking.heard, self.killed, Log(self.server, self.diary))
        return self.told

    def begin(self) -> None:
        """Make accounts and apps, and start both units as they are shipped."""
        os.umask(0o022)
        self.server.configure()
        for name in self.names:
            self.homes.create(name)
        for name in self.untouched:
            make_untouched(self.homes, name)
        for name in self.names[len(self.untouched) :]:
            self.homes.bare(name, body=f"I am {name}, number 0.")
        self.program.write_settings(SETTINGS)
        units.install()
        self.server.start()
        units.run("systemctl", "start", units.UNIT)
        wait_for(lambda: not list(self.wrong()), 60, "everybody's app")

    # --- the churn ------------------------------------------------------------------------------

    def churn(self, seconds: float) -> None:
        """Operate, kill and revive, each when its time has come."""
        began = now = time.monotonic()
        kill_at = began + self.chance.uniform(*KILLS)
        while now - began < seconds:
            self.note(self.students.act(EVERY))
            if now >= kill_at:
                self.kill()
                kill_at = now + self.chance.uniform(*KILLS)
            self.revive(now)
            self.told.operations += 1
            time.sleep(max(0.0, began + EVERY * self.told.operations - time.monotonic()))
            now = time.monotonic()

    def kill(self) -> None:
        """KILL the daemon's main process, Apache's parent, or every process of Apache's."""
        whom = self.chance.choice(["daemon", "daemon", "apache's parent", "apache"])
        pid = int(units.ask("MainPID")) if whom == "daemon" else self.server.parent()
        if not pid:
            self.note(f"no {whom} to kill")
            return
        if whom != "daemon":
            self.killed.append((time.monotonic(), pid))
        self.note(f"kill {whom}")
        if whom == "apache":
            units.run("systemctl", "kill", "--signal=KILL", units.APACHE)
        else:
            os.kill(pid, signal.SIGKILL)
        self.told.kills[whom] += 1

    def revive(self, now: float) -> None:
        """Start an Apache that is down for good, as an administrator would, after a while."""
        if now < self.look_at:
            return
        self.look_at = now + 0.5
        if units.ask("ActiveState", units.APACHE) not in {"failed", "inactive"}:
            self.revive_at = None
        elif self.revive_at is None:
            self.revive_at = now + self.chance.uniform(*REVIVE)
        elif now >= self.revive_at:
            self.note("start apache")
            units.run("systemctl", "start", "--no-block", units.APACHE)
            self.told.revived += 1
            self.revive_at = None

    def note(self, what: str) -> None:
        """Write it into the diary."""
        self.diary.append((time.monotonic(), what))

    # --- what is right --------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait for Apache, then for the state to be right, which is what takes `Told.settled`."""

        def up() -> bool:
            self.revive(time.monotonic())
            back = self.server.parent() not in {None, *(pid for _, pid in self.killed)}
            return back and self.server.get("/").status == 200

        try:
            wait_for(up, 60, "Apache to be up again")
        except AssertionError as problem:
            unit = units.run("systemctl", "show", "--property=SubState,MainPID", units.APACHE)
            self.told.wrong = [f"{problem}: {unit.split()}"]
            return
        began = time.monotonic()
        stall = msgspec.json.decode((STATE / "server.json").read_bytes())["stall"]
        self.told.allowed = RESYNC + max(RELOAD_INTERVAL, 20 * stall) + SETTLE

        while found := next(self.wrong(), None):
            if time.monotonic() - began > self.told.allowed:
                self.told.wrong = [found, *self.wrong()]
                break
            time.sleep(0.2)
        self.told.settled = time.monotonic() - began

    def wrong(self) -> Iterator[str]:
        """Yield whatever is not as the homes say."""
        accounts = {name: self.students.wanted(name) for name in self.names}
        accounts |= {name: Wanted("served", text=f"{name} ") for name in self.untouched}
        try:
            yield from wrong(self.server, self.program, accounts)
        except (OSError, HTTPException) as problem:
            yield repr(problem)

    def idle(self) -> list[str]:
        """Return the events of one more pass that say that it did anything."""
        more = self.program.once(status=None)
        found = [str(event) for event in more.events if event["event"] != "pass.done"]
        return found + [f"status {more.returncode}"] * bool(more.returncode)
