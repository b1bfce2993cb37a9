"""What a student does shows at their URL, at nobody else's cost, under the running daemon."""

from __future__ import annotations

import pwd
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.lab.homes import APP
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.apache import Answer, Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

PLAIN, SECURE = "www.example.org", "secure.example.org"
BY_THE_MANUAL = f"""
ALLOWED_HOSTS = ["127.0.0.1", "{PLAIN}", "{SECURE}"]
STATIC_ROOT = BASE_DIR / "static"
STATIC_URL = "/django/alice/static/"
"""
WHO = """\
import os
import words

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{words.WORD} {os.getuid()} {os.getgid()} {os.getpid()}".encode()]
"""
"""An app that says as whom it runs, and what another module of its project says."""

REWRITE = """\
for n in $(seq 100); do
  sed "s/NUMBER/$n/" mysite/.draft >mysite/mysite/wsgi.py
  sleep 0.01
done
"""
"""A hundred saves as a plain editor makes them: into the file itself."""


def pids(server: Server, account: str) -> list[int]:
    """Return the account's daemon processes."""
    return sorted(daemon.pid for daemon in server.pids(account))


def everybody(server: Server, accounts: list[str]) -> dict[str, list[int]]:
    """Return the daemon processes of each account."""
    return {account: pids(server, account) for account in accounts}


def answers(server: Server, account: str, text: str) -> Answer:
    """Wait until the account's URL answers this."""

    def look() -> Answer:
        answer = server.get(f"/django/{account}/")
        assert (200, text) == (answer.status, answer.text)
        return answer

    return wait_for(look, 20, f"{account} to answer {text!r}")


@pytest.mark.box
def test_a_project_of_djangos_own_making_is_served_from_a_closed_home(
    apache: Server, homes: Homes, program: Program
) -> None:
    """`startproject` in a home of 0700 answers on both sites, from the daemon that was idle."""
    apache.configure(http_name=PLAIN, https_name=SECURE)
    apache.start()
    homes.create("alice", mode=0o700)
    with program.daemon() as daemon:
        wait_for(lambda: apache.pids("alice"), 15, "alice's daemon")
        daemon.wait_event("apache.reloaded", timeout=60)
        idle, reloads = pids(apache, "alice"), apache.reloads()

        homes.django_project("alice")

        wait_for(lambda: 302 == apache.get("/django/alice/admin/").status, 20, "the admin")
        assert idle == pids(apache, "alice"), "the first request is for the one that was idle"
        for https in (False, True):
            answer = apache.get("/django/alice/admin/", https=https)
            to = "/django/alice/admin/login/?next=/django/alice/admin/"
            assert (302, to) == (answer.status, answer.headers["Location"])
            answer = apache.get(to, https=https)
            assert 200 == answer.status
            assert "Django administration" in answer.text
        assert 400 == apache.get("/django/alice/admin/", host=PLAIN).status, "Django's own answer"

        inner = homes.home("alice") / "mysite/mysite"
        text = (inner / "settings.py").read_text()
        homes.write("alice", "mysite/mysite/settings.py", text + BY_THE_MANUAL)
        homes.sh("alice", "touch mysite/mysite/wsgi.py")
        login = "/django/alice/admin/login/"
        wait_for(lambda: 200 == apache.get(login, host=PLAIN).status, 20, "the new settings")
        assert 200 == apache.get(login, host=SECURE, https=True).status

        homes.run("alice", "python3", "mysite/manage.py", "collectstatic", "--noinput")
        sheet = "/django/alice/static/admin/css/base.css"

        def codes() -> list[str]:
            return [warning["code"] for warning in program.account("alice")["warnings"]]

        # What a visit saw before the files were collected goes with the next one.
        wait_for(lambda: "static-unreachable" in codes(), 10, "a warning")
        # What Apache cannot see is the app's own to answer, as it is where no such file exists.
        assert 404 == apache.get(sheet).status
        assert f'href="{sheet}"' in apache.get(login).text

        fixes = {
            warning["code"]: warning["fix"] for warning in program.account("alice")["warnings"]
        }
        homes.sh("alice", fixes["static-unreachable"])
        wait_for(lambda: [] == program.account("alice")["warnings"], 30, "no warning")
        for host, https in ((PLAIN, False), (SECURE, True)):
            answer = apache.get(sheet, host=host, https=https)
            assert 200 == answer.status
            assert "text/css" == answer.headers.get_content_type()
            assert (homes.home("alice") / "mysite/static/admin/css/base.css").read_bytes() == (
                answer.body
            )
        assert reloads == apache.reloads(), "no app costs a reload"


@dataclass
class Load:
    """What clients met: how often each account answered, and what went wrong."""

    served: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


