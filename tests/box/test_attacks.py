"""What a student's app can do to the server and to others: each line of SECURITY.md, as it is said.

An attack that SECURITY.md says succeeds is *asserted to succeed*: an administrator is told the
truth, and where it no longer is so, SECURITY.md is to say less. One that it says fails must fail.
"""

from __future__ import annotations

import ctypes
import os
import pwd
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.lab.attacks import ATTACKS, SUCCEEDS, Attack
from tests.lab.ground import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program


@pytest.mark.box
@pytest.mark.parametrize("template_set", SUCCEEDS)
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


@contextmanager
def silent_file_system(place: Path, account: str) -> Iterator[None]:
    """Mount at `place` what `account` would by FUSE, with a server that never answers."""
    row = pwd.getpwnam(account)
    device = os.open("/dev/fuse", os.O_RDWR)
    how = f"fd={device},rootmode=40000,user_id={row.pw_uid},group_id={row.pw_gid}"
    libc = ctypes.CDLL(None, use_errno=True)
    mounted = libc.mount(b"silent", os.fsencode(place), b"fuse", 0, how.encode())
    assert mounted == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        os.close(device)
