"""Notes outlive the process, are read by others without a lock, and survive an upgrade."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.publish.lock import FileLock, LockTimeoutError
from reconciler.publish.notes import NotesFile, Quarantine, ServerFile, ServerNotes
from tests.unit.servers import SetClock


def test_what_is_noted_is_read_by_another_process(tmp_path: Path) -> None:
    """And what that one notes is read here, without a word between them."""
    ours = ServerFile(str(tmp_path), SetClock())
    theirs = ServerFile(str(tmp_path), SetClock())
    assert ServerNotes() == theirs.read()
    ours.note(verified=3, quarantined={"eve": Quarantine("d", "why")})
    assert (3, "why") == (theirs.read().verified, theirs.read().quarantined["eve"].why)
    theirs.note(seen=3)
    assert (3, 3) == (ours.read().verified, ours.read().seen)
    assert 0o600 == (tmp_path / "server.json").stat().st_mode & 0o777


def test_the_same_again_is_not_written(tmp_path: Path) -> None:
    """Nothing differs: no rename."""
    notes = ServerFile(str(tmp_path), SetClock())
    notes.note(seen=1)
    before = (tmp_path / "server.json").stat().st_ino
    notes.note(seen=1)
    assert before == (tmp_path / "server.json").stat().st_ino


def test_another_boot_forgets_times_and_nothing_else(tmp_path: Path) -> None:
    """A clock that began anew says nothing about the one before; durations and facts stay."""
    ServerFile(str(tmp_path), SetClock(boot="one")).note(reloaded_at=5.0, stall=2.0, verified=7)
    same = ServerFile(str(tmp_path), SetClock(boot="one")).read()
    other = ServerFile(str(tmp_path), SetClock(boot="two"))
    assert 5.0 == same.reloaded_at
    assert (None, 2.0, 7) == (other.read().reloaded_at, other.read().stall, other.read().verified)
    other.note(reloaded_at=10.0)
    assert 10.0 == other.read().reloaded_at


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"verified": "three"}', b"\xff"])
def test_a_file_that_is_no_such_thing_is_none(tmp_path: Path, damage: bytes) -> None:
    """It costs memory, and no pass."""
    (tmp_path / "server.json").write_bytes(damage)
    notes = ServerFile(str(tmp_path), SetClock())
    assert ServerNotes() == notes.read()
    assert 4 == notes.note(seen=4).seen


def test_an_upgrade_takes_over_what_0_1_0_noted(tmp_path: Path) -> None:
    """The verified generation, quarantines and refusals; once there are notes of ours, no more."""
    old = {
        "first_script": {"alice": 1.5e9}, "origin": {"alice": "files"}, "withdrawals": [[1e9, "x"]],
        "quarantined": {"eve": {"stanza": "d", "why": "Bogus"}},
        "refused": "r", "refused_by": "f", "verified": 12, "seen": 12, "stall": 1.5,
    }  # fmt: skip
    (tmp_path / "ledger.json").write_text(json.dumps(old))
    notes = ServerFile(str(tmp_path), SetClock())
    taken = notes.read()
    assert (12, 12, "r", "f", 1.5) == (
        taken.verified, taken.seen, taken.refused, taken.refused_by, taken.stall,
    )  # fmt: skip
    assert Quarantine("d", "Bogus") == taken.quarantined["eve"]
    notes.note(verified=13)
    assert 13 == ServerFile(str(tmp_path), SetClock()).read().verified


def test_a_file_that_was_removed_is_absent(tmp_path: Path) -> None:
    """Somebody tidied up: what is known is what is on disk."""
    notes: NotesFile[ServerNotes] = NotesFile(f"{tmp_path}/x.json", ServerNotes())
    notes.write(ServerNotes(seen=1))
    (tmp_path / "x.json").unlink()
    assert ServerNotes() == notes.read()


def test_a_lock_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    """Also by two in one process, and also when the block raises."""
    path = f"{tmp_path}/not/yet/there.lock"
    ours, theirs = FileLock(path, timeout=0.05), FileLock(path, timeout=0.05)
    with ours.hold(), pytest.raises(LockTimeoutError, match=r"there\.lock is held"), theirs.hold():
        pytest.fail("both had it")
    with pytest.raises(KeyError), ours.hold():
        raise KeyError
    with theirs.hold():
        pass
