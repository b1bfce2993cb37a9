"""The runner in processes of each Python that there is: load, answer, follow, tell."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.unit.runner.lab import Student, pythons

GOOD = """\
import os
from shop import views
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [views.page().encode()]
"""
VIEW = "def page():\n    return {!r}\n"


@pytest.fixture(params=pythons(), ids=lambda path: Path(path).name)
def student(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Student]:
    """Return a student whose app runs by one of the Pythons."""
    found = Student(tmp_path, request.param)
    yield found
    found.close()


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Student]:
    """Return a student whose app runs by our own Python."""
    found = Student(tmp_path)
    yield found
    found.close()


def test_a_load_that_fails_is_told_logged_shown_and_loaded_anew(student: Student) -> None:
    """The page stays for a second, and then the process makes room for the next one."""
    student.save("shop/wsgi.py", GOOD)
    student.save("shop/views.py", "import crispy_forms\n")
    host = student.start()
    answer = host.ask()
    assert "500 Internal Server Error" == answer["status"]
    assert "crispy_forms" in answer["body"]
    assert "shop/shop/views.py:1" in answer["body"]
    assert "Traceback" not in answer["body"]
    told = student.told()
    assert {
        "event": "failed", "code": "missing-module", "name": "crispy_forms",
        "kind": "ModuleNotFoundError", "where": "shop/shop/views.py:1",
    }.items() <= told.items()  # fmt: skip
    assert "No module named 'crispy_forms'" in student.log
    assert "slp_runner" not in student.log
    assert "__init__.py" not in student.log
    assert 0 == host.ended(10)
    student.save("shop/views.py", VIEW.format("mended"))
    assert "mended" == student.start().ask()["body"]
    assert "loaded" == student.told("loaded")["event"]


def test_a_save_ends_the_process_and_nothing_else_does(student: Student) -> None:
    """The next one has the new code; of a database, a log or a cache nobody takes notice."""
    student.save("shop/wsgi.py", GOOD)
    student.save("shop/views.py", VIEW.format("one"))
    host = student.start()
    assert "one" == host.ask()["body"]
    student.told("loaded")
    assert host.is_there(0.5)
    for name in ("db.sqlite3", "shop/app.log", "upload.jpg", "shop/wsgi.py"):
        student.save(name, GOOD)
    assert host.is_there(0.5)
    student.save("shop/views.py", VIEW.format("two"))
    assert 0 == host.ended(10)
    told = student.told("ends")
    assert ("changed", ["shop/shop/views.py"]) == (told["why"], told["changed"])
    assert "two" == student.start().ask()["body"]


TAKES_ALL = """\
import os, sys, time
print("is loaded", "umlaut \\u00e4", "\\udcff")

def later(start_response, chunks):
    for chunk in chunks:
        if chunk == b"call":
            start_response("200 OK", [])
        elif chunk == b"raise":
            raise ValueError("later")
        else:
            yield chunk

def application(environ, start_response):
    asked = environ["PATH_INFO"][1:]
    if asked == "none":
        return None
    if asked == "exits":
        sys.exit("no")
    if asked == "raises":
        raise KeyError("a secret")
    if asked in ("early", "late", "silent"):
        sent = {"early": [b"call", b"", b"raise"], "late": [b"call", b"x", b"raise"]}
        return later(start_response, sent.get(asked, []))
    if asked == "sleep":
        time.sleep(2.5)
    if asked == "stack":
        os.environ["SLP"]
    if asked == "unsaid":
        return [b"x"]
    start_response("200 OK", [])
    closed = later(start_response, [b"a", b"b"])
    return {"str": ["x"], "int": 7, "closed": closed}.get(asked, [b"fine"])
