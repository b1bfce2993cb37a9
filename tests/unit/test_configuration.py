"""The generated text: equal inputs give equal bytes, and what is on disk can be read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.publish.configuration import (
    BLANK_DIGEST,
    FILES,
    Configuration,
    Stanza,
    digest_of,
    parse,
)
from reconciler.publish.render import _quote

NAMES = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}\Z")
LINES = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20).filter(
        lambda line: not line.startswith("#=")
    ),
    max_size=3,
).map(lambda lines: "".join(f"{line}\n" for line in lines))
HEADS = st.tuples(LINES, LINES, LINES).map(
    lambda heads: tuple(f"{head}Alias /m-{BLANK_DIGEST} /x\n" for head in heads)
)
IDS = st.none() | st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
STANZA = st.builds(Stanza, IDS, st.tuples(LINES, LINES, LINES).filter(any))
STANZAS = st.dictionaries(NAMES, STANZA, max_size=5)


@given(HEADS, STANZAS)
def test_what_is_written_can_be_read_again(
    head: tuple[str, ...], stanzas: dict[str, Stanza]
) -> None:
    """`parse` is the inverse of `files`: stanzas, head, digest and bytes."""
    written = Configuration(head, stanzas)
    read = parse(written.files)
    assert stanzas == read.stanzas
    assert written.files == read.files
    assert written.digest == read.digest
    assert all(f"/m-{written.digest} ".encode() in text for text in written.files.values())


@given(HEADS, STANZAS, st.randoms())
def test_the_order_of_accounts_changes_no_byte(
    head: tuple[str, ...], stanzas: dict[str, Stanza], chance: object
) -> None:
    """However they were found, they are written in one order."""
    items = list(stanzas.items())
    chance.shuffle(items)  # type: ignore[attr-defined]
    assert Configuration(head, stanzas).files == Configuration(head, dict(items)).files


@given(HEADS, STANZAS, NAMES, LINES.filter(bool))
def test_a_stanza_changes_the_digest_and_no_other_stanza(
    head: tuple[str, ...], stanzas: dict[str, Stanza], name: str, text: str
) -> None:
    """Another account is other bytes, under another digest; without it they are as before."""
    before = Configuration(head, {key: said for key, said in stanzas.items() if key != name})
    after = Configuration(head, before.stanzas | {name: Stanza((1, 1), (text, "", ""))})
    assert before.digest != after.digest
    assert before.files == after.only(before.stanzas).files
    lost = [
        line
        for file in FILES
        for line in before.files[file].replace(before.digest.encode(), b"").splitlines()
        if line not in after.files[file].replace(after.digest.encode(), b"").splitlines()
    ]
    assert [] == lost


@given(HEADS, NAMES, STANZA, IDS)
def test_an_account_made_anew_is_other_bytes(
    head: tuple[str, ...], name: str, stanza: Stanza, ids: tuple[int, int] | None
) -> None:
    """Apache resolves names at its start: another uid or gid is another configuration."""
    anew = Stanza(ids, stanza.texts)
    before, after = Configuration(head, {name: stanza}), Configuration(head, {name: anew})
    assert (ids == stanza.ids) == (before.files == after.files)
    assert (ids == stanza.ids) == (before.digest == after.digest)
    assert (ids == stanza.ids) == (digest_of(stanza) == digest_of(anew))


def test_what_was_written_before_uids_were_is_read_and_is_other_bytes() -> None:
    """After an upgrade it can be put back, under its own digest, and what is wanted is not it."""
    old = b"# digest " + b"0" * 32 + b"\nAlias /m /x\n#= alice =#\nWSGI\n#= bob =#\nWSGI\n"
    read = parse(dict.fromkeys(FILES, old))
    assert {name: Stanza(None, ("WSGI\n",) * 3) for name in ("alice", "bob")} == read.stanzas
    assert old[41:] == read.files["server.conf"][41:]
    anew = {"alice": Stanza((1, 2), read.stanzas["alice"].texts)}
    assert b"#= alice 1:2 =#\n" in Configuration(read.head, anew).files["server.conf"]


@pytest.mark.parametrize(
    "hostile",
    [
        'x" user=backup home="/tmp',
        "x\nListen 8081",
        "x\r",
        "ends in a backslash\\",
        "a\\b",
        "${HOME}",
        "%{HTTP_HOST}",
        "nul\0",
        "esc\x1b",
        "del\x7f",
        "nel\x85",
        "line\u2028separator",
        "right\u202eto left",
        "\udcff",
        "x\n",
    ],
)
def test_what_could_leave_its_quotes_is_refused(hostile: str) -> None:
    """Each of these passed a config test, or would begin something of Apache's own."""
    with pytest.raises(ValueError, match="cannot stand in a configuration"):
        _quote(hostile)


@given(st.text())
def test_what_is_quoted_is_one_word_on_one_line(text: str) -> None:
    """Whatever is let through has no way out of its quotes."""
    try:
        quoted = _quote(text)
    except ValueError:
        return
    assert f'"{text}"' == quoted
    assert 1 == len(quoted.splitlines())
    assert '"' not in text
    assert "\\" not in text


def test_ordinary_paths_are_quoted() -> None:
    """What the allow-lists let through is not refused."""
    assert '"/home/slp/alice/my-site/app_1/wsgi.py"' == _quote(
        "/home/slp/alice/my-site/app_1/wsgi.py"
    )
    assert '"Müller & co"' == _quote("Müller & co")
