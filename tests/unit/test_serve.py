"""Under `isolated` an app's process answers by itself: on the socket that systemd holds."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.publish.sets import Sets
from tests.unit.runner.lab import Student, pythons

ECHO = """\
import json, os, sys, time
print("loaded by", os.getpid())
def drip():
    for _ in range(600):
        time.sleep(0.1)
        yield b"."
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/sleep":
        time.sleep(float(environ["QUERY_STRING"]))
    if path == "/drip":
        start_response("200 OK", [])
        return drip()
    if path == "/stream":
        start_response("200 OK", [("Connection", "keep-alive"), ("X-More", "said")])
        return [b"data: news"]
    said = {name: value for name, value in environ.items() if isinstance(value, str)}
    said["pid"], said["python"] = os.getpid(), sys.version_info[:2]
    said["body"] = environ["wsgi.input"].read().decode()
    said["modules"] = [name for name in sys.modules if name.startswith("waitress")]
    said["path"] = sys.path
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]
"""


class Unit:
    """What systemd does for an app: it holds the socket, and starts a process for who comes."""

    def __init__(self, student: Student, python: str, *, threads: int = 3, limit: float = 30.0):
        self.student, self._python = student, python
        self._arguments = [str(threads), str(limit)]
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(student.place / "app"))
        self.socket.listen(64)
        self.process: subprocess.Popen[bytes] | None = None
        self.errors = student.place / "stderr"

    def publish(self, **run: Any) -> None:
        """Publish the student's app, as a look does."""
        sets = Sets(str(self.student.place / "state"))
        sets.prepare()
        app = self.student.app
        sets.publish(replace(app, run=replace(app.run, **run)))

    def start(self) -> None:
        """Start a process."""
        state = self.student.place / "state"
        (runner,) = (state / "runner").iterdir()
        words = [self._python, str(runner / "slp_runner"), str(state / "apps/alice")]
        environment = {"HOME": str(self.student.home), "LANG": "C.UTF-8", "LISTEN_FDS": "1"}
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*words, *self._arguments], env=environment, cwd="/", stdin=subprocess.DEVNULL,
                stdout=errors, stderr=errors, pass_fds=(3,),
                preexec_fn=lambda: os.dup2(self.socket.fileno(), 3),  # noqa: PLW1509
            )  # fmt: skip

    def ask(self, path: str = "/http-path/django/alice/", *more: str, body: str = "") -> Answer:
        """Ask as Apache does, by way of the relay; a process is started where none is."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(20)
            client.connect(str(self.student.place / "app"))
            lines = [f"GET {path} HTTP/1.1", "Host: slp.example.edu", "Connection: close", *more]
            client.sendall(("\r\n".join(lines) + f"\r\n\r\n{body}").encode())
            data = b""
            try:
                while more_data := client.recv(65536):
                    data += more_data
            except ConnectionResetError:
                pass
        return Answer(data)

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.socket.close()


class Answer:
    """What came."""

    def __init__(self, data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        self.head, self.text = head.decode(), body.decode()
        self.status = int(head.split()[1]) if head else 0

    @property
    def said(self) -> dict[str, Any]:
        """What the app told of the request."""
        found: dict[str, Any] = json.loads(self.text)
        return found


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    """Return a unit of an app that echoes."""
    student = Student(tmp_path)
    student.save("shop/wsgi.py", ECHO)
    found = Unit(student, sys.executable)
    yield found
    found.close()
    student.close()


@pytest.mark.parametrize(
    ("asked", "script", "info", "scheme", "port"),
    [
        ("/http-path/django/alice/a%20b/%C3%A9?q=%20", "/django/alice", "/a b/Ã©", "http", "80"),
        ("/https-path/django/alice", "/django/alice", "", "https", "443"),
        ("/https-host/", "", "/", "https", "443"),
        ("/http-host/django/alice/x", "", "/django/alice/x", "http", "80"),
        ("/http-host//x//y", "", "//x//y", "http", "80"),
    ],
)
def test_an_app_is_told_what_was_asked_as_mod_wsgi_tells_it(
    unit: Unit, asked: str, script: str, info: str, scheme: str, port: str
) -> None:
    """The scheme and the form are what Apache says in the path; the client is who Apache saw."""
    unit.publish()
    said = unit.ask(asked, "X-Forwarded-For: 6.6.6.6, 10.0.0.7", "X-Forwarded-Host: evil").said
    assert (script, info) == (said["SCRIPT_NAME"], said["PATH_INFO"])
    assert (scheme, port) == (said["wsgi.url_scheme"], said["SERVER_PORT"])
    assert ("10.0.0.7", "slp.example.edu") == (said["REMOTE_ADDR"], said["SERVER_NAME"])
    assert "/" + asked.split("/", 2)[2] == said["REQUEST_URI"]
    assert not [name for name in said if name.startswith("HTTP_X_FORWARDED")]
    assert not {"LISTEN_FDS", "SLP_TAKEN_OVER"} & said.keys()
    assert "waitress" == said["SERVER_SOFTWARE"]


@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).name)
def test_a_virtualenvs_own_python_runs_its_app(tmp_path: Path, python: str) -> None:
    """Of any version; our own packages hide none of its, and are not on its path."""
    student = Student(tmp_path)
    subprocess.run([python, "-m", "venv", "--without-pip", tmp_path / "home/env"], check=True)
    (packages,) = (tmp_path / "home/env/lib").glob("python*/site-packages")
    (packages / "theirs.py").write_text("")
    student.app = replace(
        student.app, virtualenv=str(tmp_path / "home/env"), site_packages=str(packages),
        system_site_packages=False,
    )  # fmt: skip
    student.save("shop/wsgi.py", "import theirs\n" + ECHO)
    unit = Unit(student, sys.executable)
    try:
        unit.publish()
        said = unit.ask().said
        version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True)
        assert version.stdout.split()[1].startswith("{}.{}.".format(*said["python"]))
        assert [] == said["modules"]
        assert not [path for path in said["path"] if "runner" in path]
        assert str(student.project) == said["path"][0]
    finally:
        unit.close()
        student.close()


def test_a_virtualenv_that_does_not_start_is_told_and_its_packages_are_used(unit: Unit) -> None:
    """As mod_wsgi does it: the distribution was upgraded, and took its Python away."""
    home = unit.student.home / "env"
    packages = home / "lib/python3/site-packages"
    packages.mkdir(parents=True)
    (packages / "theirs.py").write_text("")
    (home / "bin").mkdir()
    (home / "bin/python").symlink_to("/usr/bin/python2.7-gone")
    unit.student.app = replace(unit.student.app, virtualenv=str(home), site_packages=str(packages))
    unit.student.save("shop/wsgi.py", "import theirs\n" + ECHO)
    unit.publish()
    assert 200 == unit.ask().status
    assert "env/bin/python: No such file or directory" in unit.errors.read_text()


def test_it_does_not_run_for_another_uid(unit: Unit) -> None:
    """An account that was made anew: what was published is somebody else's."""
    unit.student.app = replace(unit.student.app, uid=os.getuid() + 1)
    unit.publish()
    unit.start()
    assert unit.process is not None
    assert 1 == unit.process.wait(10)
    assert f"has uid {os.getuid()}" in unit.errors.read_text()


