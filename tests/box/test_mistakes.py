"""Each of the everyday mistakes is told within seconds, and its mend alone brings the app back."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.box.mistakes import MISTAKES, Mistake
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.box.mistakes.projects import Project
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

MODELS = Path("/srv/models")
AT_ONCE = 6
"""Students who make their mistakes at one time: each mostly waits."""
BACK = 40.0
"""Seconds in which a mended app is to be back: a quarter of them where nothing else runs."""
SETTINGS = """\
[timing]
grace = 0.5
resync = 600

[probe]
per_minute = 6000

[daemons.options]
startup-timeout = 12
"""
"""A resync would tell what events are to tell; a loop that never ends is waited for in vain."""


@dataclass
class Outcome:
    """How one student fared; times are in seconds."""

    name: str
    told: float = float("nan")
    back: float = float("nan")
    trouble: str = ""

    def __str__(self) -> str:
        """Return it in a line."""
        return f"{self.name:20} told {self.told:5.1f}  back {self.back:5.1f}  {self.trouble}"


class School:
    """The machine, and what its students do."""

    def __init__(self, server: Server, homes: Homes, program: Program) -> None:
        self.server = server
        self.homes = homes
        self.program = program

    # --- before the first of them does anything --------------------------------------------------

    def enrol(self, mistakes: tuple[Mistake, ...]) -> None:
        """Give each an account, with the good project in ~/.good and the bad one in ~/.draft."""
        self.homes.enrol(*(mistake.name for mistake in mistakes))
        for mistake in mistakes:
            home = self.homes.home(mistake.name)
            model = self.model(mistake.project)
            for place in (".good", ".draft"):
                shutil.copytree(model, home / place / "mysite")
            for path, content in mistake.files().items():
                file = home / ".draft/mysite" / path
                if content is None:
                    file.unlink()
                else:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(content)
            subprocess.run(["chown", "-R", f"{mistake.name}:", home], check=True)

    @staticmethod
    def model(project: Project) -> Path:
        """Return the good project, made once of its kind."""
        place = MODELS / project.framework / "mysite"
        if not place.exists():
            for path, text in project.files.items():
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                (place / path).write_text(text)
            path = {"PATH": "/usr/bin:/bin"}  # the distribution's Python, as students have it
            subprocess.run(["sh", "-ec", project.prepare], cwd=place.parent, env=path, check=True)
            for cache in [*place.rglob("__pycache__")]:
                shutil.rmtree(cache)
        return place

    # --- one of them ----------------------------------------------------------------------------

    def story(self, mistake: Mistake) -> Outcome:
        """Make the mistake, look until it is told, mend it, and look until the app is back."""
        outcome = Outcome(mistake.name)
        home = self.homes.home(mistake.name)
        if mistake.spoil:
            self.homes.run(mistake.name, "sh", "-ec", mistake.spoil, cwd=home / ".draft")
        if mistake.spoil_as_root:
            subprocess.run(["sh", "-ec", mistake.spoil_as_root], cwd=home / ".draft", check=True)
        self.homes.sh(mistake.name, "mv .draft/* .")
        outcome.told = self.until(outcome, lambda: self.is_told(mistake), mistake.within)
        self.mend(mistake)
        outcome.back = self.until(outcome, lambda: self.is_back(mistake), BACK)
        return outcome

    def until(self, outcome: Outcome, what: Callable[[], bool], within: float) -> float:
        """Return the seconds until it is so, and note in the outcome where it never was."""
        began = time.monotonic()
        try:
            wait_for(what, within, every=0.1)
        except AssertionError as problem:
            outcome.trouble += "\n    ".join(["", str(problem), *self.seen(outcome.name)])
        return time.monotonic() - began

    def mend(self, mistake: Mistake) -> None:
        """Do what mends it, and nothing else."""
        if mistake.mend_as_root:
            home = self.homes.home(mistake.name)
            subprocess.run(["sh", "-ec", mistake.mend_as_root], cwd=home, check=True)
        elif mistake.mend or mistake.typed:
            # As one pastes it into a login shell, whatever it ends with.
            self.homes.run(
                mistake.name,
                "bash",
                "-c",
                mistake.mend or self.fix(mistake),
                check=not mistake.typed,
            )
        else:
            lines = (
                f"cp .good/mysite/{path} mysite/{path}"
                if path in mistake.project.files
                else f"rm mysite/{path}"
                for path in mistake.broken
            )
            self.homes.sh(mistake.name, "\n".join(lines))

    # --- what is told ---------------------------------------------------------------------------

    def is_told(self, mistake: Mistake) -> bool:
        """Assert that status, page and log say what they are to say of a mistake."""
        status, page = self.status(mistake), ""
        if mistake.code != "hangs":  # each who asks waits for the end of another load
            page = plain(self.server.get(f"/django/{mistake.name}/", timeout=20).text)
        assert status, f"no {mistake.code}"
        first = page if mistake.at == "url" else status
        assert mistake.place() in first, f"{mistake.place()} is not in {first!r}"
        for word in mistake.words:
            assert word in page + status, f"{word!r} is in neither {status!r} nor {page!r}"
        if mistake.log:
            log = (self.homes.home(mistake.name) / ".slp/app.log").read_text(errors="replace")
            assert not [word for word in mistake.log if word not in log], log[-500:]
        return True

    def is_back(self, mistake: Mistake) -> bool:
        """Assert that the app answers as the good one does, and nothing bad is said any more."""
        answer = self.server.get(f"/django/{mistake.name}/{mistake.path}", timeout=20)
        assert 200 == answer.status, (answer.status, plain(answer.text)[:300])
        assert mistake.good in answer.text
        entry = self.program.account(mistake.name)
        assert entry["reason"] is None, "it is still told"
        health = entry["health"] or {}  # it is published again, and Apache has yet to be told
        assert "failing" != health.get("state"), "it is still told"
        return True

    def status(self, mistake: Mistake) -> str:
        """Return what the status says of a mistake."""
        return plain("\n".join(str(value) for value in self.reason(mistake).values()))

    def fix(self, mistake: Mistake) -> str:
        """Return what the status says to type: it stands after the last colon."""
        return str(self.reason(mistake).get("fix", "false")).rpartition(": ")[2]

    def reason(self, mistake: Mistake) -> dict[str, object]:
        """Return what is in the status under a mistake's code: a reason, the health, a warning."""
        entry = self.program.account(mistake.name)
        found = (entry["reason"], entry.get("health"), *entry["warnings"])
        return next((reason for reason in found if reason and reason["code"] == mistake.code), {})

    def seen(self, account: str) -> list[str]:
        """Return what there was to see, for who reads a failure."""
        entry = self.program.status()["accounts"].get(account, {})
        brief = {k: entry.get(k) for k in ("state", "reason", "health", "warnings")}
        try:
            answer = self.server.get(f"/django/{account}/", timeout=20)
            page = f"{answer.status} {plain(answer.text)[:500]!r}"
        except OSError as problem:
            page = repr(problem)
        log = self.homes.home(account) / ".slp/app.log"
        return [str(brief), page, log.read_text()[-400:] if log.exists() else "no log"]


def plain(text: str) -> str:
    """Return a page or a sentence as one reads it, with each place as `file:line`."""
    text = html.unescape(re.sub(r"<style.*?</style>|<[^>]*>", " ", text, flags=re.S))
    return re.sub(r"~/(\S+), line (\d+)", r"\1:\2", text)


@pytest.mark.box(timeout=300)
def test_every_everyday_mistake_is_told_and_its_mend_alone_brings_the_app_back(
    server: Server, homes: Homes, program: Program
) -> None:
    """Told at the URL, in the status and in ~/.slp/app.log; no touch; one class, one Apache."""
    school = School(server, homes, program)
    school.enrol(MISTAKES)
    program.write_settings(SETTINGS)
    with program.daemon(timeout=60) as daemon, ThreadPoolExecutor(AT_ONCE) as pool:
        daemon.wait_event("generation.published", timeout=60)
        outcomes = list(pool.map(school.story, MISTAKES))
    print("\n".join(map(str, outcomes)))
    assert [] == [outcome.name for outcome in outcomes if outcome.trouble]
