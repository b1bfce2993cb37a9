"""What a visitor of real Django projects stumbles over is told, and mended by what is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

SETTINGS = """\
[urls]
keep_inside = false

[probe]
per_minute = 6000
"""
LIVE = 'DEBUG = False\nALLOWED_HOSTS = ["*"]\n'
LOGIN = """\
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", login_required(lambda request: HttpResponse("hello")))]
"""


def codes(program: Program, account: str) -> list[str]:
    """Return the codes of an account's warnings."""
    return [warning["code"] for warning in program.account(account)["warnings"]]


def paste(program: Program, homes: Homes, account: str) -> str:
    """Paste the command of an account's first warning into a shell of theirs; return its code."""
    warning = program.account(account)["warnings"][0]
    homes.run(account, "bash", "-ec", warning["fix"].rpartition(": ")[2])
    return str(warning["code"])


@pytest.mark.box
def test_what_visitors_stumble_over_is_told_and_what_is_told_mends_it(
    server: Server, homes: Homes, program: Program
) -> None:
    """Nobody but the program asks for a page here; no script is touched."""
    projects = {
        "refused": ("hello", "DEBUG = False\nALLOWED_HOSTS = []\n"),
        "bare": ("", LIVE),
        "leads": ('<html><a href="/about/">about us</a>', LIVE),
        "login": ("hello", LIVE),
    }
    for account, (page, settings) in projects.items():
        homes.create(account)
        homes.draft(account, page=page, settings=settings)
    homes.create("good")
    homes.bare("good")
    homes.write("login", ".draft/mysite/mysite/urls.py", LOGIN)
    program.write_settings(SETTINGS)

    with program.daemon():
        for account in projects:
            homes.put(account)

        wait_for(lambda: ["allowed-hosts"] == codes(program, "refused"), 15)
        wait_for(lambda: "outside-prefix" in codes(program, "leads"), 15)
        wait_for(lambda: "outside-prefix" in codes(program, "login"), 15)
        wait_for(lambda: "working" == program.account("good")["health"]["state"], 15)
        (login,) = (
            w for w in program.account("login")["warnings"] if w["code"] == "outside-prefix"
        )
        assert "/accounts/login/?next=" in login["message"]
        assert "LOGIN_URL" in login["fix"]

        # The administration: its styles' URL, their place and their mode come to light in turn.
        pasted: list[str] = []
        while not is_whole(server):
            told = wait_for(lambda: program.account("bare")["warnings"], 15)
            assert len(pasted) < 5, pasted
            pasted.append(paste(program, homes, "bare"))
            wait_for(lambda told=told: told != program.account("bare")["warnings"], 30)
        assert {"static-missing", "static-unreachable"} >= set(pasted) >= {"static-missing"}

        assert "allowed-hosts" == paste(program, homes, "refused")
        wait_for(lambda: "allowed-hosts" not in codes(program, "refused"), 10)
        assert 200 == server.get("/django/refused/").status
        assert [] == codes(program, "good")


def is_whole(server: Server) -> bool:
    """Whether the login of Django's administration has its styles, served by Apache."""
    return 200 == server.get("/django/bare/static/admin/css/base.css").status
