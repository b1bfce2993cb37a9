"""What is made of a visit: whether the app works, and what its student is told to write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.decide.ailments import Facts, facts_of
from reconciler.decide.visits import CODES, SLOW_START, failure, name_of, warnings, works
from reconciler.model import Failure, Rejection, Visit
from reconciler.settings import Settings
from tests.unit.facts import app, home, script

SETTINGS = Settings()
FACTS = Facts(
    account="alice",
    home="/home/slp/alice",
    project="/home/slp/alice/mysite",
    python="3.11",
    settings="/home/slp/alice/mysite/mysite/settings.py",
    links=(("static", "/home/slp/alice/mysite/static"), ("media", "/home/slp/alice/mysite/media")),
    base="/django/alice",
    hosts=("slp.example.edu", "localhost"),
)
GOOD = Visit(200, 0.1, host="slp.example.edu:80", page="/django/alice/")
ASSETS = "/django/alice/static"
FILE = "~/mysite/mysite/settings.py"
COLLECT = "cd ~/mysite && python3.11 manage.py collectstatic --noinput"
ROOT = f"printf '\\nSTATIC_ROOT = BASE_DIR / \"staticfiles\"\\n' >> {FILE} && {COLLECT}"


def told(facts: Facts = FACTS, **found: Any) -> tuple[Rejection, ...]:
    """Return the warnings of a visit that found this."""
    return warnings(replace(GOOD, **found), facts, SETTINGS)


def one(facts: Facts = FACTS, **found: Any) -> Rejection:
    """Return the only one."""
    (warning,) = told(facts, **found)
    return warning


# ---- whether it works ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, True), (302, True), (400, True), (404, True), (500, False), (502, False), (599, False),
     (503, None), (504, None), (None, None)],
)  # fmt: skip
def test_an_app_works_by_its_status(status: int | None, expected: bool | None) -> None:
    """Its own 404 is an answer; 503 and 504 are Apache's, and say nothing of the app."""
    visit = replace(GOOD, status=status)
    assert expected is works(visit)
    assert (failure(visit) is not None) == (expected is False)


DJANGO = "{} at /"
FLASK = "{} // Werkzeug Debugger"


@pytest.mark.parametrize(
    ("title", "said", "expected"),
    [
        ("OperationalError at /", "no such table: polls_question",
         Failure("migrations", "OperationalError", "polls_question")),
        ("OperationalError at /x/", "no such column: polls_question.votes",
         Failure("migrations", "OperationalError", "polls_question.votes")),
        ("ProgrammingError at /", 'relation "polls_question" does not exist LINE 1: ...',
         Failure("migrations", "ProgrammingError", "polls_question")),
        ("ProgrammingError at /", "(1146, \"Table 'db.polls_question' doesn't exist\")",
         Failure("migrations", "ProgrammingError", "db.polls_question")),
        ("OperationalError at /", "(1054, \"Unknown column 'votes' in 'field list'\")",
         Failure("migrations", "OperationalError", "votes")),
        ("ModuleNotFoundError at /", "No module named 'requests.auth'",
         Failure("missing-module", "ModuleNotFoundError", "requests.auth")),
        ("builtins.ModuleNotFoundError: No module named 'yaml' // Werkzeug Debugger", "",
         Failure("missing-module", "ModuleNotFoundError", "yaml")),
        ("sqlite3.OperationalError: attempt to write a readonly database // Werkzeug Debugger", "",
         Failure("read-only-database", "OperationalError")),
        ("ImproperlyConfigured at /", "You're using the staticfiles app without having set the "
         "STATIC_ROOT setting to a filesystem path.",
         Failure("settings", "ImproperlyConfigured", "STATIC_ROOT")),
        ("ZeroDivisionError at /", "division by zero", Failure("raises", "ZeroDivisionError")),
        ("Server Error (500)", "", Failure("raises", "an error (500)")),
        ("", "", Failure("raises", "an error (500)")),
        ("", "no such table: polls_question", Failure("migrations", "", "polls_question")),
    ],
)  # fmt: skip
def test_a_page_of_an_exception_says_why(title: str, said: str, expected: Failure) -> None:
    """Django's and Flask's, of the databases that students use."""
    assert expected == failure(replace(GOOD, status=500, title=title, said=said))


# ---- what is to be written ----------------------------------------------------------------------


