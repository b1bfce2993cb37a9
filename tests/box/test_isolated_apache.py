"""Isolated apps: what Apache asks at an account's socket, and what a visitor is answered."""

from __future__ import annotations

import json
import shutil
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.apache import CONF, LOOPBACK, anybody
from tests.lab.front import FRONT, Front
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.apache import Answer, Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

SHIPPED = Path(__file__).resolve().parents[2] / "conf/templates/isolated"
SETTINGS = """\
[apache]
template_set = "isolated"
[urls]
hosts = "{account}.apps.example.edu"
keep_inside = ["/Shibboleth.sso/"]
[daemons.options]
request-timeout = 2
[accounts.bob]
url = "shop"
at_root = true
[accounts.eve]
url = "carol"
"""
ALICE = "alice.apps.example.edu"
BOB = "bob.apps.example.edu"
PATHS = {
    "": "",
    "/": "/",
    "/x%20y": "/x%20y",
    "/%C3%A9": "/%c3%a9",
    "/a%23b": "/a%23b",
    "/a%3Fb": "/a%3fb",
    "/a%25b%2520": "/a%25b%2520",
    "/a;b=1;c": "/a;b=1;c",
    "/a;b%3Bc": "/a;b;c",
    "//a///b": "/a/b",
    "/a/./b/../c": "/a/c",
    "/x.": "/x.",
    "/x/.": "/x/",
    "/%0a/x%0a": "/%0a/x%0a",
    "/%0d%0aX-Evil:%201": "/%0d%0aX-Evil:%201",
    "/%7B%22%7D%5B%5D%7C%5C%5E%60%3C%3E": "/%7b%22%7d%5b%5d%7c%5c%5e%60%3c%3e",
    "/$1%251$&%7B": "/$1%251$&%7b",
    "/%25{ENV:SLP_URL}": "/%25%7bENV:SLP_URL%7d",
    "/unix:/run/x|http://y/": "/unix:/run/x%7chttp:/y/",
    "/+@~!*'(),=": "/+@~!*'(),=",
    "/%FF": "/%ff",
}
"""What is asked for below an account's URL → what the socket is asked for. `//` is one slash."""
QUERIES = ("", "?", "?q=1", "?q=%20+%C3%A9%2F%3F&r=/../", "?a?b", "?x=%0a%00", "?%{HTTP_HOST}$1")


class Class:
    """Three published accounts, and who listens for them in place of the apps."""

    def __init__(self, apache: Server, homes: Homes, program: Program) -> None:
        self.server, self.homes, self.program = apache, homes, program
        self.fronts: dict[str, Front] = {}
        apache.command("a2dismod", "-q", "-f", "wsgi")
        apache.command("a2enmod", "-q", "proxy", "proxy_http", "proxy_wstunnel", "rewrite")
        for name in ("alice", "bob", "carol", "dora"):
            homes.create(name, mode=0o711)
            if name != "dora":
                homes.bare(name)
                homes.write(name, "mysite/static/own.css", f"{name}'s {{}}\n")
                self.fronts[name] = Front(name)
        program.write_settings(SETTINGS)
        # Without the units: it is we who listen here, and no systemd.
        own = program.settings.parent / "templates/isolated"
        shutil.copytree(SHIPPED, own, ignore=shutil.ignore_patterns("units"))
        apache.start()
        program.once()
        self.page("alice", "alice's page")
        self.page("bob", "bob's page")
        self.page(".general", "the general page")

    def page(self, account: str, text: str) -> None:
        """Put our own text in the place of a page."""
        (self.program.state / f"pages/{account}.html").write_text(text)

    def told(self, path: str, **how: Any) -> dict[str, Any]:
        """Ask by http and by https; return what the socket was asked the second time."""
        plain, tls = (self.server.get(path, https=https, **how) for https in (False, True))
        assert (200, 200) == (plain.status, tls.status), (path, plain.text)
        first, second = json.loads(plain.text), json.loads(tls.text)
        assert first["path"].startswith("/http-")
        assert second["path"] == first["path"].replace("/http-", "/https-", 1)
        assert second["headers"] == first["headers"]
        told: dict[str, Any] = second
        return told

    def asked(self, path: str, **how: Any) -> str:
        """Return what a socket is asked for, without the scheme, and whose it is."""
        told = self.told(path, **how)
        return f"{told['by']} {told['path'].removeprefix('/https-')}"

    def answer(self, path: str, wanted: object, **how: Any) -> Answer:
        """Ask, and have the socket answer so."""
        return self.server.get(path, headers={"X-Answer": json.dumps(wanted)}, **how)

    def raw(self, request: bytes, *, https: bool = False) -> bytes:
        """Send these bytes; return all that comes until Apache closes."""
        plain = socket.create_connection((LOOPBACK, 443 if https else 80), 10)
        with anybody().wrap_socket(plain) if https else plain as stream:
            stream.sendall(request)
            found = b""
            while some := stream.recv(65536):
                found += some
            return found

    def works(self) -> None:
        """Everybody is answered as ever."""
        for path, name in {
            "/django/alice/": "alice",
            "/shop": "bob",
            "/django/carol": "carol",
        }.items():
            assert f"{name} path{path}" == self.asked(path)


