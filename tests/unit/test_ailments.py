"""The table of what keeps an app from working: complete, in words, with commands to paste."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.decide.ailments import (
    _TABLE,
    CODES,
    Facts,
    ailment,
    distribution,
    of_failure,
)
from reconciler.model import Failure, News
from reconciler.settings import Settings

FAILURES = [
    "missing-module", "import-name", "syntax-error", "name-error", "attribute", "settings",
    "missing-file", "permission", "read-only-database", "migrations", "database", "hangs", "exits",
    "not-callable", "returns-nothing", "memory", "encoding", "raises",
]  # fmt: skip
WARNINGS = ["allowed-hosts", "static-missing", "outside-prefix", "slow-start"]
LAYOUTS = ["too-deep", "no-script"]
ROWS = sorted(_TABLE.mends)
HOSTILE = """x"; $(touch /tmp/x) `id` ' \x1b[2J\u202e\n--index-url=http://evil {home} %s"""
FACTS = Facts(
    account="alice",
    home="/home/slp/alice",
    project="/home/slp/alice/mysite",
    python="3.11",
    settings="/home/slp/alice/mysite/mysite/settings.py",
    static="/home/slp/alice/mysite/static",
    script="/home/slp/alice/mysite/wsgi.py",
    package="mysite",
    name="crispy_forms",
    where="mysite/shop/views.py:12",
    kind="OperationalError",
    message="invalid syntax",
    host="slp.example.edu",
    hosts=("slp.example.edu", "localhost"),
    seconds=12.4,
)
SETTINGS = Settings()


def command(code: str, **changes: object) -> str:
    """Return the command that mends `code`."""
    return ailment(code, replace(FACTS, **changes), SETTINGS).command


def test_every_code_has_a_row() -> None:
    """What the runner tells, what a visit finds, and what a layout lacks; and no other."""
    assert sorted([*FAILURES, *WARNINGS, *LAYOUTS]) == sorted(CODES)


@pytest.mark.parametrize("code", ROWS)
def test_a_row_is_filled_with_everything_and_with_nothing(code: str) -> None:
    """No hole is left, whatever was told; the code is the row's without its variant."""
    bare = Facts(account="alice", home="/h", project="/h/p", python="3.11")
    for facts in (FACTS, bare, replace(FACTS, name=HOSTILE, where=HOSTILE, message=HOSTILE)):
        told = ailment(code, facts, SETTINGS)
        assert (code.partition(":")[0], News.CHOICE) == (told.code, told.news)
        assert told.message
        assert told.advice
        assert (told.message + told.advice + told.command).isprintable()
        assert "``" not in told.fix


def test_a_code_that_nobody_knows_is_an_exception_like_any_other() -> None:
    """A report is a student's process's: it may say anything."""
    told = ailment("{home}", FACTS, SETTINGS)
    assert ("raises", "it raised OperationalError") == (told.code, told.message)


@pytest.mark.parametrize("code", ROWS)
@pytest.mark.parametrize("hostile", [False, True])
def test_a_command_is_one_that_a_shell_can_read(code: str, hostile: bool) -> None:
    """Each part of it begins with a program, whatever names are in it."""
    names = ("name", "where", "kind", "message", "package", "host")
    paths = ("project", "settings", "static", "script", "requirements", "virtualenv")
    changes = dict.fromkeys(names, HOSTILE)
    changes |= {key: f"/home/slp/alice/{HOSTILE.replace('/', '')}" for key in paths}
    text = command(code, **(changes if hostile else {}))
    done = subprocess.run(["bash", "-nc", text], capture_output=True, text=True, check=False)
    assert ("", 0) == (done.stderr, done.returncode), text
    if not hostile and text:
        for part in text.split(" && "):
            program = part.split()[0]
            assert program.startswith("~/") or program == "cd" or shutil.which(program), part


