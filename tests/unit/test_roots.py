"""What settings say of static and uploaded files: as people write them, on every Python."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.observe.roots import LONGEST, NAMES, Expression, Module, roots
from reconciler.observe.source import Parser, Roots, settings_request
from tests.unit.test_source import _pythons

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = "shop/shop/settings.py"
PATHLIB = "from pathlib import Path\nBASE_DIR = Path(__file__).resolve().parent.parent\n"
OS_PATH = (
    "import os\nBASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))\n"
    "from os.path import dirname, join\n"
)
USUAL = {
    PATHLIB: [
        'BASE_DIR / "public"',
        'BASE_DIR / Path("public")',
        'BASE_DIR.joinpath("public")',
        'str(BASE_DIR / "public")',
        'os.path.join(BASE_DIR, "public")',
        'os.path.join(str(BASE_DIR), "public/")',
        'Path(BASE_DIR, "public")',
        'Path(BASE_DIR).joinpath("public").as_posix()',
        'Path(__file__).resolve(strict=True).parents[1] / "public"',
        'Path(__file__).absolute().parent.parent / "public"',
        'BASE_DIR.parent / "shop" / "public"',
        'Path.home() / "shop" / "public"',
        'f"{BASE_DIR}/public"',
        '"%s/public" % BASE_DIR',
        'str(BASE_DIR) + "/public"',
        'os.environ.get("STATIC_ROOT", BASE_DIR / "public")',
        'os.getenv("STATIC_ROOT", default=BASE_DIR / "public")',
        'env("STATIC_ROOT", default=str(BASE_DIR / "public"))',
        'env.str("STATIC_ROOT", default=str(BASE_DIR / "public"))',
        'config("STATIC_ROOT", default=str(BASE_DIR / "public"), cast=str)',
        'os.environ.get("STATIC_ROOT") or BASE_DIR / "public"',
        'BASE_DIR / "public" if not False else BASE_DIR / "other"',
    ],
    OS_PATH: [
        'os.path.join(BASE_DIR, "public")',
        'join(BASE_DIR, "public")',
        'BASE_DIR + "/public"',
        'os.path.normpath(os.path.join(BASE_DIR, "..", "shop", "public"))',
        'os.path.realpath(os.path.join(BASE_DIR, "./public"))',
        'os.path.expanduser("~/shop/public")',
        'join(dirname(dirname(__file__)), "public")',
        'os.path.join(os.path.dirname(BASE_DIR), "shop/public")',
    ],
}
UNKNOWN = [
    "open('x').read()", "BASE_DIR / name", "None", "5", "b'x'", "[]", "BASE_DIR.parents[9]", "x()",
    "BASE_DIR.parent.parent.parent.parent", "f'{BASE_DIR!r:>3}'", "'%s%s' % (1, 2)", "lambda: 1",
    "os.environ['ROOT']", "(yield)", "'x' * 10 ** 9", "'' .join(['a'])", "BASE_DIR - 1", "-1",
    "BASE_DIR[0]", "BASE_DIR.name", "os.path.join()", "Path()", "env('X')", "1 if x else 2",
]  # fmt: skip


@pytest.fixture(params=_pythons(), ids=os.path.basename, scope="module")
def parser(request: pytest.FixtureRequest) -> Iterator[Parser]:
    """A helper under each Python that is installed."""
    made = Parser(request.param)
    yield made
    made.close()


def said(text: str, *more: tuple[str, str], path: str = HERE) -> Roots:
    """Return what this Python says."""
    files = [(path, text.encode()), *((where, other.encode()) for where, other in more)]
    return Roots(*roots(files))


@pytest.mark.parametrize("start", [PATHLIB, OS_PATH], ids=["pathlib", "os.path"])
def test_the_usual_expressions_are_understood_by_every_python(parser: Parser, start: str) -> None:
    """As the generators, the manuals and their readers write them."""
    for text in USUAL[start]:
        for ending in ("\n", "\r\n"):
            told = f"{start}STATIC_ROOT = {text}\nMEDIA_URL: str = '/up/'\n"
            data = told.replace("\n", ending).encode()
            found = parser.roots(settings_request([(HERE, data)]))
            assert Roots("/~/shop/public", None, None, "/up/") == found, text


def test_all_else_is_told_as_not_understood(parser: Parser) -> None:
    """And never as what it is not."""
    for text in UNKNOWN:
        found = parser.roots(settings_request([(HERE, f"{PATHLIB}MEDIA_ROOT = {text}".encode())]))
        assert Roots(media_root="") == found, text


def test_a_settings_package_is_followed(parser: Parser) -> None:
    """What it imports of itself by a star or by name; what stands later counts."""
    base = "BASE = '/srv'\nSTATIC_URL = 'a/'\nSTATIC_ROOT = __file__\nMEDIA_URL = BASE + '/m/'\n"
    local = "from shop.settings.base import MEDIA_URL as MEDIA_ROOT\n"
    files = {
        "shop/shop/settings/__init__.py": "from .production import *\n",
        "shop/shop/settings/production.py": "try:\n    from .base import *\nexcept ImportError:\n"
        "    MEDIA_URL = 'never'\nSTATIC_URL = 'b/'\nfrom shop.settings.local import *\n",
        "shop/shop/settings/base.py": base,
        "shop/shop/settings/local.py": local,
    }
    found = parser.roots(settings_request((path, text.encode()) for path, text in files.items()))
    assert Roots("/~/shop/shop/settings/base.py", "b/", None, "/srv/m/") == found
    two = {"a/x.py": "from .y import *\nSTATIC_URL = 's'\n", "a/y.py": "from .x import *\n"}
    told = parser.roots(settings_request((path, text.encode()) for path, text in two.items()))
    assert Roots(static_url="s") == told, "two that import each other end"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("DEBUG = False\nif DEBUG:\n    STATIC_URL = 'a'\nelse:\n    STATIC_URL = 'b'\n", "b"),
        ("DEBUG = True\nif DEBUG:\n    STATIC_URL = 'a'\nelse:\n    STATIC_URL = 'b'\n", "a"),
        ("if unknown():\n    STATIC_URL = 'a'\n", "a"),
        ("if unknown():\n    STATIC_URL = 'a'\nelse:\n    STATIC_URL = 'b'\n", "b"),
        ("with x:\n    STATIC_URL = 'a'\n", "a"),
        ("A = STATIC_URL = 'a'\n", "a"),
        ("STATIC_URL, B = 'a', 'b'\n", None),
        ("def f():\n    STATIC_URL = 'a'\n", None),
        ("STATIC_URL = 'a'\nSTATIC_URL = f()\n", ""),
        ("STATIC_URL: str\n", None),
        ("STATIC_URL = 'a' if 1 else\n", None),
        (f"STATIC_URL = '{'x' * LONGEST}'\n", "x" * LONGEST),
        (f"STATIC_URL = '{'x' * (LONGEST + 1)}'\n", ""),
        ("STATIC_URL = '\\x1b'\n", ""),
        ("STATIC_URL = '\u00e9'\n", ""),
    ],
)
def test_statements_count_as_they_are_met(text: str, url: str | None) -> None:
    """One branch of what is decided, and what is longer or odder than a URL is not told."""
    assert url == said(text).static_url


NASTY = {
    "doubling": "x = 'x'\n" + "x = x + x\n" * 5000,
    "joining": f"x = '{'a/' * 400}'\nSTATIC_ROOT = f(" + "x, " * 20000 + ")\n",
    "one f-string": f"x = '{'a/' * 400}'\nSTATIC_ROOT = f'" + "{x}" * 20000 + "'\n",
    "brackets": "STATIC_ROOT = " + "(" * 30000 + ")" * 30000,
    "a sum": "STATIC_ROOT = " + "'a' + " * 10000 + "'a'\n",
    "parents": "STATIC_ROOT = __file__" + ".parent" * 9000,
    "ifs": "".join(" " * n + "if x:\n" for n in range(90)) + " " * 90 + "STATIC_ROOT = 'x'\n",
    "names": "STATIC_ROOT = x\n" * 4000,
    "a number": "STATIC_ROOT = 9" + "9" * 60000,
    "nul": "STATIC_ROOT = '\0'\n",
    "percent": "x = '%s'\n" + "x = x % x\n" * 6000 + "STATIC_ROOT = x\n",
    "surrogates": "STATIC_ROOT = '\\ud800'\n",
}


@pytest.mark.parametrize("name", NASTY)
def test_hostile_settings_cost_little_and_say_nothing(parser: Parser, name: str) -> None:
    """Whatever they are made of: the bounds of the helper's, and those of `roots.py`, hold."""
    text = NASTY[name].encode()[:65536]
    began = time.monotonic()
    found = parser.roots(settings_request([(HERE, text)]))
    assert time.monotonic() - began < 9, "two helpers' limits, on a busy machine"
    assert found.static_root in {None, "", "x", "%s"}
    good = parser.roots(settings_request([(HERE, b"STATIC_URL = '/s/'")]))
    assert Roots(static_url="/s/") == good, "and the next one is told"