@contextmanager
def load(server: Server, texts: dict[str, str]) -> Iterator[Load]:
    """Ask all these accounts in turn for as long as the block lasts; each is to say its text."""
    told, over = Load(dict.fromkeys(texts, 0)), threading.Event()

    def ask() -> None:
        while not over.is_set():
            for account, text in texts.items():
                try:
                    answer = server.get(f"/django/{account}/", https=bool(told.served[account] % 2))
                    if (200, text) == (answer.status, answer.text):
                        told.served[account] += 1
                    else:
                        told.failed.append(f"{account}: {answer.status} {answer.text[:100]}")
                except Exception as problem:
                    told.failed.append(f"{account}: {problem!r}")
                time.sleep(0.002)

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield told
    finally:
        over.set()
        client.join()


@pytest.mark.box(timeout=240)
def test_thirty_neighbours_do_not_notice_what_four_students_do(
    server: Server, homes: Homes, program: Program
) -> None:
    """One comes, one is switched, one goes, one is saved 100 times: nobody else is touched."""
    names = [f"s{number:02}" for number in range(1, 32)]
    for name in names:
        homes.create(name)
    for name in names[:30]:
        homes.bare(name, body=f"I am {name}")
    comes, switched, goes, rewritten = names[30], *names[:3]
    others = {name: f"I am {name}" for name in names[3:30]}
    with program.daemon() as daemon:
        wait_for(lambda: program.account("s30")["state"] == "served", 20, "the class")
        for name, text in others.items():
            answers(server, name, text)
        answers(server, rewritten, f"I am {rewritten}")
        before, reloads = everybody(server, [*others, comes]), server.reloads()
        assert all(len(found) == 1 for found in before.values()), before

        with load(server, others) as told:
            homes.bare(comes, body="I am new")
            answers(server, comes, "I am new")
            homes.bare(switched, "shop", body="the shop")
            homes.write(switched, ".slp.toml", 'script = "shop/shop/wsgi.py"\n')
            answers(server, switched, "the shop")
            homes.delete(goes, "mysite")
            wait_for(lambda: 404 == server.get(f"/django/{goes}/").status, 20, "the page")
            homes.write(rewritten, "mysite/.draft", APP.format(body="version NUMBER"))
            homes.sh(rewritten, REWRITE)
            answers(server, rewritten, "version 100")

        assert [] == told.failed
        assert min(told.served.values()) >= 3, "the load was one"
        assert before == everybody(server, [*others, comes])
        assert reloads == server.reloads()
        assert 1 == len(daemon.events("app.published", account=comes))
        assert 1 == len(daemon.events("app.switched", account=switched))
        assert 1 == len(daemon.events("app.withdrawn", account=goes))
        touched = {event["account"] for event in daemon.events() if "account" in event}
        changed = {e["account"] for e in daemon.events() if e["event"] == "app.changed"}
        assert {rewritten} == changed
        assert set(names) == touched


@pytest.mark.box
def test_an_app_runs_as_its_student_and_a_touch_restarts_it_alone(
    server: Server, homes: Homes, program: Program
) -> None:
    """Uid and gid are the student's; `touch wsgi.py` is relayed; an import error is one's own."""
    names = ["alice", "bob", "carol"]
    for name in names:
        homes.create(name)
        homes.write(name, "mysite/words.py", 'WORD = "before"\n')
        homes.bare(name, source=WHO)
    script = homes.home("bob") / "mysite/mysite/wsgi.py"
    with program.daemon():
        for name in names:
            wait_for(lambda name=name: 200 == server.get(f"/django/{name}/").status, 20, name)  # type: ignore[misc]
            student = pwd.getpwnam(name)
            [process] = server.pids(name)
            said = server.get(f"/django/{name}/").text
            assert f"before {student.pw_uid} {student.pw_gid} {process.pid}" == said
            assert (student.pw_uid, student.pw_gid) == (process.uid, process.gid)
        before = everybody(server, names)

        homes.write("bob", "mysite/words.py", 'WORD = "after"\n')
        assert server.get("/django/bob/").text.startswith("before ")
        homes.sh("bob", "touch mysite/mysite/wsgi.py")
        wait_for(lambda: server.get("/django/bob/").text.startswith("after "), 20, "the new word")
        after = everybody(server, names)
        assert set(before["bob"]).isdisjoint(after["bob"])
        assert before | {"bob": after["bob"]} == after

        homes.bare("bob", source=WHO.replace("import words", "import nowhere"))
        wait_for(lambda: 500 == server.get("/django/bob/").status, 20, "the error")
        assert f'File "{script}", line 2, in <module>' in server.error_log()
        assert "ModuleNotFoundError: No module named 'nowhere'" in server.error_log()
        assert before | {"bob": []} == everybody(server, names) | {"bob": []}
        for name in ("alice", "carol"):
            assert 200 == server.get(f"/django/{name}/").status