@pytest.mark.parametrize("code", ROWS)
def test_nothing_hostile_runs_when_a_command_is_pasted(code: str, tmp_path: Path) -> None:
    """Every program is a stand-in here; what the shell itself would do, it does."""
    bait = tmp_path / "bait"
    attack = f"x'\"; touch {bait}; $(touch {bait}) `touch {bait}`\n touch {bait} #"
    facts = replace(
        FACTS,
        name=attack,
        where=attack,
        package=attack,
        # Nowhere else, whatever is wrong: a mutant once wrote below the machine's own /home.
        home=str(tmp_path),
        settings=f"{tmp_path}/settings.py",
        static=f"{tmp_path}/static",
        script=f"{tmp_path}/mysite/wsgi.py",
        project=f"{tmp_path}/{attack.replace('/', '_')}",
        virtualenv=f"{tmp_path}/{attack.replace('/', '_')}",
        hosts=(attack,),
    )
    text = ailment(code, facts, SETTINGS).command
    stand_ins = "chmod() { :; }; printf() { :; }; cd() { :; }; ls() { :; }; tail() { :; };"
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run(
        ["bash", "-c", f"{stand_ins} {text}"], env=env, cwd=tmp_path, check=False,
        capture_output=True,
    )  # fmt: skip
    assert not bait.exists(), text


# ---- what pip is to install ---------------------------------------------------------------------


def test_a_module_is_installed_by_the_name_that_pip_knows() -> None:
    """Into the virtualenv; its submodule too."""
    own = {"virtualenv": "/home/slp/alice/mysite/venv"}
    expected = "~/mysite/venv/bin/pip install django-crispy-forms"
    assert expected == command("missing-module", **own)
    assert expected == command("missing-module", name="crispy_forms.helper", **own)
    assert "~/mysite/venv/bin/pip install requests" == command(
        "missing-module", name="requests.auth", **own
    )


def test_without_a_virtualenv_one_is_made_first() -> None:
    """Of the Python that runs the app, with the packages that it had until now."""
    expected = (
        "python3.11 -m venv --system-site-packages ~/mysite/.venv && "
        "~/mysite/.venv/bin/pip install django-crispy-forms"
    )
    assert expected == command("missing-module")


def test_a_projects_own_list_is_what_is_installed() -> None:
    """And a name that is not known is not guessed beside it: it may be a stranger's package."""
    own = {"virtualenv": "/srv/v", "requirements": "/home/slp/alice/mysite/requirements.txt"}
    known = "/srv/v/bin/pip install -r ~/mysite/requirements.txt django-crispy-forms"
    assert known == command("missing-module", **own)
    unknown = command("missing-module", name="shop", **own)
    assert "/srv/v/bin/pip install -r ~/mysite/requirements.txt" == unknown


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../evil", "-r", "--index-url=http://evil", "a b", "a\n", "a;b", "a[b]",
     "git+x", "é", "a..b", ".a", "a.", "x" * 101],
)  # fmt: skip
def test_what_is_no_modules_name_gets_into_no_command(name: str) -> None:
    """`raise ModuleNotFoundError(name="--index-url=…")` is a student's to write, or a package's."""
    assert "" == command("missing-module", name=name)
    listed = command("missing-module", name=name, requirements="/home/slp/alice/r.txt")
    assert listed.endswith("pip install -r ~/r.txt")


@given(st.text())
def test_only_plain_names_are_ever_installed(name: str) -> None:
    """Whatever is told."""
    text = command("missing-module", name=name, virtualenv="/v")
    assert text == "" or re.fullmatch(r"/v/bin/pip install [A-Za-z0-9_<-]+", text.replace("'", ""))


def test_the_names_that_differ_are_those_that_pip_would_not_find() -> None:
    """Fifty at least; pip itself takes upper for lower case, and `_` for `-`."""
    assert 50 <= len(_TABLE.distributions)
    for module, name in _TABLE.distributions.items():
        assert module.lower().replace("_", "-") != name.lower()
        assert re.fullmatch(r"[A-Za-z0-9<-]+", name)
    assert "google-generativeai" == distribution("google.generativeai.types")
    assert distribution("google.cloud") is None


