"""An administrator's own WSGI apps go on as before; a student's never runs inside Apache itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import CONF, uid_of

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

BOTH = ("stable", "classic")
"""Template sets: one after the other on one machine."""

WHO = """\
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getuid()} {environ['mod_wsgi.process_group']}".encode()]
"""

OWN = """\
WSGIScriptAlias /embedded /srv/own/app.wsgi
WSGIScriptAlias /daemon /srv/own/app.wsgi process-group=own
WSGIDaemonProcess own user=nobody group=nogroup home=/
<Directory /srv/own>
    Require all granted
</Directory>
"""

OTHERWISE = {
    "in the site": "WSGIProcessGroup %{GLOBAL}\n",
    "for all of it": "<Location />\nWSGIProcessGroup %{GLOBAL}\n</Location>\n",
    "after ours": "<Location /django>\nWSGIProcessGroup own\n</Location>\n",
}
"""What an administrator's site may say: each would run students' code as somebody else."""


def own(*, more: str = "") -> None:
    """Give the server an administrator's apps, and both sites some lines right above their ends."""
    Path("/srv/own").mkdir(parents=True)
    Path("/srv/own/app.wsgi").write_text(WHO)
    (CONF / "conf-enabled/own.conf").write_text(OWN)
    for name in ("000-default.conf", "default-ssl.conf"):
        site = CONF / "sites-available" / name
        site.write_text(site.read_text().replace("</VirtualHost>", f"{more}</VirtualHost>"))


def publish(homes: Homes, program: Program, template_set: str) -> None:
    """Publish alice's app by this template set; `alice` is there from the first time on."""
    program.write_settings(f'[apache]\ntemplate_set = "{template_set}"\n')
    if uid_of("alice") is None:
        homes.create("alice", mode=0o711)
        homes.bare("alice", source=WHO)
    program.once()


@pytest.mark.box
def test_an_administrators_own_apps_go_on(apache: Server, homes: Homes, program: Program) -> None:
    """The embedded one and the one with a daemon answer before and after what we publish."""
    own()
    apache.start()
    wanted = {"/embedded": f"{uid_of('www-data')} ", "/daemon": f"{uid_of('nobody')} own"}

    def look() -> None:
        for path, text in wanted.items():
            for https in (False, True):
                answer = apache.get(path, https=https)
                assert (200, text) == (answer.status, answer.text), path

    look()
    for template_set in BOTH:
        publish(homes, program, template_set)
        look()
        assert f"{uid_of('alice')} slp-alice" == apache.get("/django/alice/").text


@pytest.mark.parametrize("where", OTHERWISE)
@pytest.mark.box
def test_a_students_code_runs_as_the_student_whatever_the_site_says(
    apache: Server, homes: Homes, program: Program, where: str
) -> None:
    """Embedded it would run as Apache, which reads every student's files."""
    own(more=OTHERWISE[where])
    apache.start()
    for template_set in BOTH:
        publish(homes, program, template_set)
        for https in (False, True):
            answer = apache.get("/django/alice/", https=https)
            assert (200, f"{uid_of('alice')} slp-alice") == (answer.status, answer.text)
