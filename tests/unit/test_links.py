"""Which directories Apache serves of a project: by its settings' word, and by its layout."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.observe.interior import Interior
from reconciler.observe.links import Links
from reconciler.observe.source import Roots
from tests.unit.classroom import APP, School, as_root, only, school, seen

if TYPE_CHECKING:
    pass

__all__ = ["school"]

DJANGO = """\
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{}")
application = get_wsgi_application()
"""
NEW = """\
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = 'django-insecure-x'
STATIC_URL = 'static/'
"""
COLLECTED = NEW + "STATIC_ROOT = BASE_DIR / 'public'\n"
UPLOADS = "MEDIA_ROOT = BASE_DIR / 'uploads'\nMEDIA_URL = '/up/'\n"


def project(school: School, settings: str, *directories: str, name: str = "alice") -> Path:
    """Give a student a Django project with those settings and directories, and return the home."""
    home = school.root / name
    if name not in school.rows:
        school.student(name, mode=0o755)
    school.script(name, text=DJANGO.format("mysite.settings"))
    (home / "mysite/manage.py").touch()
    (home / "mysite/mysite/settings.py").write_text(settings)
    for directory in directories:
        (home / directory).mkdir(parents=True, exist_ok=True)
    school.own(name)
    return home


def found(school: School, text: str = "") -> dict[str, str]:
    """Return the links of alice's one script: by name, where they lead in the home."""
    told = only(seen(school.observer(text), "alice"))
    return {link.name: link.path.removeprefix(f"{school.root}/alice/") for link in told.links}


def test_what_the_settings_say_comes_before_the_usual_names(school: School) -> None:
    """Each link is called by its URL, as Django hands it out."""
    names = ("public", "staticfiles", "static", "uploads", "media")
    project(school, COLLECTED + UPLOADS, *(f"mysite/{name}" for name in names))
    assert {"static": "mysite/public", "up": "mysite/uploads"} == found(school)


@pytest.mark.parametrize(
    ("said", "there", "links"),
    [
        ("", ["staticfiles", "static", "media"], {"static": "staticfiles"}),
        ("", ["static", "media"], {"static": "static"}),
        ("", [], {}),
        ("STATIC_ROOT = BASE_DIR / 'public'", ["static"], {"static": "static"}),
        ("STATIC_ROOT = 'public'", ["public"], {"static": "public"}),
        ("STATIC_ROOT = './public/'", ["public"], {"static": "public"}),
        ("STATIC_URL = '/assets/'", ["static"], {"assets": "static"}),
        ("STATIC_URL = '/django/alice/assets/'", ["static"], {"assets": "static"}),
        ("STATIC_URL = '/a/b/'", ["static"], {}),
        ("STATIC_URL = 'https://cdn.example.edu/static/'", ["static"], {}),
        ("STATIC_URL = '/'", ["static"], {}),
        ("STATIC_URL = '/x.php/'", ["static"], {}),
        ("STATIC_URL = '/app.wsgi/'", ["static"], {}),
        ("MEDIA_URL = '/media/'", ["media"], {"media": "media"}),
        ("MEDIA_ROOT = unknown", ["media"], {"media": "media"}),
        ("MEDIA_ROOT = BASE_DIR / 'up'", ["media"], {}),
        ("MEDIA_ROOT = BASE_DIR / 'up'", ["media", "up"], {"media": "up"}),
        ("MEDIA_ROOT = '/srv/media'", ["media", "srv/media"], {}),
        ("STATIC_URL = '//cdn/'", ["static"], {}),
        ("MEDIA_ROOT = BASE_DIR\nSTATIC_ROOT = BASE_DIR", ["static"], {"static": "static"}),
        ("STATIC_ROOT = MEDIA_ROOT = BASE_DIR / 'mysite'", [], {}),
        ("STATIC_ROOT = MEDIA_ROOT = BASE_DIR.parent", [], {}),
        ("STATIC_ROOT = MEDIA_ROOT = BASE_DIR / '..' / '..' / 'bob'", [], {}),
        ("STATIC_ROOT = MEDIA_ROOT = '/etc'", [], {}),
        ("STATIC_ROOT = MEDIA_ROOT = '../../bob'", [], {}),
        (
            "MEDIA_ROOT = BASE_DIR / 'up'\nMEDIA_URL = STATIC_URL",
            ["static", "up"],
            {"static": "static"},
        ),
    ],
)
def test_what_they_do_not_say_is_where_it_usually_is(
    school: School, said: str, there: list[str], links: dict[str, str]
) -> None:
    """Never the home, the project or the package; uploads only of a project that takes some."""
    school.student("bob")
    project(school, f"{NEW}{said}\n", *(f"mysite/{name}" for name in there))
    assert {name: f"mysite/{place}" for name, place in links.items()} == found(school)


