"""What is seen of a server, by real requests over http and https to one on this machine."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reconciler.publish.verify import CANARY, MARKER, Asked, Verifier

DIGEST = "d" * 32
PATH = f"/django/.slp/{DIGEST}"
APP = f"/django/.slp/app/{DIGEST}"
Reply = tuple[int, str, str]
"""A status, a Location, a body."""


class Site:
    """A server that answers as it is told, and notes the name that it was asked for."""

    def __init__(self, *, secure: bool = False) -> None:
        self.asked: list[str] = []
        self.names: list[str | None] = []
        self.answers: dict[str, Callable[[], Reply]] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(f"{self.headers['Host']} {self.path}")
                status, location, body = site.answers.get(self.path, lambda: (404, "", ""))()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    if location:
                        self.send_header("Location", location)
                    self.end_headers()
                    self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(Path(__file__).with_name("snakeoil.pem"))
            context.sni_callback = lambda _sock, name, _context: self.names.append(name)  # type: ignore[assignment]
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.url = f"{'https' if secure else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def says(self, path: str, status: int, body: str = "", location: str = "") -> None:
        """Answer `path` so from now on."""
        self.answers[path] = lambda: (status, location, body)


@pytest.fixture
def sites() -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**switches: bool) -> Site:
        made.append(Site(**switches))
        return made[-1]

    yield make
    for site in made:
        site.server.shutdown()
        site.server.server_close()


@pytest.fixture
def site(sites: Callable[..., Site]) -> Site:
    return sites()


def verifier(site: Site, *, host: str = "", running: bool = True) -> Verifier:
    return Verifier(site.url, host, prefix="/django", running=lambda: running)


PLAIN = Asked(DIGEST, canary=False)
WHOLE = Asked(DIGEST, canary=True)


def test_a_marker_that_answers_is_served(site: Site) -> None:
    """Its path carries the digest; the Host is that of the address."""
    site.says(PATH, 200, MARKER)
    assert verifier(site).look(PLAIN, timeout=5).served
    assert [f"127.0.0.1:{site.port} {PATH}"] == site.asked


def test_the_host_of_the_settings_is_asked_for(site: Site) -> None:
    """And named in what is said."""
    answer = verifier(site, host="www.example.edu").look(PLAIN, timeout=5)
    assert [f"www.example.edu {PATH}"] == site.asked
    assert f"http://127.0.0.1:{site.port}{PATH} (as www.example.edu) answered 404" == answer.said


@pytest.mark.parametrize(
    ("status", "body"), [(404, ""), (401, ""), (403, MARKER), (200, "something else\n"), (500, "")]
)
def test_another_answer_is_said_with_its_status_and_address(
    site: Site, status: int, body: str
) -> None:
    """It is not served, and Apache is not silent."""
    site.says(PATH, status, body)
    answer = verifier(site).look(PLAIN, timeout=5)
    assert (False, False) == (answer.served, answer.silent)
    assert f"{site.url}{PATH} answered {status}" == answer.said


def test_nobody_listening_is_silence(site: Site) -> None:
    """With the reason."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    asked = Verifier(f"http://127.0.0.1:{port}", "", prefix="/django", running=lambda: True)
    answer = asked.look(PLAIN, timeout=5)
    assert (False, True) == (answer.served, answer.silent)
    assert f"127.0.0.1:{port}" in answer.said
    assert "refused" in answer.said


def test_what_hangs_costs_no_more_than_its_time(sites: Callable[..., Site]) -> None:
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        began = time.monotonic()
        asked = Verifier(url, "", prefix="/django", running=lambda: True)
        assert asked.look(PLAIN, timeout=0.1).silent
        assert time.monotonic() - began < 2


