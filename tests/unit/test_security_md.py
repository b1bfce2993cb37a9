"""SECURITY.md says nothing without a test, and leaves no attack out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.lab.attacks import ATTACKS, SUCCEEDS
from tests.lab.attacks_further import FURTHER

REPO = Path(__file__).resolve().parents[2]
TEXT = (REPO / "SECURITY.md").read_text()


def test_every_test_it_names_exists() -> None:
    """A test that is renamed or removed takes what it showed along."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) > 15
    for file, name in named:
        tree = ast.parse((REPO / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, file


def test_it_tells_of_every_attack_on_its_own_side() -> None:
    """Those that succeed stand under what does not hold, the others under what does."""
    open_, holds = TEXT.split("## What holds")
    for attack in (*ATTACKS, *FURTHER):
        where = open_ if attack.id in SUCCEEDS["stable"] else holds
        assert re.search(rf"(\| |\(){attack.id}\b", where), attack.id


def test_its_table_says_of_each_template_set_what_the_tests_assert() -> None:
    """Each attack is in one row, which says for each set whether it holds."""
    said = {}
    for cells, *holds in re.findall(
        r"^\| (.*\)) \| ([a-z ]+) \| ([a-z ]+) \|$", TEXT, re.MULTILINE
    ):
        for first, last in re.findall(r"A(\d+)(?: to A(\d+))?", cells[cells.rindex("(") :]):
            for number in range(int(first), int(last or first) + 1):
                assert f"A{number}" not in said
                said[f"A{number}"] = holds
    words = ("holds", "does not hold")
    assert said == {
        attack.id: [words[attack.id in SUCCEEDS[kind]] for kind in ("stable", "isolated")]
        for attack in (*ATTACKS, *FURTHER)
    }
