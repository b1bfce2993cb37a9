"""What Apache itself answers for an app leads to our page; what the app says is the app's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

APP = """\
import os, time

def application(environ, start_response):
    _, kind, status = (environ["PATH_INFO"] + "/").split("/")[:3]
    if kind == "crash":
        os._exit(1)
    if kind == "hang":
        time.sleep(5)
    if kind == "header":
        start_response("200 OK", [("X-Much", "x" * 70000)])
        return [b""]
    start_response(status + " Said", [("Content-Type", "text/plain")])
    return [] if kind == "empty" else [b"the app's own"]
"""
"""Fails in the ways in which Apache has to answer, or answers any status itself."""

OURS = (("header", 500, "GET"), ("header", 500, "HEAD"), ("header", 500, "POST"))
OWN = (404, 500, 502, 503, 504)
SETTINGS = """\
[apache]
template_set = "{template_set}"
[accounts.bob]
url = "shop"
at_root = true
[daemons.options]
socket-timeout = 3
"""


@pytest.mark.box
def test_apaches_own_errors_are_our_page_and_an_apps_are_the_apps(
    apache: Server, homes: Homes, program: Program
) -> None:
    """By every method and in both template sets; the status stays, and no error is a double one."""
    pages = program.state / "pages"
    urls = {"alice": "/django/alice", "bob": "/shop"}
    for name in urls:
        homes.create(name, mode=0o711)
        homes.bare(name, source=APP)
    apache.start()

    def answers(url: str, status: int, text: str, method: str = "GET") -> None:
        for https in (False, True):
            body = b"x=1" if method == "POST" else None
            answer = apache.get(url, method=method, body=body, https=https)
            wanted = "" if method == "HEAD" else text
            assert (status, wanted) == (answer.status, answer.text), f"{method} {url}"

    for template_set in ("stable", "classic"):
        program.write_settings(SETTINGS.format(template_set=template_set))
        program.once()
        (pages / "alice.html").write_text("alice's page")
        (pages / ".general.html").write_text("the general page")
        for status in OWN:
            for method in ("GET", "HEAD", "POST"):
                answers(f"/shop/own/{status}", status, "the app's own", method)
                answers(f"/shop/empty/{status}", status, "", method)
        for kind, status, method in OURS:
            answers(f"/django/alice/{kind}", status, "alice's page", method)
            answers(f"/shop/{kind}", status, "the general page", method)
        for direct in ("nobody.html", ".marker.html"):
            answer = apache.get(f"/django/.slp/pages/{direct}")
            assert 404 == answer.status, "by its name, it is not there"
            assert "general" not in answer.text

    for kind, status in (("hang", 504), ("crash", 500)):
        answer = apache.get(f"/django/alice/{kind}")
        assert (status, "alice's page") == (answer.status, answer.text)
    apache.command("a2dismod", "-q", "rewrite")
    apache.restart()
    for name, page in (("alice", "alice's page"), ("bob", "the general page")):
        answer = apache.get(f"{urls[name]}/header")
        assert (500, page) == (answer.status, answer.text)