@pytest.fixture
def room(apache: Server, homes: Homes, program: Program) -> Iterator[Class]:
    """A class whose apps are isolated."""
    found = Class(apache, homes, program)
    yield found
    for front in found.fronts.values():
        front.die()


@pytest.mark.box
def test_what_a_socket_is_asked_for(room: Class) -> None:
    """The path as it came, with what Apache knows before it; at the path and at the host alike."""
    for given, wanted in PATHS.items():
        for query in QUERIES if given == "/x%20y" else ("", "?q=%20/"):
            for url, name in (("/django/alice", "alice"), ("/shop", "bob")):
                assert f"{name} path{url}{wanted}{query}" == room.asked(f"{url}{given}{query}")
            at = given or "/"
            assert f"alice host{wanted or '/'}{query}" == room.asked(f"{at}{query}", host=ALICE)
    for refused in ("/django/alice/a%2Fb", "/django/alice/%00"):
        assert room.server.get(refused).status in {400, 404}
    for refused in ("/django/alice/../../../x", "/django/alice/%{x}"):
        assert 400 == room.server.get(refused).status

    # Whose it is.
    for path in ("/django/alice/x", "/django/alice"):
        assert f"alice path{path}" == room.asked(path, host=ALICE), "its own path, at its own host"
    for path in ("/django/carol/x", "/shop/", "/server-status", "/slp-status", "/icons/",
                 "/django/.slp/pages/bob.html", "/django/alicex/"):  # fmt: skip
        assert f"alice host{path}" == room.asked(path, host=ALICE), "all is the app's"
    for host in (ALICE.upper(), f"{ALICE}."):
        assert "alice host/x" == room.asked("/x", host=host)
    assert "bob host/" == room.asked("/", host=BOB)
    assert "carol path/django/carol/" == room.asked("/django/carol/"), "and not eve's"
    before = room.fronts["bob"].asked[:]
    for path in ("/django/bob", "/django/bob/x", "/shopx", "/django/shop/", "/django/BOB/"):
        assert 404 == room.server.get(path).status
    assert before == room.fronts["bob"].asked
    assert "Rewrite" not in room.server.get("/", host="nobody.apps.example.edu").text
    assert 200 == room.server.get("/slp-status").status
    apps = room.program.state / "apps"
    room.fronts["eve"] = Front("eve")
    (apps / "carol").rename(apps / "eve")
    assert "eve path/django/carol/" == room.asked("/django/carol/"), "whoever has an app"
    (apps / "eve").rename(apps / "carol")
    assert "carol path/django/carol/" == room.asked("/django/carol/")

    below = '[pages]\ndashboard = "/django/overview"\n'
    room.program.write_settings(SETTINGS + below)
    room.program.once()
    assert "<title>" in room.server.get("/django/overview").text
    assert 404 == room.server.get("/django/overviews").status
    room.works()


