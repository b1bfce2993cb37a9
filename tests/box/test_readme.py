"""The README's install section, command by command, on a machine as the distribution leaves it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import Server
from tests.lab.program import EXECUTABLE
from tests.lab.units import ask, journal
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.homes import Homes

REPO = Path(__file__).resolve().parents[2]
INSTALLED = Path("/opt/slp-reconciler/bin/slp-reconciler")


def commands() -> list[str]:
    """Return the blocks of commands in "Install", in order."""
    text = (REPO / "README.md").read_text()
    section = text.partition("\n## Install\n")[2].partition("\n## ")[0]
    return [
        "\n".join(line[4:] for line in block.splitlines())
        for block in re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)
    ]


def carry_out(block: str) -> None:
    """Run commands as an administrator pastes them."""
    done = subprocess.run(
        ["bash", "-euc", block], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, f"{block}\n{done.stdout}{done.stderr}"


@pytest.mark.box(systemd=True)
def test_what_the_readme_says_installs_a_server_that_serves(homes: Homes) -> None:
    """All but its first two lines, which need a network: the packages and the program are here."""
    packages, *rest, isolated = commands()
    assert [("apt-get", "install"), ("python3", "-m")] == [
        tuple(line.split()[:2]) for line in packages.splitlines()
    ]
    INSTALLED.parent.mkdir(parents=True)
    INSTALLED.symlink_to(EXECUTABLE)
    for block in rest:
        carry_out(block)
    assert "active" == ask("ActiveState")
    homes.create("alice")
    homes.bare("alice")
    server = Server()
    wait_for(lambda: 200 == server.get("/django/alice/").status, timeout=30)
    carry_out(isolated)
    answers = []

    def is_isolated() -> bool:
        answers.append(server.get("/django/alice/").status)
        return ask("ActiveState", "slp-app@alice.service") == "active" and not server.pids("alice")

    try:
        wait_for(is_isolated, timeout=30)
    except AssertionError as error:
        raise AssertionError("\n".join(journal())) from error
    assert {200} == set(answers), "before, during and after"
