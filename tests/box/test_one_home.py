"""What one home holds is that home's affair: nobody else waits, goes down or is read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.program import STATE
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program


@pytest.mark.box
def test_whatever_a_home_holds_the_others_go_on(
    server: Server, homes: Homes, program: Program
) -> None:
    """A TOML that breaks its parser, a dozen scripts at once, a set that somebody deleted."""
    program.write_settings("[timing]\nresync = 2\nreload_interval = 0.1\n")
    for name in ("alice", "mallory", "many"):
        homes.create(name)
    homes.bare("alice")
    homes.bare("mallory")
    homes.write("mallory", ".slp.toml", f"script = {'1' * 5000}\n")
    for number in range(11):
        homes.bare("many", f"p{number:02}", body=f"number {number}")
        script = next((homes.home("many") / f"p{number:02}").rglob("wsgi.py"))
        os.utime(script, (1_700_000_000 + number, 1_700_000_000 + number))
    with program.daemon() as daemon:
        wait_for(lambda: "hello" == server.get("/django/alice/").text, 20, "alice to be up")
        assert "number 10" == server.get("/django/many/").text, "the newest, though looked at last"
        told = program.account("mallory")
        assert ("served", ["syntax-error"]) == (
            told["state"],
            [w["code"] for w in told["warnings"]],
        )
        homes.create("newcomer")
        homes.bare("newcomer")
        wait_for(lambda: 200 == server.get("/django/newcomer/").status, 60, "a newcomer")
        assert "hello" == server.get("/django/alice/").text
        shutil.rmtree(STATE / "sets/alice")
        wait_for(lambda: 200 == server.get("/django/alice/").status, 30, "a set to be made again")
        assert [] == daemon.events("pass.failed")


@pytest.mark.box
def test_static_files_are_files_and_the_students_own(
    server: Server, homes: Homes, program: Program
) -> None:
    """No handler runs them as Apache, and no link leads out, in either template set."""
    secret = Path("/srv/secret")
    secret.mkdir(mode=0o755)
    (secret / "cfg").write_text("the administrator's")
    Path("/etc/apache2/conf-enabled/handler.conf").write_text(
        '<FilesMatch "\\.info$">\n    SetHandler server-status\n</FilesMatch>\n'
    )
    for name in ("alice", "linked"):
        homes.create(name, mode=0o755)
        homes.bare(name)
    homes.run("alice", "mkdir", "mysite/static")
    homes.write("alice", "mysite/static/x.info", "alice's own words")
    homes.run("linked", "ln", "-s", str(secret), "mysite/static")
    server.restart()
    for template_set in ("stable", "classic"):
        program.write_settings(f'[apache]\ntemplate_set = "{template_set}"\n')
        program.once()
        answer = server.get("/django/alice/static/x.info")
        assert (200, "alice's own words") == (answer.status, answer.text), template_set
        assert "administrator" not in server.get("/django/linked/static/cfg").text, template_set