@pytest.mark.box
def test_headers_and_bodies(room: Class) -> None:
    """What a client says of its address is not told; the rest is, however it is sent."""
    lies = {
        "Forwarded": "for=6.6.6.6",
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Host": "evil",
        "X-Forwarded-Server": "evil",
        "X-Forwarded-Prefix": "/evil",
        "X-Script-Name": "/evil",
    }
    kept = {"Authorization": "Basic eDp5", "Cookie": "a=1", "X-Own": "x" * 8000}
    for connection in ("close", "close, X-Forwarded-For, X-Own-2"):
        for path, host in (("/django/alice/", None), ("/", ALICE)):
            given = {**lies, **kept, "Connection": connection}
            told = dict(room.told(path, host=host, headers=given)["headers"])
            assert LOOPBACK == told["x-forwarded-for"]
            assert (host or LOOPBACK) == told["host"]
            assert kept == {name: told[name.lower()] for name in kept}
            ours = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-server"}
            assert ours == {name for name in told if name.startswith(("x-f", "forw", "x-s"))}
            assert "evil" not in str(told)
    assert 400 == room.server.get("/django/alice/", headers={"X-Own": "x" * 9000}).status

    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
        told = room.told("/django/alice/", method=method, body=b"x\0y")
        assert (method, "x\0y") == (told["method"], told["body"])
    chunked = {"Transfer-Encoding": "chunked"}
    told = room.told(
        "/django/alice/", method="POST", headers=chunked, body=b"5\r\nhello\r\n0\r\n\r\n"
    )
    assert "hello" == told["body"]
    big = b"x" * 3_000_000
    assert len(big) == len(room.told("/django/alice/", method="POST", body=big)["body"])
    head = room.server.get("/django/alice/", method="HEAD")
    assert (200, b"") == (head.status, head.body)
    old = room.raw(b"GET /django/alice/old HTTP/1.0\r\n\r\n")
    assert b"/http-path/django/alice/old" in old
    start = b"POST /django/alice/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n"
    expected = room.raw(start + b"Expect: 100-continue\r\n\r\nhello")
    assert b" 200 " in expected
    assert b'"body": "hello"' in expected


@pytest.mark.box
def test_what_an_app_says_passes_and_cookies_and_redirects_stay_at_its_path(room: Class) -> None:
    """At the host all is as the app said it."""
    for status in (200, 204, 304, 403, 404, 418, 500, 502, 503, 504):
        for path, host in (("/django/alice/", None), ("/shop/", None), ("/", ALICE)):
            answer = room.answer(path, {"status": status, "body": "own"}, host=host)
            assert status == answer.status
            assert ("" if status in {204, 304} else "own") == answer.text
    cookies = [
        "a=1; Path=/",
        "b=2; path=/; Secure",
        "c=3; Path=/x",
        "__Host-d=4; Secure; Path=/",
        "e=5",
    ]
    sent = {"headers": [["Set-Cookie", cookie] for cookie in cookies]}
    for url, host in (
        ("/django/alice", None),
        ("/shop", None),
        ("", ALICE),
        ("/django/alice", ALICE),
    ):
        for status in (200, 302, 500):
            answer = room.answer(f"{url}/", {**sent, "status": status}, host=host)
            moved = [f"a=1; Path={url or '/'}", f"b=2; path={url or '/'}; Secure", *cookies[2:]]
            assert moved == answer.headers.get_all("Set-Cookie")

    def leads(path: str, to: str, host: str | None = "localhost") -> str:
        answer = room.answer(path, {"status": 302, "headers": [["Location", to]]}, host=host)
        return answer.headers["Location"]

    for path in ("/django/alice", "/shop"):
        for to, wanted in {
            "/": f"{path}/",
            "/login?next=/x": f"{path}/login?next=/x",
            "/djangox": f"{path}/djangox",
            f"{path}x/": f"{path}{path}x/" if path == "/shop" else f"{path}x/",
            "http://localhost": f"http://localhost{path}/",
            "https://LOCALHOST/x": f"https://LOCALHOST{path}/x",
        }.items():
            assert wanted == leads(f"{path}/go", to)
        for kept in (
            "page", "?x", "/django/carol/", "/django", f"{path}/x", path, f"{path}?x", f"{path}#x",
            "/Shibboleth.sso/Login", "//localhost/", "http://other/", "http://localhosts/",
            f"http://localhost{path}/x", "http://localhost:81/",
        ):  # fmt: skip
            assert kept == leads(f"{path}/go", kept)
    for to in ("/", "/login", f"http://{ALICE}/", "/django/bob/"):
        assert to == leads("/go", to, ALICE)


