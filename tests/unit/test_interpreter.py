"""Which Python is asked about a script: the one that the module of this server embeds."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from reconciler.observe.interpreter import Interpreter, find

if TYPE_CHECKING:
    from pathlib import Path

OURS = Interpreter(sys.executable, "{}.{}".format(*sys.version_info))


def module(confdir: Path, *, place: str = "mods-enabled", load: str, text: bytes) -> None:
    """Write what loads the module, and the module."""
    (confdir / place).mkdir(exist_ok=True)
    (confdir / place / "wsgi.load").write_bytes(load.encode("utf-8", "surrogateescape"))
    (confdir / "mod.so").write_bytes(text)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Pretend that Pythons are where `shutil.which` says, and return what it was asked."""
    found: list[tuple[str, str | None]] = []

    def which(name: str, path: str | None = None) -> str | None:
        found.append((name, path))
        there = {"python3.7": "/usr/bin/python3.7", "python3.8": None if path else "/opt/python3.8"}
        return there.get(name)

    monkeypatch.setattr(shutil, "which", which)
    return found


@pytest.mark.parametrize(
    "load",
    [
        "LoadModule wsgi_module {}\n",
        "# mod_wsgi\n<IfModule !mod_wsgi.c>\n\tloadmodule  WSGI_MODULE  {}\n</IfModule>\n",
        'LoadModule wsgi_module "{}"\n',
        "# \udcff\nLoadModule wsgi_module mod.so\n",
    ],
)
def test_it_is_the_one_that_the_module_links_to(
    tmp_path: Path, asked: list[tuple[str, str | None]], load: str
) -> None:
    """However the directive is written; below ServerRoot where the path is relative."""
    load = load.format(tmp_path / "mod.so")
    module(tmp_path, load=load, text=b"\x7fELF\0libpython3.7m.so.1.0\0")
    assert Interpreter("/usr/bin/python3.7", "3.7") == find("auto", str(tmp_path))
    assert [("python3.7", "/usr/bin:/usr/local/bin")] == asked, "the distribution's own is first"


def test_a_module_that_is_not_enabled_yet_says_it_as_well(
    tmp_path: Path, asked: list[tuple[str, str | None]]
) -> None:
    """Both can be there: what is enabled counts; and a Python may be on our own PATH alone."""
    load = f"LoadModule wsgi_module {tmp_path}/mod.so\n"
    module(tmp_path, place="mods-available", load=load, text=b"libpython3.8.so")
    assert Interpreter("/opt/python3.8", "3.8") == find("auto", str(tmp_path))
    assert [("python3.8", "/usr/bin:/usr/local/bin"), ("python3.8", None)] == asked
    module(tmp_path, load="# LoadModule wsgi_module mod.so\n", text=b"libpython3.8.so")
    assert "3.8" == find("auto", str(tmp_path)).version, "a comment loads nothing"
    module(tmp_path, load="LoadModule wsgi_module other.so\n", text=b"libpython3.8.so")
    (tmp_path / "other.so").write_bytes(b"libpython3.7.so")
    assert "3.7" == find("auto", str(tmp_path)).version


def test_without_module_or_its_python_it_is_ours(
    tmp_path: Path, asked: list[tuple[str, str | None]]
) -> None:
    """Nothing is there; it links to none; to one that is not installed; or beyond what is read."""
    assert OURS == find("auto", str(tmp_path))
    load = "LoadModule wsgi_module mod.so\n"
    module(tmp_path, load=load, text=b"libpython")
    assert OURS == find("auto", str(tmp_path))
    assert [] == asked
    module(tmp_path, load=load, text=b"libpython3.9.so")
    assert OURS == find("auto", str(tmp_path))
    name = b"libpython3.7"
    for beyond, version in ((0, "3.7"), (2, OURS.version)):
        at = 8 * 1024 * 1024 - len(name) + beyond
        module(tmp_path, load=load, text=b"\0" * at + name)
        assert version == find("auto", str(tmp_path)).version


@pytest.mark.parametrize(
    ("name", "version"),
    [("python3.12", "3.12"), ("python", OURS.version), ("3.12-x", OURS.version)],
)
def test_one_that_a_setting_names_is_taken_as_it_is(
    tmp_path: Path, name: str, version: str
) -> None:
    """Its version is in the name of what it leads to; else it counts as ours."""
    (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(name)
    for path in (tmp_path / name, tmp_path / "link"):
        assert Interpreter(str(path), version) == find(str(path), str(tmp_path / "none"))
