"""What a box test can ask for by name; each is made on the test's own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import Server
from tests.lab.homes import Homes
from tests.lab.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def homes() -> Homes:
    """The students."""
    return Homes()


@pytest.fixture
def apache() -> Iterator[Server]:
    """Apache configured by the manual and not started; a test may configure it again."""
    server = Server()
    server.configure()
    yield server
    if server.parent():
        server.resume()


@pytest.fixture
def server(apache: Server) -> Server:
    """Apache configured by the manual, running."""
    apache.start()
    return apache


@pytest.fixture
def program() -> Program:
    """The program under test."""
    return Program()
