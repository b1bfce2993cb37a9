"""What Python says of a script: real helpers, on every Python from 3.8 that this machine has."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from encodings.aliases import aliases
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.observe import jail
from reconciler.observe.source import SOURCE_LIMIT, Parser, Source

BINDS = Source(None, None, True)
DOES_NOT = Source(None, None, False)


def _pythons() -> list[str]:
    found = {sys.version_info[:2]: sys.executable}
    places = [Path("/usr/bin"), *Path("~/.pyenv/versions").expanduser().glob("*/bin")]
    for path in (path for place in places for path in place.glob("python3.*")):
        named = re.fullmatch(r"python3\.(\d+)", path.name)
        if named and 8 <= int(named[1]) <= 14:
            found.setdefault((3, int(named[1])), str(path))
    return [found[version] for version in sorted(found)]


@functools.cache
def _minor(python: str) -> int:
    code = "import sys; print(sys.version_info[1])"
    return int(subprocess.run([python, "-c", code], capture_output=True, check=True).stdout)


@pytest.fixture(scope="module", params=_pythons())
def python(request: pytest.FixtureRequest) -> str:
    """Each Python in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def parser(python: str) -> Iterator[Parser]:
    """A helper for the whole module: that it survives is part of what is tested."""
    parser = Parser(python)
    yield parser
    parser.close()


@pytest.fixture(scope="module")
def own() -> Iterator[Parser]:
    """A helper under the Python that runs the tests, for comparing with `compile` here."""
    parser = Parser(sys.executable)
    yield parser
    parser.close()


# --- which names are bound --------------------------------------------------------------------

DJANGO = """\
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_wsgi_application()
"""
MANY = "".join(f"a{n} = 1\n" for n in range(300))

BINDING = {
    "django": (8, DJANGO),
    "assignment": (8, "application = 1"),
    "chained": (8, "app = application = 1"),
    "tuple": (8, "(a, [b, *application]) = x"),
    "augmented": (8, "application += 1"),
    "annotated": (8, "application: object = 1"),
    "annotated twice": (8, "application: object\napplication = 1"),
    "in parentheses": (8, "(application): object = 1"),
    "for": (8, "for application in x: pass"),
    "with": (8, "with x as application: pass"),
    "import": (8, "import application"),
    "import dotted": (8, "import application.wsgi"),
    "import as": (8, "import mysite.wsgi as application"),
    "from import": (8, "from mysite.wsgi import application"),
    "from import as": (8, "from mysite.wsgi import app as application"),
    "def": (8, "def application(environ, start_response): return []"),
    "async def": (8, "async def application(): pass"),
    "class": (8, "class application: pass"),
    "walrus": (8, "print(application := 1)"),
    "walrus in a comprehension": (8, "[application := x for x in y]"),
    "walrus in nested ones": (8, "[[(application := x) for x in y] for y in z]"),
    "walrus in a generator": (8, "any((application := x) for x in y)"),
    "except as": (8, "try: pass\nexcept E as application: pass"),
    "global in a function": (8, "def f():\n global application\n application = 1"),
    "global deep down": (8, "class A:\n def f(s):\n  def g():\n   global application, b\n"
                            "   import application"),
    "global in a class": (8, "class A:\n global application\n application = 1"),
    "global at the top": (8, "global application\napplication = 1"),
    "global and walrus": (8, "def f():\n global application\n [application := x for x in y]"),
    "under if": (8, "if x:\n  try: pass\n  finally: application = 1"),
    "bound and deleted": (8, "application = 1\ndel application"),
    "compatible form": (8, "\uff41pplication = 1"),  # NFKC: Python reads it as `a`
    "the 300th name": (8, MANY + "application = 1"),
    "match capture": (10, "match x:\n case application: pass"),
    "match star": (10, "match x:\n case [*application]: pass"),
    "match rest": (10, "match x:\n case {**application}: pass"),
    "match as": (10, "match x:\n case [1 as application]: pass"),
    "except star": (11, "try: pass\nexcept* E as application: pass"),
    "type": (12, "type application = int"),
    "star": (8, "from mysite.wsgi import *"),
    "star over lines": (8, "try:\n from x import\\\n  *\nexcept E: pass"),
    "exec": (8, "exec(open('real.py').read())"),
    "exec by another name": (8, "def f():\n e = exec\n e(x)"),
    "eval": (8, "eval('(application := 1)')"),
    "globals": (8, "globals()['application'] = 1"),
    "locals": (8, "locals().update(x)"),
    "vars": (8, "vars()['application'] = 1"),
    "__dict__": (8, "import m\nm.__dict__.update(application=1)"),
    "sys.modules": (8, "import sys\nsetattr(sys.modules[__name__], 'application', 1)"),
}  # fmt: skip

