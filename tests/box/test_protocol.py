"""What a configuration test, a reload and an answer are worth, on a real Apache."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.box.test_refusals import OWN, SHIPPED, Course, answered, bad_for, refused
from tests.lab.apache import CONF, STATE, all_pids

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program, Result

CLASS = [f"s{number}" for number in range(8)]
SITE = CONF / "sites-available/000-default.conf"
SETS = pytest.mark.parametrize("template_set", ["stable", "classic"])


def message(result: Result) -> str:
    """Return what a pass that failed says went wrong."""
    return next(str(event["message"]) for event in result.events if event["level"] == "error")


def canaries() -> list[int]:
    """Return the uids of the processes that are called so."""
    found = []
    for pid in all_pids():
        with contextlib.suppress(OSError):
            if "(wsgi:slp.canary)" in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(Path(f"/proc/{pid}").stat().st_uid)
    return found


def typing_error() -> None:
    """The administrator edits the account template, and mistypes a directive."""
    path = OWN / "server.conf.account.j2"
    path.write_text(path.read_text().replace("WSGIDaemonProcess", "WSGIDaemonProces"))


@pytest.mark.box
def test_one_typing_error_in_the_account_template_takes_nobody_down(
    server: Server, homes: Homes, program: Program
) -> None:
    """Status 3, nobody is quarantined and everybody served: with a last good one, and without."""
    course = Course(homes, program, *CLASS)
    typing_error()
    assert "WSGIDaemonProces" in message(program.once(status=3))
    assert {} == refused(program)
    assert not (STATE / "current").is_symlink()

    course.template("server.conf.account.j2")
    program.once()
    assert CLASS == answered(server, CLASS)

    typing_error()
    before = os.readlink(STATE / "current")
    assert "WSGIDaemonProces" in message(program.once(status=3))
    assert {} == refused(program)
    assert before == os.readlink(STATE / "current")
    server.restart()
    assert CLASS == answered(server, CLASS)


@pytest.mark.box
def test_more_than_the_brake_lets_through_are_not_to_blame(
    server: Server, homes: Homes, program: Program
) -> None:
    """Six of eight: the template's affair; five, and they are left out."""
    course = Course(homes, program, *CLASS)
    program.once()
    course.template("django.conf.account.j2", bad_for(*CLASS[:6]))
    assert "Bogus" in message(program.once(status=3))
    assert {} == refused(program)
    assert CLASS == answered(server, CLASS)
    course.template("django.conf.account.j2", bad_for(*CLASS[:5]))
    program.once()
    assert dict.fromkeys(CLASS[:5], "quarantined") == refused(program)


def server_root() -> None:
    path = CONF / "apache2.conf"
    path.write_text('ServerRoot "/etc/apache2"\n' + path.read_text())


def absolute_includes() -> None:
    for path in (*CONF.glob("sites-available/*.conf"), CONF / "conf-enabled/slp-reconciler.conf"):
        path.write_text(re.sub(r"(IncludeOptional) (\S+)", rf"\1 {CONF}/\2", path.read_text()))


@pytest.mark.box
@pytest.mark.parametrize("way", [server_root, absolute_includes, None])
def test_what_the_test_cannot_read_where_it_is_staged_is_tested_in_place(
    apache: Server, homes: Homes, program: Program, way: object
) -> None:
    """A bad one goes back before any reload, Apache can start, and it is said which line it is."""
    course = Course(homes, program, "alice")
    course.template("django.conf.account.j2", bad_for("mallory"))
    if callable(way):
        way()
        line = {server_root: "ServerRoot", absolute_includes: f"{CONF}/"}[way]  # type: ignore[index]
    else:
        blind = '["sh", "-c", ". /etc/apache2/envvars; exec apache2 -t -d /etc/apache2"]'
        program.write_settings(f'[apache]\ntemplate_set = "course"\nconfigtest = {blind}\n')
        line = "APACHE_CONFDIR"
    apache.start()

    good = program.once()
    assert ["alice"] == answered(apache, ["alice"])

    course.enrol("mallory")
    before, reloads = os.readlink(STATE / "current"), apache.reloads()
    for _ in range(2):
        assert "Bogus" in message(program.once(status=3))
        assert (before, reloads) == (os.readlink(STATE / "current"), apache.reloads())
    apache.restart()
    assert ["alice"] == answered(apache, ["alice"])
    warned = good.named("configtest.blind")
    assert 1 == len(warned)
    assert line in str(warned[0]["message"])
    course.template("django.conf.account.j2")
    program.once()
    assert ["alice", "mallory"] == answered(apache, ["alice", "mallory"])


