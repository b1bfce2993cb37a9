"""What an app may expect of Apache, over http and https, in both template sets."""

from __future__ import annotations

import http.cookiejar
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import CONF, anybody

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

BOTH = pytest.mark.parametrize("template_set", ["stable", "classic"])
"""One machine for each, on which all that is asked of both is asked."""

APP = """\
def application(environ, start_response):
    path, cookie = environ["PATH_INFO"], ""
    if path == "/login":
        cookie = "sessionid=1; Path=/"
    if path == "/logout":
        cookie = "sessionid=; Max-Age=0"
    headers = [("Set-Cookie", cookie)] if cookie else []
    start_response("200 OK", [("Content-Type", "text/plain"), *headers])
    told = environ.get("HTTP_AUTHORIZATION", environ.get("HTTP_COOKIE", "nothing"))
    return [f"{path} {told} ".encode() + environ["wsgi.input"].read()]
"""
"""Says what it was told; logs in for the whole server, and out where it stands."""

LUA = "function handle(r) r:puts('RAN') return apache2.OK end\n"


def prepare(homes: Homes, program: Program, template_set: str) -> None:
    """Publish alice's app, with one static file."""
    program.write_settings(f'[apache]\ntemplate_set = "{template_set}"\n')
    homes.create("alice", mode=0o711)
    homes.bare("alice", source=APP)
    homes.write("alice", "mysite/static/own.css", "own {}\n")
    program.once()


@BOTH
@pytest.mark.box
def test_what_it_may_expect_under_either_template_set(
    apache: Server, homes: Homes, program: Program, template_set: str
) -> None:
    """Headers and bodies reach it, its cookies can be taken back, its files are never run."""
    let_files_run(apache)
    apache.start()
    prepare(homes, program, template_set)
    authorization_and_chunked_requests_reach_it(apache)
    a_cookie_that_it_takes_back_without_a_path_is_gone()
    a_static_file_is_never_run(apache, homes)


def authorization_and_chunked_requests_reach_it(server: Server) -> None:
    """As they do without Apache: Basic, Bearer, and a body whose length nobody said before."""
    for https in (False, True):
        for given in ("Basic eDp5", "Bearer abc"):
            headers = {"Authorization": given}
            answer = server.get("/django/alice/api", https=https, headers=headers)
            assert f"/api {given} " == answer.text
        answer = server.get(
            "/django/alice/api",
            https=https,
            method="POST",
            headers={"Transfer-Encoding": "chunked"},
            body=b"5\r\nhello\r\n0\r\n\r\n",
        )
        assert (200, "/api nothing hello") == (answer.status, answer.text)


def a_cookie_that_it_takes_back_without_a_path_is_gone() -> None:
    """By a browser's own rules: the path of a cookie that names none has no slash at its end."""
    for scheme in ("http", "https"):
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(jar),
            urllib.request.HTTPSHandler(context=anybody()),
        )

        def ask(path: str, browser=browser, scheme=scheme) -> str:  # type: ignore[no-untyped-def]
            return browser.open(f"{scheme}://127.0.0.1{path}").read().decode().strip()  # type: ignore[no-any-return]

        ask("/django/alice/login")
        assert ["/django/alice"] == [cookie.path for cookie in jar]
        assert "/deeper/page sessionid=1" == ask("/django/alice/deeper/page")
        assert "/logout sessionid=1" == ask("/django/alice/logout")
        assert "/ nothing" == ask("/django/alice/")
        assert [] == list(jar)


def let_files_run(apache: Server) -> None:
    """Give the server and a site handlers by files' names, as an administrator may."""
    apache.command("a2enmod", "-q", "lua")
    (CONF / "conf-enabled/lua.conf").write_text(
        '<FilesMatch "[.]lua$">\nSetHandler lua-script\n</FilesMatch>\nAddHandler lua-script .l2\n'
    )
    site = CONF / "sites-available/000-default.conf"
    line = "\t<FilesMatch [.]l3$>\n\tSetHandler lua-script\n\t</FilesMatch>\n"
    site.write_text(site.read_text().replace("</VirtualHost>", f"{line}</VirtualHost>"))


def a_static_file_is_never_run(apache: Server, homes: Homes) -> None:
    """By no handler of a file's name, of the server's or of the site's: it would run as Apache."""
    for suffix in ("lua", "l2", "l3"):
        homes.write("alice", f"mysite/static/x.{suffix}", LUA)
        for https in (False, True):
            answer = apache.get(f"/django/alice/static/x.{suffix}", https=https)
            assert (200, LUA) == (answer.status, answer.text)
        # The same file of the administrator's, to see that the handler is at work.
        (CONF.parent.parent / f"var/www/html/x.{suffix}").write_text(LUA)
        assert "RAN" == apache.get(f"/x.{suffix}").text


@pytest.mark.box
def test_its_own_static_urls_are_its_own(server: Server, homes: Homes, program: Program) -> None:
    """A file that is there is Apache's; whatever else lies below `/static/` is the app's."""
    program.write_settings("")
    for name in ("alice", "a.b", "axb", "carol"):
        homes.create(name, mode=0o711)
        homes.bare(name, source=APP)
    homes.write("alice", "mysite/static/own.css", "own {}\n")
    homes.write("alice", "mysite/static/a b%\u00fc.css", "odd {}\n")
    homes.write("a.b", "mysite/static/own.css", "a.b's {}\n")
    homes.write("carol", "mysite/static/own.css", "carol's {}\n")
    homes.home("carol").chmod(0o700)
    program.once()

    def found(path: str, **how: object) -> str:
        answers = [server.get(f"/django/{path}", https=s, **how) for s in (False, True)]  # type: ignore[arg-type]
        assert [200, 200] == [answer.status for answer in answers]
        assert answers[0].body == answers[1].body
        return answers[0].text

    assert "own {}\n" == found("alice/static/own.css")
    assert "odd {}\n" == found("alice/static/a%20b%25%C3%BC.css")
    assert "a.b's {}\n" == found("a.b/static/own.css")
    assert "/static/own.css nothing " == found("axb/static/own.css"), "not of another account's"
    assert "/static/own.css nothing " == found("carol/static/own.css"), "which Apache cannot see"
    assert "/static nothing " == found("alice/static")
    assert "/static/ nothing " == found("alice/static/")
    assert "/static/gone.css nothing " == found("alice/static/gone.css")
    assert "/static/up nothing posted" == found("alice/static/up", method="POST", body=b"posted")
    homes.delete("alice", "mysite/static")
    assert "/static/own.css nothing " == found("alice/static/own.css"), "without any pass"


@pytest.mark.box
def test_without_mod_rewrite_static_files_are_apaches_alone(
    apache: Server, homes: Homes, program: Program
) -> None:
    """As before: an installation that lacks the module goes on."""
    apache.command("a2dismod", "-q", "rewrite")
    apache.start()
    prepare(homes, program, "stable")
    assert "own {}\n" == apache.get("/django/alice/static/own.css").text
    assert 404 == apache.get("/django/alice/static/gone.css").status
    assert "/ nothing " == apache.get("/django/alice/").text