"""


def test_whatever_goes_wrong_in_an_answer_is_told_and_answered_by_the_page(
    student: Student,
) -> None:
    """The process goes on, and is well again with the next good answer; secrets are kept."""
    student.save("shop/wsgi.py", TAKES_ALL)
    host = student.start()
    assert "fine" == host.ask()["body"]
    student.told("loaded")
    kinds = {
        "none": ("returns-nothing", "None"), "exits": ("exits", "SystemExit"),
        "raises": ("raises", "KeyError"), "early": ("raises", "ValueError"),
        "silent": ("returns-nothing", "no status"),
        "str": ("returns-nothing", "str"), "int": ("returns-nothing", "int"),
        "stack": ("settings", "KeyError"),
    }  # fmt: skip
    for asked, told in kinds.items():
        answer = host.ask(PATH_INFO=f"/{asked}")
        assert "500 Internal Server Error" == answer["status"], asked
        assert "a secret" not in answer["body"]
        assert "raised" not in answer
        report = student.told("raised")
        assert told == (report["code"], report["kind"]), asked
        assert "fine" == host.ask()["body"]
    assert "500 Internal Server Error" == host.ask(PATH_INFO="/unsaid")["status"]
    time.sleep(1.1)
    assert "fine" == host.ask()["body"]
    assert "loaded" == student.told()["event"]
    assert "ab" == host.ask(PATH_INFO="/closed")["body"]
    late = host.ask(PATH_INFO="/late")
    assert ("200 OK", "x", "ValueError('later')") == (late["status"], late["body"], late["raised"])
    page = json.loads(host.ask(PATH_INFO="/raises", HTTP_ACCEPT="application/json")["body"])
    assert ("raises", "KeyError", "") == (page["code"], page["kind"], page["message"])
    assert page["where"].startswith("shop/shop/wsgi.py:")
    assert host.is_there(0.1)
    log = student.log
    for text in ("is loaded umlaut ä \\udcff\n", "KeyError: 'a secret'", "SystemExit: no"):
        assert text in log
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d is loaded", log)


def test_what_hangs_is_told_with_its_place(student: Student) -> None:
    """A load that hangs is ended before mod_wsgi would; an answer is told, and not cut off."""
    student.save("shop/wsgi.py", TAKES_ALL)
    host = student.start(startup_timeout=1.0)
    assert "fine" == host.ask(PATH_INFO="/sleep")["body"]
    assert "time.sleep(2.5)" not in host.ask()["body"]
    assert "hangs" == student.told("raised")["code"]
    student.save("shop/wsgi.py", GOOD)
    student.save(
        "shop/views.py", "import time\nprint('begun')\nwhile True:\n    time.sleep(0.01)\n"
    )
    host = student.start(startup_timeout=1.0)
    assert {} == host.ask()
    assert 1 == host.ended(10)
    told = student.told("failed")
    assert ("hangs", 3 <= int(told["where"].rpartition(":")[2]) <= 4) == (told["code"], True)
    assert "shop/views.py" in student.log


def test_whoever_waits_for_a_slow_visitor_does_not_hang(mine: Student) -> None:
    """An upload over a bad line is no fault of the app's; what it does after that may be."""
    mine.save("shop/wsgi.py", """\
import time
def application(environ, start_response):
    body = environ["wsgi.input"]
    told = [body.readline(), *body.readlines(), body.read(9), *body]
    assert 8 == body.tell()
    time.sleep(float(environ.get("WORK", "0")))
    start_response("200 OK", [])
    return told
""")  # fmt: skip
    host = mine.start(startup_timeout=1.0)
    assert "one\ntwo\n" == host.ask()["body"]
    mine.told("loaded")
    assert "one\ntwo\n" == host.ask(LATE="1.5")["body"]
    with pytest.raises(TimeoutError):
        mine.told("raised", within=0.5)
    assert "one\ntwo\n" == host.ask(LATE="0.2", WORK="2")["body"]
    assert "hangs" == mine.told("raised")["code"]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("import sys\nsys.exit()\n", "exits"),
        ("application = None\n", "not-callable"),
        ("application = (\n", "syntax-error"),
        ("app = 1\n", "not-callable"),
        ("application = open('/nothing/there')\n", "missing-file"),
        ("application = undefined\n", "name-error"),
        ("import os\napplication = os.nothing\n", "attribute"),
        ("from os import nothing as application\n", "import-name"),
        ("application = b'\\xff'.decode()\n", "encoding"),
        ("class OperationalError(Exception): pass\n"
         "application = None\nraise OperationalError('no such table: shop_item')\n", "migrations"),
        ("raise SystemError\napplication = 1", "raises"),
        ("class E(Exception):\n def __str__(self): raise self\nraise E\napplication = 1", "raises"),
    ],
)  # fmt: skip
def test_a_load_that_fails_is_known_by_its_kind(mine: Student, source: str, code: str) -> None:
    """Each has a mend of its own."""
    mine.save("shop/wsgi.py", source)
    assert "500 Internal Server Error" == mine.start().ask()["status"]
    assert code == mine.told("failed")["code"]


def test_frameworks_that_answer_themselves_are_heard(mine: Student) -> None:
    """Django, without DEBUG, tells nobody: its signal is told and logged, once."""
    signals = mine.project / "django/core/signals.py"
    mine.save("django/__init__.py", "")
    mine.save("django/core/__init__.py", "")
    mine.save(str(signals.relative_to(mine.project)), """\
class Signal:
    def connect(self, heard, weak):
        self.heard = heard
got_request_exception = Signal()
""")  # fmt: skip
    mine.save("shop/wsgi.py", """\
import logging
from django.core.signals import got_request_exception
def application(environ, start_response):
    try:
        1 / 0
    except ZeroDivisionError:
        got_request_exception.heard(sender=None)
        if environ["PATH_INFO"] == "/debug":
            logging.exception("Internal Server Error")
    start_response("500 Sorry", [])
    return [b"theirs"]
""")  # fmt: skip
    host = mine.start()
    for path in ("/", "/debug"):
        answer = host.ask(PATH_INFO=path)
        assert ("500 Sorry", "theirs") == (answer["status"], answer["body"])
        assert "ZeroDivisionError" == mine.told("raised")["kind"]
        time.sleep(1.1)
    assert 2 == mine.log.count("Traceback")


