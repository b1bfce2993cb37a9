"""Which Python mod_wsgi embeds: the one that will run the students' code."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass

_LIMIT = 8 * 1024 * 1024  # mod_wsgi.so is under 1 MiB
_MODULE = re.compile(r"^\s*LoadModule\s+wsgi_module\s+\"?([^\s\"]+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python to ask, and the version whose packages count."""

    path: str
    version: str
    """As "3.11"."""
    gives_way: bool = False
    """A virtualenv's own Python runs its app, of whatever version; this one the others."""


def find(python: str, confdir: str) -> Interpreter:
    """Return `python`, or for "auto" the interpreter of the version that the module links to.

    Where neither the module nor its interpreter is there, it is the Python that runs us.
    """
    if python != "auto":
        version = re.search(r"(\d+\.\d+)$", os.path.realpath(python))
        return Interpreter(python, version.group(1) if version else _ours().version)
    linked = re.search(rb"libpython(\d+\.\d+)", _module(confdir))
    if linked is not None:
        found = linked.group(1).decode()
        # The distribution's own before whatever comes first on somebody's PATH.
        path = shutil.which(f"python{found}", path="/usr/bin:/usr/local/bin") or shutil.which(
            f"python{found}"
        )
        if path is not None:
            return Interpreter(path, found)
    return _ours()


def _ours() -> Interpreter:
    return Interpreter(sys.executable, f"{sys.version_info[0]}.{sys.version_info[1]}")


def _module(confdir: str) -> bytes:
    for place in ("mods-enabled", "mods-available"):
        text = _read(f"{confdir}/{place}/wsgi.load").decode(errors="replace")
        if named := _MODULE.search(text):
            return _read(os.path.join(confdir, named.group(1)))
    return b""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(_LIMIT)
    except OSError:
        return b""
