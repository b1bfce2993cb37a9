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

BOTH = pytest.mark.parametrize("template_set", ["stable", "classic"])

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


@BOTH
@pytest.mark.box
def test_an_administrators_own_apps_go_on(
    apache: Server, homes: Homes, program: Program, template_set: str
) -> None:
    """The embedded one and the one with a daemon answer before and after what we publish."""
    program.write_settings(f'[apache]\ntemplate_set = "{template_set}"\n')
    own()
    apache.start()
    homes.create("alice", mode=0o711)
    homes.bare("alice", source=WHO)
    wanted = {"/embedded": f"{uid_of('www-data')} ", "/daemon": f"{uid_of('nobody')} own"}

    def look() -> None:
        for path, text in wanted.items():
            for https in (False, True):
                answer = apache.get(path, https=https)
                assert (200, text) == (answer.status, answer.text), path

    look()
    program.once()
    look()
    assert f"{uid_of('alice')} slp-alice" == apache.get("/django/alice/").text


@BOTH
@pytest.mark.parametrize("where", OTHERWISE)
@pytest.mark.box
def test_a_students_code_runs_as_the_student_whatever_the_site_says(
    apache: Server, homes: Homes, program: Program, template_set: str, where: str
) -> None:
    """Embedded it would run as Apache, which reads every student's files."""
    program.write_settings(f'[apache]\ntemplate_set = "{template_set}"\n')
    own(more=OTHERWISE[where])
    apache.start()
    homes.create("alice", mode=0o711)
    homes.bare("alice", source=WHO)
    program.once()
    for https in (False, True):
        answer = apache.get("/django/alice/", https=https)
        assert (200, f"{uid_of('alice')} slp-alice") == (answer.status, answer.text)