def test_a_log_is_bounded_and_ones_own(mine: Student) -> None:
    """A link, a pipe, a directory, a full disk: the app runs, and nothing is written elsewhere."""
    mine.save("shop/wsgi.py", """\
def application(environ, start_response):
    for _ in range(int(environ["TIMES"])):
        print("x" * 99)
    print("y" * 100_000)
    start_response("200 OK", [])
    return [b"fine"]
""")  # fmt: skip
    folder = mine.home / ".slp"
    log, other = folder / "app.log", mine.home / "other"
    other.write_text("as it was\n")
    host = mine.start(log_bytes=8192)
    assert "fine" == host.ask(TIMES="1000")["body"]
    assert {"app.log", "app.log.1"} <= {path.name for path in folder.iterdir()}
    assert sum(path.stat().st_size for path in folder.glob("app.log*")) < 3 * 8192
    assert 0o600 == stat.S_IMODE(log.stat().st_mode)
    assert host.stderr.stat().st_size < 80_000
    shutil.rmtree(folder)
    assert "fine" == host.ask(TIMES="10")["body"]
    assert not folder.exists(), "who empties a home finds it empty"
    for trick in (lambda: log.symlink_to(other), lambda: os.mkfifo(log), log.mkdir,
                  lambda: log.symlink_to("/dev/full"), lambda: os.link(other, log)):  # fmt: skip
        host.process.kill()
        host.process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        trick()
        host = mine.start()
        assert "fine" == host.ask(TIMES="10")["body"]
    host.process.kill()
    host.process.wait()
    shutil.rmtree(folder)
    folder.symlink_to(mine.home)
    assert "fine" == mine.start().ask(TIMES="1")["body"]
    assert "as it was\n" == other.read_text()


@pytest.mark.parametrize(
    "trick",
    [
        "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')",
        "sys.stderr = io.TextIOWrapper(sys.stderr.buffer, encoding='utf-8')",
        "sys.stderr = io.TextIOWrapper(sys.stderr.detach(), encoding='utf-8')",
        "sys.stdout, sys.stderr = codecs.getwriter('utf-8')(sys.stdout.buffer), sys.stdout",
        "sys.stderr.close()",
    ],
)
def test_an_app_may_put_other_streams_in_the_place_of_ours(mine: Student, trick: str) -> None:
    """As much code does that wants to print umlauts; what it raises is told and logged anyway."""
    mine.save("shop/wsgi.py", f"""\
import codecs, gc, io, sys
{trick}
gc.collect()
def application(environ, start_response):
    print("h\u00e4llo", flush=True)
    if environ["PATH_INFO"] == "/raises":
        raise KeyError("mine")
    start_response("200 OK", [])
    return [b"fine"]
""")  # fmt: skip
    host = mine.start()
    assert "fine" == host.ask()["body"]
    answer = host.ask(PATH_INFO="/raises")
    assert ("500 Internal Server Error", None) == (answer["status"], answer.get("raised"))
    assert "KeyError" == mine.told("raised")["kind"]
    assert "KeyError: 'mine'" in mine.log


def test_that_it_works_is_told_until_somebody_has_heard_it(mine: Student) -> None:
    """The daemon may be begun anew just then, and would go on to say that it fails."""
    mine.save("shop/wsgi.py", GOOD)
    mine.save("shop/views.py", VIEW.format("fine"))
    mine.stop_listening()
    host = mine.start()
    assert "fine" == host.ask()["body"]
    time.sleep(1.2)  # it has told, and nobody was there
    os.unlink(mine.told_at)
    mine.listen()
    host.ask()
    assert "loaded" == mine.told("loaded")["event"]
    time.sleep(1.1)
    host.ask()
    with pytest.raises(TimeoutError):
        mine.told("loaded", within=0.5)


def test_an_app_that_writes_over_the_runner_harms_itself_alone(mine: Student) -> None:
    """It answers, or it does not; nothing waits, and nothing is written elsewhere."""
    mine.save("shop/wsgi.py", """\
import io, os, sys
sys.stdout = sys.stderr = io.StringIO()
def application(environ, start_response):
    for name in [n for n in sys.modules if n.startswith("slp_runner")]:
        sys.modules[name].__dict__.clear()
        del sys.modules[name]
    start_response("200 OK", [])
    return [b"fine"]
""")  # fmt: skip
    host = mine.start()
    host.ask()
    host.ask()
    host.process.send_signal(2)
    assert 0 == host.ended(8)


