"""What Django does to a process, and the runner minds: names of static files, and the time zone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.runner.lab import Student

SCRIPT = """\
import os
import time
from django import urls
from django.conf import settings

os.environ["TZ"] = "Pacific/Kiritimati"
time.tzset()
print("It prints.")


def application(environ, start_response):
    urls.set_script_prefix(environ.get("SCRIPT_NAME", "") + "/")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [settings.STATIC_URL.encode()]
"""
CONF = """\
class Settings:
    configured = True
    TEMPLATES = ()
    STATIC_ROOT = "collected"

    def __getattr__(self, name):
        from django import urls

        if name != "STATIC_URL":
            raise AttributeError(name)
        self.STATIC_URL = urls.prefix + "static/"  # once, as Django does
        return self.STATIC_URL


settings = Settings()
"""


URLS = """\
prefix = "/"


def set_script_prefix(value):
    global prefix
    prefix = value


def clear_script_prefix():
    set_script_prefix("/")
"""


@pytest.fixture
def student(tmp_path: Path) -> Iterator[Student]:
    """Return a student whose project has as much of Django as matters here."""
    found = Student(tmp_path)
    found.save("django/__init__.py", "")
    found.save("django/conf.py", CONF)
    found.save("django/urls.py", URLS)
    found.save("shop/wsgi.py", SCRIPT)
    yield found
    found.close()


def test_static_files_that_are_collected_are_seen_by_the_next_process(student: Student) -> None:
    """With hashed names Django reads their list once: without it every page with a style is 500."""
    for path in ("collected/staticfiles.json", "collected/shop.css", "collected/staticfiles.json"):
        host = student.start()
        assert "/static/" in host.ask()["body"]
        student.told("loaded")
        (student.project / "collected").mkdir(exist_ok=True)
        student.save(path, "{}")
        if path.endswith(".css"):  # of each other file nobody takes notice
            assert host.is_there(0.5)
        else:
            assert 0 == host.ended(10)


def test_the_logs_clock_is_the_machines_whatever_time_zone_the_app_is_in(student: Student) -> None:
    """Django sets TZ to America/Chicago where the settings name none: the log's hours jumped."""
    student.start().ask()
    (at,) = re.findall(r"^(\S+ \S+) It prints\.$", student.log, re.MULTILINE)
    written = time.mktime(time.strptime(at, "%Y-%m-%d %H:%M:%S"))
    assert abs(time.time() - written) < 60


def test_static_files_have_addresses_below_the_path_whoever_comes_first(student: Student) -> None:
    """Who asks at the app's host has no SCRIPT_NAME, and Django asks for it once in a process."""
    host = student.start()
    assert "/django/alice/static/" == host.ask(SCRIPT_NAME="")["body"]
    assert "/django/alice/static/" == host.ask(SCRIPT_NAME="/django/alice")["body"]
