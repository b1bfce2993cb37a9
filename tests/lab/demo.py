"""A class, live: what students do, and how long until their URL says so.

Runs in a box on the host's network (`make demo`): real accounts, real Django projects, a real
Apache on 127.0.0.1:8080, and the daemon. Each act shows what a student typed, what the daemon
logged, the URL, its HTTP status and the milliseconds from the end of the act to that answer.
With KEEP=1 all of it goes on running afterwards, for a browser, until Ctrl-C. `isolated` as its
argument has systemd run the apps, which it needs as PID 1.
"""

from __future__ import annotations

import html
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from tests.lab.apache import LOOPBACK, Server
from tests.lab.homes import Homes
from tests.lab.program import Program
from tests.lab.units import isolate
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.apache import Answer
    from tests.lab.program import Daemon, Event

PORT = 8080
ORIGIN = f"http://{LOOPBACK}:{PORT}"
TIMEOUT = 30.0
"""Seconds that the demo waits for one answer before it says that something is wrong."""

SETTINGS = f"""\
[apache]
template_set = "{{}}"
verify_url = "{ORIGIN}"

[urls]
hosts = "{{{{account}}}}.localhost"

[timing]
reload_interval = 1
"""

BROKEN = """\
import os
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings"
application = get_wsgi_application()
"""
"""What bob saves: a parenthesis is missing."""

MENU = """\
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import path

urlpatterns = [
    path("", lambda request: redirect("/menu/")),
    path("menu/", lambda request: HttpResponse("Alice's menu")),
]
"""
"""Leads out of its path: `/menu/` is the server's, unless somebody sees to it."""

FORMS = 'INSTALLED_APPS += ["crispy_forms"]\n'
"""The end of settings that want a package which nobody has installed."""

BY_STATUS = {2: "green", 3: "green", 4: "yellow", 5: "red"}


@dataclass(frozen=True, kw_only=True)
class Act:
    """One thing that a student does, and how the world is to look afterwards."""

    account: str
    typed: str
    """What is shown as typed by the student."""
    deed: Callable[[], object]
    logged: tuple[str, ...] = ()
    """The names of log events of which one tells of it; none where the app sees to it by itself."""
    said: str = ""
    """What stands in the place of an event."""
    path: str = ""
    """The page asked for, below the account's URL."""
    reached: Callable[[Answer], bool]
    """Whether an answer is the one that the act leads to."""