def test_what_a_process_follows_is_what_it_has(mine: Student) -> None:
    """Templates, `.env`, a helper elsewhere in the home, what pip installs: one restart each."""
    packages = mine.project / "venv/lib/python3/site-packages"
    packages.mkdir(parents=True)
    (mine.project / "venv/pyvenv.cfg").touch()
    mine.app = replace(mine.app, virtualenv=str(packages.parents[2]), site_packages=str(packages))
    mine.save("../common/tool.py", "TOOL = 1\n")
    (mine.home / ".env").touch()
    mine.save("shop/views.py", VIEW.format("fine"))
    mine.save("shop/templates/shop/a.html", "a")
    mine.save("shop/wsgi.py", "import sys\nsys.path.append('../common')\nimport tool\n" + GOOD)
    ahead = time.time() + 7200
    os.utime(mine.save("shop/unzipped.py", ""), (ahead, ahead))  # in another time zone
    installed = "venv/lib/python3/site-packages/x.dist-info"
    shown = ["shop/templates/shop/a.html", "shop/templates/b.html"]
    for change in (*shown, ".env", "../common/tool.py", installed):
        host = mine.start()
        assert "fine" == host.ask()["body"]
        mine.told("loaded")
        assert host.is_there(1.3)
        for _ in range(3):
            mine.save(change, "changed\n" if not change.endswith(".py") else "TOOL = 2\n")
        assert 0 == host.ended(10), change
        told = mine.told("ends")
        assert [os.path.normpath(f"shop/{change}")] == told["changed"]


def test_who_writes_its_own_files_is_not_loaded_without_end(mine: Student) -> None:
    """A `version.py` and a page at each load; what is saved beside them is followed."""
    mine.save("shop/wsgi.py", """\
import os, shutil
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "version.py"), "w") as stream:
    stream.write("VERSION = 1\\n")
with open("new", "w") as stream:
    stream.write("it is loaded")
os.replace("new", os.path.join(here, "templates", "state.html"))
from shop import version
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"fine"]
""")  # fmt: skip
    mine.save("shop/templates/other.html", "")
    host = mine.start()
    assert "fine" == host.ask()["body"]
    mine.told("loaded")
    assert host.is_there(1.5), mine.log
    mine.save("shop/templates/other.html", "another")
    assert 0 == host.ended(10)
    told = mine.told("ends")
    assert ("changed", ["shop/shop/templates/other.html"]) == (told["why"], told["changed"])


def test_a_template_that_an_answer_writes_is_shown_by_the_next_one(mine: Student) -> None:
    """A map by folium; that it ends for it is told as what it is, and asks nobody to visit it."""
    mine.save("shop/templates/map.html", "old")
    mine.save("shop/wsgi.py", """\
import os
here = os.path.dirname(os.path.abspath(__file__))
def application(environ, start_response):
    if environ["PATH_INFO"] == "/map":
        with open(os.path.join(here, "templates/map.html"), "w") as stream:
            stream.write("new")
    start_response("200 OK", [])
    return [b"fine"]
""")  # fmt: skip
    host = mine.start()
    assert "fine" == host.ask()["body"]
    mine.told("loaded")
    assert host.is_there(1.5)
    assert "fine" == host.ask(PATH_INFO="/map")["body"]
    assert 0 == host.ended(10)
    told = mine.told("ends")
    assert ("wrote", ["shop/shop/templates/map.html"]) == (told["why"], told["changed"])
    assert "-- wrote: shop/shop/templates/map.html; the next request loads it" in mine.log


def test_what_changed_since_it_worked_is_told(mine: Student) -> None:
    """Of a failure that comes with the load, and of one that comes with the first answer."""
    mine.save("shop/views.py", VIEW.format("fine"))
    mine.save("shop/old.py", "")
    mine.save("shop/wsgi.py", GOOD)
    host = mine.start()
    assert "fine" == host.ask()["body"]
    time.sleep(1.3)
    mine.save("shop/views.py", "def page():\n    return nothing\n")
    host.ended(10)
    host = mine.start()
    assert 500 == int(host.ask()["status"][:3])
    told = mine.told("raised")
    assert ("name-error", "nothing", ["shop/shop/views.py"]) == (
        told["code"], told["name"], told["changed"],
    )  # fmt: skip
    host.process.send_signal(2)
    host.ended()
    assert "stopped" == mine.told("ends")["why"]