PIECES = st.sampled_from(
    ["STATIC_ROOT", "MEDIA_URL", " = ", "BASE_DIR", " / ", " + ", "'a'", "'..'", "'/etc'", "\n",
     "(", ")", ".parent", "Path", "__file__", "os.path.join", "str", "if ", ":", " ", ", ", "f'{",
     "}'", "from .base import *", ".parents[", "1]", "'%s' % ", " or ", "not ", "\0", "\u00e9",
     "\\", "#"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_whatever_settings_say_is_an_answer(text: str) -> None:
    """It raises nothing, and each answer is nothing or a short text that prints."""
    found = roots([(HERE, text.encode()), ("shop/shop/base.py", b"BASE_DIR = '/~/shop'\n")])
    assert len(NAMES) == len(found)
    for each in found:
        assert each is None or (len(each) <= LONGEST and each.isascii() and each.isprintable())


def test_an_expression_of_every_kind_is_bounded() -> None:
    """A thing that is not understood is Unknown, and never another exception's."""
    names = Module(
        {"x.py": "\n".join(f"x{n} = {t}" for n, t in enumerate(UNKNOWN)).encode()}, "x.py"
    )
    assert {None} == set(names.values().values()) - {"/~/x.py"}
    assert Expression({})


def test_a_text_that_ends_the_helper_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does an answer that is none: another helper is asked, and then it is as if silent."""
    own = Parser(sys.executable)
    for answer in (
        [None] * 3,
        [None] * 5,
        [1, None, None, None],
        ["\n", None, None, None],
        {},
        "xxxx",
    ):
        asked: list[bytes] = []
        monkeypatch.setattr(
            own._helper,
            "ask",
            lambda request, told=answer, seen=asked: (seen.append(request), told)[1],
        )
        assert Roots() == own.roots(b"\0a\0b")
        assert 2 == len(asked)
    own.close()
