"""What the runner makes of an exception: those whose text alone does not say what it is about."""

from __future__ import annotations

import logging.config
from pathlib import Path

import pytest

from reconciler.run import faults


def fault(home: Path, text: bytes, name: str = "words.py") -> faults.Fault:
    """Return what is told of a file of the student's that is imported."""
    path = home / name
    path.write_bytes(text)
    try:
        exec(compile(text, str(path), "exec"), {"logging": logging})
    except BaseException as error:
        return faults.of(error, str(home))
    raise AssertionError("it did not fail")


def test_a_log_in_a_folder_that_is_not_there_is_a_missing_file(tmp_path: Path) -> None:
    """`logging` raises a ValueError that names the handler; its cause names the file."""
    handler = {"class": "logging.FileHandler", "filename": str(tmp_path / "logs/my.log")}
    found = fault(
        tmp_path,
        f"logging.config.dictConfig({{'version': 1, 'handlers': {{'file': {handler}}}}})".encode(),
    )
    assert ("missing-file", "logs/my.log") == (found.code, found.name)
    assert "words.py:1" == found.where


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"WORDS = 'caf\xe9'\n", "encoding"),
        (b"# -*- coding: latin-3000 -*-\nWORDS = ''\n", "syntax-error"),
        (b"WHERE = 'C:\\Users\\me'\n", "syntax-error"),  # \U is an escape: nobody saved it wrongly
    ],
)
def test_a_file_that_was_not_saved_as_utf_8_is_told_apart(
    tmp_path: Path, text: bytes, code: str
) -> None:
    """Python calls each of them a SyntaxError; the mend of the first is in the editor's menu."""
    assert code == fault(tmp_path, text).code


def test_a_database_whose_folder_is_not_there_is_not_called_read_only(tmp_path: Path) -> None:
    """`chmod` would not help: its directory is to be made."""
    found = fault(
        tmp_path,
        f"import sqlite3\nsqlite3.connect({str(tmp_path / 'data/db.sqlite3')!r})\n".encode(),
    )
    assert ("database", "words.py:2") == (found.code, found.where)