@pytest.mark.box
def test_what_serves_nobody_is_put_back(server: Server, homes: Homes, program: Program) -> None:
    """No threads: the test passes, the marker is served, and no app answers. Status 4, and why."""
    course = Course(homes, program, "alice")
    program.once()
    before = os.readlink(STATE / "current")
    for path in OWN.glob("server.conf.*.j2"):
        path.write_text(path.read_text().replace("{{ daemon_options }}", "threads=0"))
    course.enrol("bob")

    result = program.once(status=4)

    assert 1 == len(result.named("generation.rolled_back"))
    assert "http://127.0.0.1/django/.slp/app/" in message(result)
    assert before == os.readlink(STATE / "current")
    assert ["alice"] == answered(server, ["alice", "bob"])
    reloads = server.reloads()
    program.once(status=4)
    assert reloads == server.reloads()
    course.template("server.conf.account.j2")
    course.template("server.conf.head.j2")
    program.once()
    assert ["alice", "bob"] == answered(server, ["alice", "bob"])


@pytest.mark.box
@SETS
def test_an_app_of_ours_answers_for_all_of_them(
    server: Server, homes: Homes, program: Program, template_set: str
) -> None:
    """As nobody, under the configuration's own name; what is not asked for is not there."""
    program.write_settings(f'[apache]\ntemplate_set = "{template_set}"\n')
    homes.create("alice", mode=0o711)
    homes.bare("alice", body="I am alice")
    program.once()
    digest = (STATE / "current/generation").read_text().split()[1]
    assert "slp-reconciler canary\n" == server.get(f"/django/.slp/app/{digest}").text
    assert "slp-reconciler canary\n" == server.get(f"/django/.slp/app/{digest}", https=True).text
    assert 404 == server.get(f"/django/.slp/app/{'0' * 32}").status
    assert [pwd.getpwnam("nobody").pw_uid] == canaries()
    program.once()
    assert 1 == server.reloads()


@pytest.mark.box
def test_a_set_of_the_administrators_without_a_canary_is_verified_by_its_marker(
    server: Server, homes: Homes, program: Program
) -> None:
    """As it was written for the version before."""
    course = Course(homes, program, "alice")
    head = 'Alias "{{ marker }}" "{{ state }}/pages/.marker"\n'
    (OWN / "marker.j2").write_text(head)
    daemons = (SHIPPED / "server.conf.head.j2").read_text()
    (OWN / "server.conf.head.j2").write_text(re.sub(r"WSGIDaemonProcess .*\n", "", daemons))
    program.once()
    assert [] == canaries()
    assert ["alice"] == answered(server, ["alice"])
    course.enrol("bob")
    program.once()