NOT_BINDING = {
    "empty": (8, ""),
    "other name": (8, "app = 1"),
    "bare annotation": (8, "application: object"),
    "annotation in parentheses": (8, "(application): object"),
    "del": (8, "del application"),
    "del in a function": (8, "def f():\n global application\n del application"),
    "reference": (8, "print(application)"),
    "attribute": (8, "x.application = 1"),
    "attribute of it": (8, "application.x = 1"),
    "attribute of the 300th name": (8, MANY + "application.x = 1"),
    "item of it": (8, "application['x'] = 1"),
    "global alone": (8, "global application"),
    "global, only read": (8, "def f():\n global application\n return application"),
    "local": (8, "def f(): application = 1"),
    "local of a method": (8, "class A:\n def f(self): application = 1"),
    "parameter": (8, "def f(application): pass"),
    "lambda parameter": (8, "f = lambda application: application"),
    "class attribute": (8, "class A:\n application = 1"),
    "class attribute, and del": (8, "class A:\n application = 1\ndel application"),
    "nonlocal": (8, "def f():\n application = 1\n def g():\n  nonlocal application\n"
                    "  application = 2"),
    "comprehension variable": (8, "[application for application in x]"),
    "keyword": (8, "f(application=1)"),
    "string": (8, "'''application = 1\nfrom x import *\nexec()'''"),
    "comment": (8, "# application = 1, globals(), sys.modules, from x import *"),
    "import of another": (8, "from application import x"),
    "method called exec": (8, "cursor.exec(x)"),
    "never run": (8, "if 0:\n application = 1"),
    "product": (8, "import x\ny = x * 2"),
    "type parameter": (12, "def f[application](): pass"),
}  # fmt: skip


@pytest.mark.parametrize("name", BINDING)
def test_every_form_of_binding_counts(parser: Parser, python: str, name: str) -> None:
    """Whatever may leave an `application` in the module is taken for one."""
    since, text = BINDING[name]
    if _minor(python) < since:
        pytest.skip("newer syntax")
    assert BINDS == parser.examine(text.encode())


@pytest.mark.parametrize("name", NOT_BINDING)
def test_what_binds_nothing_does_not_count(parser: Parser, python: str, name: str) -> None:
    """A mention of the name, or a binding elsewhere, is no application."""
    since, text = NOT_BINDING[name]
    if _minor(python) < since:
        pytest.skip("newer syntax")
    assert DOES_NOT == parser.examine(text.encode())


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "application = 1",
                "del application",
                "application: int",
                "[application := x for x in (1, 2)]",
                "def f():\n global application\n application = 2",
                "f()",
                "class A: application = 3",
                "def f(): application = 4",
                "f = None",
                "globals()['application'] = 5",
                "try: 1 / 0\nexcept ZeroDivisionError as application: pass",
                "import sys as application",
                "from os import *",
            ]
        ),
        max_size=5,
    )
)
def test_nothing_that_has_an_application_is_refused(own: Parser, lines: list[str]) -> None:
    """Not vacuous: about half of these programs have one once they have run."""
    text = "\n".join(lines)
    names: dict[str, object] = {}
    try:
        exec(text, names)
    except Exception:
        return
    if "application" in names:
        assert BINDS == own.examine(text.encode())


# --- encodings --------------------------------------------------------------------------------

DECODES = {
    "plain": b"application = '\xc3\xa9'",
    "BOM": b"\xef\xbb\xbfapplication = 1",
    "BOM and cookie": b"\xef\xbb\xbf# coding: utf-8\napplication = 1",
    "emacs": b"# -*- coding: utf-8-unix -*-\napplication = '\xc3\xa9'",
    "vim": b"#!/usr/bin/python\n# vim: set fileencoding=latin-1 :\napplication = '\xe9'",
    "latin 1 in capitals": b"# CODING coding: ISO_8859_1\napplication = '\xe9'",
    "cp1252": b"# coding=windows-1252\napplication = '\x80'",
    "ascii": b"# coding: us-ascii\napplication = 1",
    "too late to count": b"\n\n# coding: rot13\napplication = 1",
    "after code": b"application = 1\n# coding: rot13",
    "in a string": b"application = ' # coding: rot13'",
    "CR": b"# x\rapplication = 1\r# coding: rot13",
    "CRLF and FF": b"\x0c# coding: latin-1\r\n\x0capplication = '\xe9'\r\n",
}

