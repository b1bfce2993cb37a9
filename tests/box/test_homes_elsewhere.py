"""Homes that are not simply there: servers squash root, links name them, mounts come and go."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import STATE
from tests.lab.squash import mounted
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

VOLUME = Path("/srv/vol3")


@pytest.mark.box
def test_homes_on_a_server_that_squashes_root_are_served(
    server: Server, homes: Homes, program: Program
) -> None:
    """Mode 0700, so that root itself reads nothing; and a home only called by name is found."""
    for name in ("alice", "bob"):
        homes.create(name, mode=0o700)
        homes.bare(name, body=f"I am {name}")
    behind = Path("/srv/behind")
    homes.root.rename(behind)
    homes.root.mkdir()
    with mounted(behind, homes.root, "--unlisted"):
        assert [] == os.listdir(homes.root)
        assert not os.access(homes.root / "alice/mysite", os.R_OK), "root is nobody there"
        with pytest.raises(PermissionError):
            os.listdir(homes.root / "alice")

        program.once()

        for name in ("alice", "bob"):
            assert "served" == program.account(name)["state"], program.account(name)
            assert f"I am {name}" == server.get(f"/django/{name}/").text


@pytest.mark.box
@pytest.mark.parametrize("template_set", ["stable", "classic"])
def test_a_home_that_roots_own_link_names_is_served(
    server: Server, homes: Homes, program: Program, template_set: str
) -> None:
    """App and static files, by either spelling in the account database; a student's link is not."""
    program.write_settings(f'[apache]\ntemplate_set = "{template_set}"\n')
    VOLUME.mkdir()
    for name in ("alice", "bob", "eve"):
        homes.create(name, mode=0o755)
        homes.bare(name, body=f"I am {name}")
        homes.write(name, "mysite/static/a.txt", f"{name}'s asset")
        shutil.move(homes.home(name), VOLUME / name)
        homes.home(name).symlink_to(VOLUME / name)
    subprocess.run(["usermod", "-d", VOLUME / "bob", "bob"], check=True)
    eve = homes.home("eve")
    subprocess.run(["chown", "-h", "eve:", eve], check=True)

    program.once()

    for name in ("alice", "bob"):
        account = program.account(name)
        assert ("served", []) == (account["state"], account["warnings"]), account
        assert f"I am {name}" == server.get(f"/django/{name}/").text
        assert f"{name}'s asset" == server.get(f"/django/{name}/static/a.txt").text
    assert "symlink" == program.account("eve")["reason"]["code"]


@pytest.mark.box
def test_a_home_whose_mount_goes_keeps_its_app(
    server: Server, homes: Homes, program: Program
) -> None:
    """By itself, or what root's link names: told as unknown, and served again when it is back."""
    VOLUME.mkdir()
    for name in ("alice", "bob"):
        homes.create(name, mode=0o700)
        homes.bare(name, body=f"I am {name}")
        shutil.move(homes.home(name), VOLUME / name)
    homes.home("alice").mkdir()
    homes.home("bob").symlink_to(VOLUME / "bob")
    subprocess.run(["mount", "--bind", VOLUME / "alice", homes.home("alice")], check=True)
    program.once()
    links = {name: os.readlink(STATE / "apps" / name) for name in ("alice", "bob")}

    subprocess.run(["umount", "--lazy", homes.home("alice")], check=True)
    VOLUME.rename("/srv/away")
    for _ in range(2):
        program.once()
        assert links == {name: os.readlink(STATE / "apps" / name) for name in links}
        for name in links:
            account = program.account(name)
            assert ("served", "unreadable") == (account["state"], account["reason"]["code"])
    assert "not mounted" in program.account("alice")["reason"]["message"]
    assert f"link to {VOLUME}/bob" in program.account("bob")["reason"]["message"]

    Path("/srv/away").rename(VOLUME)
    subprocess.run(["mount", "--bind", VOLUME / "alice", homes.home("alice")], check=True)
    program.once()
    for name in links:
        assert program.account(name)["reason"] is None
        wait_for(lambda: server.get(f"/django/{name}/").text == f"I am {name}", 20, name)  # noqa: B023
