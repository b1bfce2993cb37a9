"""Students: real accounts, and what they do in their homes with their own uid."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

ROOT = Path("/home/slp")
FIRST_UID = 20_000
"""Of accounts made many at once; `useradd` begins at 1,000."""

APP = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [{body!r}.encode()]
"""
"""The least that a `wsgi.py` can be; `{body!r}` is what it answers."""


URLS = """\
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse({page!r}))]
"""
"""A Django project's `urls.py` with one page."""


class Homes:
    """The accounts of a class, made and unmade by the system's own tools."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root

    def home(self, account: str) -> Path:
        """Return the account's home directory."""
        return self.root / account

    def create(self, account: str, mode: int = 0o700) -> Path:
        """Make a real account with a home of `mode`; return the home."""
        self.root.mkdir(parents=True, exist_ok=True)
        home = self.home(account)
        command = [
            "useradd",
            "--create-home",
            "--home-dir",
            str(home),
            "--shell",
            "/bin/bash",
            account,
        ]
        subprocess.run(command, check=True, capture_output=True, text=True)
        home.chmod(mode)
        return home

    def enrol(self, *accounts: str) -> None:
        """Make many accounts, with homes of 0700: a `useradd` each takes a tenth of a second."""
        with open("/etc/passwd", "a") as passwd, open("/etc/group", "a") as group:
            for uid, account in enumerate(accounts, FIRST_UID):
                passwd.write(f"{account}:x:{uid}:{uid}::{self.home(account)}:/bin/bash\n")
                group.write(f"{account}:x:{uid}:\n")
        for uid, account in enumerate(accounts, FIRST_UID):
            self.home(account).mkdir(mode=0o700, parents=True)
            os.chown(self.home(account), uid, uid)

    def remove(self, account: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`userdel --remove`: the account and its home; 8 is userdel's status for "logged in"."""
        return subprocess.run(
            ["userdel", "--remove", account], check=check, capture_output=True, text=True
        )

    def expel(self, account: str) -> int:
        """Remove an account and its home, whatever runs as it; return `userdel`'s status.

        That is 12 where such a process wrote into the home just when it had been emptied: then it
        is emptied again, by hand.
        """
        command = ["userdel", "--force", "--remove", account]
        status = subprocess.run(command, capture_output=True, check=False).returncode
        assert status in {0, 12}, status
        for _ in range(100):
            if not self.home(account).exists():
                break
            shutil.rmtree(self.home(account), ignore_errors=True)
        return status

    def run(
        self,
        account: str,
        *command: str | Path,
        text: str = "",
        cwd: Path | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` as the student, in the home or in `cwd`, with `text` as its input."""
        done = subprocess.run(
            ["/sbin/runuser", "-u", account, "--", *map(str, command)],
            cwd=cwd or self.home(account),
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.home(account)),
                "LANG": "C.UTF-8",
            },
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{account}: {shlex.join(done.args)}: status {done.returncode}\n{done.stderr}"
            )
        return done

    def sh(
        self, account: str, script: str, *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script as the student, in the home."""
        return self.run(account, "sh", "-ec", script, check=check)

    def write(self, account: str, path: str, text: str) -> Path:
        """Write a file below the home as the student: whole beside it, then renamed into place."""
        target = self.home(account) / path
        self.run(
            account, "sh", "-ec",
            'mkdir -p "${1%/*}"; cat >"$1.new~"; mv -f "$1.new~" "$1"', "write", target,
            text=text,
        )  # fmt: skip
        return target

    def bare(
        self,
        account: str,
        project: str = "mysite",
        body: str = "hello",
        *,
        source: str | None = None,
    ) -> Path:
        """Give the student a minimal app `~/project/project/wsgi.py` that answers `body`.

        `source` is the script's text instead, for one that is to be broken. Returns the script.
        """
        text = APP.format(body=body) if source is None else source
        return self.write(account, f"{project}/{project}/wsgi.py", text)

    def django_project(
        self, account: str, name: str = "mysite", *, page: str = "", settings: str = ""
    ) -> Path:
        """`django-admin startproject`, typed by the student; return the project's directory.

        A project fresh from Django has no page at a URL below the root: its "The install worked
        successfully!" is shown at `/` alone, elsewhere that is Django's own 404. What answers 200
        is `admin/login/`; or give a `page` (or `settings`, see `draft`).
        """
        if page or settings:
            self.draft(account, name, page=page, settings=settings)
            return self.put(account, name)
        self.run(account, "django-admin", "startproject", name)
        return self.home(account) / name

    def draft(
        self, account: str, name: str = "mysite", *, page: str = "hello", settings: str = ""
    ) -> Path:
        """Make a Django project where nobody looks, in `~/.draft`, so that it never runs half-made.

        `page` is the text of a view at the project's root, `settings` is appended to settings.py.
        Returns the project's directory; `put` brings it into the home.
        """
        self.sh(
            account,
            f"mkdir -p .draft && cd .draft && django-admin startproject {shlex.quote(name)}",
        )
        inner = f".draft/{name}/{name}"
        if page:
            self.write(account, f"{inner}/urls.py", URLS.format(page=page))
        if settings:
            text = (self.home(account) / inner / "settings.py").read_text()
            self.write(account, f"{inner}/settings.py", text + settings)
        return self.home(account) / ".draft" / name

    def put(self, account: str, name: str = "mysite") -> Path:
        """`mv .draft/name name`, by the student: one rename. Returns the project's directory."""
        self.run(account, "mv", "--no-target-directory", f".draft/{name}", name)
        return self.home(account) / name

    def delete(self, account: str, path: str) -> None:
        """`rm -r` below the home, by the student."""
        self.run(account, "rm", "-r", "--", self.home(account) / path)
