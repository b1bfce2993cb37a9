"""The runner's files, put where every student's process can read them.

    runner/<digest>/slp_runner/*.py  mends.json  __pycache__   root's, and never changed

A directory is written under another name and renamed, so one that has its name is whole. Its name
is the digest of all that is in it: a new program makes a new one, and an app that was started by
the one before goes on with that.
"""

from __future__ import annotations

import hashlib
import os
import py_compile
import shutil
import sys
from collections.abc import Container
from functools import cache
from pathlib import Path

from reconciler.publish import files

_PACKAGE = "slp_runner"
"""As which apps import it: no name that a student's own package has."""
_SOURCES = Path(__file__).resolve().parent.parent / "run"


@cache
def _contents() -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(_SOURCES.iterdir())
        if path.suffix in {".py", ".json"}
    }


@cache
def digest() -> str:
    """Return the name of this program's runner: what it is compiled for is part of it."""
    found = hashlib.sha256(
        repr((sys.implementation.cache_tag, sorted(_contents().items()))).encode()
    )
    return found.hexdigest()[:24]


class Runner:
    """The runners below one state directory."""

    def __init__(self, state: str) -> None:
        self._home = f"{state}/runner"
        self.path = f"{self._home}/{digest()}"
        """That of this program."""

    def prepare(self) -> None:
        """Put this program's there; every pass may call it."""
        if os.path.isdir(self.path):
            return
        os.makedirs(self._home, mode=0o755, exist_ok=True)
        temporary = files.beside(self.path)
        try:
            os.makedirs(f"{temporary}/{_PACKAGE}", mode=0o755)
            for name, data in _contents().items():
                files.create(f"{temporary}/{_PACKAGE}/{name}", data)
            self._compile(f"{temporary}/{_PACKAGE}")
            os.rename(temporary, self.path)
            files.sync_directory(self._home)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _compile(self, package: str) -> None:
        """Beforehand: no student may write there, and each start of a process would compile it."""
        for name in _contents():
            if name.endswith(".py"):
                py_compile.compile(
                    f"{package}/{name}",
                    dfile=f"{self.path}/{_PACKAGE}/{name}",
                    doraise=True,
                    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
                )

    def names(self) -> list[str]:
        """Return every runner that is there."""
        return os.listdir(self._home)

    def prune(self, named: Container[str]) -> None:
        """Remove those but this program's that no set names, and what crashes left."""
        for name in self.names():
            path = f"{self._home}/{name}"
            if path != self.path and path not in named:
                shutil.rmtree(path, ignore_errors=True)
