"""Generations on a real disk: whole or absent, numbered upwards, and one of them current."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.publish.generations import Generations
from tests.unit.servers import configuration

ONE, TWO = configuration("alice"), configuration("alice", "bob")


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    found = Generations(str(tmp_path))
    found.prepare()
    return found


def test_there_are_none_before_the_first(tmp_path: Path) -> None:
    """Not even a directory."""
    found = Generations(str(tmp_path))
    assert ([], None, None) == (found.find(), found.current(), found.digest(None))


def test_what_is_written_is_read_by_another_process(
    generations: Generations, tmp_path: Path
) -> None:
    """To the byte, with a line that names it; `current` stays where it was."""
    assert 1 == generations.create(ONE)
    assert None is generations.current()
    other = Generations(str(tmp_path))
    assert ONE.files == other.read(1).files  # type: ignore[union-attr]
    assert ONE.digest == other.digest(1)
    line = (tmp_path / "generations/1/generation").read_text()
    assert f"1 {ONE.digest}\n" == line


def test_the_current_one_need_not_be_the_latest(generations: Generations) -> None:
    """One that was refused is later; the next number is beyond both."""
    for wanted in (ONE, TWO):
        generations.switch(generations.create(wanted))
    generations.switch(1)
    assert (1, [1, 2]) == (generations.current(), generations.find())
    assert 3 == generations.create(TWO, durable=False)
    generations.switch(None)
    generations.switch(None)
    assert None is generations.current()


def test_a_number_is_not_given_twice_while_current_names_it(generations: Generations) -> None:
    """Somebody removed the directory that `current` points to."""
    generations.switch(generations.create(ONE))
    generations.discard(1)
    assert 2 == generations.create(ONE)


@pytest.mark.parametrize("damage", ["absent", "changed", "more"])
def test_what_is_not_as_it_was_written_is_none(
    generations: Generations, tmp_path: Path, damage: str
) -> None:
    """A file that is gone, a line changed by hand, a line more: it is not gone back to."""
    generations.create(ONE)
    path = tmp_path / "generations/1/django.conf"
    if damage == "absent":
        path.unlink()
    elif damage == "changed":
        (tmp_path / "generations/1/server.conf").write_text("# by hand\n")
    else:
        path.write_text(path.read_text() + "# digest " + "0" * 32 + "\n")
    found = Generations(str(tmp_path)).read(1)
    assert found is None or found.digest != ONE.digest


def test_a_digest_is_read_once(generations: Generations, tmp_path: Path) -> None:
    """And not of a number that was discarded."""
    generations.create(ONE)
    (tmp_path / "generations/1/django.conf").unlink()
    assert ONE.digest == generations.digest(1)
    assert None is Generations(str(tmp_path)).digest(1)
    generations.discard(1)
    assert None is generations.digest(1)


def test_what_a_crash_left_is_in_nobodys_way(generations: Generations, tmp_path: Path) -> None:
    """A half-written generation is written anew; links and notes half-way are removed."""
    half = tmp_path / "generations/.1.new"
    half.mkdir()
    (half / "django.conf").write_text("half")
    assert [] == generations.find()
    assert 1 == generations.create(ONE)
    (tmp_path / "generations/.9.new").mkdir()
    for name in (".current.x.new", ".server.json.x.new", ".status.json.x.new"):
        (tmp_path / name).write_text("")
    generations.prune(keep=1, spare=frozenset())
    assert ["1"] == os.listdir(tmp_path / "generations")
    left = {name for name in os.listdir(tmp_path) if name.endswith(".new")}
    assert {".status.json.x.new"} == left, "what looks are writing is theirs"


def test_the_last_ones_the_current_and_the_spared_are_kept(generations: Generations) -> None:
    """Everything else goes."""
    for _ in range(6):
        generations.create(ONE)
    generations.switch(2)
    generations.prune(keep=2, spare=frozenset({1}))
    assert [1, 2, 5, 6] == generations.find()