class Demo:
    """The class, its server, and the telling."""

    def __init__(self, console: Console, template_set: str) -> None:
        self.console, self.template_set = console, template_set
        self.homes = Homes()
        self.server = Server()
        self.program = Program()

    def run(self, *, keep: bool) -> None:
        """Set the server up, play the class, and, with `keep`, wait for Ctrl-C."""
        self.title(
            f"A server for a class, under `{self.template_set}`",
            "Apache, five accounts, one daemon; nobody registers anything",
        )
        for account in ("alice", "bob", "carol", "dave", "erin"):
            self.homes.create(account)
        self.program.write_settings(SETTINGS.format(self.template_set))
        self.server.configure(http_port=PORT, https_port=None)
        if self.template_set == "isolated":
            isolate()
        self.server.start()
        with self.program.daemon(timeout=TIMEOUT) as daemon:
            self.play(daemon)
            if keep:
                self.linger(daemon)
        self.server.stop()

    def play(self, daemon: Daemon) -> None:
        """Show the class's acts, one after the other."""
        homes = self.homes
        self.title("alice", "starts a Django project")
        startproject = Act(
            account="alice",
            typed="django-admin startproject mysite",
            deed=lambda: homes.django_project("alice"),
            logged=("app.published",),
            path="admin/login/",
            reached=lambda answer: answer.status == 200 and "Django" in answer.text,
        )
        self.act(daemon, startproject)
        self.leads_out(daemon)

        self.title("bob", "has one too, and saves a syntax error")
        self.act(daemon, self.puts_online("bob", "mysite", "Bob's blog"))
        page = self.act(
            daemon,
            Act(
                account="bob",
                typed="nano mysite/mysite/wsgi.py        # a parenthesis gets lost",
                deed=lambda: homes.write("bob", "mysite/mysite/wsgi.py", BROKEN),
                logged=("app.withdrawn", "app.rejected"),
                reached=lambda answer: refused(answer) and "syntax" in answer.text.lower(),
            ),
        )
        self.quote(page)

        self.title("carol", "has a shop online, makes a forum, and switches to it")
        self.act(daemon, self.puts_online("carol", "shop", "Carol's shop"))
        homes.django_project("carol", "forum", page="Carol's forum")
        chosen = 'script = "forum/forum/wsgi.py"'
        switch = Act(
            account="carol",
            typed=f"echo '{chosen}' > .slp.toml",
            deed=lambda: homes.write("carol", ".slp.toml", f"{chosen}\n"),
            logged=("app.switched",),
            reached=lambda answer: "forum" in answer.text,
        )
        self.act(daemon, switch)

        self.title("dave", "puts a project online, and deletes it")
        self.act(daemon, self.puts_online("dave", "mysite", "Dave was here"))
        delete = Act(
            account="dave",
            typed="rm -r mysite",
            deed=lambda: homes.delete("dave", "mysite"),
            logged=("app.withdrawn",),
            reached=refused,
        )
        self.act(daemon, delete)

        self.fails(daemon)

        self.title("and meanwhile", "the neighbours")
        for url in ("/django/alice/menu/", "/django/carol/"):
            answer = self.server.get(url)
            self.line("still there", url, answer.status, answer.ms)
        times = self.server.reloads()
        self.console.print(f"    Apache reloads for all of this: {times}", style="dim")

    def leads_out(self, daemon: Daemon) -> None:
        """Show a save that nobody has to touch anything for, and the same app at its own host."""
        save = Act(
            account="alice",
            typed="nano mysite/mysite/urls.py        # the front page leads to /menu/",
            deed=lambda: self.homes.write("alice", "mysite/mysite/urls.py", MENU),
            said="(the app follows it)",
            reached=lambda answer: answer.status == 302,
        )
        led = self.act(daemon, save).headers["Location"]
        self.visit("kept inside", led, "Alice's menu")
        self.visit("at a host of its own", "/", "", host="alice.localhost")
        self.visit("", "/menu/", "Alice's menu", host="alice.localhost")

    def fails(self, daemon: Daemon) -> None:
        """Show an app that fails, what its page says, and its mend."""
        self.title("erin", "wants a package that is not installed, and does without")
        self.homes.draft("erin", page="Erin's forms", settings=FORMS)
        page = self.act(
            daemon,
            Act(
                account="erin",
                typed="mv .draft/mysite mysite",
                deed=lambda: self.homes.put("erin"),
                said="(the app says what fails)",
                reached=lambda answer: answer.status == 500 and "crispy_forms" in answer.text,
            ),
        )
        self.quote(page)
        mend = Act(
            account="erin",
            typed="sed -i '$d' mysite/mysite/settings.py",
            deed=lambda: self.homes.sh("erin", "sed -i '$d' mysite/mysite/settings.py"),
            said="(and comes back by itself)",
            reached=lambda answer: answer.text == "Erin's forms",
        )
        self.act(daemon, mend)

    def visit(self, what: str, url: str, page: str, *, host: str | None = None) -> None:
        """Ask once, and print the line; with `page`, that is to be the answer."""
        answer = self.server.get(url, host=host)
        assert not page or page == answer.text, f"{url}: {answer.status} {answer.text[:300]}"
        self.line(what, url, answer.status, answer.ms, host=host)

    def puts_online(self, account: str, name: str, page: str) -> Act:
        """Return the act of a student who moves a finished project with that page into the home."""
        self.homes.draft(account, name, page=page)
        return Act(
            account=account,
            typed=f"mv .draft/{name} {name}",
            deed=lambda: self.homes.put(account, name),
            logged=("app.published",),
            reached=lambda answer: answer.status == 200 and answer.text == page,
        )

    def act(self, daemon: Daemon, act: Act) -> Answer:
        """Let a student act; print what came of it and when. Returns the answer it led to."""
        since = daemon.mark()
        url = f"/django/{act.account}/{act.path}"
        prompt = (f"{act.account}@server:~$ ", "bold cyan")
        self.console.print(Text.assemble("  ", prompt, act.typed))
        act.deed()
        done = time.perf_counter()

        def answered() -> Answer:
            answer = self.server.get(url)
            assert act.reached(answer), f"status {answer.status}: {answer.text[:300]}"
            return answer

        def told() -> Event | None:
            events = [e for e in daemon.events()[since:] if e.get("account") == act.account]
            return next((e for e in events if e["event"] in act.logged), None)

        answer = wait_for(answered, TIMEOUT, f"{url} after {act.typed!r}")
        ms = (time.perf_counter() - done) * 1000
        said = act.said
        if act.logged:
            event = wait_for(told, TIMEOUT, f"event {' or '.join(act.logged)} of {act.account}")
            assert event
            said = f"{event['event']} {event.get('code', '')}"
        self.line(said, url, answer.status, ms)
        return answer

    def line(
        self, event: str, url: str, status: int, ms: float, *, host: str | None = None
    ) -> None:
        """Print one line: event, URL, status, milliseconds."""
        colour = BY_STATUS.get(status // 100, "red")
        origin = f"http://{host}:{PORT}" if host else ORIGIN
        self.console.print(
            Text.assemble(
                "    ",
                (f"{event:<28}", "magenta"),
                f"{origin + url:<52}",
                (f"{status:>4}", f"bold {colour}"),
                (f"{ms:>8.0f} ms", "dim" if ms < 1000 else "yellow"),
            )
        )

    def quote(self, answer: Answer, lines: int = 4) -> None:
        """Print the first lines of a page's text."""
        body = re.sub(r"(?is)<(head|style|script)\b.*?</\1>", "", answer.text)
        text = html.unescape(re.sub(r"<[^>]+>", "\n", body))
        for line in [line.strip() for line in text.splitlines() if line.strip()][:lines]:
            self.console.print(Text(f"      │ {line}", style="italic"))

    def title(self, who: str, what: str) -> None:
        """Print the heading of an act."""
        self.console.print()
        self.console.print(Text.assemble((who, "bold"), f" {what}"))

    def linger(self, daemon: Daemon) -> None:
        """Leave all running until Ctrl-C."""
        self.title("It goes on", "until Ctrl-C")
        self.console.print(
            f"  http://alice.localhost:{PORT}/   {ORIGIN}/django/carol/   {ORIGIN}/slp-status"
        )
        self.console.print("  To be a student yourself, from another terminal:")
        self.console.print("  nsenter -at $(pgrep -nf tests.lab.demo) runuser -l bob", style="bold")
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        seen = daemon.mark()
        while not stop.wait(0.5):
            events = daemon.events()
            for event in events[seen:]:
                if "account" in event:
                    self.console.print(
                        f"    {event['event']:<28}{event['account']}", style="magenta"
                    )
            seen = len(events)
        self.console.print()


def refused(answer: Answer) -> bool:
    """Whether the URL is answered by a page of the server's own that there is no app."""
    return answer.status in {403, 404, 503}


def port_is_free() -> bool:
    """Whether nobody listens on the demo's port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, PORT))
        except OSError:
            return False
    return True


def main() -> int:
    """Play the demo; the status is 1 where something did not happen in time."""
    console = Console(highlight=False, soft_wrap=True)
    if not port_is_free():
        console.print(
            f"demo: port {PORT} of {LOOPBACK} is taken; end what listens there"
            " (ss -ltnp shows it) and try again"
        )
        return 1
    try:
        (template_set,) = sys.argv[1:] or ["stable"]
        Demo(console, template_set).run(keep=bool(os.environ.get("KEEP")))
    except (AssertionError, RuntimeError, subprocess.SubprocessError) as problem:
        console.print(f"demo: {problem}", style="red", markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
