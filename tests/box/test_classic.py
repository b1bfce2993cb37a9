"""The manual's own form, and the words of Apache 2.2, on a real Apache."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import CONF

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program


@pytest.mark.box
def test_the_manuals_own_form_serves_and_reloads_at_each_change(
    server: Server, homes: Homes, program: Program
) -> None:
    """`classic`: published, out of reach, back, withdrawn; each is a reload, no change is none."""
    program.write_settings('[apache]\ntemplate_set = "classic"\n')
    for account in ("alice", "bob"):
        homes.create(account, mode=0o711)
        homes.write(account, "mysite/static/own.css", f"{account}'s {{}}\n")
    homes.bare("bob", body="I am bob")
    program.once()
    assert 404 == server.get("/django/alice/").status
    reloads = server.reloads()

    def passes(reloaded: int) -> None:
        """Make a pass that reloads so many times; bob is served before and after."""
        nonlocal reloads
        program.once()
        reloads += reloaded
        assert reloads == server.reloads()
        assert "I am bob" == server.get("/django/bob/").text
        assert "bob's {}\n" == server.get("/django/bob/static/own.css").text

    homes.bare("alice", body="I am alice")
    passes(1)
    for https in (False, True):
        assert "I am alice" == server.get("/django/alice/", https=https).text
        assert "alice's {}\n" == server.get("/django/alice/static/own.css", https=https).text
    passes(0)

    homes.home("alice").chmod(0o700)
    passes(1)
    alice = program.account("alice")
    assert ("rejected", "unreachable") == (alice["state"], alice["reason"]["code"])
    page = server.get("/django/alice/")
    assert 404 == page.status
    assert "mysite/mysite/wsgi.py" in page.text, "the page says which file it is"

    homes.sh("alice", alice["reason"]["fix"])
    passes(1)
    assert "I am alice" == server.get("/django/alice/").text

    homes.delete("alice", "mysite")
    passes(1)
    assert "empty" == program.account("alice")["state"]
    page = server.get("/django/alice/")
    assert (404, (program.state / "pages/alice.html").read_text()) == (page.status, page.text)


OLD = {
    "Require all granted": "Order allow,deny\nAllow from all",
    "Require all denied": "Order deny,allow\nDeny from all",
}


@pytest.mark.box
def test_the_words_of_apache_2_2_pass_the_test_and_serve(
    apache: Server, homes: Homes, program: Program
) -> None:
    """`access_control = "2.2"` in both template sets, with a server written in the same words."""
    apache.command("a2enmod", "-q", "access_compat")
    for path in [CONF / "apache2.conf", *CONF.glob("*-available/*.conf")]:
        text = path.read_text()
        for new, old in OLD.items():
            text = re.sub(rf"^(\s*){new}", rf"\1{old}", text, flags=re.M)
        path.write_text(text)
    apache.start()
    homes.create("alice", mode=0o711)
    homes.create("bob")
    homes.bare("alice", body="I am alice")
    homes.write("alice", "mysite/static/own.css", "alice's {}\n")
    for template_set in ("stable", "classic"):
        program.write_settings(
            f'[apache]\naccess_control = "2.2"\ntemplate_set = "{template_set}"\n'
        )

        program.once()

        files = [path.read_text() for path in Path(program.state / "current").glob("*.conf")]
        assert "Allow from all" in "".join(files)
        assert "Require" not in "".join(files)
        assert "I am alice" == apache.get("/django/alice/").text
        assert "alice's {}\n" == apache.get("/django/alice/static/own.css").text
        page = (program.state / "pages/bob.html").read_text()
        assert (404, page) == ((answer := apache.get("/django/bob/")).status, answer.text)
