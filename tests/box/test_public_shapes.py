"""Projects in the shapes of public repositories are whole, at a host of their own and at a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.box.shapes import SHAPES
from tests.box.shapes.visits import Class

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program


@pytest.mark.box(timeout=180)
def test_six_shapes_of_public_projects_are_whole_at_their_hosts_and_at_their_paths(
    server: Server, homes: Homes, program: Program
) -> None:
    """At the host with nothing but ALLOWED_HOSTS; at the path with what a warning says to write."""
    assert [] == Class(homes, program).troubles(SHAPES)
