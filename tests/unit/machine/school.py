"""Students: accounts in a database of our own, and homes with projects in them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

ROOT = os.geteuid() == 0
APPLICATION = "def application(environ, start_response):\n    return []\n"


@dataclass
class Row:
    """One account of the database."""

    uid: int
    gid: int
    home: str
    group: str


class School:
    """The accounts and their homes, in two directories."""

    def __init__(self, home: Path) -> None:
        self.root, self.etc = home / "homes", home / "etc"
        for path in (self.root, self.etc):
            path.mkdir()
            path.chmod(0o755)
        self.rows: dict[str, Row] = {}
        self._next_uid = 3001
        self.database()

    # ---- the account database --------------------------------------------------------------

    def account(self, name: str, *, uid: int | None = None, home: str | None = None) -> Row:
        """Add an account, or give it another row; without root, all are us."""
        if uid is None and ROOT:
            uid, self._next_uid = self._next_uid, self._next_uid + 1
        number = os.geteuid() if uid is None else uid
        group = os.getegid() if uid is None else uid
        self.rows[name] = Row(number, group, home or str(self.root / name), name)
        self.database()
        return self.rows[name]

    def forget(self, *names: str) -> None:
        """Take accounts out of the database; their homes stay."""
        for name in names:
            del self.rows[name]
        self.database()

    def database(self, *, answers: bool = True) -> None:
        """Write `passwd` and `group` as tools do; where they do not answer, root is missing."""
        rows = self.rows.items() if answers else ()
        passwd = [f"{n}:x:{r.uid}:{r.gid}::{r.home}:/bin/sh" for n, r in rows]
        group = [f"{r.group}:x:{r.gid}:" for _, r in rows]
        if answers:
            passwd.insert(0, "root:x:0:0::/root:/bin/sh")
            group.insert(0, "root:x:0:")
        for name, lines in (("group", group), ("passwd", passwd)):
            temporary = self.etc / f"{name}.new"
            temporary.write_text("".join(f"{line}\n" for line in lines))
            temporary.rename(self.etc / name)

    # ---- homes -----------------------------------------------------------------------------

    def student(self, name: str, project: str | None = "mysite", **row: Any) -> Path:
        """Add an account with its home and, unless None, a Django-like project; return the home."""
        self.account(name, **row)
        home = self.root / name
        self.directory(name, "")
        if project is not None:
            self.project(name, project)
        return home

    def students(self, *names: str) -> None:
        """Add several."""
        for name in names:
            self.student(name)

    def project(self, name: str, project: str = "mysite", text: str = APPLICATION) -> Path:
        """Put a project into a home; return its script."""
        self.write(name, f"{project}/manage.py", "")
        return self.write(name, f"{project}/{project}/wsgi.py", text)

    def write(self, name: str, path: str, text: str, *, mode: int = 0o644) -> Path:
        """Write a student's file, as an editor does: beside it, then renamed over it."""
        place = self.root / name / path
        self.directory(name, os.path.dirname(path))
        temporary = place.with_name(f".{place.name}.swp")
        temporary.write_text(text)
        temporary.chmod(mode)
        self.own(name, temporary)
        temporary.rename(place)
        return place

    def directory(self, name: str, path: str) -> Path:
        """Make a student's directory, and those above it."""
        place = self.root / name
        for part in ["", *filter(None, path.split("/"))]:
            place /= part
            if not place.exists():
                place.mkdir()
                place.chmod(0o755)
                self.own(name, place)
        return place

    def own(self, name: str, path: Path) -> None:
        """Give it to the student."""
        if ROOT:
            os.chown(path, self.rows[name].uid, self.rows[name].gid, follow_symlinks=False)

    def remove(self, name: str, path: str = "") -> None:
        """Remove a file or a tree of a student's, or the whole home."""
        place = self.root / name / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()
