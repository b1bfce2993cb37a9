"""What settings say of static and uploaded files, as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.observe.roots import LONGEST, NAMES, Expression, Module, roots
from reconciler.observe.source import Roots

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
        'Path(__file__).parents[0].parent / "public"',
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
        'os.path.join(os.path.expanduser("~"), "shop/public")',
        '"/~/shop/public" if not "" else "other"',
        'join(dirname(dirname(__file__)), "public")',
        'os.path.join(os.path.dirname(BASE_DIR), "shop/public")',
    ],
}
UNKNOWN = [
    "open('x').read()", "BASE_DIR / name", "None", "5", "b'x'", "[]", "BASE_DIR.parents[9]", "x()",
    "BASE_DIR.parent.parent.parent.parent", "f'{BASE_DIR!r:>3}'", "'%s%s' % (1, 2)", "lambda: 1",
    "os.environ['ROOT']", "(yield)", "'x' * 10 ** 9", "'' .join(['a'])", "BASE_DIR - 1", "-1",
    "'a%s' - 'b'", "'%s%s' % 'a'",
    "'a' if -True else 'b'", "'a'.join('b')",
    "BASE_DIR[0]", "BASE_DIR.name", "os.path.join()", "Path()", "env('X')", "1 if x else 2",
]  # fmt: skip


PACKAGE = {
    "shop/shop/settings/__init__.py": "from .production import *\n",
    "shop/shop/settings/production.py": "try:\n    from .base import *\nexcept ImportError:\n"
    "    MEDIA_URL = 'never'\nSTATIC_URL = 'b/'\nfrom shop.settings.local import *\n",
    "shop/shop/settings/base.py": "BASE = '/srv'\nSTATIC_URL = 'a/'\nSTATIC_ROOT = __file__\n"
    "MEDIA_URL = BASE + '/m/'\n",
    "shop/shop/settings/local.py": "from shop.settings.base import MEDIA_URL as MEDIA_ROOT\n",
}
PACKAGE_SAYS = Roots("/~/shop/shop/settings/base.py", "b/", None, "/srv/m/")


def usual(start: str, text: str, ending: str) -> str:
    """Return settings that say this, with lines that end so."""
    return f"{start}STATIC_ROOT = {text}\nMEDIA_URL: str = '/up/'\n".replace("\n", ending)


def said(text: str, *more: tuple[str, str], path: str = HERE) -> Roots:
    """Return what this Python says."""
    files = [(path, text.encode()), *((where, other.encode()) for where, other in more)]
    return Roots(*roots(files))


@pytest.mark.parametrize("start", [PATHLIB, OS_PATH], ids=["pathlib", "os.path"])
def test_the_usual_expressions_are_understood(start: str) -> None:
    """As the generators, the manuals and their readers write them."""
    for text in USUAL[start]:
        for ending in ("\n", "\r\n"):
            assert Roots("/~/shop/public", None, None, "/up/") == said(
                usual(start, text, ending)
            ), text


@pytest.mark.parametrize("text", UNKNOWN)
def test_all_else_is_told_as_not_understood(text: str) -> None:
    """And never as what it is not."""
    assert Roots(media_root="") == said(f"{PATHLIB}MEDIA_ROOT = {text}")


def test_a_settings_package_is_followed() -> None:
    """What it imports of itself by a star or by name; what stands later counts."""
    assert PACKAGE_SAYS == Roots(*roots([(path, t.encode()) for path, t in PACKAGE.items()]))
    two = [("a/x.py", b"from .y import *\nSTATIC_URL = 's'\n"), ("a/y.py", b"from .x import *\n")]
    assert Roots(static_url="s") == Roots(*roots(two)), "two that import each other end"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("DEBUG = False\nif DEBUG:\n    STATIC_URL = 'a'\nelse:\n    STATIC_URL = 'b'\n", "b"),
        ("DEBUG = True\nif DEBUG:\n    STATIC_URL = 'a'\nelse:\n    STATIC_URL = 'b'\n", "a"),
        ("DEBUG = False\nif DEBUG:\n    STATIC_URL = 'a'\n", None),
        ("if 'x':\n    STATIC_URL = 'a'\nelse:\n    STATIC_URL = 'b'\n", "a"),
        ("if '':\n    STATIC_URL = 'a'\n", None),
        ("if unknown():\n    STATIC_URL = 'a'\n", "a"),
        ("from os import path\nSTATIC_URL = path.expanduser('a')\n", "a"),
        ("from pathlib import Path\nSTATIC_URL = str(Path('~/a'))\n", "~/a"),
        ("from . import STATIC_URL\n", None),
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


@pytest.mark.parametrize(
    ("imports", "where"),
    [
        ("from .base import {}", "shop/shop/base.py"),
        ("from ..base import {}", "shop/base.py"),
        ("from shop.base import {}", "shop/shop/base.py"),
        ("from shop.base import {}", "shop/shop/base/__init__.py"),
        ("from .settings_of.base import {}", "shop/shop/settings_of/base.py"),
    ],
)
def test_what_is_imported_is_what_it_is_there(imports: str, where: str) -> None:
    """By a star or by name, and called as the importer says; each file has a place of its own."""
    base = (where, "A = 'a/'\nSTATIC_URL = 's/'\nMEDIA_ROOT = __file__\n")
    by_star = f"{imports.format('*')}\nMEDIA_URL = A\nSTATIC_ROOT = __file__\n"
    assert Roots(f"/~/{HERE}", "s/", f"/~/{where}", "a/") == said(by_star, base)
    by_name = f"{imports.format('A as MEDIA_URL, STATIC_URL, absent')}\n"
    assert Roots(None, "s/", None, "a/") == said(by_name, base)


def test_what_cannot_be_imported_is_as_if_it_said_nothing() -> None:
    """A broken file, one that was not given, and no file at all."""
    for imports in ("from .base import *", "from .absent import *", "from shop.absent import *"):
        text = f"STATIC_URL = 's/'\n{imports}\nMEDIA_URL = 'm/'\n"
        assert Roots(None, "s/", None, "m/") == said(text, ("shop/shop/base.py", "(\n"))
    assert [None] * 4 == roots([])


NESTED = [
    ("'' + ", "'a'", ""),
    ("('' or ", "'a'", ")"),
    ("('b' if False else ", "'a'", ")"),
    ("('a' if ", "True", " else 'b')"),
    ("env('X', default=", "'a'", ")"),
    ("get('X', ", "'a'", ")"),
]


@pytest.mark.parametrize(("before", "inner", "after"), NESTED)
@pytest.mark.parametrize(("many", "told"), [(40, "a"), (41, "")])
def test_forty_expressions_in_one_another_are_understood(
    before: str, inner: str, after: str, many: int, told: str
) -> None:
    """People write four; the helper's stack ends somewhere."""
    assert told == said(f"STATIC_URL = {before * many}{inner}{after * many}\n").static_url


@pytest.mark.parametrize(("many", "told"), [(38, "a"), (39, "b"), (40, "")])
def test_so_many_denials_of_one_another_are_understood(many: int, told: str) -> None:
    """One less, as they are in the test of an `if`."""
    assert told == said(f"STATIC_URL = 'a' if {'not ' * many}True else 'b'\n").static_url


@pytest.mark.parametrize("value", ["'/s/{}'", "os.path.join('/s/', '{}')"])
@pytest.mark.parametrize(("length", "root"), [(1000, "/s"), (1001, "")])
def test_a_value_of_a_thousand_characters_is_understood(value: str, length: int, root: str) -> None:
    """And none that is longer, on the way to a short one either: they double at each line."""
    long = value.format("x" * (length - len("/s/")))
    assert root == said(f"STATIC_ROOT = os.path.dirname({long})\n").static_root


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
