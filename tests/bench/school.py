"""A school of accounts, made in a second rather than by a thousand `useradd`s."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from reconciler.model import App

ROOT = Path("/home/slp")
FIRST_UID = 20_000
SCRIPT = (
    "def application(environ, start_response):\n"
    "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
    "    return [b'%s']\n"
)
_URLS = """\
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse(settings.BASE_DIR.parent.name))]
"""
"""A page that says whose project it is."""


def name(index: int) -> str:
    """Return an account's name."""
    return f"u{index:05}"


def enroll(count: int) -> None:
    """Add accounts with private groups to the database."""
    with open("/etc/passwd", "a") as passwd, open("/etc/group", "a") as group:
        for index in range(count):
            uid = FIRST_UID + index
            passwd.write(f"{name(index)}:x:{uid}:{uid}::{ROOT}/{name(index)}:/bin/bash\n")
            group.write(f"{name(index)}:x:{uid}:\n")
    for index in range(count):
        home = ROOT / name(index)
        home.mkdir(parents=True)
        own(home, index)


def project(index: int, *, packages: int = 60) -> None:
    """Give an account a project, with a virtualenv of `packages` directories, as pip makes them."""
    home = ROOT / name(index)
    package = home / "mysite/mysite"
    package.mkdir(parents=True)
    (home / "docs").mkdir()
    (home / "mysite/manage.py").write_text("#\n")
    for module in ("__init__", "settings", "urls"):
        (package / f"{module}.py").write_text("#\n")
    # Each text its own, as `startproject` makes them for projects of different names.
    (package / "wsgi.py").write_text(SCRIPT % name(index))
    venv = home / "mysite/.venv"
    for number in range(packages):
        (venv / f"lib/python3.11/site-packages/p{number}/sub").mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\n")
    own(home, index)


def studio(index: int, *, packages: int = 60) -> None:
    """Give an account what a term leaves in a home: a shell's files, Django, a real virtualenv.

    Every second virtualenv is in the home itself, the others in the project; each has `packages`
    directories beside what `python3 -m venv` makes.
    """
    home = ROOT / name(index)
    for file in Path("/etc/skel").iterdir():
        shutil.copy(file, home)
    draft, script = django_project(index)
    # Each text its own, as `startproject` makes them for projects of different names.
    script.write_text(draft.read_text().replace("mysite project", f"{name(index)} project"))
    draft.unlink()
    model = Path("/run/model/venv")
    if not model.exists():
        subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", model], check=True)
        (site,) = model.glob("lib/python3*/site-packages")
        for number in range(packages):
            (site / f"p{number}/sub").mkdir(parents=True)
    place = home / ("venv" if index % 2 else "mysite/.venv")
    shutil.copytree(model, place, symlinks=True)
    own(home, index)


def django_project(index: int) -> tuple[Path, Path]:
    """Give an account what `startproject` makes; return its script, elsewhere, and the place."""
    model = Path("/run/model/mysite")
    if not model.exists():
        model.parent.mkdir(exist_ok=True)
        subprocess.run(["django-admin", "startproject", "mysite"], cwd=model.parent, check=True)
        (model / "mysite/urls.py").write_text(_URLS)
    project = ROOT / name(index) / "mysite"
    if not (project / "manage.py").exists():
        shutil.copytree(model, project, dirs_exist_ok=True)
        (project / "mysite/wsgi.py").rename(project / ".draft")
    shutil.copy(model / "mysite/wsgi.py", project / ".draft")
    own(project, index)
    return project / ".draft", project / "mysite/wsgi.py"


def app(index: int, script: Path) -> App:
    """Return a script of `mysite` as the program would see it: for what is done by hand."""
    uid, status = FIRST_UID + index, script.stat()
    mysite, package = f"{ROOT}/{name(index)}/mysite", str(script.parent)
    identity = (status.st_ino, status.st_size, status.st_mtime_ns)
    return App(name(index), uid, uid, str(script), mysite, package, (), None, None, identity)


def own(path: Path, index: int) -> None:
    """Give all below `path` to the account."""
    uid = FIRST_UID + index
    for where, _, files in os.walk(path):
        os.chown(where, uid, uid)
        for file in files:
            os.lchown(f"{where}/{file}", uid, uid)


def put(index: int, text: str, project: str = "mysite") -> Path:
    """Write a script beside its place, and return where it is to be renamed to."""
    home = ROOT / name(index)
    (home / project).mkdir(exist_ok=True)
    draft = home / project / ".draft"
    draft.write_text(SCRIPT % text)
    own(home / project, index)
    return draft


def settings(text: str = "") -> None:
    """Write the settings of a run."""
    file = Path("/etc/slp-reconciler/reconciler.toml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