def test_of_a_good_app_there_is_nothing_to_say() -> None:
    """Nor of one that could not be asked."""
    assert () == told()
    assert () == told(status=None, took=40.0)
    assert () == told(status=404)


def test_django_refuses_a_name_that_it_was_not_told_of() -> None:
    """Without DEBUG its page says no more than 400; with it, it says why."""
    for found in (
        {"title": "Bad Request (400)"},
        {"title": "DisallowedHost at /", "said": "You may need to add 'x' to ALLOWED_HOSTS."},
    ):
        warning = one(status=400, **found)
        assert "allowed-hosts" == warning.code
        assert "whoever asks for slp.example.edu:" in warning.message
        assert 'ALLOWED_HOSTS = ["slp.example.edu", "localhost"]' in warning.advice
        assert warning.command.endswith(">> ~/mysite/mysite/settings.py")
    for host, name in (("slp", "slp"), ("slp:8080", "slp"), ("[::1]:80", "::1")):
        warning = one(status=400, title="Bad Request (400)", host=host)
        assert f"whoever asks for {name}:" in warning.message
    assert name_of("") == name_of(":80") == ""  # no name for a list of names
    assert () == told(status=400, title="Bad form")
    assert () == told(status=200, title="Bad Request (400)")


@pytest.mark.parametrize("code", ["migrations", "missing-module", "read-only-database"])
def test_an_exception_that_students_stumble_over_is_a_warning(code: str) -> None:
    """With the command that mends it; others are the app's own, and only told as failing."""
    said = {
        "migrations": "no such table: a",
        "missing-module": "No module named 'rest_framework'",
        "read-only-database": "attempt to write a readonly database",
    }[code]
    warning = one(status=500, title="X at /", said=said)
    assert code == warning.code
    assert warning.command
    if code == "missing-module":
        assert warning.command.endswith("pip install djangorestframework")
    assert () == told(status=500, title="ValueError at /", said="x")
    assert () == told(status=200, title="X at /", said=said)


@pytest.mark.parametrize(
    ("path", "status", "row", "command"),
    [
        (f"{ASSETS}/shop.css", 404, "was not collected", COLLECT),
        (f"{ASSETS}/shop.css", 403, "may not read",
         "chmod o+x ~ ~/mysite && chmod -R o+rX -- ~/mysite/static"),
        ("/django/alice/media/x.png", 404, "is not there", ""),
        ("/django/alice/static?v=1", 404, "was not collected", COLLECT),
        ("/django/alice/Xstatic/a.css", 404, "STATIC_ROOT is not set", ROOT),
        ("/django/alice/s/admin/base.css?v=1", 404, "STATIC_ROOT is not set", ROOT),
    ],
)  # fmt: skip
def test_a_file_that_a_page_lacks_is_mended_by_where_it_ought_to_be(
    path: str, status: int, row: str, command: str
) -> None:
    """Collected or not, readable or not, or with nowhere to be collected to."""
    warning = one(missing=((path, status), ("/django/alice/other.css", 404)))
    assert ("static-missing", command) == (warning.code, warning.command)
    assert row in warning.message
    assert path in warning.message


def test_where_static_root_is_set_and_not_there_yet_it_is_to_be_collected() -> None:
    """It is Apache's only once it is there, and until then nobody can have forgotten to set it."""
    asked = ("/django/alice/s/admin/base.css", 404)
    warning = one(replace(FACTS, static="/home/slp/alice/mysite/s"), missing=(asked,))
    assert COLLECT == warning.command


def test_what_was_uploaded_is_collected_by_nobody() -> None:
    """Wherever the static files are: without a directory of uploads, a file is not there."""
    facts = replace(FACTS, static="/home/slp/alice/mysite/s", settings=None, links=())
    warning = one(facts, missing=(("/django/alice/media/x.png", 404),))
    assert ("is not there" in warning.message, "") == (True, warning.command)


def test_a_file_of_a_project_that_is_no_djangos_is_only_told() -> None:
    """There is nothing to collect."""
    facts = replace(FACTS, settings=None, links=())
    warning = one(facts, missing=((f"{ASSETS}/app.css", 404),))
    assert ("static-missing", "") == (warning.code, warning.command)
    assert "STATIC_ROOT" in one(facts, missing=((f"{ASSETS}/admin/x.css", 404),)).message


