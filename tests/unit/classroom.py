"""A class of students below a root of homes of its own, for tests that look at them in process."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from reconciler.observe.accounts import Accounts
from reconciler.observe.identity import become
from reconciler.observe.interpreter import Interpreter
from reconciler.observe.observer import Observer
from reconciler.observe.sighting import Seen, Subject
from reconciler.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model import Account, Home, Script

FIRST = 4101
"""The first student's uid."""
APP = "application = None\n"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")


class School:
    """Students below a root of homes of its own, and who looks at them."""

    def __init__(self) -> None:
        self.top = Path(tempfile.mkdtemp())
        self.top.chmod(0o755)
        self.root = self.top / "homes"
        self.root.mkdir()
        self.etc = self.top / "etc"
        self.etc.mkdir()
        self.rows = {"root": "root:x:0:0::/root:/bin/sh"}
        self.groups = {"root": "root:x:0:"}
        self.became: list[str | None] = []
        self.observers: list[Observer] = []

    def student(self, name: str, *, home: str | None = None, mode: int = 0o700) -> Path:
        """Add an account, and return its home, which is there."""
        uid = FIRST + len(self.rows) if os.geteuid() == 0 else os.geteuid()
        self.rows[name] = f"{name}:x:{uid}:{uid}::{home or self.root / name}:/bin/sh"
        self.groups[name] = f"{name}:x:{uid}:"
        place = self.root / name
        place.mkdir(mode=mode)
        self.own(name)
        return place

    def uid(self, name: str) -> int:
        """Return an account's."""
        return int(self.rows[name].split(":")[2])

    def own(self, name: str, place: Path | None = None) -> None:
        """Give all in the home to its student."""
        uid = self.uid(name) if os.geteuid() == 0 else -1
        place = place or self.root / name
        for found in (place, *place.rglob("*")):
            os.chown(found, uid, uid, follow_symlinks=False)

    def script(self, name: str, path: str = "mysite/mysite/wsgi.py", text: str = APP) -> Path:
        """Write a script of the student's, and return where it is."""
        file = self.root / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.own(name)
        return file

    def become(self, account: Account | None) -> None:
        """Become the account where this process can, and note it."""
        self.became.append(account and account.name)
        if os.geteuid() == 0:
            become(account)

    def observer(self, text: str = "", *, gives_way: bool = False, **more: Any) -> Observer:
        """Return one who looks by the accounts as they are now; for systemd's apps, `gives_way`."""
        (self.etc / "passwd").write_text("\n".join(self.rows.values()) + "\n")
        (self.etc / "group").write_text("\n".join(self.groups.values()) + "\n")
        values = msgspec.toml.decode(text.encode()) if text else {}
        values.setdefault("homes", {}).setdefault("root", str(self.root))
        accounts = Accounts(str(self.etc))
        accounts.refresh()
        made = Observer(
            msgspec.convert(values, Settings),
            Interpreter(sys.executable, "3.11", gives_way=gives_way),
            accounts=accounts,
            become=self.become,
            **more,
        )
        self.observers.append(made)
        return made

    def close(self) -> None:
        for made in self.observers:
            made.close()
        shutil.rmtree(self.top)


@pytest.fixture
def school() -> Iterator[School]:
    """Return a school that is gone after the test, whose thread is itself."""
    made = School()
    try:
        yield made
        assert os.geteuid() == fsuid()
    finally:
        become(None)
        made.close()


def fsuid() -> int:
    """Return as whom the calling thread reads."""
    text = Path("/proc/thread-self/status").read_text()
    return int(text.split("Uid:\t")[1].split("\n")[0].split()[3])


def look(observer: Observer, name: str, before: Seen | None = None) -> Seen:
    """Return what is seen of one home."""
    (told,) = observer.observe([Subject(name, None, before)], {name: "files"})
    return told


def seen(observer: Observer, name: str, served: str | None = None) -> Home:
    """Return what is told of one home."""
    (told,) = observer.observe([Subject(name, served)], {name: "files"})
    return told.home


def only(home: Home) -> Script:
    """Return the one script of a home."""
    (script,) = home.scripts
    return script