def test_a_load_that_fails_is_answered_and_loaded_anew(unit: Unit) -> None:
    """As under mod_wsgi: the page, a report, and a second later room for the next one."""
    unit.student.save("shop/wsgi.py", "import crispy_forms\n" + ECHO)
    unit.publish()
    answer = unit.ask()
    assert 500 == answer.status
    assert "crispy_forms" in answer.text
    assert "missing-module" == unit.student.told("failed")["code"]
    assert unit.process is not None
    assert 0 == unit.process.wait(10)
    unit.student.save("shop/wsgi.py", ECHO)
    assert 200 == unit.ask().status
    assert "loaded" == unit.student.told("loaded")["event"]


def test_what_is_the_connections_affair_is_passed_over(unit: Unit) -> None:
    """As Apache does; many an example of a stream has it."""
    unit.publish()
    answer = unit.ask("/http-path/django/alice/stream")
    assert (200, "data: news") == (answer.status, answer.text)
    assert "X-More: said" in answer.head
    assert "keep-alive" not in answer.head


def test_whoever_waits_for_a_load_that_ends_the_process_is_told_at_once(unit: Unit) -> None:
    """What was accepted is closed, and Apache says so by the account's page; nobody waits on."""
    unit.student.save("shop/wsgi.py", "import os\nos._exit(1)\napplication = 1\n")
    unit.publish()
    began = time.monotonic()
    assert 0 == unit.ask().status
    assert time.monotonic() - began < 5


