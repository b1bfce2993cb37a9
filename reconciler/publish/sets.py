"""Sets, and the links that choose among them: one `rename` publishes, switches or withdraws.

    sets/<account>/<digest>/app.wsgi   the bootstrap, root's; its mtime is what mod_wsgi looks at
                            app.json   the script, the project, the virtualenv by their real paths,
                                       the runner, and what the settings say to it
                            static     links to the student's directories, owned by the student:
                            media      what is in there is Apache's to serve, at that name
    apps/<account>                  -> ../sets/<account>/<digest>

A set is named by the digest of all that it says, so equal inputs make no new set. It is written
under another name and renamed, so a set that has its name is whole.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from reconciler.model import App
from reconciler.publish import files
from reconciler.publish.runner import Runner

_LIMIT = 64 * 1024  # an app.json is a few hundred bytes; paths are at most 4 KiB each


Stamps = tuple[files.Stamp | None, files.Stamp | None]
"""Those of a set's `app.json` and `app.wsgi`: they differ where somebody has damaged it."""


@dataclass(frozen=True, slots=True)
class Live:
    """What an account's link points to, as it was read."""

    app: App
    name: str
    """The set's."""
    stamps: Stamps


class _Run(msgspec.Struct):
    runner: str | None = None


class _Said(msgspec.Struct):
    """The part of an `app.json` of any program's that says which runner it needs."""

    run: _Run


@cache
def bootstrap() -> bytes:
    """Return the text of `app.wsgi`."""
    return Path(__file__).with_name("app.wsgi").read_bytes()


class Sets:
    """The sets and links below one state directory."""

    def __init__(self, state: str) -> None:
        self._sets = f"{state}/sets"
        self._apps = f"{state}/apps"
        self._runner = Runner(state)

    def prepare(self) -> None:
        """Make the directories; every pass may call it."""
        for path in (self._sets, self._apps):
            files.prepare(path)
        self._runner.prepare()

    def names(self) -> list[str]:
        """Return every account that has a link."""
        try:
            return [name for name in os.listdir(self._apps) if not files.is_leftover(name)]
        except FileNotFoundError:
            return []

    def served(self, account: str, before: Live | None = None) -> Live | None:
        """Return what the account's link points to; None where it is absent or not whole.

        `before` is what was read the last time: it is read again where something differs.
        """
        target = files.target(f"{self._apps}/{account}")
        if target is None:
            return None
        name = os.path.basename(target)
        stamps = self._stamps(account, name)
        if before is not None and (before.name, before.stamps) == (name, stamps):
            return before
        app = None if None in stamps else self._read(account, name)
        return None if app is None else Live(app, name, stamps)

    def publish(self, app: App, before: Live | None = None) -> Live:
        """Write the app's set if there is none, and point the account's link at it.

        Of the account's other sets only that of `before` stays, which may be being read.

        Raises:
            OSError: the disk is full, or not writable; the link is as it was.
        """
        name = self._name(app)
        home = f"{self._sets}/{app.account}"
        try:
            os.mkdir(home, 0o755)
            is_first = True
        except FileExistsError:
            is_first = False
        if is_first or self._read(app.account, name) != app:
            stamps = self._write(app, home, name)
        else:
            stamps = self._stamps(app.account, name)
        files.link(f"../sets/{app.account}/{name}", f"{self._apps}/{app.account}")
        if not is_first:
            self._keep(app.account, {name, None if before is None else before.name})
        return Live(app, name, stamps)

    def withdraw(self, account: str, before: Live | None = None) -> None:
        """Take the account's link away. Its URL is answered by its page from the next request."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._apps}/{account}")
        self._keep(account, {None if before is None else before.name})

    def prune(self, account: str) -> None:
        """Remove the account's sets but the one in use."""
        self._keep(account, {os.path.basename(files.target(f"{self._apps}/{account}") or "")})

    def _keep(self, account: str, keep: Set[str | None]) -> None:
        home = f"{self._sets}/{account}"
        try:
            names = os.listdir(home)
        except OSError:  # what is left over is `prune_all`'s, the next time
            return
        for name in names:
            if name not in keep:
                shutil.rmtree(f"{home}/{name}", ignore_errors=True)
        if keep <= {None, ""}:
            with contextlib.suppress(OSError):
                os.rmdir(home)

    def prune_all(self) -> None:
        """Remove what crashes and departed accounts left."""
        for directory in (self._apps, self._sets):
            files.remove_leftovers(directory)
        for account in os.listdir(self._sets):
            self.prune(account)
        self._prune_runners()

    def _prune_runners(self) -> None:
        """Remove the runners of programs before this one, once no set names them."""
        if len(self._runner.names()) > 1:
            self._runner.prune({path for name in self.names() if (path := self._runner_of(name))})

    def _runner_of(self, account: str) -> str | None:
        data = files.read(f"{self._apps}/{account}/app.json", limit=_LIMIT)
        try:
            return msgspec.json.decode(data or b"", type=_Said).run.runner
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None

    def _encoded(self, app: App) -> bytes:
        """Return the text of the app's `app.json`."""
        said = msgspec.to_builtins(app)
        said["run"]["runner"] = self._runner.path
        return msgspec.json.encode(said)

    def _name(self, app: App) -> str:
        """Return the name of the app's set: a digest of everything in it."""
        return hashlib.sha256(bootstrap() + self._encoded(app)).hexdigest()[:24]

    def _stamps(self, account: str, name: str) -> Stamps:
        where = f"{self._sets}/{account}/{name}"
        return files.stamp(f"{where}/app.json"), files.stamp(f"{where}/app.wsgi")

    def _read(self, account: str, name: str) -> App | None:
        where = f"{self._sets}/{account}/{name}"
        data = files.read(f"{where}/app.json", limit=_LIMIT)
        if data is None or files.read(f"{where}/app.wsgi", limit=_LIMIT) != bootstrap():
            return None
        try:
            app = msgspec.json.decode(data, type=App)
        except (msgspec.DecodeError, ValueError, RecursionError):  # damaged
            return None
        return app if data == self._encoded(app) else None  # else another program's

    def _write(self, app: App, home: str, name: str) -> Stamps:
        temporary = files.beside(f"{home}/{name}")
        os.mkdir(temporary, 0o755)
        try:
            stamps = (
                files.create(f"{temporary}/app.json", self._encoded(app), durable=False),
                files.create(f"{temporary}/app.wsgi", bootstrap(), durable=False),
            )
            for link, directory in app.links:
                os.symlink(directory, f"{temporary}/{link}")
                # Apache follows it only where link and target have one owner.
                os.lchown(f"{temporary}/{link}", app.uid, app.gid)
            try:
                os.rename(temporary, f"{home}/{name}")
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    raise
                files.remove(f"{home}/{name}")  # a set that lost a file: never in use
                os.rename(temporary, f"{home}/{name}")
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return stamps
