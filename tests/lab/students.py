"""Students who do at random what students do, and what a server is to answer for it in the end."""

from __future__ import annotations

import os
import pwd
import random
import re
import shutil
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.apache import uid_of
from tests.lab.homes import APP, Homes
from tests.lab.right import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AWAY = Path("/var/tmp/away")
"""Where a project is moved to, out of the home."""
BROKEN = "def application(:\n"
GUEST = 0.1
"""Operations a second that make or remove an account: each is a reload, which has its pause."""


class Students:
    """Accounts that churn, and guests that also come and go; by one seeded chance."""

    def __init__(
        self, homes: Homes, accounts: list[str], guests: list[str], chance: random.Random
    ) -> None:
        self.homes = homes
        self.accounts = accounts
        self.guests = guests
        self.chance = chance
        self.count = 0
        self.kinds: dict[Callable[[Path, str], str], float] = {
            self.write: 4, self.rewrite: 3, self.spoil: 2, self.delete: 1.5, self.remake: 1,
            self.leave: 1, self.come_back: 2, self.chmod: 2, self.link: 1,
        }  # fmt: skip
        AWAY.mkdir(exist_ok=True)
        AWAY.chmod(0o1777)

    def act(self, every: float) -> str:
        """Do one thing, one of which is due `every` seconds; return what it was."""
        self.count += 1
        if self.chance.random() < GUEST * every:
            return self.come_or_go(self.chance.choice(self.guests))
        present = [guest for guest in self.guests if uid_of(guest) is not None]
        account = self.chance.choice(self.accounts + present)
        [act] = self.chance.choices(list(self.kinds), list(self.kinds.values()))
        with acting_as(account):
            return f"{account}: {act(self.homes.home(account) / 'mysite', account)}"

    # --- accounts -------------------------------------------------------------------------------

    def come_or_go(self, guest: str) -> str:
        """`userdel` one who is there, with the home, whatever runs as them; else `useradd`."""
        if uid_of(guest) is None:
            self.homes.create(guest)
            with acting_as(guest):
                self.write(self.homes.home(guest) / "mysite", guest)
            return f"{guest}: useradd"
        status = self.homes.expel(guest)
        shutil.rmtree(AWAY / guest, ignore_errors=True)
        return f"{guest}: userdel {status}"

    # --- what a student does, as the student; `project` is ~/mysite -----------------------------

    def write(self, project: Path, account: str) -> str:
        """Write the script beside its place, and rename it into it, as good editors do."""
        self.put(project, APP.format(body=self.body(account)))
        return f"write {self.count}"

    def rewrite(self, project: Path, account: str) -> str:
        """Write into the script itself, in two halves, as other editors do."""
        text = APP.format(body=self.body(account))
        half = self.chance.randrange(len(text))
        (project / "mysite").mkdir(parents=True, exist_ok=True)
        with (project / "mysite/wsgi.py").open("w") as stream:
            stream.write(text[:half])
            stream.flush()
            time.sleep(self.chance.choice([0, 0.001, 0.02]))
            stream.write(text[half:])
        return f"rewrite {self.count}"

    def spoil(self, project: Path, _: str) -> str:
        """Save a syntax error."""
        self.put(project, BROKEN)
        return "spoil"

    def delete(self, project: Path, _: str) -> str:
        """Delete the script."""
        (project / "mysite/wsgi.py").unlink(missing_ok=True)
        return "delete"

    def remake(self, project: Path, account: str) -> str:
        """Delete the whole project, and make it again."""
        shutil.rmtree(project, ignore_errors=True)
        return f"remake, {self.write(project, account)}"

    def leave(self, project: Path, account: str) -> str:
        """`mv` the project out of the home."""
        if project.exists() and not (AWAY / account).exists():
            project.rename(AWAY / account)
        return "leave"

    def come_back(self, project: Path, account: str) -> str:
        """`mv` it back."""
        if (AWAY / account).exists() and not project.exists():
            (AWAY / account).rename(project)
        return "come back"

    def chmod(self, project: Path, _: str) -> str:
        """Let everybody write to the script, or nobody."""
        script, mode = project / "mysite/wsgi.py", self.chance.choice([0o666, 0o644, 0o600])
        if script.is_file():
            script.chmod(mode)
        return f"chmod {mode:o}"

    def link(self, project: Path, account: str) -> str:
        """Put a link to another file of one's own in the script's place."""
        (project / "mysite").mkdir(parents=True, exist_ok=True)
        elsewhere = project.parent / "elsewhere.py"
        elsewhere.write_text(APP.format(body=self.body(account)))
        draft = project / "mysite/.draft"
        draft.unlink(missing_ok=True)
        draft.symlink_to(elsewhere)
        draft.rename(project / "mysite/wsgi.py")
        return "link"

    def body(self, account: str) -> str:
        """Return what a new script answers: another each time."""
        return f"I am {account}, number {self.count}."

    @staticmethod
    def put(project: Path, text: str) -> None:
        """Write a script beside its place and rename it."""
        draft = project / "mysite/.draft"
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text)
        draft.rename(draft.with_name("wsgi.py"))

    # --- what is right --------------------------------------------------------------------------

    def wanted(self, account: str) -> Wanted:
        """Return what the home says now, read without any of the program's code."""
        if uid_of(account) is None:
            return Wanted("gone")
        script = self.homes.home(account) / "mysite/mysite/wsgi.py"
        try:
            mode = script.lstat().st_mode
        except FileNotFoundError:
            return Wanted("empty")
        if stat.S_ISLNK(mode):
            return Wanted("rejected", "symlink")
        if mode & 0o022:
            return Wanted("rejected", "writable-by-others")
        found = re.search(r"I am \w+, number \d+\.", script.read_text())
        if found is None:
            return Wanted("rejected", "syntax-error")
        return Wanted("served", text=found[0])


@contextmanager
def acting_as(account: str) -> Iterator[None]:
    """Be the student until the block's end, for the kernel and so for whose the files are."""
    row = pwd.getpwnam(account)
    os.setegid(row.pw_gid)
    os.seteuid(row.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