@pytest.mark.parametrize(
    ("kind", "link", "code", "words"),
    [
        (
            "redirect",
            "/accounts/login/?next=/django/alice/",
            "outside-prefix",
            'LOGIN_URL = "login"',
        ),
        ("redirect", "/login", "outside-prefix", 'LOGIN_URL = "login"'),
        ("redirect", "/who?next=/", "outside-prefix", 'LOGIN_URL = "login"'),
        ("redirect", "/", "outside-prefix", 'redirect("name")'),
        ("lead", "/about/", "outside-prefix", "{% url 'name' %}"),
        ("load", "/logo.png", "outside-prefix", "{% static 'file' %}"),
        ("load", "/static/shop.css", "static-missing", 'STATIC_URL = "static/"'),
        ("load", "/media/cat.jpg", "static-missing", 'MEDIA_URL = "media/"'),
    ],
)
def test_what_leads_out_of_the_app_is_told_with_what_to_write(
    kind: str, link: str, code: str, words: str
) -> None:
    """A setting where it is one, else the tag of a template."""
    warning = one(outside=((kind, link),))
    assert code == warning.code
    assert words in warning.fix
    assert link in warning.message
    assert "/django/alice/" in warning.message


def test_a_slow_start_is_told_with_its_seconds() -> None:
    """From so many on."""
    assert () == told(took=SLOW_START)
    assert "took 12 s" in one(took=12.4).message


def test_of_each_kind_there_is_one_warning() -> None:
    """The first: a page with a hundred links is one mistake."""
    found = told(outside=(("lead", "/a"), ("lead", "/b"), ("load", "/static/c")), took=9.0)
    assert ["outside-prefix", "static-missing", "slow-start"] == [w.code for w in found]
    assert "/a," in found[0].message


def test_what_is_told_anyway_is_not_told_twice() -> None:
    """Nor is a directory that Apache cannot read told as files that are missing."""
    visit = replace(GOOD, status=500, said="no such table: a", missing=((f"{ASSETS}/a", 404),))
    assert ("migrations", "static-missing") == tuple(
        w.code for w in warnings(visit, FACTS, SETTINGS)
    )
    known = {"migrations", "static-unreachable"}
    assert () == warnings(visit, FACTS, SETTINGS, known)


TEXT = st.text(max_size=40)


@given(
    st.none() | st.integers(100, 599), st.floats(0, 100), TEXT, TEXT,
    st.lists(st.tuples(TEXT, st.sampled_from([403, 404, 410])), max_size=3),
    st.lists(st.tuples(st.sampled_from(["redirect", "load", "lead"]), TEXT), max_size=3),
)  # fmt: skip
def test_whatever_was_found_is_told_in_words_that_print(
    status: int | None,
    took: float,
    title: str,
    said: str,
    missing: list[tuple[str, int]],
    outside: list[tuple[str, str]],
) -> None:
    """An app writes its own pages."""
    found = told(
        status=status, took=took, title=title, said=said,
        missing=tuple(missing), outside=tuple(outside),
    )  # fmt: skip
    for warning in found:
        assert warning.code in CODES
        assert (warning.message + warning.fix).isprintable()


def test_facts_are_those_of_the_script_that_is_served() -> None:
    """Its list of packages, where it has one; below the home, wherever that really is."""
    listed = replace(
        script("mysite"),
        requirements="mysite/requirements.txt",
        settings="mysite/mysite/settings.py",
        static_root="mysite/staticfiles",
    )
    served = replace(
        app("mysite"),
        virtualenv="/home/slp/alice/venv",
        links=(("static", "/home/slp/alice/mysite/staticfiles"),),
    )
    assert Facts(
        account="alice",
        home="/home/slp/alice",
        project="/home/slp/alice/mysite",
        python="3.11",
        virtualenv="/home/slp/alice/venv",
        requirements="/home/slp/alice/mysite/requirements.txt",
        settings="/home/slp/alice/mysite/mysite/settings.py",
        static="/home/slp/alice/mysite/staticfiles",
        links=(("static", "/home/slp/alice/mysite/staticfiles"),),
        base="/django/alice",
        script="/home/slp/alice/mysite/mysite/wsgi.py",
    ) == facts_of(served, home(script("other"), listed), SETTINGS, "3.11")


def test_of_what_a_project_has_not_there_are_no_facts() -> None:
    """Nor of a script that is not there any more."""
    for name in ("mysite", "gone"):
        found = facts_of(app(name), home(script("mysite")), SETTINGS, "3.11")
        assert (None, None, None) == (found.requirements, found.settings, found.static)
