"""Apache as the program meets it: a command that tests and reloads, a process, and an address.

The program's own `Server` asks it, so that nothing here knows that class, whatever its names. What
this knows of a configuration is what a visitor meets: `Alias`, `WSGIScriptAlias`, `ErrorDocument`
within a `<Location>`. What a real Apache has in its memory is here one file that a reload writes.
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAMES = {
    "slp-server.conf": "server.conf",
    "django.conf": "django.conf",
    "django-ssl.conf": "django-ssl.conf",
}
"""What Apache includes → the generated file that it is a link to."""

# `hold-…` makes it hang, `fail-…` makes it fail with those words, `die` ends Apache at a reload,
# and `words` are what no configuration may contain.
_CONTROL = """\
here=${0%/*}
echo "$1" >> "$here/asked"
while [ -e "$here/hold-$1" ]; do touch "$here/held-$1"; sleep 0.01; done
if words=$(cat "$here/fail-$1" 2>/dev/null); then echo "$words"; exit 1; fi
if [ "$1" = configtest ]; then
  read=${APACHE_CONFDIR:-$here/conf}
  if [ ! -e "$read/apache2.conf" ]; then echo "Could not open $read/apache2.conf"; exit 1; fi
  sed -n 's/^Define [A-Z_]* \\(${[A-Z_]*}\\)$/AH00111: Config variable \\1 is not defined/p' \\
    "$read"/*.conf
  included=$(sed -n 's/^Include "\\(.*\\)"$/\\1/p' "$read"/*.conf)
  if found=$(grep -oFf "$here/words" "$read"/*.conf $included); then
    echo "Syntax error: $found"; exit 1
  fi
  echo "Syntax OK"
else
  cat "$here"/conf/*.conf > "$here/read.new" 2>/dev/null
  mv "$here/read.new" "$here/read"
  if [ -e "$here/die" ]; then pid=$(cat "$here/pid"); rm "$here/pid"; kill "$pid"; fi
fi
"""
_ALIAS = re.compile(r'^\s*(WSGIScriptAlias|Alias)\s+"([^"]+)"\s+"([^"]+)"', re.MULTILINE)
_LOCATION = re.compile(r'^<Location "([^"]+)">(.*?)^</Location>', re.MULTILINE | re.DOTALL)
_PAGE = re.compile(r'ErrorDocument 404 "([^"]+)"')
_DAEMON = re.compile(r"^\s*WSGIDaemonProcess\s+slp-([A-Za-z0-9]\S*)", re.MULTILINE)


class Apache:
    """One server, running, with nothing of ours read yet."""

    def __init__(self, home: Path, state: Path) -> None:
        self._home = home
        self.confdir = home / "conf"
        self.confdir.mkdir(parents=True)
        for name, file in NAMES.items():
            (self.confdir / name).symlink_to(state / "current" / file)
        (self.confdir / "apache2.conf").write_text("# the administrator's own\n")
        self.control = home / "control"
        self.control.write_text(_CONTROL)
        for name in ("words", "asked", "read"):
            (home / name).touch()
        (home / "apache2").symlink_to("/bin/sleep")
        self._awake = threading.Event()
        self._awake.set()
        self._closed = threading.Event()
        self.tells_other = False
        """It answers, and never with what it read: its site does not include ours."""
        self.runs_apps = True
        """Whether its daemons answer: with `threads = 0` they pass every test, and do not."""
        self.slow = 0.0
        """Seconds that each answer takes."""
        self.to: str | None = None
        """Where it redirects every request."""
        self.plays: dict[str, tuple[int, str] | None] = {}
        """By path: what an app answers in the place of what it would; None: nothing, ever."""
        self.visits: list[str] = []
        """The paths that the program asked for as a visitor."""
        self._process: subprocess.Popen[bytes] | None = None
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.apache = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.start()

    def tables(self) -> dict[str, object]:
        """Return the settings of this server."""
        return {
            "confdir": str(self.confdir),
            "configtest": ["sh", str(self.control), "configtest"],
            "reload": ["sh", str(self.control), "graceful"],
            "pid_file": str(self._home / "pid"),
            "verify_url": f"http://127.0.0.1:{self._server.server_port}",
            "timeout": 5.0,
        }

    # ---- what happens to it ----------------------------------------------------------------

    def start(self) -> None:
        """Start it, with what is published now."""
        self._process = subprocess.Popen(["sleep", "999"], executable=self._home / "apache2")
        (self._home / "pid").write_text(f"{self._process.pid}\n")
        texts = [path.read_text() for path in sorted(self.confdir.iterdir()) if path.exists()]
        (self._home / "read").write_text("".join(texts))

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._process = None
        with contextlib.suppress(FileNotFoundError):
            (self._home / "pid").unlink()

    def hang(self, *, on: bool = True) -> None:
        """Let it take requests, and answer none."""
        if on:
            self._awake.clear()
        else:
            self._awake.set()

    def forbid(self, *words: str) -> None:
        """Fail the test of every configuration in which one of these stands."""
        (self._home / "words").write_text("".join(f"{word}\n" for word in words))

    def hold(self, command: str) -> None:
        """Let "configtest" or "graceful" hang until `release`."""
        (self._home / f"hold-{command}").touch()

    def release(self, command: str) -> None:
        """Let it go on."""
        for state in ("hold", "held"):
            (self._home / f"{state}-{command}").unlink(missing_ok=True)

    def held(self, command: str) -> bool:
        """Whether somebody has come to where it hangs."""
        return (self._home / f"held-{command}").exists()

    def fail(self, command: str, words: str | None) -> None:
        """Let "configtest" or "graceful" fail with these words; None: no more."""
        path = self._home / f"fail-{command}"
        if words is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(words)

    def end_at_reload(self, *, on: bool = True) -> None:
        """Let the next reload be its end."""
        path = self._home / "die"
        path.touch() if on else path.unlink(missing_ok=True)

    def close(self) -> None:
        """End all that was started here."""
        self._closed.set()
        self._awake.set()
        for command in ("configtest", "graceful"):
            self.release(command)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.stop()

    # ---- what is seen of it ----------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether its process lives, and says so."""
        alive = self._process is not None and self._process.poll() is None
        return alive and (self._home / "pid").exists()

    @property
    def read(self) -> str:
        """All that it has read, and serves."""
        return (self._home / "read").read_text()

    @property
    def daemons(self) -> set[str]:
        """The accounts that it runs a daemon for."""
        return self.declared(self.read)

    @staticmethod
    def declared(text: str) -> set[str]:
        """Return the accounts that a configuration declares a daemon for."""
        return set(_DAEMON.findall(text))

    @property
    def names(self) -> set[Path]:
        """The files and directories that its requests are mapped to."""
        return {Path(file) for _, _, file in _ALIAS.findall(self.read)}

    @property
    def reloads(self) -> int:
        """How often it was reloaded, or asked to be."""
        return self._asked.count("graceful")

    @property
    def tests(self) -> int:
        """How often it tested a configuration."""
        return self._asked.count("configtest")

    @property
    def _asked(self) -> list[str]:
        return (self._home / "asked").read_text().split()

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return what a visitor of this path meets: of an app, the `app.json` it would run by."""
        read = self.read
        for kind, url, file in _ALIAS.findall(read):
            if path != url and not path.startswith(f"{url}/"):
                continue
            place = Path(file if kind == "WSGIScriptAlias" else file + path[len(url) :])
            if place.is_file():
                return self._run(place) if kind == "WSGIScriptAlias" else (200, place.read_bytes())
            inside = dict(_LOCATION.findall(read)).get(url, "")
            page = _PAGE.search(inside)
            return 404, self.answer(page.group(1))[1] if page else b""
        return 404, b""

    def _run(self, script: Path) -> tuple[int, bytes]:
        """Return what a student's app would be run by, or what an app of the program's answers."""
        if not self.runs_apps:
            return 500, b""
        told = script.with_name("app.json")
        if told.exists():
            return 200, told.read_bytes()
        names: dict[str, Any] = {}
        exec(compile(script.read_text(), script, "exec"), names)
        return 200, b"".join(names["application"]({}, lambda *_: None))

    def respond(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body, or wait while it hangs."""
        self._awake.wait(30)
        time.sleep(self.slow)
        if self.to is not None:
            return 302, {"Location": f"{self.to}{path}"}, b""
        if path in self.plays:
            play = self.plays[path]
            while play is None and not self._closed.wait(0.01):
                play = self.plays[path]
            status, text = play or (504, "")
            return status, {"Content-Type": "text/html"}, text.encode()
        status, body = (404, b"another site") if self.tells_other else self.answer(path)
        return status, {}, body


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    apache: Apache


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        apache = self.server.apache
        if not apache.running:
            self.close_connection = True
            return
        if "asks once" in self.headers.get("User-Agent", ""):
            apache.visits.append(self.path)
        status, headers, body = apache.respond(self.path)
        with contextlib.suppress(OSError):  # whoever asked has left
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        del format, args
