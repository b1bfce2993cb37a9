"""What an app's URL answers, and what it never gives away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

IMPORTS = """\
import sys
import beside, inside

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{inside.WORD} {beside.WORD} {sys.prefix}".encode()]
"""

COOKIES = """\
def application(environ, start_response):
    path = environ["PATH_INFO"]
    cookies = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; path=/; Secure"),
               ("Set-Cookie", "c=3; Path=/elsewhere"), ("Set-Cookie", "d=4"),
               ("Set-Cookie", "__Host-e=5; Secure; Path=/")]
    status = "404 Not Found" if path == "/missing" else "200 OK"
    start_response(status, [("Content-Type", "text/plain"), *cookies])
    return [f"{environ['SCRIPT_NAME']} {path}".encode()]
"""
"""An app that says where it thinks it is, sets cookies, and has a 404 of its own."""

SETTINGS = """\
[accounts.bob]
url = "shop"

[accounts.carol]
at_root = true

[accounts.dave]
url = "blog"
at_root = true
"""


@pytest.mark.box
def test_a_virtualenv_beside_the_project_is_the_apps(
    server: Server, homes: Homes, program: Program
) -> None:
    """Its packages are found, those of its .pth files too, and they win over the distribution's."""
    homes.create("alice")
    homes.sh("alice", "mkdir mysite && python3 -m venv --without-pip mysite/.venv && mkdir more")
    [packages] = (homes.home("alice") / "mysite/.venv/lib").glob("python3*/site-packages")
    below = str(packages.relative_to(homes.home("alice")))
    homes.write("alice", f"{below}/inside/__init__.py", 'WORD = "inside"\n')
    homes.write("alice", f"{below}/more.pth", f"{homes.home('alice')}/more\n")
    homes.write("alice", "more/beside.py", 'WORD = "beside"\n')
    homes.write("alice", f"{below}/django.py", "")
    homes.bare("alice", source=IMPORTS + "\nimport django\nassert '/.venv/' in django.__file__\n")

    program.once()

    answer = server.get("/django/alice/")
    prefix = homes.home("alice") / "mysite/.venv"
    assert (200, f"inside beside {prefix}") == (answer.status, answer.text)


@pytest.mark.box
def test_an_app_stands_where_the_settings_say_and_its_cookies_with_it(
    server: Server, homes: Homes, program: Program
) -> None:
    """`url` and `at_root` move an app; a cookie for `/` is for its URL, others are left alone."""
    urls = {"alice": "/django/alice", "bob": "/django/shop", "carol": "/carol", "dave": "/blog"}
    for account in urls:
        homes.create(account)
        homes.bare(account, source=COOKIES)
    program.write_settings(SETTINGS)

    program.once()

    for account, url in urls.items():
        assert f"{url}/" == program.account(account)["url"]
        for https in (False, True):
            for path, status in (("/page", 200), ("/missing", 404)):
                answer = server.get(f"{url}{path}", https=https)
                assert (status, f"{url} {path}") == (answer.status, answer.text)
                cookies = answer.headers.get_all("Set-Cookie")
                assert [
                    f"a=1; Path={url}",
                    f"b=2; path={url}; Secure",
                    "c=3; Path=/elsewhere",
                    "d=4",
                    "__Host-e=5; Secure; Path=/",
                ] == cookies
    for gone in ("/django/bob/", "/django/carol/", "/django/dave/", "/bob/", "/shop/"):
        assert 404 == server.get(gone).status, gone


@pytest.mark.box
def test_nothing_but_the_app_and_its_static_files_is_served(
    apache: Server, homes: Homes, program: Program
) -> None:
    """A page without an app, no listing, no insides, no way out of the static files by a link."""
    server = apache
    server.command("a2enmod", "-q", "autoindex")
    server.start()
    for account in ("alice", "bob"):
        homes.create(account, mode=0o711)
        homes.bare(account, source=COOKIES)
        homes.write(account, "mysite/static/css/own.css", f"{account}'s {{}}\n")
    homes.create("carol")
    program.once()

    page = server.get("/django/carol/anything")
    assert 404 == page.status
    assert "text/html" == page.headers.get_content_type()
    assert "carol" in page.text
    assert page.text == (program.state / "pages/carol.html").read_text()
    assert (200, "alice's {}\n") == static(server, "css/own.css")
    for path in ("css/none.css", "css/own.css/more", "css", "css/", ""):
        assert (200, f"/django/alice /static/{path}") == static(server, path), (
            "the app's: no listing"
        )

    secret = re.compile(r"site_packages|wsgi\.py|def _load")
    dots = ("static../app.json", "static/../app.json", "static/%2e%2e/app.json")
    for path in (*dots, "app.json", "app.wsgi"):
        answer = server.get(f"/django/alice/{path}")
        assert not secret.search(answer.text), path
    for path in ("", "alice/", "alice/app.json"):
        assert server.get(f"/django/.slp/pages/{path}").status in {403, 404}
        assert server.get(f"/django/.slp/pages/../apps/{path}").status in {403, 404}

    # None of these waits for the program: Apache itself must refuse them at once.
    homes.sh("alice", "echo mine >mysite/static/mine; cd mysite/static; ln -s mine own")
    homes.sh("alice", "cd mysite/static; ln -s /etc/passwd root; ln -s /etc dir")
    homes.sh("alice", "cd mysite/static; ln -s ~bob/mysite/static/css/own.css bob.css")
    assert (200, "mine\n") == static(server, "own"), "a link to one's own is one's own affair"
    for path in ("root", "dir/passwd", "bob.css"):
        assert 403 == static(server, path)[0], path
    homes.sh("alice", "mv mysite/static old && ln -s /etc mysite/static")
    assert 403 == static(server, "passwd")[0]
    homes.sh("alice", "rm mysite/static && ln -s ~bob/mysite/static mysite/static")
    assert 403 == static(server, "css/own.css")[0]
    homes.sh("alice", "mv mysite .aside && ln -s ~bob/mysite mysite")
    assert 403 == static(server, "css/own.css")[0]

    program.once()
    assert "rejected" == program.account("alice")["state"]
    assert static(server, "css/own.css")[0] in {403, 404}
    homes.sh("alice", "rm mysite && mv .aside mysite")
    program.once()
    assert "served" == program.account("alice")["state"]
    answer = static(server, "css/own.css")
    assert (200, "/django/alice /static/css/own.css") == answer, "static is still a link: the app's"


def static(server: Server, path: str) -> tuple[int, str]:
    """Return the status and the text of one of alice's static files."""
    answer = server.get(f"/django/alice/static/{path}")
    return answer.status, answer.text
