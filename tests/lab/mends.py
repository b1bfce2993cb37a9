"""What SECURITY.md tells an administrator to do: each acts on a class that is being served."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.apache import CONF
from tests.lab.ground import CERTIFICATE, KEY
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.ground import Ground

FRONT = f"""\
PidFile /run/front.pid
User www-data
Group www-data
ErrorLog /var/log/apache2/front.log
ServerName localhost
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
SSLSessionCache shmcb:/run/front-cache
Listen 127.0.0.1:443
<VirtualHost *:443>
    SSLEngine on
    SSLCertificateFile {CERTIFICATE}
    SSLCertificateKeyFile {KEY}
    ProxyPreserveHost On
    RequestHeader set X-Forwarded-Proto https
    ProxyPass / http://127.0.0.1:80/
</VirtualHost>
"""
"""A second Apache, without mod_wsgi; any proxy would do."""
PIPE = r'\1 "|/usr/bin/rotatelogs -n 8 \2 86400"'


def end_tls_elsewhere(ground: Ground) -> None:
    """Leave the key to a process that is no parent of any app's."""
    server = ground.server
    server.stop()
    server.command("a2dissite", "-q", "default-ssl")
    server.command("a2dismod", "-q", "ssl")
    (CONF / "ports.conf").write_text(f"Listen 127.0.0.1:{server.http_port}\n")
    port, server.https_port = server.https_port, None
    server.start()
    server.https_port = port
    Path("/root/front.conf").write_text(FRONT)
    server.command("apache2", "-f", "/root/front.conf")
    page = wait_for(lambda: server.get("/django/alice/", https=True), 10, "the front")
    assert "hello" == page.text


def pipe_logs(ground: Ground) -> None:
    """Have a program write each log, in place of Apache itself."""
    files = [CONF / "apache2.conf", *CONF.glob("conf-available/*.conf"), *CONF.glob("sites-av*/*")]
    command = ["sed", "-Ei", rf"s,((Error|Custom)Log) (\S+),{PIPE.replace('2', '3')},", *files]
    subprocess.run(command, check=True)
    ground.server.restart()


def keep_no_request_lines(ground: Ground) -> None:
    """Do without mod_status, and so without `ExtendedStatus`."""
    ground.server.command("a2dismod", "-q", "status")
    ground.server.restart()


def hide_processes(_: Ground) -> None:
    """Show everybody their own processes alone."""
    subprocess.run(["mount", "-o", "remount,hidepid=invisible", "/proc"], check=True)


def shut_homes(ground: Ground) -> None:
    """Let nobody else list or read a home; Apache passes through, to static files."""
    ground.homes.home("alice").chmod(0o711)
    (ground.homes.home("alice") / "diary").chmod(0o600)


def make_files_private(ground: Ground) -> None:
    """Let what an app makes be its student's alone, unless it says otherwise."""
    ground.program.write_settings('[daemons.options]\numask = "0077"\n')
    ground.program.once()


def follow_no_links_in_homes(ground: Ground) -> None:
    """Mount the homes so that no link in them is followed, by nobody."""
    root = str(ground.homes.root)
    subprocess.run(["mount", "--bind", root, root], check=True)
    subprocess.run(["mount", "-o", "remount,bind,nosymfollow", root], check=True)


def take_passwords_away(_: Ground) -> None:
    """Take a visitor's password from the request once the site has seen it."""
    text = '<Location "/django">\n    RequestHeader unset Authorization\n</Location>\n'
    (CONF / "conf-enabled/take-away.conf").write_text(text)
