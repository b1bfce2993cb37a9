"""An app's own process, under the real mod_wsgi: it says why it fails, follows, and gives back."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.apache import Answer, Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

SAYS = """\
import os
from {name} import words

def application(environ, start_response):
    if environ["PATH_INFO"] == "/die":
        os._exit(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{{words.WORD}} {{os.getpid()}}".encode()]
"""
"""An app that says what another module of its project says, and its process."""
SETTINGS = 'ALLOWED_HOSTS = ["*"]\n'


def says(homes: Homes, account: str, word: str = "one") -> None:
    """Give the account such an app."""
    homes.write(account, f"{account}/{account}/words.py", f'WORD = "{word}"\n')
    homes.bare(account, account, source=SAYS.format(name=account))


def get(server: Server, account: str, path: str = "") -> Answer:
    """Ask for the account's front page, or another."""
    return server.get(f"/django/{account}/{path}")


def page(server: Server, account: str, status: int, text: str, path: str = "") -> Answer:
    """Wait until the account's URL answers with this."""

    def look() -> Answer:
        answer = get(server, account, path)
        assert status == answer.status, answer.text
        assert text in answer.text
        return answer

    return wait_for(look, 15, f"{account} to answer {status} {text!r}")


def log(homes: Homes, account: str) -> str:
    """Return what the account's log says."""
    return (homes.home(account) / ".slp/app.log").read_text()


@pytest.mark.box
def test_what_fails_to_load_says_why_and_is_up_at_the_request_after_its_mend(
    apache: Server, homes: Homes, program: Program
) -> None:
    """Django's first load too: it said "populate() isn't reentrant", mended or not."""
    program.write_settings("[daemons.options]\nstartup-timeout = 4\n")
    for account in ("alice", "bob", "carol", "dave"):
        homes.create(account)
    homes.django_project("alice", page="welcome", settings=SETTINGS + "import crispy_forms\n")
    for account in ("bob", "carol", "dave"):
        says(homes, account)
    homes.write("bob", "bob/bob/words.py", "while True:\n    pass\n")
    homes.write("carol", "carol/carol/words.py", "import sys\nsys.exit('no')\n")
    homes.bare("dave", "dave", source="application = None\n")
    apache.start()
    with program.daemon():
        wait_for(lambda: apache.pids("bob"), 15, "bob's daemon")
        page(apache, "dave", 500, "application")
        started = time.monotonic()
        answers: dict[str, Answer] = {}
        waiting = threading.Thread(target=lambda: answers.update(bob=get(apache, "bob")))
        waiting.start()
        told = page(apache, "alice", 500, "crispy_forms")
        assert "pip install django-crispy-forms" in told.text
        assert "settings.py:" in told.text
        assert "Traceback" not in told.text
        assert "No module named" in log(homes, "alice")
        prefers = apache.get("/django/alice/", headers={"Accept": "application/json"})
        assert "missing-module" == json.loads(prefers.text)["code"]
        page(apache, "carol", 500, "carol/carol/words.py:2")
        waiting.join()
        assert time.monotonic() - started < 10
        assert answers["bob"].status >= 500
        assert 'bob/words.py", line' in log(homes, "bob")

        settings = homes.home("alice") / "mysite/mysite/settings.py"
        text = settings.read_text().replace("import crispy_forms\n", "")
        homes.write("alice", "mysite/mysite/settings.py", text)
        for account in ("bob", "carol"):
            homes.write(account, f"{account}/{account}/words.py", 'WORD = "mended"\n')
        says(homes, "dave", "mended")
        page(apache, "alice", 200, "welcome")
        for account in ("bob", "carol", "dave"):
            page(apache, account, 200, "mended")
        # What ends the process ends one answer, and not the next.
        assert get(apache, "bob", "die").status >= 500
        page(apache, "bob", 200, "mended")


@contextmanager
def asking(server: Server, accounts: list[str]) -> Iterator[dict[str, list[tuple[float, str]]]]:
    """Ask for these in turn for as long as the block lasts; yields when each said what."""
    heard: dict[str, list[tuple[float, str]]] = {name: [] for name in accounts}
    over = threading.Event()

    def ask(name: str) -> None:
        while not over.is_set():
            try:
                answer = get(server, name)
                said = answer.text if answer.status == 200 else f"{answer.status} {answer.text}"
            except OSError as problem:
                said = f"failed: {problem!r}"
            heard[name].append((time.monotonic(), said))
            time.sleep(0.005)

    threads = [threading.Thread(target=ask, args=(name,)) for name in accounts]
    for thread in threads:
        thread.start()
    try:
        yield heard
    finally:
        over.set()
        for thread in threads:
            thread.join()


def processes(server: Server, account: str) -> list[int]:
    """Return the account's daemon processes."""
    return sorted(daemon.pid for daemon in server.pids(account))


@pytest.mark.box
def test_a_save_is_live_without_a_touch_and_at_nobodys_cost(
    apache: Server, homes: Homes, program: Program
) -> None:
    """No request fails meanwhile, neighbours' processes go on, and `git pull` is one restart."""
    for account in ("alice", "bob"):
        homes.create(account)
        says(homes, account)
    apache.start()
    with program.daemon():
        page(apache, "alice", 200, "one")
        page(apache, "bob", 200, "one")
        before = processes(apache, "bob")
        time.sleep(1.2)  # so that it follows
        with asking(apache, ["alice", "bob"]) as heard:
            took = []
            for word in ("two", "three", "four"):
                saved = time.monotonic()
                homes.write("alice", "alice/alice/words.py", f'WORD = "{word}"\n')
                wait_for(lambda word=word: heard["alice"][-1][1].startswith(word), 10, word)
                took.append(time.monotonic() - saved)
                time.sleep(1.3)
            first = processes(apache, "alice")
            homes.sh(
                "alice",
                "git init -q repo && cd repo && for n in $(seq 200); do echo >m$n.py; done",
            )
            homes.sh("alice", "cp -r repo/*.py alice/alice/; sleep 0.5")
            wait_for(lambda: first != processes(apache, "alice"), 5, "another process")
            time.sleep(3)
            pids = {said.split()[1] for _, said in heard["alice"]}
        assert 5 == len(pids), pids
        for answers in heard.values():
            failed = [said for _, said in answers if not said.startswith(("one", "two", "th", "f"))]
            assert [] == failed
        assert before == processes(apache, "bob")
        assert max(took) < 3, took
        assert "alice/alice/words.py" in log(homes, "alice")


@pytest.mark.box
def test_an_app_that_nobody_asks_gives_its_memory_back(
    apache: Server, homes: Homes, program: Program
) -> None:
    """And what has loaded nothing has nothing to give: its process goes on."""
    program.write_settings("[apps]\nidle = 2\n[probe]\nenabled = false\n")
    for account in ("alice", "bob"):
        homes.create(account)
        homes.django_project(account, page="welcome", settings=SETTINGS)
    apache.start()

    def resident(account: str) -> int:
        pid = processes(apache, account)[0]
        with open(f"/proc/{pid}/smaps_rollup") as stream:
            return sum(int(line.split()[1]) for line in stream if line.startswith("Private_"))

    with program.daemon():
        wait_for(lambda: apache.pids("bob"), 15, "bob's daemon")
        idle, there = resident("alice"), processes(apache, "bob")
        page(apache, "alice", 200, "welcome")
        loaded = resident("alice")
        assert loaded > idle + 10_000
        wait_for(lambda: resident("alice") < idle + 2_000, 10, "less memory")
        page(apache, "alice", 200, "welcome")
        assert there == processes(apache, "bob")
        print(idle, loaded)