DOES_NOT_DECODE = {
    b"a = 1\nb = '\xe9'": "line 2 has byte 0xe9, not UTF-8",
    b"a\r\nb\rc = '\xff": "line 3 has byte 0xff, not UTF-8",
    b"'\xed\xa0\x80'": "line 1 has byte 0xed, not UTF-8",
    b"#!\n# coding: ascii\n'\xc3\xa9'": "line 3 has byte 0xc3, not ASCII, which line 2 declares",
    b"# coding: cp1252\n'\x81'": "line 2 has byte 0x81, not cp1252, which line 1 declares",
    b"\xef\xbb\xbf# coding: latin-1": "line 1 declares Latin-1, but the mark is of UTF-8",
    b"\xff\xfea\0": "line 1 has byte 0xff, not UTF-8",
}


@pytest.mark.parametrize("name", DECODES)
def test_utf8_and_the_declared_three_decode(parser: Parser, name: str) -> None:
    """UTF-8, and what PEP 263 lets one declare of ASCII, Latin-1 and cp1252."""
    assert BINDS == parser.examine(DECODES[name])


@pytest.mark.parametrize("data", DOES_NOT_DECODE)
def test_bytes_that_do_not_decode_name_their_line(parser: Parser, data: bytes) -> None:
    """The line is what a student needs; CR, LF and CRLF all end one."""
    assert Source(DOES_NOT_DECODE[data], None, False) == parser.examine(data)


@pytest.mark.parametrize(
    "name", ["rot13", "utf-7", "unicode_escape", "utf-16", "hex", "nonsense", "../../x", "a" * 900]
)
def test_any_other_declared_encoding_is_refused(parser: Parser, name: str) -> None:
    """rot13 and unicode_escape would hide the text from everybody who reads it."""
    fact = parser.examine(f"# coding: {name}\napplication = 1".encode())
    assert fact.encoding is not None
    assert fact.encoding.startswith("line 1 declares the encoding ")
    assert len(fact.encoding) <= 200


def test_all_aliases_of_the_four_work_inside_the_jail(own: Parser) -> None:
    """None needs a file: all that decoding takes was imported before."""
    names = [name for name, codec in aliases.items() if codec in jail.CODECS]
    assert len(names) > 30
    for name in names:
        assert (name, BINDS) == (name, own.examine(f"# coding: {name}\napplication=1".encode()))


# --- syntax -----------------------------------------------------------------------------------

REFUSED = {
    b"x = 1\nreturn x": 2,
    b"def f():\n  await x": 2,
    b"a\n\n)": 3,
    b"if x:\ny": 2,
    b"a\r\nb\rc d": 3,
    b"break": 1,
    b"print 'python 2'": 1,
    b"from __future__ import nothing_such": 1,
    b"a\nb\0": 2,
    b"x\n'\\N{NO SUCH NAME}'": 2,
    b"application = 1\n\xc3\xa9 = \xe2\x80\x9cx\xe2\x80\x9d": 2,
}


@pytest.mark.parametrize("data", REFUSED)
def test_what_python_refuses_names_its_line(parser: Parser, data: bytes) -> None:
    """All that compile() finds, so also a `return` outside a function."""
    fact = parser.examine(data)
    assert (None, False) == (fact.encoding, fact.binds_application)
    assert fact.syntax is not None
    assert REFUSED[data] == fact.syntax[0]


@pytest.mark.parametrize(
    "text",
    ["'\\N{EN DASH}'", "\u00e9\u00df = 1", "f'{x!r:>{w}}'", "'\\d'", "1 is 1"],
)
def test_what_makes_python_import_or_warn_compiles(parser: Parser, text: str) -> None:
    """What compile() imports was imported before the jail shut, and warnings are silent."""
    assert BINDS == parser.examine(f"{text}\napplication = 1".encode())


