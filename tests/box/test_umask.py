"""Whoever runs the program, what it publishes is for Apache and the students to read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program


@pytest.mark.box
def test_a_root_with_a_private_umask_publishes_all_the_same(
    server: Server, homes: Homes, program: Program
) -> None:
    """`umask 077` at the very first pass makes no directory that Apache cannot enter."""
    for name in ("alice", "bob"):
        homes.create(name)
    homes.bare("alice")
    before = os.umask(0o077)
    program.once()
    os.umask(before)
    assert "hello" == server.get("/django/alice/").text
    assert "bob has no app yet" in server.get("/django/bob/").text, "the page that says why"
    assert "bob" in server.get("/slp-status").text
