"""A site that is copied, as certbot copies one for https, includes the same routes once more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import CONF

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

NAME = "apps.example.edu"
CERTIFICATE = """\
SSLEngine on
SSLCertificateFile /etc/ssl/certs/ssl-cert-snakeoil.pem
SSLCertificateKeyFile /etc/ssl/private/ssl-cert-snakeoil.key
</VirtualHost>
"""


def copy_as_certbot_does() -> None:
    """`000-default-le-ssl.conf`: all of the http site, the include of `django.conf` too."""
    text = (CONF / "sites-available/000-default.conf").read_text()
    assert "IncludeOptional django.conf" in text
    text = re.sub(r"<VirtualHost \S+>", "<VirtualHost *:443>", text)
    text = text.replace("</VirtualHost>", CERTIFICATE)
    copy = CONF / "sites-available/000-default-le-ssl.conf"
    copy.write_text(f"<IfModule mod_ssl.c>\n{text}</IfModule>\n")


@pytest.mark.parametrize("template_set", ["stable", "classic"])
@pytest.mark.box
def test_a_site_that_is_copied_declares_no_daemon_twice(
    apache: Server, homes: Homes, program: Program, template_set: str
) -> None:
    """Twice is fatal to the whole server: at the copying, at each reload, at the next start."""
    program.write_settings(
        f'[apache]\ntemplate_set = "{template_set}"\nverify_host = "{NAME}"\n'
        "[timing]\nreload_interval = 0\n"
    )
    apache.configure(http_name=NAME)
    apache.command("a2dissite", "-q", "default-ssl")
    apache.https_port = None
    apache.start()
    homes.create("alice", mode=0o711)
    homes.bare("alice", body="I am alice")
    program.once()

    copy_as_certbot_does()
    apache.command("a2ensite", "-q", "000-default-le-ssl")
    apache.https_port = 443
    apache.command("apachectl", "configtest")

    def serves() -> None:
        for name in homes.root.iterdir():
            for https in (False, True):
                answer = apache.get(f"/django/{name.name}/", https=https, host=NAME)
                assert (200, f"I am {name.name}") == (answer.status, answer.text)
            assert 1 == len(apache.pids(name.name))

    apache.restart()
    serves()
    for name in ("bob", "carol"):  # each a configuration test, and a reload of the same process
        homes.create(name, mode=0o711)
        homes.bare(name, body=f"I am {name}")
        program.once()
        serves()
