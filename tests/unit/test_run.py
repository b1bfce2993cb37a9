"""The runner in processes of each Python that there is: load, answer, follow, tell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
    assert "load.py" not in student.log
    assert 0 == host.ended(3)
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
    assert 0 == host.ended(3)
    told = student.told("ends")
    assert ("changed", ["shop/shop/views.py"]) == (told["why"], told["changed"])
    assert "two" == student.start().ask()["body"]
