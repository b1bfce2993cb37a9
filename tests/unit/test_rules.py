"""The table of rejections: complete, in words that print, with commands that a shell takes."""

from __future__ import annotations

import shutil
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.decide.rules import GONE, MISSING, RULES, printable, quoted, reject
from reconciler.model import News, Rejection

CODES = [
    "no-account", "system-account", "home-mismatch", "url-name", "unsafe-name", "symlink",
    "not-regular", "hard-link", "wrong-owner", "writable-by-others", "too-large", "encoding",
    "syntax-error", "no-application", "virtualenv", "superseded", "disabled", "quarantined",
    "unreadable", "over-budget", "unreachable", "static-unreachable",
]  # fmt: skip
UNSAFE = set(CODES[:10])
MENDS = [mend for rule in RULES.values() for mend in (rule, rule.home) if mend is not None]
VALUES = {
    name: f"a_{name}"
    for text in [
        *(rule.message for rule in RULES.values()),
        *(text for mend in MENDS for text in (mend.advice, mend.command)),
    ]
    for _, name, _, _ in string.Formatter().parse(text)
    if name and name != "show"
} | {"show": "cat -n", "open": "chmod o+x ~ && ", "aside": "", "fresh": "~/x"}
COMMANDS = [code for code, rule in RULES.items() if rule.command]
BYTES = st.binary(min_size=1, max_size=12).filter(lambda name: not {0, ord("/")} & set(name))


def test_the_table_has_the_contracts_codes() -> None:
    """Section 7 of the design, no more and no fewer; names, links, owners and modes are unsafe."""
    assert sorted(CODES) == sorted(RULES)
    assert {code for code, rule in RULES.items() if rule.news is News.UNSAFE} == UNSAFE


@pytest.mark.parametrize("code", CODES)
def test_a_row_says_what_is_wrong_and_how_to_mend_it(code: str) -> None:
    """Both are filled in, without a hole left; what the text is about is in the message."""
    told = reject(code, **(VALUES | {"path": "~/mysite/mysite/wsgi.py"}))
    assert code == told.code
    assert told.message
    assert told.fix
    assert "{" not in told.message + told.fix


@pytest.mark.parametrize("code", COMMANDS)
def test_a_command_is_one_that_a_shell_can_read(code: str) -> None:
    """A student's or the administrator's; with odd names too."""
    for path in ("~", "~/mysite/mysite/wsgi.py", '~/it\'s a "$(x)"/\x1b/`\\`'):
        command = reject(code, **(VALUES | {"path": path})).command
        done = subprocess.run(["bash", "-nc", command], capture_output=True, text=True, check=False)
        assert ("", 0) == (done.stderr, done.returncode), command


@pytest.mark.parametrize("code", COMMANDS)
def test_a_command_begins_with_a_program(code: str) -> None:
    """Words that a shell happens to take are none: each part of it names a program."""
    command = reject(code, **(VALUES | {"path": "~/x", "version": "3"})).command
    for part in command.split(" && "):
        program = part.split()[0]
        assert program.startswith("~/x/bin/") or shutil.which(program), part


def test_words_have_no_command_in_quotes() -> None:
    """Who reads `so` pastes it: what can be pasted is the command, and nothing else is."""
    for told in [*MENDS, MISSING, GONE]:
        assert "`" not in told.advice + told.command


@pytest.mark.parametrize(
    ("advice", "command", "fix"),
    [("a", "", "a"), ("", "b", "b"), ("a", "b", "a: b")],
)
def test_a_fix_is_the_advice_and_the_command(advice: str, command: str, fix: str) -> None:
    """One text for the status and the log."""
    assert fix == Rejection("x", "y", News.SOFT, advice, command).fix


@pytest.mark.parametrize("code", ["symlink", "wrong-owner", "not-regular"])
def test_what_is_the_homes_own_fault_is_the_administrators_to_mend(code: str) -> None:
    """A student cannot rename or chown their home, so its cause lies above it."""
    home, below = (reject(code, **(VALUES | {"path": path})) for path in ("~", "~/x"))
    assert home.advice.startswith("ask the administrator")
    assert (True, False) == (home.above, below.above)
    assert ("", True) == (below.advice, bool(below.command))


def test_a_mode_of_the_home_is_its_owners_to_mend() -> None:
    """They can change that."""
    home = reject("writable-by-others", path="~", mode="0777", who="all", change="go-w")
    assert "chmod go-w -- ~" == home.fix
    assert not home.above


def test_causes_above_the_home_are_those_of_the_account() -> None:
    """The database, and the names that it gives: no student brings these about."""
    above = {code for code in RULES if reject(code, **(VALUES | {"path": "~/x"})).above}
    assert {"no-account", "system-account", "home-mismatch", "url-name"} == above


def test_a_way_to_be_opened_is_named_from_the_home_down() -> None:
    """Apache needs x on every directory on the way, with a home of 0700 and a umask of 077."""
    fix = reject("unreachable", path="~/my/site/wsgi.py", user="www-data").fix
    assert "chmod o+x ~ ~/my ~/my/site && chmod o+r -- ~/my/site/wsgi.py" == fix


@given(st.lists(BYTES, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_quoted_path_is_that_path_to_the_shell(parts: list[bytes]) -> None:
    """Whatever bytes a name has, bash makes one word of it, below the home that it expands."""
    path = b"/".join(parts)
    word = quoted("~/" + path.decode("utf-8", "surrogateescape"))
    assert word.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {word}"],
        env={"HOME": "/h", "LC_ALL": "C"},
        capture_output=True,
        check=True,
    )
    assert b"/h/" + path + b"\0" == done.stdout


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("~", "~"),
        ("~/a", "~/a"),
        ("~/a b", "~/'a b'"),
        ("~a", "'~a'"),
        ("/srv/a b", "'/srv/a b'"),
        ("/srv/~/a", "'/srv/~/a'"),
        ("~/aX !~b\n", "~/$'aX !~b\\x0a'"),
        ("/a\x7f'\\é", "$'/a\\x7f\\x27\\x5c\\xc3\\xa9'"),
        ("~/\udcff", "~/$'\\xff'"),
    ],
)
def test_how_a_path_is_quoted(path: str, word: str) -> None:
    """The home stays bare, what prints is between quotes, and only what does not is a number."""
    assert word == quoted(path)


@given(st.text(st.characters(codec=None)))
def test_what_is_printable_prints_and_is_told_apart(text: str) -> None:
    """Nothing that moves a cursor, ends a line or turns the direction of writing is left."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode() or not text
    if text.isprintable():
        assert text == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b", "\\x9b"),
        ("\u202egnp", "\\u202egnp"),
        ("\u2028", "\\u2028"),
        ("caf\udce9", "caf\\udce9"),
        ("Müller", "Müller"),
    ],
)
def test_what_does_not_print_is_given_as_its_number(text: str, shown: str) -> None:
    """A person sees what is odd about a name."""
    assert shown == printable(text)


def test_every_code_has_a_test_that_makes_it_in_a_real_home() -> None:
    """The boxes' tables and this one do not drift apart."""
    boxes = Path(__file__).parents[1] / "box"
    text = "".join(path.read_text() for path in boxes.glob("test_*.py"))
    assert [] == [code for code in CODES if f'"{code}"' not in text]