@pytest.mark.box
def test_an_error_of_apaches_is_the_accounts_page_and_nobody_elses(room: Class) -> None:
    """No app, nobody who listens, one that closes, one that is silent; and who is back is back."""
    where = (("/django/alice/x", None, "alice's page"), ("/x", ALICE, "alice's page"),
             ("/shop/x", None, "bob's page"), ("/", BOB, "bob's page"))  # fmt: skip

    def pages(status: int, *, wanted: object = None, methods: str = "GET POST HEAD PUT") -> None:
        for path, host, page in where:
            for method in methods.split():
                body = b"x" if method in {"POST", "PUT"} else None
                headers = {"X-Answer": json.dumps(wanted)} if wanted else {}
                answer = room.server.get(path, host=host, method=method, body=body, headers=headers)
                text = "" if method == "HEAD" else page
                assert (status, text) == (answer.status, answer.text), (path, method, wanted)
                assert "Set-Cookie" not in answer.headers

    before = len(room.fronts["alice"].asked)
    pages(502, wanted="close")
    assert before + 8 == len(room.fronts["alice"].asked), "nothing is asked twice"
    room.works()
    began = time.monotonic()
    pages(502, wanted="wait", methods="GET")
    assert 8 <= time.monotonic() - began < 16, "ProxyTimeout, each time"
    room.works()

    for name in ("alice", "bob"):
        room.fronts[name].die()
    for _ in range(3):
        pages(503)
        assert "carol path/django/carol" == room.asked("/django/carol")
    for name in ("alice", "bob"):
        room.fronts[name] = Front(name)
    room.works()

    for name in ("alice", "bob"):
        room.fronts[name].die(leave=False)
    pages(404)
    for name in ("alice", "bob"):
        room.fronts[name] = Front(name)
    room.works()

    pages_before = {name: (room.program.state / f"pages/{name}.html") for name in ("alice", "bob")}
    for name in pages_before:
        (room.program.state / "apps" / name).rename(room.program.state / f"{name}.away")
    pages(404)
    assert 404 == room.server.get("/static/own.css", host=ALICE).status
    for name in pages_before:
        (room.program.state / f"{name}.away").rename(room.program.state / "apps" / name)
    room.works()

    for unknown in ("/django/nobody", "/django/nobody/x", "/django/..x/", "/django/dora/y"):
        answer = room.server.get(unknown)
        assert 404 == answer.status
        assert ("general" in answer.text) == ("nobody" in unknown)
    for direct in ("nobody.html", ".marker.html"):
        answer = room.server.get(f"/django/.slp/pages/{direct}")
        assert 404 == answer.status
        assert "general" not in answer.text


@pytest.mark.box
def test_static_files_are_apaches(room: Class) -> None:
    """Whole and in part; what leads to another's file is refused; what is none is the app's."""
    links = {"/django/alice/static": None, "/static": ALICE}
    room.homes.write("alice", "mysite/static/a b%\u00fc.css", "odd")
    room.homes.write("alice", "mysite/static/run.lua", "run")
    theirs = room.homes.write("bob", "readable", "bob's own")
    room.homes.run("alice", "ln", "-s", theirs, "mysite/static/secret")
    room.homes.run("alice", "ln", "-s", "own.css", "mysite/static/link.css")
    room.homes.run("alice", "ln", "-s", "/etc/passwd", "mysite/static/passwd")
    for url, host in links.items():
        for https in (False, True):

            def get(name: str, https: bool = https, **how: Any) -> Answer:
                return room.server.get(f"{url}/{name}", host=host, https=https, **how)  # noqa: B023

            assert (200, "alice's {}\n") == (get("own.css").status, get("own.css?x=1").text)
            assert "alice's {}\n" == get("link.css").text
            assert "odd" == get("a%20b%25%C3%BC.css").text
            ranged = get("own.css", headers={"Range": "bytes=2-4"})
            assert (206, "ice") == (ranged.status, ranged.text)
            assert (200, b"") == (
                get("own.css", method="HEAD").status,
                get("own.css", method="HEAD").body,
            )
            etag = get("own.css").headers["ETag"]
            assert 304 == get("own.css", headers={"If-None-Match": etag}).status
            for foreign in ("secret", "passwd"):
                assert 403 == get(foreign).status
            assert json.loads(get("gone.css").text)["by"] == "alice"
            assert json.loads(get("").text)["by"] == "alice"
    assert "bob's {}\n" == room.server.get("/shop/static/own.css").text
    assert "bob's {}\n" == room.server.get("/static/own.css", host=BOB).text
    assert 404 == room.server.get("/django/bob/static/own.css").status
    assert "alice host/django/bob/static/own.css" == room.asked(
        "/django/bob/static/own.css", host=ALICE
    )