@pytest.mark.box
@SETS
def test_a_redirect_to_the_public_https_name_is_followed(
    apache: Server, homes: Homes, program: Program, template_set: str
) -> None:
    """The name resolves to nothing here, and another site is the default one at that port."""
    program.write_settings(f'[apache]\ntemplate_set = "{template_set}"\n')
    apache.configure(http_name="apps.example.edu", https_name="apps.example.edu")
    text = SITE.read_text().replace(
        "DocumentRoot", "Redirect permanent / https://apps.example.edu/\n\tDocumentRoot"
    )
    SITE.write_text(text)
    ssl = (CONF / "sites-available/default-ssl.conf").read_text()
    other = ssl.replace("apps.example.edu", "other.example.edu")
    (CONF / "sites-enabled/000-other.conf").write_text(re.sub(r".*IncludeOptional.*\n", "", other))
    apache.start()
    homes.create("alice", mode=0o711)
    homes.bare("alice", body="I am alice")

    program.once()

    assert 301 == apache.get("/django/alice/").status
    answer = apache.get("/django/alice/", https=True, host="apps.example.edu")
    assert "I am alice" == answer.text
    assert 404 == apache.get("/django/alice/", https=True, host="other.example.edu").status


CLOSED = {
    "a password": 'AuthType Basic\nAuthName "x"\nAuthUserFile /etc/passwd\nRequire valid-user',
    "an address": "Require ip 192.0.2.1",
    "nobody": "Require all denied",
    "all of both": 'AuthType Basic\nAuthName "x"\nAuthUserFile /etc/passwd\n<RequireAll>\n'
    "Require ip 192.0.2.1\nRequire valid-user\n</RequireAll>",
    "the words of 2.2": "Order allow,deny\nDeny from all",
    "a password or an address, in those words": 'AuthType Basic\nAuthName "x"\n'
    "AuthUserFile /etc/passwd\nRequire valid-user\nOrder deny,allow\nDeny from all\nSatisfy Any",
    "a password and an address, in those words": 'AuthType Basic\nAuthName "x"\n'
    "AuthUserFile /etc/passwd\nRequire valid-user\nOrder deny,allow\nDeny from all\nSatisfy All",
}
"""What a site asks of all its visitors."""


@pytest.mark.box(timeout=180)
@pytest.mark.parametrize(
    ("template_set", "access_control"), [("stable", "2.4"), ("classic", "2.2")]
)
def test_whatever_a_site_asks_of_its_visitors_verification_is_let_in(
    apache: Server, homes: Homes, program: Program, template_set: str, access_control: str
) -> None:
    """A password, an address, nobody at all: it goes live, and visitors are asked as before."""
    apache.command("a2enmod", "-q", "access_compat", "auth_basic", "authn_file", "authz_user")
    homes.create("alice", mode=0o711)
    homes.bare("alice", body="I am alice")
    bare = SITE.read_text()
    for number, (kind, words) in enumerate(CLOSED.items()):
        location = f"<Location />\n{words}\n</Location>\n\tDocumentRoot"
        SITE.write_text(bare.replace("DocumentRoot", location, 1))
        apache.restart()
        homes.create(f"s{number}", mode=0o711)  # another configuration
        program.write_settings(
            f'[apache]\naccess_control = "{access_control}"\ntemplate_set = "{template_set}"\n'
        )
        program.once()
        assert apache.get("/django/alice/").status in {401, 403}, kind


@pytest.mark.box
def test_a_site_that_lost_its_include_costs_three_reloads_and_is_told(
    server: Server, homes: Homes, program: Program
) -> None:
    """The new one, the old one, the old one once more; the log says what was seen, and where."""
    homes.create("alice")
    program.once()
    program.write_settings("[timing]\nreload_interval = 0.2\n[apache]\ntimeout = 2\n")
    SITE.write_text(re.sub(r".*IncludeOptional.*\n", "", SITE.read_text()))
    server.reload()
    before = server.reloads() + 1  # its own is not in the log yet
    with program.daemon() as daemon:
        homes.create("bob")
        event = daemon.wait_event("generation.rolled_back")
        assert "http://127.0.0.1/django/.slp/" in str(event["message"])
        assert "answered 404" in str(event["message"])
        end = time.monotonic() + 15
        while time.monotonic() < end:
            time.sleep(0.2)
    assert server.reloads() - before <= 3