def test_what_speaks_no_http_is_no_silence() -> None:
    """Something answers there, and it is no web server."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def speak() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"220 mail.example.edu ESMTP\r\n\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        answer = Verifier(url, "", prefix="/django", running=lambda: True).look(PLAIN, timeout=5)
        thread.join()
    assert (False, False) == (answer.served, answer.silent)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_https_is_followed_under_its_name_at_the_same_address(
    sites: Callable[..., Site], status: int
) -> None:
    """The public name resolves to nothing here: this machine is asked for it, Host and SNI."""
    plain, secure = sites(), sites(secure=True)
    plain.says(PATH, status, location=f"https://apps.nowhere.invalid:{secure.port}{PATH}")
    secure.says(PATH, 200, MARKER)

    answer = verifier(plain).look(PLAIN, timeout=5)

    assert answer.served
    assert [f"apps.nowhere.invalid:{secure.port} {PATH}"] == secure.asked
    assert ["apps.nowhere.invalid"] == secure.names


def test_a_redirect_within_https_to_another_name_is_followed(sites: Callable[..., Site]) -> None:
    """http, https, and https under the name that the site prefers; then no further."""
    plain, secure = sites(), sites(secure=True)
    plain.says(PATH, 301, location=f"https://a.invalid:{secure.port}{PATH}")

    def second() -> Reply:
        if len(secure.asked) == 1:
            return 301, f"https://b.invalid:{secure.port}{PATH}", ""
        return 200, "", MARKER

    secure.answers[PATH] = second
    assert verifier(plain).look(PLAIN, timeout=5).served
    secure.says(PATH, 301, location=f"https://c.invalid:{secure.port}{PATH}")
    answer = verifier(plain).look(PLAIN, timeout=5)
    assert not answer.served
    assert "and so on" in answer.said


@pytest.mark.parametrize(
    "location",
    [
        "https://sso.invalid/login?next=x",
        f"ftp://x.invalid{PATH}",
        "/login",
        "https://[/",
        f"https://x.invalid:x{PATH}",
        "",
    ],
)
def test_led_elsewhere_is_an_answer_as_any_other(site: Site, location: str) -> None:
    """To a login, or to nowhere: it is not followed, and said."""
    site.says(PATH, 302, location=location)
    answer = verifier(site).look(PLAIN, timeout=5)
    assert (False, False, 1) == (answer.served, answer.silent, len(site.asked))
    assert location in answer.said or "did not answer" in answer.said


def test_a_canary_is_asked_once_its_marker_is_served(site: Site) -> None:
    """And not where the marker is not, or there is none."""
    assert not verifier(site).look(WHOLE, timeout=0.2).served
    assert 1 == len(site.asked)
    site.says(PATH, 200, MARKER)
    assert verifier(site).look(PLAIN, timeout=0.2).served
    assert 2 == len(site.asked)
    site.says(APP, 200, CANARY)
    assert verifier(site).look(WHOLE, timeout=5).served
    assert APP in site.asked[-1]


@pytest.mark.parametrize(("status", "body"), [(503, ""), (500, ""), (200, MARKER)])
def test_a_canary_that_answers_otherwise_is_told_as_such(
    site: Site, status: int, body: str
) -> None:
    """After it had its time to start, with status and address."""
    site.says(PATH, 200, MARKER)
    site.says(APP, status, body)
    answer = verifier(site).wait(WHOLE, allow=0.2, timeout=5)
    assert (False, False) == (answer.served, answer.silent)
    assert f"{site.url}{APP} answered {status}" == answer.said
    assert len(site.asked) > 3, "it was asked again"


def test_a_canary_that_is_slow_to_start_is_waited_for(site: Site) -> None:
    """503 while its process starts, as after a reload."""
    site.says(PATH, 200, MARKER)
    site.answers[APP] = lambda: (200, "", CANARY) if len(site.asked) > 4 else (503, "", "")
    assert verifier(site).wait(WHOLE, allow=5, timeout=5).served


def test_a_canary_that_hangs_is_not_taken_for_an_apache_that_does(site: Site) -> None:
    """The marker is served meanwhile, so Apache is well and its apps are not."""
    site.says(PATH, 200, MARKER)
    release = threading.Event()
    site.answers[APP] = lambda: (200 if release.wait(5) else 500, "", CANARY)
    answer = verifier(site).wait(WHOLE, allow=0.2, timeout=5)
    release.set()
    assert (False, False) == (answer.served, answer.silent)
    assert f"{APP} did not answer" in answer.said


def test_an_apache_that_hangs_after_its_marker_was_served_is_silent(site: Site) -> None:
    """Then the marker hangs as well."""
    release = threading.Event()
    first = iter([(200, "", MARKER)])
    site.answers[PATH] = lambda: next(first, None) or (500 + release.wait(5), "", "")
    site.answers[APP] = site.answers[PATH]
    answer = verifier(site).wait(WHOLE, allow=0.2, timeout=0.2)
    release.set()
    assert answer.silent


def test_waiting_ends_as_soon_as_it_is_served(site: Site) -> None:
    """Asked again and again, with pauses that grow."""
    site.answers[PATH] = lambda: (200, "", MARKER) if len(site.asked) == 6 else (404, "", "")
    began = time.monotonic()
    assert verifier(site).wait(PLAIN, allow=30, timeout=5).served
    assert time.monotonic() - began < 10


def test_waiting_ends_with_the_time_allowed(site: Site) -> None:
    """And backs off: some ten requests in half a second, not hundreds."""
    answer = verifier(site).wait(PLAIN, allow=0.5, timeout=5)
    assert f"{site.url}{PATH} answered 404" == answer.said
    assert 3 <= len(site.asked) <= 12


def test_waiting_ends_with_apache(site: Site) -> None:
    """Whoever listens there now is not it."""
    answer = verifier(site, running=False).wait(PLAIN, allow=30, timeout=5)
    assert (True, "Apache ended") == (answer.silent, answer.said)