@pytest.mark.box
def test_what_the_site_says_of_a_path_holds_at_the_host_and_its_own_proxying_goes_on(
    room: Class,
) -> None:
    """Who may ask for an account's path; a handler for one of the host's; a proxy of theirs."""
    theirs = Front("theirs", Path("/run/theirs"))
    site = CONF / "sites-available/000-default.conf"
    lines = """
    ProxyPass "/theirs" "unix:/run/theirs/theirs|http://backend/theirs"
    ProxyErrorOverride On
    ProxyAddHeaders Off
    ErrorDocument 500 "the site's"
    <Location "/django/carol">
        Require all denied
    </Location>
    <Location "/private">
        Require all denied
        SetHandler lua-script
    </Location>
    </VirtualHost>"""
    text = site.read_text().replace("</VirtualHost>", "", 1)
    include = "\tIncludeOptional django.conf\n"
    assert include in text
    site.write_text(
        text.replace(include, lines.replace("    </VirtualHost>", include)) + "</VirtualHost>\n"
    )
    room.server.restart()
    assert 403 == room.server.get("/django/carol/").status
    assert 403 == room.server.get("/anything", host="carol.apps.example.edu").status
    assert "/http-host/private" == json.loads(room.server.get("/private", host=ALICE).text)["path"]
    told = json.loads(room.server.get("/theirs/x", headers={"X-Forwarded-For": "6.6.6.6"}).text)
    headers = dict(told["headers"])
    assert ("/theirs/x", "backend", "6.6.6.6") == (
        told["path"],
        headers["host"],
        headers["x-forwarded-for"],
    )
    assert "x-forwarded-host" not in headers
    assert "the site's" == room.answer("/theirs/x", {"status": 500, "body": "own"}).text
    assert "own" == room.answer("/django/alice/", {"status": 500, "body": "own"}).text
    told = json.loads(room.server.get("/django/alice/").text)
    assert LOOPBACK == dict(told["headers"])["x-forwarded-for"]
    theirs.die()


@pytest.mark.box
def test_a_websocket_is_led_through(room: Class) -> None:
    """At the path and at the host; its frames are not ours to read."""
    for path, host, wanted in (
        ("/django/alice/ws%20?q=1", "localhost", "path/django/alice/ws%20?q=1"),
        ("/ws", ALICE, "host/ws"),
    ):
        for https in (False, True):
            request = (
                f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
                "Upgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\nhello\n"
            )
            found = room.raw(request.encode(), https=https).decode()
            assert found.startswith("HTTP/1.1 101 ")
            assert found.endswith(f"\n/http{'s' * https}-{wanted}\nHELLO\n")


@pytest.mark.box
def test_without_a_module_that_it_needs_apache_says_so(room: Class) -> None:
    """In the configuration's test, and so before any reload."""
    for module in ("proxy_http", "headers", "rewrite"):
        room.server.command("a2dismod", "-q", module)
        done = room.server.configtest()
        assert done.returncode
        assert f"needs mod_{module}: a2enmod {module}" in done.stderr
        room.server.command("a2enmod", "-q", module)
    assert 0 == room.server.configtest().returncode


@pytest.mark.box
def test_apache_is_not_reloaded_for_an_app(room: Class) -> None:
    """Nor for an account: the configuration is constant."""
    reloads = room.server.reloads()
    files = {
        name: (room.program.state / "current" / name).read_bytes()
        for name in ("server.conf", "django.conf")
    }
    room.homes.bare("dora")
    room.homes.delete("alice", "mysite")
    room.homes.create("frank", mode=0o711)
    room.program.once()
    with_front = Front("dora")
    room.fronts["dora"] = with_front
    assert "dora path/django/dora/" == room.asked("/django/dora/")
    assert 404 == room.server.get("/django/alice/").status
    assert reloads == room.server.reloads()
    assert files == {name: (room.program.state / "current" / name).read_bytes() for name in files}
    assert sorted(path.name for path in FRONT.iterdir()) == ["alice", "bob", "carol", "dora"]
    wait_for(lambda: not room.server.pids("alice"), 1, "no daemon")
