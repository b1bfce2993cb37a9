"""The table of everyday mistakes: as long as it is to be, sound, and the same as its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.decide.ailments import CODES
from reconciler.decide.rules import RULES
from tests.box.mistakes import MISTAKES, Mistake
from tests.box.mistakes.__main__ import page

DOCS = Path(__file__).parents[2] / "docs"


def test_there_are_forty_at_least_each_of_its_own_name() -> None:
    """Forty is what was asked for; an account is named after each."""
    assert len(MISTAKES) >= 40
    assert len(MISTAKES) == len({mistake.name for mistake in MISTAKES})
    assert not [mistake.name for mistake in MISTAKES if len(mistake.name) > 32]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_breaks_something_and_says_where_it_was_found(mistake: Mistake) -> None:
    """Its edits fit the good project, its code is one that is told, its source has a title."""
    assert mistake.broken or mistake.spoil or mistake.spoil_as_root
    good = {path: text.encode() for path, text in mistake.project.files.items()}
    assert not [path for path, text in mistake.files().items() if text == good.get(path)]
    assert mistake.place() or mistake.words
    assert mistake.code in CODES | RULES.keys()
    assert mistake.source
    assert "http" not in mistake.source


def test_the_page_is_the_table() -> None:
    """`python -m tests.box.mistakes > docs/mistakes.md` was run after the last change of it."""
    assert page() == (DOCS / "mistakes.md").read_text()
