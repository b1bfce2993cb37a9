"""Students at work and processes killed, all at random and at once, under systemd."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.lab import units
from tests.lab.churn import Churn
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

SEED = 10


@pytest.mark.box(systemd=True, timeout=300)
def test_after_a_churn_with_kills_the_state_is_right_and_the_untouched_were_left_alone() -> None:
    """Within a resync all is as the homes say, and no request failed while Apache was up.

    But for two kinds, which happen at a graceful reload whoever asks for it, and are told apart by
    Apache's own words (see `tests/lab/judgement.py`): they are not asserted to be none.
    """
    told = Churn(SEED, 24).run(25)

    assert [] == told.wrong
    assert [] == told.idle, "one more pass finds nothing to do"
    assert [] == told.unexplained
    assert [] == told.replaced
    # That it was a churn at all:
    assert told.kills["daemon"]
    assert told.kills["apache"] + told.kills["apache's parent"]
    assert told.reloads
    assert told.requests > 500
    assert told.operations > 200


@pytest.mark.box(systemd=True)
def test_apache_comes_back_when_somebody_left_as_it_was_reloaded(
    server: Server, homes: Homes, program: Program
) -> None:
    """A `userdel` between Apache's test and its reading ends it; it is started without that one."""
    for name in ("alice", "bob"):
        homes.create(name)
        homes.bare(name, body=f"I am {name}")
    units.install()
    program.once()
    assert "I am alice" == server.get("/django/alice/").text
    parent = server.running()
    units.run("userdel", "--force", "--remove", "bob")

    os.kill(parent, signal.SIGUSR1)  # what `apachectl graceful` does, once its test has passed

    wait_for(lambda: server.parent() not in {None, parent}, 60, "another Apache")
    wait_for(lambda: server.get("/django/alice/").text == "I am alice", 20, "alice's app")
    assert "bad user name bob" in server.error_log()
    assert 404 == server.get("/django/bob/").status