def test_a_root_may_be_written_in_full(school: School) -> None:
    """With the home as the account has it; of another's, nothing is taken."""
    home = project(school, f"STATIC_ROOT = '{school.root}/alice/public'\n", "public")
    assert {"static": "public"} == found(school)
    (home / "mysite/mysite/settings.py").write_text(
        f"STATIC_ROOT = '{school.root}/alicex/public'\n"
    )
    assert {} == found(school)


@pytest.mark.parametrize(
    ("said", "root"),
    [
        ("BASE_DIR / 'public'", "mysite/public"),
        ("'./public/'", "mysite/public"),
        ("BASE_DIR / '..' / '..' / 'bob'", None),
        ("BASE_DIR / 'my files'", None),
        ("'/srv/public'", None),
    ],
)
def test_a_root_that_is_not_there_yet_is_told_where_it_could_be(
    school: School, said: str, root: str | None
) -> None:
    """Below the home, and without an odd name: nothing else is ever served."""
    project(school, f"{NEW}STATIC_ROOT = {said}\n")
    assert root == only(seen(school.observer(), "alice")).static_root


def test_a_link_says_which_directories_above_it_others_cannot_pass(school: School) -> None:
    """Apache has to; whether it can list the directory itself is asked of the kernel."""
    home = project(school, NEW, "mysite/static")
    for place, mode in (("", 0o711), ("mysite", 0o750), ("mysite/static", 0o700)):
        (home / place).chmod(mode)
    (link,) = only(seen(school.observer(), "alice")).links
    assert ("mysite",) == link.closed


def test_what_is_named_in_a_wish_or_a_setting_comes_first(school: School) -> None:
    """It stands in the place of STATIC_ROOT, at the URL that the settings have."""
    home = project(
        school, COLLECTED + "STATIC_URL = 's/'\n", "mysite/public", "mysite/own", "other"
    )
    (home / ".slp.toml").write_text('static = "mysite/own"\n')
    school.own("alice")
    assert {"s": "mysite/own"} == found(school)
    assert {"s": "other"} == found(school, '[accounts.alice]\nstatic = "other"')
    (home / ".slp.toml").write_text('static = "gone"\n')
    assert {} == found(school)


@pytest.mark.parametrize("at", ["mysite", "mysite/public", "public"])
def test_no_link_on_the_way_is_followed(school: School, at: str) -> None:
    """It could lead to what others wrote; who looks is the student, and Apache is not."""
    home = project(school, NEW + "STATIC_ROOT = BASE_DIR.parent / 'public'\n", "elsewhere")
    if at == "mysite":
        (home / "public").symlink_to("elsewhere")
    elif at == "mysite/public":
        (home / "mysite/mysite/settings.py").write_text(COLLECTED)
        (home / "mysite/public").symlink_to("../elsewhere")
    else:
        (home / "mysite/mysite/settings.py").write_text("STATIC_ROOT = BASE_DIR / 'a/b'\n")
        (home / "mysite/a").symlink_to("../elsewhere")
        (home / "elsewhere/b").mkdir()
    assert {} == found(school)


