"""What a student's app can do to the server and to others: each line of SECURITY.md, as it is said.

An attack that SECURITY.md says succeeds is *asserted to succeed*: an administrator is told the
truth, and where it no longer is so, SECURITY.md is to say less. One that it says fails must fail.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import struct
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import CONF
from tests.lab.attacks import ATTACKS, SUCCEEDS, Attack
from tests.lab.ground import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

PRIVATE = '<Location "/slp-status">\n    Require ip 192.0.2.1\n</Location>\n'
"""What an administrator may say of the dashboard in Apache's configuration."""


@pytest.mark.box
@pytest.mark.parametrize("template_set", ["stable"])  # isolated: test_attacks_isolated.py
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.id}-{attack.name}")
def test_an_attack_ends_as_security_md_says(
    attack: Attack, template_set: str, apache: Server, homes: Homes, program: Program
) -> None:
    """Under each template set it succeeds where SECURITY.md says so, and nowhere else."""
    ground = Ground(apache, homes, program)
    ground.set_up(attack.script, template_set)
    assert (attack.id in SUCCEEDS[template_set]) == attack.succeeds(ground)


@pytest.mark.box
def test_a_file_system_that_never_answers_holds_up_no_look(
    server: Server, homes: Homes, program: Program
) -> None:
    """The kernel closes one that a student mounts to all others: a look ends, and others go on."""
    for account in ("alice", "mallory"):
        homes.create(account)
    homes.sh("mallory", "mkdir mysite")
    with silent_file_system(homes.home("mallory") / "mysite", "mallory"):
        homes.bare("alice")
        program.once(timeout=20)
        assert "hello" == server.get("/django/alice/").text


@pytest.mark.box
def test_one_that_is_opened_to_all_holds_up_a_look(
    server: Server, homes: Homes, program: Program
) -> None:
    """Where `/etc/fuse.conf` lets students say `allow_other`, a pass waits for their server."""
    homes.create("mallory")
    homes.sh("mallory", "mkdir mysite")
    mounted = silent_file_system(homes.home("mallory") / "mysite", "mallory", ",allow_other")
    with mounted, pytest.raises(subprocess.TimeoutExpired):
        program.once(timeout=5)
    assert server.running()


@contextmanager
def silent_file_system(place: Path, account: str, more: str = "") -> Iterator[None]:
    """Mount at `place` what `account` would by FUSE, with a server that never answers."""
    row = pwd.getpwnam(account)
    device = os.open("/dev/fuse", os.O_RDWR)
    how = f"fd={device},rootmode=40000,user_id={row.pw_uid},group_id={row.pw_gid}{more}"
    libc = ctypes.CDLL(None, use_errno=True)
    mounted = libc.mount(b"silent", os.fsencode(place), b"fuse", 0, how.encode())
    assert mounted == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        os.close(device)


@pytest.mark.box
def test_a_right_given_by_an_access_control_list_is_not_seen(
    server: Server, homes: Homes, program: Program
) -> None:
    """It shows as the group's, and in a private group that is taken for the student's own."""
    for account in ("alice", "mallory"):
        homes.create(account, mode=0o711)
    script = homes.bare("alice")
    entries = [(1, 6, -1), (2, 6, pwd.getpwnam("mallory").pw_uid), (4, 4, -1), (16, 6, -1)]
    packed = (struct.pack("<HHi", *entry) for entry in [*entries, (32, 4, -1)])
    os.setxattr(script, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(packed))
    with script.open() as stream:
        text = stream.read().replace("hello", "mallory was here")
    homes.run("mallory", "tee", script, text=text, cwd=homes.home("mallory"))
    program.once()
    assert "mallory was here" == server.get("/django/alice/").text


@pytest.mark.box
def test_the_world_is_told_why_an_app_is_not_up_unless_the_settings_say_no(
    server: Server, homes: Homes, program: Program
) -> None:
    """By default the page and the dashboard name account, file and line, to whoever asks."""
    homes.create("mallory")
    homes.bare("mallory", source="def application(:\n")
    program.once()
    assert "mysite/mysite/wsgi.py, line 1" in server.get("/django/mallory/").text
    assert "mallory" in server.get("/slp-status").text
    program.write_settings("[pages]\nexplain = false\n")
    (CONF / "conf-enabled/private.conf").write_text(PRIVATE)
    server.restart()
    program.once()
    assert "wsgi.py" not in server.get("/django/mallory/").text
    assert 403 == server.get("/slp-status").status
