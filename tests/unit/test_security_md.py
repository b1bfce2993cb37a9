"""SECURITY.md says nothing without a test, and leaves no attack out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.lab.attacks import ATTACKS, SUCCEEDS

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
    for attack in ATTACKS:
        where = open_ if attack.id in SUCCEEDS["stable"] else holds
        assert re.search(rf"(\| |\(){attack.id}\b", where), attack.id
