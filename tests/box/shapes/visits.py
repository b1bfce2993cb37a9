"""Students who bring projects of many shapes, and whether each is whole."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.box.shapes.whole import ADMIN, Site
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.box.shapes.shape import Shape
    from tests.lab.homes import Homes
    from tests.lab.program import Program

DOMAIN = "apps.example.edu"
SUPERUSER = (
    "from django.contrib.auth.models import User; "
    f"User.objects.create_superuser('{ADMIN}', '{ADMIN}@example.edu', '{ADMIN}')"
)
"""`createsuperuser` takes a password from nobody but a terminal before Django 3."""
LEADS_OUT = {"static-missing", "outside-prefix"}
"""Codes of the warnings of a project that would be whole at the root of a server."""
SETTINGS = f"""\
[homes]
scripts = ["*/*/wsgi.py", "*/wsgi.py", "*/*/*/wsgi.py"]

[urls]
hosts = "{{account}}.{DOMAIN}"

[timing]
grace = 0.5

[probe]
per_minute = 6000
"""
WHEELS = os.environ.get("SLP_WHEELS", "")
"""Where pip finds packages (tests/lab/wheels); without it virtualenvs have the distribution's."""
WORDS = dict(
    line.split(maxsplit=1)
    for line in (Path(__file__).parents[2] / "lab/wheels.txt").read_text().splitlines()
    if line and not line.startswith("#")
)
"""What each kind of virtualenv has, as pip is told it."""


class Class:
    """The students, each with a project of another shape."""

    def __init__(self, homes: Homes, program: Program) -> None:
        self.homes = homes
        self.program = program

    def troubles(self, shapes: Sequence[Shape]) -> list[str]:
        """Have all of them made, served and visited; return what keeps any from being whole."""
        self.homes.enrol(*(shape.name for shape in shapes))
        with open("/etc/hosts", "a") as names:
            names.writelines(f"127.0.0.1 {host(shape)}\n" for shape in shapes)
        self.program.write_settings(SETTINGS)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self.make, shapes))
            with self.program.daemon():
                return [trouble for trouble in pool.map(self.fate, shapes) if trouble]

    def make(self, shape: Shape) -> None:
        """Do what a README says: virtualenv, project, `migrate`, `collectstatic`, an admin."""
        # As homes are where Apache is to serve files from them; a shut one is told what to open.
        self.homes.sh(shape.name, f"chmod 711 ~\n{install(shape)}")
        if shape.make:
            self.homes.sh(shape.name, f'PATH="$HOME/{shape.venv}/bin:$PATH"\n{shape.make}')
        draft = self.homes.home(shape.name) / ".draft"
        for path, text in shape.files.items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(text)
        subprocess.run(["chown", "-R", f"{shape.name}:", draft], check=True)
        self.homes.sh(shape.name, "cp -r .draft/. . && rm -r .draft")
        if shape.manage:
            self.write(
                shape, *shape.added, ("ALLOWED_HOSTS = []", f"ALLOWED_HOSTS = {names(shape)}")
            )
            self.homes.sh(
                shape.name,
                f'cd {shape.manage}; manage="$HOME/{shape.venv}/bin/python manage.py"\n'
                "$manage migrate -v 0\n"
                "$manage collectstatic --no-input -v 0\n"
                f'$manage shell -c "{SUPERUSER}"',
            )

    def write(self, shape: Shape, *changes: tuple[str, str]) -> None:
        """Change lines of the settings, as a student does in an editor."""
        text = (self.homes.home(shape.name) / shape.settings).read_text()
        for old, new in changes:
            assert 1 == text.count(old), f"{shape.name}: {text.count(old)} of {old!r}"
            text = text.replace(old, new)
        self.homes.write(shape.name, shape.settings, text)

    def fate(self, shape: Shape) -> str:
        """Return what keeps a shape from being whole, at its host and then at its path."""
        at_host = Site(f"http://{host(shape)}/", shape)
        at_path = Site(f"http://127.0.0.1/django/{shape.name}/", shape)
        try:
            # Apache's reload, which makes the hosts known, may still be to come.
            wait_for(at_host.is_whole, 20)
            if shape.written:
                wait_for(lambda: self.warned(shape) & LEADS_OUT, 10, "what to write")
                self.write(shape, *shape.written)
            wait_for(at_path.is_whole, 10)
            if shape.both:
                at_host.is_whole()
        except AssertionError as problem:
            print(f"{shape.name}: {problem}\n{self.program.account(shape.name)}")
            return f"{shape.name}: {problem}"
        return ""

    def warned(self, shape: Shape) -> set[str]:
        """Return the codes of an account's warnings."""
        return {warning["code"] for warning in self.program.account(shape.name)["warnings"]}


def install(shape: Shape) -> str:
    """Return what makes a shape's virtualenv."""
    python = "/usr/bin/python3"
    if not WHEELS:
        return f"{python} -m venv --without-pip --system-site-packages {shape.venv}"
    return (
        f"{python} -m venv {shape.venv}\n"
        f"{shape.venv}/bin/pip install -q --disable-pip-version-check --no-index"
        f" --find-links {WHEELS} {WORDS[shape.packages]}"
    )


def host(shape: Shape) -> str:
    """Return the host of a shape's account."""
    return f"{shape.name}.{DOMAIN}"


def names(shape: Shape) -> list[str]:
    """Return what is to be in ALLOWED_HOSTS."""
    return [host(shape), "127.0.0.1"]