# ---- what else is filled in ---------------------------------------------------------------------


def test_a_line_for_the_settings_is_written_to_their_end() -> None:
    """The last one wins, also over a list of many lines."""
    expected = (
        "printf '\\nALLOWED_HOSTS = [%s]\\n' '\"slp.example.edu\", \"localhost\"' "
        ">> ~/mysite/mysite/settings.py"
    )
    assert expected == command("allowed-hosts")
    done = subprocess.run(
        ["bash", "-c", expected.partition(" >>")[0]], capture_output=True, text=True, check=True
    )
    assert '\nALLOWED_HOSTS = ["slp.example.edu", "localhost"]\n' == done.stdout
    told = ailment("allowed-hosts", replace(FACTS, settings=None), SETTINGS)
    assert "" == told.command
    assert 'ALLOWED_HOSTS = ["slp.example.edu", "localhost"]' in told.advice


def test_manage_is_run_in_the_project_by_its_own_python() -> None:
    """A database may be named relative to it."""
    assert (
        "cd ~/mysite && python3.11 manage.py makemigrations && "
        "cd ~/mysite && python3.11 manage.py migrate"
    ) == command("migrations")
    text = command("migrations", virtualenv="/home/slp/alice/v")
    assert text.endswith("cd ~/mysite && ~/v/bin/python manage.py migrate")


def test_a_file_is_that_of_the_place() -> None:
    """Relative to the home, or absolute; without a place there is no command."""
    assert "python3.11 -m py_compile ~/mysite/shop/views.py" == command("syntax-error")
    assert "python3.11 -m py_compile /srv/x.py" == command("syntax-error", where="/srv/x.py")
    assert "" == command("syntax-error", where="")


def test_a_way_is_opened_from_the_home_down() -> None:
    """And only the static files themselves for reading."""
    expected = "chmod o+x ~ ~/mysite && chmod -R o+rX -- ~/mysite/static"
    assert expected == command("static-missing:chmod")


def test_what_was_not_named_is_said_so() -> None:
    """An exception may have no name."""
    told = ailment("missing-module", replace(FACTS, name=""), SETTINGS)
    assert "a module is not installed: one that was not named" == told.message


def test_a_script_is_written_where_it_would_be_looked_for() -> None:
    """Of a project that has none: the file, and the directory that may not be there."""
    written = command("no-script:django")
    assert written.startswith("mkdir -p -- ~/mysite && printf 'import os")
    assert written.endswith("get_wsgi_application()\\n' mysite > ~/mysite/wsgi.py")
    assert "" == command("no-script:django", script=None)


def test_what_lies_too_deep_is_named_by_its_path_in_the_home() -> None:
    """With the line that has it served."""
    found = ailment("too-deep", FACTS, SETTINGS)
    assert found.message.startswith("~/mysite/wsgi.py lies too deep")
    assert found.command == """printf 'script = "%s"\\n' mysite/wsgi.py > ~/.slp.toml"""


def test_a_part_of_a_package_is_installed_with_the_package() -> None:
    """`import weasyprint.css.targets` lacks the whole of it."""
    assert command("missing-module", name="some.where.else").endswith("pip install some")


def test_a_failure_is_told_of_the_app_that_failed() -> None:
    """What its process or a visit said of it fills the row, and nothing that was known before."""
    said = replace(FACTS, kind="ValueError", name="n", where="mysite/a.py:3", message="m")
    for code in ("raises", "missing-module", "syntax-error"):
        failure = Failure(code, kind="ValueError", name="n", where="mysite/a.py:3", message="m")
        assert ailment(code, said, SETTINGS) == of_failure(failure, FACTS, SETTINGS)
