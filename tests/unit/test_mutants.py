"""What `make mutants` makes of what mutmut found: a survivor is a question."""

from __future__ import annotations

import pytest

from tests.mutants import (
    ROOT,
    SUITES,
    TARGETS,
    Found,
    Mutant,
    Reason,
    chosen,
    lines_of,
    reasons,
    report,
    suites,
)

MUTANT = Mutant("decide/plan.py", "counts", "a < b", "a <= b")
REASON = Reason(*MUTANT, reason="they are never equal")


@pytest.mark.parametrize(
    ("survivors", "given", "status", "words"),
    [
        ([], [], 0, "3 mutants, 3 killed\n"),
        ([MUTANT], [REASON], 0, "3 mutants, 2 killed, 1 with a reason\n"),
        ([MUTANT], [], 1, "decide/plan.py, counts: survived\n    - a < b\n    + a <= b\n"),
        ([], [REASON], 1, "has a reason for it, and it does not survive"),
        ([MUTANT._replace(function="other")], [REASON], 1, "other: survived"),
    ],
)
def test_a_survivor_without_a_reason_is_an_error_and_so_is_a_reason_without_one(
    survivors: list[Mutant],
    given: list[Reason],
    status: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither is passed over; each is shown as a diff, with its file and function."""
    found = Found(3, [(mutant, "survived") for mutant in survivors])
    assert status == report({"decide/plan.py": found}, given)
    assert words in capsys.readouterr().out


def test_reasons_of_files_that_were_not_tried_wait() -> None:
    """One file can be tried by itself; a reason for a file that is gone is an error."""
    assert 0 == report({"decide/roster.py": Found(1, [])}, [REASON])
    assert 1 == report({}, [Reason("no/such.py", "f", "a", "b", "c")])


def test_the_lines_of_a_diff() -> None:
    """Without their signs and indentation; its head is none of them."""
    diff = (
        "--- a.py\n+++ a.py\n@@ -1,4 +1,4 @@\n def f():\n-    a = (\n-        1)\n+    a = None\n x"
    )
    assert ("a = (\n1)", "a = None") == lines_of(diff)


def test_a_directory_stands_for_its_files_and_what_runs_elsewhere_is_left_out() -> None:
    """The parser's own process is not changed by what is changed in this one."""
    assert "decide/plan.py" in chosen(["decide"])
    assert ["decide/plan.py"] == chosen(["decide/plan.py", "decide/plan.py"])
    assert {"decide/__init__.py", "observe/jail.py"}.isdisjoint(chosen(["decide", "observe"]))
    with pytest.raises(SystemExit, match="there is no reconciler"):
        chosen(["decide/none.py"])


def test_each_file_has_one_suite_of_tests_that_are_there() -> None:
    """A new file must be given one; of a suite, only what was chosen is changed."""
    files = chosen(list(TARGETS))
    assert files == sorted(file for suite in SUITES for file in suite.files)
    for suite in SUITES:
        for name in suite.tests:
            assert (ROOT / f"tests/unit/test_{name}.py").exists()
            assert not name.endswith("_random")
    (suite,) = suites(["observe/survey.py"])
    assert ("observe/survey.py",) == suite.files
    with pytest.raises(SystemExit, match="no suite of tests for new"):
        suites(["new.py", "schedule.py"])


def test_each_reason_is_a_sentence_for_a_file_that_is_there() -> None:
    """The file of reasons can be read, and says something."""
    for reason in reasons():
        assert chosen([reason.file])
        assert reason.reason
        assert reason.was != reason.now