def test_a_message_is_printable_and_short(parser: Parser) -> None:
    """A student's own name for things must not colour a terminal, or fill a log."""
    for data in (b"\x1b[31m", b"global " + b"a" * 60000 + b"\n" + b"a" * 9, "\u202e = 1".encode()):
        fact = parser.examine(b"def f():\n x = 1\n global x\n" + data)
        assert fact.syntax is not None
        assert fact.syntax[1].isprintable()
        assert len(fact.syntax[1]) <= 200


HOSTILE = {
    "parentheses": b"(" * SOURCE_LIMIT,
    "closed parentheses": b"(" * 30000 + b")" * 30000,
    "minus": b"-" * (SOURCE_LIMIT - 1) + b"1",
    "not": b"not " * 16000 + b"1",
    "lambdas": b"lambda:" * 9000 + b"1",
    "f-strings": b'f"{' * 20000,
    "attributes": b"a" + b".a" * 32000,
    "calls": b"a(" * 20000,
    "sums": b"a" + b"+a" * 32000,
    "ifs": b"a if b else " * 5000 + b"a",
    "elifs": b"if a:0\n" + b"elif a:0\n" * 7000,
    "indents": b"".join(b" " * depth + b"if 1:\n" for depth in range(300)),
    "one name": b"a" * SOURCE_LIMIT,
    "digits": b"x=" + b"9" * 60000,
    "hex digits": b"x=0x" + b"f" * 60000,
    "nulls": b"\0" * SOURCE_LIMIT,
    "newlines": b"\n" * SOURCE_LIMIT,
    "keywords": b"f(" + b",".join(b"a%x=1" % n for n in range(8000)) + b")",
    "power": b"x = 9**9**9**9",
    "shift": b"x = 1 << 10**10",
    "repeat": b"x = 'a' * 10**10 + ((1,) * 10**9) * 10**9",
    "format": b"x = '%*d' % (10**9, 1); y = '{:9999999999}'.format(1)",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_costs_little_and_the_next_home_nothing(parser: Parser, name: str) -> None:
    """Deep, long or huge when folded: an answer in bounded time, and the right one afterwards."""
    began = time.monotonic()
    fact = parser.examine(HOSTILE[name])
    assert time.monotonic() - began < 10
    assert not fact.binds_application
    assert BINDS == parser.examine(DJANGO.encode())


SNIPPETS = st.sampled_from(
    ["application", " = ", "1", "\n", " ", "(", ")", ":", "if ", "def f", "lambda", "'", '"', "\\",
     "# coding: ", "latin-1", "utf-8", "\r", "\x0c", "\0", "é", "\ufeff", "return", "import ", "*",
     "f'{", "}", "\t", "class ", "async ", "0x", "del ", "del application", "[", "]", ","]
)  # fmt: skip


def _line_here(source: bytes) -> int | None:
    """The line that this Python refuses, None where it compiles."""
    try:
        compile(source, "wsgi.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, MemoryError, RecursionError):
        return 1
    return None


def _is_utf8(source: bytes) -> bool:
    try:
        source.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.binary(max_size=60),
        st.lists(SNIPPETS, max_size=20).map(lambda parts: "".join(parts).encode()),
    )
)
def test_examine_never_raises_and_agrees_with_this_python(own: Parser, source: bytes) -> None:
    """Whatever the bytes: accepted exactly where compile() accepts them, with its line."""
    fact = own.examine(source)
    line = _line_here(source)
    if fact.encoding is not None:
        assert fact.encoding.isprintable()
        # Stricter than this Python in two ways: few encodings, and none broken in a comment
        # (which `python wsgi.py` refuses, and compile() before 3.12 does not).
        assert line is not None or re.search(rb"coding[:=]", source) or not _is_utf8(source)
    elif line is None:
        assert fact.syntax is None
    else:
        assert fact.syntax is not None
        if b"\0" not in source:
            assert line == fact.syntax[0]


@pytest.mark.parametrize(
    "path", sorted(Path(os.__file__).parent.glob("*.py"))[::6], ids=lambda path: path.name
)
def test_the_standard_library_parses(own: Parser, path: Path) -> None:
    """Real code, also where it is large."""
    source = path.read_bytes()
    if len(source) <= SOURCE_LIMIT:
        assert own.examine(source).syntax is None


def test_a_source_over_the_limit_is_a_mistake_of_the_caller(own: Parser) -> None:
    """The reader of homes bounds it; the helper's frame does too."""
    with pytest.raises(ValueError, match="65537"):
        own.examine(b"a" * (SOURCE_LIMIT + 1))
