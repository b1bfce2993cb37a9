"""An account's own host: the app at its root, and nothing else of the server's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import CONF

if TYPE_CHECKING:
    from tests.lab.apache import Answer, Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

APP = """\
import os

def application(environ, start_response):
    if environ["PATH_INFO"] == "/crash":
        os._exit(1)
    headers = [("Content-Type", "text/plain"), ("Set-Cookie", "a=1; Path=/"),
               ("Set-Cookie", "__Host-b=2; Secure; Path=/")]
    asked = environ.get("HTTP_X_LOCATION")
    if asked is not None:
        start_response("302 Found", [*headers, ("Location", asked)])
        return []
    start_response("200 OK", headers)
    said = (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"])
    return ["{name} {0} {1} {2}".format(*said).encode("latin-1")]
"""
"""Says where it thinks it is, sets cookies, leads to wherever it is told to."""

SETTINGS = """\
[urls]
hosts = "{{account}}.apps.example.edu"
keep_inside = ["/Shibboleth.sso/"]
[apache]
template_set = "{template_set}"
[accounts.bob]
url = "shop"
at_root = true
"""
DOMAIN = "apps.example.edu"


class Hosts:
    """Asks at hosts, over http and https, which must answer the same."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def ask(self, host: str, path: str, **how: object) -> Answer:
        """Ask by either scheme; return the second answer."""
        first, second = (
            self.server.get(path, host=host, https=https, **how)  # type: ignore[arg-type]
            for https in (False, True)
        )
        assert (first.status, first.body) == (second.status, second.body)
        assert first.headers.get_all("Set-Cookie") == second.headers.get_all("Set-Cookie")
        return second

    def says(self, host: str, path: str) -> str:
        """Return what is answered there, with status 200."""
        answer = self.ask(host, path)
        assert 200 == answer.status, (host, path, answer.text)
        return answer.text

    def leads(self, host: str, path: str, to: str) -> str:
        """Return where an app's redirect leads."""
        answer = self.ask(host, path, headers={"X-Location": to})
        assert 302 == answer.status
        return answer.headers["Location"]


def classes(homes: Homes) -> None:
    """Make four accounts: one moved to another URL, and two whose hosts would be the same."""
    for name in ("alice", "bob", "carol_x", "Carol.X"):
        command = {"Carol.X": "carol.x"}.get(name, name)
        homes.create(command, mode=0o711)
        homes.bare(command, source=APP.replace("{name}", command))
        homes.write(command, "mysite/static/own.css", f"{command}'s {{}}\n")


@pytest.mark.parametrize("template_set", ["stable", "classic"])
@pytest.mark.box
def test_an_app_stands_at_the_root_of_its_host(
    server: Server, homes: Homes, program: Program, template_set: str
) -> None:
    """However the host is spelled; with its files, its cookies, its redirects, its page."""
    before = {path: server.get(path).body for path in ("/", "/icons/", "/nothing")}
    classes(homes)
    program.write_settings(SETTINGS.format(template_set=template_set))
    program.once()
    hosts, alice = Hosts(server), f"alice.{DOMAIN}"
    asked = hosts.says
    port = {"headers": {"Host": f"{alice}:8080"}}

    for spelled in (alice, alice.upper(), f"{alice}."):
        assert "alice  /deep/page x=1" == asked(spelled, "/deep/page?x=1")
    assert "alice  / " == hosts.ask(alice, "/", **port).text
    assert "bob  / " == asked(f"bob.{DOMAIN}", "/")
    assert "carol_x  / " == asked(f"carol-x.{DOMAIN}", "/")
    assert "alice /django/alice / " == asked("localhost", "/django/alice/")
    assert "carol.x /django/carol.x / " == asked("localhost", "/django/carol.x/")
    status = {name: entry["host"] for name, entry in program.status()["accounts"].items()}
    assert {
        "alice": alice,
        "bob": f"bob.{DOMAIN}",
        "carol_x": f"carol-x.{DOMAIN}",
        "carol.x": None,
    } == status

    for path, told in {
        "/a%20b%25%C3%A9": "/a b%\u00e9",
        "/a/../b/./c": "/b/c",
        "//b//c": "/b/c",
        "/%0a/x%0a": "/\n/x\n",
        "/a%3Fb?c": "/a%3Fb",
        "/django/bob/": "/django/bob/",
        "/shop/": "/shop/",
        "/django/.slp/pages/bob.html": "/django/.slp/pages/bob.html",
        "/server-status": "/server-status",
        "/slp-status": "/slp-status",
        "/icons/": "/icons/",
        "/django/bob/static/own.css": "/django/bob/static/own.css",
        "/django/alicex/": "/django/alicex/",
    }.items():
        found = asked(alice, path).replace("%3f", "%3F")
        assert f"alice  {told} {'c' if '?' in path else ''}" == found
    assert 400 == server.get("/../../etc/passwd", host=alice).status
    assert "alice /django/alice /x " == asked(alice, "/django/alice/x"), "its own path"
    spoofed = server.get("/django/alice/", headers={"X-Script-Name": "/evil"})
    assert "alice /django/alice / " == spoofed.text

    for host, name in ((alice, "alice"), (f"bob.{DOMAIN}", "bob")):
        assert f"{name}'s {{}}\n" == asked(host, "/static/own.css")
    assert "alice's {}\n" == asked(alice, "/django/alice/static/own.css")
    at_host = hosts.ask(alice, "/").headers.get_all("Set-Cookie")
    assert ["a=1; Path=/", "__Host-b=2; Secure; Path=/"] == at_host
    at_path = hosts.ask("localhost", "/django/alice/").headers.get_all("Set-Cookie")
    assert ["a=1; Path=/django/alice", "__Host-b=2; Secure; Path=/"] == at_path

    for to in ("/login", "/login/", f"http://{alice}/", "/django/bob/", "//other/", "page"):
        assert to == hosts.leads(alice, "/go", to)

    page = program.state / "pages/alice.html"
    page.write_text("alice's page")
    answer = server.get("/crash", host=alice)
    assert (500, "alice's page") == (answer.status, answer.text)
    homes.delete("alice", "mysite")
    program.once()
    answer = hosts.ask(alice, "/anything")
    assert (404, page.read_text()) == (answer.status, answer.text)

    unknown = f"nobody.{DOMAIN}"
    for host in ("localhost", unknown, f"x.alice.{DOMAIN}", f"alice.{DOMAIN}.evil", DOMAIN):
        for path, body in before.items():
            found = server.get(path, host=host).body
            assert body.replace(b"127.0.0.1", b"") == found.replace(host.encode(), b"")
    program.write_settings("")
    program.once()
    assert [] == list(Path(program.state / "hosts").iterdir())
    assert before["/"] == server.get("/", host=alice).body


@pytest.mark.box
def test_at_the_path_a_redirect_to_the_servers_root_stays_inside(
    server: Server, homes: Homes, program: Program
) -> None:
    """As a reverse proxy has it; what leads elsewhere on purpose, or to another server, does."""
    classes(homes)
    program.write_settings(SETTINGS.format(template_set="stable"))
    program.once()
    hosts = Hosts(server)
    for path in ("/django/alice", "/shop"):
        for to, wanted in {
            "/": f"{path}/",
            "/login?next=/x": f"{path}/login?next=/x",
            "/djangox": f"{path}/djangox",
            "http://localhost": f"http://localhost{path}/",
            "http://localhost/": f"http://localhost{path}/",
            "https://LOCALHOST/x": f"https://LOCALHOST{path}/x",
        }.items():
            assert wanted == hosts.leads("localhost", f"{path}/go", to)
        for kept in (
            "page", "?x", "/django/carol_x/", "/django", f"{path}/x", path, "/Shibboleth.sso/Login",
            "//localhost/", "http://other/", "http://localhosts/", "http://localhost:81/",
        ):  # fmt: skip
            assert kept == hosts.leads("localhost", f"{path}/go", kept)
    program.write_settings("[urls]\nkeep_inside = false\n")
    program.once()
    assert "/login" == hosts.leads("localhost", "/django/alice/go", "/login")


@pytest.mark.box
def test_a_file_at_a_host_is_no_handlers_of_the_sites(
    apache: Server, homes: Homes, program: Program
) -> None:
    """A student names the URL of static files: it may be one that the site runs as Apache."""
    apache.command("a2enmod", "-q", "lua")
    site = CONF / "sites-available/000-default.conf"
    lines = "\t<Location /static>\n\tSetHandler lua-script\n\t</Location>\n"
    site.write_text(site.read_text().replace("</VirtualHost>", f"{lines}</VirtualHost>"))
    apache.start()
    classes(homes)
    lua = "function handle(r) r:puts('RAN') return apache2.OK end\n"
    homes.write("alice", "mysite/static/x.lua", lua)
    program.write_settings(SETTINGS.format(template_set="stable"))
    program.once()
    answer = apache.get("/static/x.lua", host=f"alice.{DOMAIN}")
    assert (200, lua) == (answer.status, answer.text)
    own = CONF.parent.parent / "var/www/html/static"
    own.mkdir()
    (own / "x.lua").write_text(lua)
    assert "RAN" == apache.get("/static/x.lua").text
