"""What the course's tool before this one could do, done today, as its students would meet it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

REGISTRY = "/root/django.db"
SCHEMA = """\
create table wsgi(id integer primary key asc, uid int, wsgi text, valid boolean, added datetime,
removed datetime, app text, rootdir boolean default 0, staticdir text, urluserid text,
morepath text)
"""
ADMINISTRATOR = """
[accounts.gina]
enabled = false
[accounts.henry]
skip_checks = true
[accounts.kate]
url = "alice"
[accounts.liam]
url = "django"
at_root = true
[accounts.mona]
url = "slp-status"
at_root = true
[accounts.nina]
url = "shop"
"""
"""What the registry has no column for, and four who want a URL that is not to be had."""
UNSEEN = 'globals()["application"] = lambda environ, start: start("200 OK", []) and [b"unseen"]\n'
"""A script that works, though nothing in its text says `application = …`."""
PACKAGED = "from only_in_its_virtualenv import application\n"


def says(server: Server, path: str, status: int, text: str) -> None:
    """Both sites answer this."""
    for https in (False, True):
        answer = server.get(path, https=https)
        assert (status, True) == (answer.status, text in answer.text), (path, answer.text)


def register(homes: Homes) -> None:
    """Make the class, and the registry as the old tool has it of its first six."""
    for name in ("alice", "bob", "carol", "dave", "erin", "fred", "gina", "henry", "ivan"):
        homes.create(name)
        homes.bare(name, body=f"I am {name}")
    homes.home("bob").chmod(0o711)  # or Apache's own user could not read a file of his
    homes.write("bob", "files/style.css", "from bob's files")
    homes.sh("carol", "python3 -m venv --without-pip lib/env")
    packages = homes.sh("carol", "echo lib/env/lib/python3*/site-packages").stdout.strip()
    module = "def application(environ, start):\n    start('200 OK', [])\n    return [b'packaged']\n"
    homes.write("carol", f"{packages}/only_in_its_virtualenv.py", module)
    homes.bare("carol", source=PACKAGED)
    homes.bare("fred", project="newest", body="the newest of fred's")
    homes.bare("henry", source=UNSEEN)
    for name in ("kate", "liam", "mona", "nina"):
        homes.create(name)
        homes.bare(name, body=f"I am {name}")

    def entry(name: str, *, valid: int = 1, **powers: object) -> dict[str, object]:
        script = f"{homes.home(name)}/mysite/mysite/wsgi.py"
        return {"uid": 0, "wsgi": script, "valid": valid, "app": "polls"} | powers

    with sqlite3.connect(REGISTRY) as database:
        database.execute(SCHEMA)
        for row in (
            entry("alice"),
            entry("bob", staticdir=f"{homes.home('bob')}/files"),
            entry("carol", morepath=f"{homes.home('carol')}/lib/env"),
            entry("dave", rootdir=1),
            entry("erin", urluserid="shop"),
            entry("fred"),
            entry("gina", valid=0, removed="2016-03-01 12:00:00"),
        ):
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            database.execute(f"insert into wsgi ({names}) values ({marks})", tuple(row.values()))
    database.close()


@pytest.mark.box
def test_what_wsgi_admin_did_is_done_today(server: Server, homes: Homes, program: Program) -> None:
    """Every row of docs/wsgi-admin.md, over http and https, from the registry that is imported."""
    register(homes)
    imported = program.run("import-wsgi-admin", REGISTRY, status=0).stdout
    assert "# [accounts.gina]  # entry 7, removed 2016-03-01 12:00:00" in imported
    program.write_settings(imported + ADMINISTRATOR)
    program.once()

    says(server, "/django/alice/", 200, "I am alice")  # -register, -app
    says(server, "/django/bob/static/style.css", 200, "from bob's files")  # -staticdir
    says(server, "/django/carol/", 200, "packaged")  # -path, -morepath
    says(server, "/dave/", 200, "I am dave")  # -root
    says(server, "/django/dave/", 404, "")
    says(server, "/django/shop/", 200, "I am erin")  # urluserid
    says(server, "/django/erin/", 404, "")
    says(server, "/django/fred/", 200, "I am fred")  # -register, of several; -uid
    says(server, "/django/gina/", 404, "the administrator has disabled gina")  # -remove
    says(server, "/django/henry/", 200, "unseen")  # -nocheck

    # -list, -compact, -all
    lines = program.run("list", status=0).stdout.splitlines()
    assert ["alice", "bob", "carol", "dave", "erin", "fred", "gina", "henry", "ivan"] == [
        line.partition(";")[0].removeprefix("account = ") for line in lines[:9]
    ]
    script = homes.home("erin") / "mysite/mysite/wsgi.py"
    assert f"state = served; url = /django/shop/; script = {script}; since = " in lines[4]
    assert lines[6].endswith("reason = disabled")

    wants_no_url_that_is_taken(server, program)
    a_student_does_it(server, homes, program)


def wants_no_url_that_is_taken(server: Server, program: Program) -> None:
    """Another's name, the prefix, the dashboard, another's setting: whose it is, keeps it."""
    for name, why in {
        "kate": "/django/alice is taken by alice",
        "liam": "/django would hide /django",
        "mona": "/slp-status would hide /slp-status",
        "nina": "/django/shop is taken by erin",
    }.items():
        told = program.account(name)
        assert ("rejected", "url-name", why) == (
            told["state"], told["reason"]["code"], told["reason"]["message"]
        )  # fmt: skip
    says(server, "/slp-status", 200, "is taken by erin")


def a_student_does_it(server: Server, homes: Homes, program: Program) -> None:
    """Without an administrator: another script, another static directory, and off and on."""
    homes.bare("ivan", project="other", body="the other one")
    homes.write("ivan", "assets/x.txt", "from ivan's assets")
    homes.home("ivan").chmod(0o711)
    homes.write("ivan", ".slp.toml", 'script = "other/other/wsgi.py"\nstatic = "assets"\n')
    program.once()
    says(server, "/django/ivan/", 200, "the other one")
    says(server, "/django/ivan/static/x.txt", 200, "from ivan's assets")

    homes.write("ivan", ".slp.toml", "enabled = false\n")
    program.once()
    says(server, "/django/ivan/", 404, "take enabled = false out of ~/.slp.toml")
    homes.delete("ivan", ".slp.toml")
    program.once()
    wait_for(lambda: server.get("/django/ivan/").status == 200, 10, "ivan's app")  # -regenerate
    assert "served" == program.account("ivan")["state"]
