"""What a shape is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DJANGO_ADMIN = ("admin/", "Django administration", "Notes")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A project; paths are relative to the home."""

    name: str
    """Also the account's."""
    like: str
    """What it has of which public repositories, or what makes it."""
    venv: str
    """Where its virtualenv is."""
    packages: str = "django-5.2"
    """What pip installs there: a line of tests/lab/wheels.txt."""
    make: str = ""
    """The command that makes it."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What the student writes, beside what was made."""
    manage: str = ""
    """The directory of `manage.py`; empty: there is none."""
    settings: str = ""
    """The file whose lines are changed; `ALLOWED_HOSTS = []` is one of them."""
    added: tuple[tuple[str, str], ...] = ()
    """What the student changes in what was made, for an app of their own."""
    written: tuple[tuple[str, str], ...] = ()
    """What the page says to write for the path, and what it replaces."""
    both: bool = True
    """Whether it is whole at its host as well when that is written."""
    pages: tuple[tuple[str, str], ...] = ()
    """Further pages, and a piece of each."""
    front: str = ""
    """The path of the notes' first page."""
    title: str = "Notes of the class"
    """What it says; empty: there are no notes."""
    admins: tuple[tuple[str, str, str], ...] = (DJANGO_ADMIN,)
    """Each admin's path, a piece of its login, and a piece of what it shows then."""
