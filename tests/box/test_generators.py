"""What the generators that people use make is whole, with its packages in a virtualenv by pip."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.box.shapes import SHAPES
from tests.box.shapes.generated import GENERATED
from tests.box.shapes.visits import Class

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

pytestmark = pytest.mark.skipif(
    "SLP_WHEELS" not in os.environ, reason="that is: make test-generators"
)


@pytest.mark.box(timeout=900)
def test_what_generators_make_is_whole_at_its_host_and_at_its_path(
    server: Server, homes: Homes, program: Program
) -> None:
    """Each startproject, `.` too, Wagtail, a Flask factory, a bare script; and the six shapes."""
    others = [shape for shape in SHAPES if shape not in GENERATED]
    assert [] == Class(homes, program).troubles([*GENERATED, *others])
