"""The runner's files, put where every student's process can read them.

    runner/<digest>/slp_runner/*.py  mends.json  __pycache__   root's, and never changed
                    waitress/*.py                __pycache__

A directory is written under another name and renamed, so one that has its name is whole. Its name
is the digest of all that is in it: a new program makes a new one, and an app that was started by
the one before goes on with that.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import py_compile
import shutil
import sys
import tempfile
from collections.abc import Container
from functools import cache
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from types import CodeType

from reconciler.publish import files

_PACKAGE = "slp_runner"
"""As which apps import it: no name that a student's own package has."""
_SOURCES = Path(__file__).resolve().parent.parent / "run"
_SERVER = "waitress"
"""What answers where mod_wsgi does not; the runner alone imports it from here."""
_LIMIT = 1024 * 1024
_HEADER = 16  # bytes before the code


@cache
def _sources() -> dict[str, bytes]:
    """Return all that is published, by its path below the runner's directory."""
    server = find_spec(_SERVER)
    assert server is not None
    assert server.origin is not None
    packages = {_PACKAGE: _SOURCES, _SERVER: Path(server.origin).parent}
    return {
        f"{package}/{path.name}": path.read_bytes()
        for package, directory in packages.items()
        for path in sorted(directory.iterdir())
        if path.suffix in {".py", ".json", ".html"}
    }


def _bytecode(name: str) -> str:
    """Return where Python looks for what a source is compiled to."""
    return cache_from_source(name, optimization="")


def _compiled() -> dict[str, bytes]:
    """Return the bytecode: no student may write it there, and each start would compile it."""
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        path, made = Path(directory, "source"), Path(directory, "made")
        for name in _modules():
            path.write_bytes(_sources()[name])
            py_compile.compile(
                str(path),
                cfile=str(made),
                dfile=name.rpartition("/")[2],
                doraise=True,
                optimize=2,  # without docstrings, which each app's process would have in memory
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            found[_bytecode(name)] = made.read_bytes()
    return found


def _modules() -> list[str]:
    return [name for name in _sources() if name.endswith(".py")]


@cache
def digest() -> str:
    """Return the name of this program's runner: what it is compiled for is part of it."""
    said = (sys.implementation.cache_tag, sys.version, sorted(_sources().items()))
    return hashlib.sha256(repr(said).encode()).hexdigest()[:24]


def _is_code(data: bytes | None) -> bool:
    """Whether it is bytecode to its end. The bytes are not the same in each process of ours."""
    try:
        return data is not None and isinstance(marshal.loads(data[_HEADER:]), CodeType)  # noqa: S302
    except (EOFError, ValueError, TypeError):
        return False


class Runner:
    """The runners below one state directory."""

    def __init__(self, state: str) -> None:
        self._home = f"{state}/runner"
        self.path = f"{self._home}/{digest()}"
        """That of this program."""
        self._seen = False

    def prepare(self) -> None:
        """Put this program's there; every pass may call it.

        Once for each process it is looked at whole: it is not synced, so a power cut may have left
        less than its name says.
        """
        if not (os.path.isdir(self.path) if self._seen else self._is_whole()):
            self._write()
        self._seen = True

    def _is_whole(self) -> bool:
        sources, compiled = _sources().items(), map(_bytecode, _modules())
        return all(
            files.read(f"{self.path}/{name}", limit=_LIMIT) == data for name, data in sources
        ) and all(_is_code(files.read(f"{self.path}/{name}", limit=_LIMIT)) for name in compiled)

    def _write(self) -> None:
        os.makedirs(self._home, mode=0o755, exist_ok=True)
        temporary = files.beside(self.path)
        try:
            for name, data in {**_sources(), **_compiled()}.items():
                os.makedirs(os.path.dirname(f"{temporary}/{name}"), mode=0o755, exist_ok=True)
                files.create(f"{temporary}/{name}", data, durable=False)
            shutil.rmtree(self.path, ignore_errors=True)
            os.rename(temporary, self.path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def names(self) -> list[str]:
        """Return every runner that is there."""
        return os.listdir(self._home)

    def prune(self, named: Container[str]) -> None:
        """Remove those but this program's that no set names, and what crashes left."""
        for name in self.names():
            path = f"{self._home}/{name}"
            if path != self.path and path not in named:
                shutil.rmtree(path, ignore_errors=True)