def test_a_new_set_ends_a_process_when_it_has_answered(unit: Unit) -> None:
    """And its withdrawal does; whoever comes meanwhile waits for the next one."""
    unit.publish()
    first = unit.ask().said["pid"]
    unit.student.told("loaded")
    slow: list[Answer] = []
    thread = threading.Thread(
        target=lambda: slow.append(unit.ask("/http-path/django/alice/sleep?2"))
    )
    thread.start()
    time.sleep(1.5)
    unit.publish(log_bytes=5000)
    assert unit.process is not None
    process = unit.process
    thread.join(10)
    assert first == slow[0].said["pid"]
    assert 0 == process.wait(10)
    assert "replaced" == unit.student.told("ends")["why"]
    assert first != unit.ask().said["pid"]
    unit.student.told("loaded")
    Sets(str(unit.student.place / "state")).withdraw("alice")
    assert 0 == unit.process.wait(10)


def test_a_set_that_is_switched_while_it_loads_is_noticed(unit: Unit) -> None:
    """It follows its link from after the load on, and looks where it leads then."""
    unit.student.save("shop/wsgi.py", "import time\ntime.sleep(1)\n" + ECHO)
    unit.publish(follow=False)
    unit.start()
    time.sleep(0.5)
    unit.publish(follow=False, log_bytes=5000)
    assert unit.process is not None
    assert 0 == unit.process.wait(10)


def test_a_stop_finishes_what_was_begun(unit: Unit) -> None:
    """And is the end of what the app itself started, whatever that does."""
    unit.student.save("shop/wsgi.py", ECHO + """\
import atexit, signal, threading
signal.signal(signal.SIGTERM, lambda *_: None)
atexit.register(lambda: open("farewell", "w").close())
threading.Thread(target=lambda: time.sleep(999)).start()
""")  # fmt: skip
    unit.publish()
    unit.ask()
    slow: list[Answer] = []
    thread = threading.Thread(
        target=lambda: slow.append(unit.ask("/http-path/django/alice/sleep?1"))
    )
    thread.start()
    time.sleep(0.5)
    assert unit.process is not None
    unit.process.send_signal(signal.SIGTERM)
    thread.join(10)
    assert 200 == slow[0].status
    assert 0 == unit.process.wait(10)
    assert (unit.student.project / "farewell").exists()


def test_an_app_that_nobody_asks_gives_its_memory_back(unit: Unit) -> None:
    """After `idle` seconds; the next visitor has a new one."""
    unit.publish(idle=1)
    unit.ask()
    assert unit.process is not None
    assert 0 == unit.process.wait(10)
    assert "idle" == unit.student.told("ends")["why"]
    assert 200 == unit.ask().status


def test_where_all_threads_are_held_it_is_ended(tmp_path: Path) -> None:
    """Nobody else would: the next visitor has a new process."""
    student = Student(tmp_path)
    student.save("shop/wsgi.py", ECHO)
    unit = Unit(student, sys.executable, threads=1, limit=1.0)
    try:
        unit.publish()
        assert 200 == unit.ask().status
        assert unit.ask("/http-path/django/alice/drip").text.count(".") < 100, "it is cut off"
        assert unit.process is not None
        assert 1 == unit.process.wait(10)
        assert "all threads were held for 1 s" in student.log
        assert 200 == unit.ask().status
    finally:
        unit.close()
        student.close()


def test_a_body_without_a_length_arrives(unit: Unit) -> None:
    """Apache hands on what comes in chunks."""
    unit.publish()
    chunks = "4\r\nslow\r\n2\r\nly\r\n0\r\n\r\n"
    said = unit.ask("/http-path/django/alice/", "Transfer-Encoding: chunked", body=chunks).said
    assert "slowly" == said["body"]


@pytest.mark.parametrize(
    ("result", "status", "code", "kind"),
    [
        ("oom-kill", "KILL", "memory", "MemoryError"),
        ("signal", "KILL", "exits", "SIGKILL"),
        ("core-dump", "SEGV", "exits", "SIGSEGV"),
        ("exit-code", "1", None, None),
    ],
)
def test_what_could_not_say_how_it_ended_is_told_of(
    unit: Unit, result: str, status: str, code: str | None, kind: str | None
) -> None:
    """By systemd's words; what ended by itself has said so, and each is a second apart."""
    unit.publish()
    (runner,) = (unit.student.place / "state/runner").iterdir()
    words = [sys.executable, "-I", "-S", str(runner / "slp_runner/ended.py"), unit.student.told_at]
    began = time.monotonic()
    environment = {"SERVICE_RESULT": result, "EXIT_STATUS": status}
    subprocess.run(words, env=environment, check=True)
    assert time.monotonic() - began >= 1.0
    if code is None:
        with pytest.raises(TimeoutError):
            unit.student.told(within=0.1)
    else:
        told = unit.student.told("failed")
        assert (code, kind) == (told["code"], told["kind"])
