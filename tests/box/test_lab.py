"""The harness itself: a box is a whole machine, and nothing of it stays behind."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import boxes
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes

BY_HAND = """\
WSGIDaemonProcess slp-{0} user={0} group={0} display-name=%{{GROUP}} \\
  python-path=/home/slp/{0}/mysite
WSGIScriptAlias /django/{0} /home/slp/{0}/mysite/mysite/wsgi.py
<Location /django/{0}>
  WSGIProcessGroup slp-{0}
</Location>
<Directory /home/slp/{0}/mysite/mysite>
  <Files wsgi.py>
    Require all granted
  </Files>
</Directory>
"""


@pytest.mark.box
def test_apache_answers_on_both_sites(server: Server) -> None:
    """The two sites of Debian answer, the second one over TLS."""
    assert server.get("/").status == 200
    assert server.get("/", https=True).status == 200
    assert server.reloads() == 0
    server.reload()
    wait_for(lambda: server.reloads() == 1, 5, "a reload in the error log")


@pytest.mark.box
def test_a_site_made_by_hand_serves_a_django_project(apache: Server, homes: Homes) -> None:
    """The manual's own lines serve what `django-admin` makes, under the student's uid."""
    homes.create("alice", mode=0o755)
    homes.django_project("alice", page="Hello from Django")
    current = Path("/var/lib/slp-reconciler/current")
    current.mkdir(parents=True)
    (current / "django.conf").write_text(BY_HAND.format("alice"))
    apache.start()

    page = apache.get("/django/alice/")

    assert page.status == 200
    assert page.text == "Hello from Django"
    alice = pwd.getpwnam("alice")
    assert [(alice.pw_uid, alice.pw_gid)] == [(d.uid, d.gid) for d in apache.pids("alice")]
    apache.stop()
    assert apache.pids("alice") == []


@pytest.mark.box
def test_a_paused_apache_answers_nobody(server: Server) -> None:
    """A hung server accepts a connection and says nothing; resumed, it answers."""
    server.pause()
    with pytest.raises(TimeoutError):
        server.get("/", timeout=0.5)
    server.resume()
    assert server.get("/").status == 200


@pytest.mark.box(systemd=True)
def test_a_box_with_systemd_runs_apache_as_a_unit(server: Server) -> None:
    """PID 1 is systemd, and the unit is what is started, reloaded and stopped."""
    assert Path("/proc/1/comm").read_text().strip() == "systemd"
    assert server.get("/").status == 200
    server.reload()
    wait_for(lambda: server.reloads() == 1, 5, "a reload in the error log")
    server.stop()
    assert server.parent() is None


@pytest.mark.box
def test_a_box_is_root_on_a_machine_without_a_network(homes: Homes) -> None:
    """Accounts can be made and unmade; there is no interface but the loopback."""
    assert os.geteuid() == 0
    assert sorted(os.listdir("/sys/class/net")) == ["lo"]
    home = homes.create("bob")
    homes.bare("bob", body="hi")
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "mysite/mysite/wsgi.py").stat().st_uid == pwd.getpwnam("bob").pw_uid
    Path("/etc/slp-lab-was-here").touch()
    homes.remove("bob")
    assert not home.exists()


def test_nothing_of_a_box_stays_behind() -> None:
    """After a box has made an account, files and a process, this machine has none of them."""
    if reason := boxes.unavailable():
        pytest.skip(reason)
    import subprocess

    script = (
        "useradd slp-lab-ghost && touch /etc/slp-lab-ghost /tmp/slp-lab-ghost && (sleep 4242 &)"
    )
    subprocess.run([boxes.HERE / "box", "--", "sh", "-ec", script], check=True)

    assert not os.path.exists("/etc/slp-lab-ghost")
    assert not os.path.exists("/tmp/slp-lab-ghost")
    with pytest.raises(KeyError):
        pwd.getpwnam("slp-lab-ghost")
    commands = [Path("/proc", pid, "cmdline") for pid in os.listdir("/proc") if pid.isdigit()]
    assert not [path for path in commands if path.exists() and b"4242" in path.read_bytes()]