SPLIT = {
    "cookiecutter": {
        "config/wsgi.py": DJANGO.format("config.settings.production"),
        "config/settings/__init__.py": "",
        "config/settings/base.py": "from pathlib import Path\n"
        "BASE_DIR = Path(__file__).resolve(strict=True).parent.parent.parent\n"
        "APPS_DIR = BASE_DIR / 'shop'\n"
        "STATIC_ROOT = str(BASE_DIR / 'staticfiles')\nSTATIC_URL = '/static/'\n"
        "MEDIA_ROOT = str(APPS_DIR / 'media')\nMEDIA_URL = '/media/'\n",
        "config/settings/production.py": "from .base import *  # noqa: F403\n"
        "from .base import env\nDEBUG = False\n",
    },
    "wagtail": {
        "shop/wsgi.py": DJANGO.format("shop.settings.dev"),
        "shop/settings/__init__.py": "",
        "shop/settings/base.py": "import os\n"
        "PROJECT_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))\n"
        "BASE_DIR = os.path.dirname(PROJECT_DIR)\n"
        "STATIC_ROOT = os.path.join(BASE_DIR, 'staticfiles')\nSTATIC_URL = '/static/'\n"
        "MEDIA_ROOT = os.path.join(PROJECT_DIR, 'media')\nMEDIA_URL = '/media/'\n",
        "shop/settings/dev.py": "from .base import *\nDEBUG = True\ntry:\n"
        "    from .local import *\nexcept ImportError:\n    pass\n",
    },
    "two modules": {
        "shop/wsgi.py": DJANGO.format("shop.settings_server"),
        "shop/settings.py": "from pathlib import Path\n"
        "BASE_DIR = Path(__file__).resolve().parent.parent\nSTATIC_URL = 'static/'\n",
        "shop/settings_server.py": "from shop.settings import *\n"
        "STATIC_ROOT = BASE_DIR / 'staticfiles'\nMEDIA_ROOT = BASE_DIR / 'shop' / 'media'\n",
    },
}


@pytest.mark.parametrize("layout", SPLIT)
@pytest.mark.parametrize("above", ["site", "repository/site", "repository/src"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_settings_in_several_files_are_read_as_one(
    school: School, layout: str, above: str, ending: str
) -> None:
    """As the generators make them, wherever the project lies, and as Windows ends its lines."""
    home = school.student("alice", mode=0o755)
    for path, text in SPLIT[layout].items():
        file = home / above / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.replace("\n", ending).encode())
    for directory in ("staticfiles", "shop/media"):
        (home / above / directory).mkdir(parents=True)
    (home / above / "manage.py").touch()
    school.own("alice")
    three = '[homes]\nscripts = ["*/*/wsgi.py", "*/*/*/wsgi.py"]'
    assert {"static": f"{above}/staticfiles", "media": f"{above}/shop/media"} == found(
        school, three
    )


@as_root
def test_settings_that_their_student_cannot_read_keep_no_app_down(school: School) -> None:
    """Nor does a link in their place; what is left is where it usually is."""
    home = project(school, COLLECTED, "mysite/static", "mysite/public")
    file = home / "mysite/mysite/settings.py"
    file.chmod(0)
    told = only(seen(school.observer(), "alice"))
    assert (None, ["mysite/static"]) == (told.trouble, list(found(school).values()))
    file.unlink()
    file.symlink_to("/etc/passwd")
    assert {"static": "mysite/static"} == found(school)


ROOTS = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.lists(
        st.sampled_from(
            ["/~", "/", "..", ".", "a", "mysite", "link", "", "/h/alice", "/h", "~", "b c"]
        ),
        max_size=6,
    ).map("/".join),
)


@settings(max_examples=400, deadline=None)
@given(st.builds(Roots, ROOTS, ROOTS, ROOTS, ROOTS), ROOTS)
def test_whatever_is_said_no_link_leads_out_of_the_home(said: Roots, named: str | None) -> None:
    """Each is a directory below it, without a link on the way, and not the project's own."""
    with tempfile.TemporaryDirectory() as top:
        for place in ("alice/mysite/mysite", "alice/a/a", "alice/mysite/a", "a", "mysite"):
            os.makedirs(f"{top}/{place}")
        os.symlink("../a", f"{top}/alice/link")
        with contextlib.closing(Interior(os.open(f"{top}/alice", os.O_RDONLY))) as home:
            finder = Links(home, "/h/alice", "/django/alice", "mysite", "mysite/mysite", None, said)
            links = finder.find(named)
        for link in links:
            assert link.path in {"/h/alice/a", "/h/alice/a/a", "/h/alice/mysite/a"}
            assert link.name.replace("-", "").replace("_", "").isalnum()
        assert len(links) == len({link.name for link in links})


def test_a_script_without_settings_has_static_files_alone(school: School) -> None:
    """Of Flask and others: `media` is no word of theirs."""
    home = school.student("alice", mode=0o755)
    school.script("alice", text=APP)
    for name in ("static", "media"):
        (home / "mysite" / name).mkdir()
    school.own("alice")
    assert {"static": "mysite/static"} == found(school)
