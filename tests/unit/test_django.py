"""Which files of a home are a project's settings, and what the helper is asked about them."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from reconciler.observe.django import SettingsFiles, settings_of
from reconciler.observe.interior import Interior
from reconciler.observe.source import settings_request

if TYPE_CHECKING:
    from pathlib import Path

SAYS = "STATIC_ROOT = 'public'\n"
SCRIPT = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "{}")\n'


def found(
    top: Path,
    tree: dict[str, str],
    module: str = "config.settings",
    project: str = "shop",
    package: str = "shop/config",
) -> SettingsFiles | None:
    """Return what of these files are the settings of a script that names the module."""
    for path, text in tree.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)
    script = SCRIPT.format(module).encode()
    with contextlib.closing(Interior(os.open(top, os.O_RDONLY))) as home:
        return settings_of(home, project, package, script)


def asked(tree: dict[str, str], *paths: str) -> SettingsFiles:
    """Return that these are the files, in this order, and what they say is to be asked."""
    files = [(path, tree[path].encode()) for path in paths]
    return SettingsFiles(paths[0], settings_request(files))


@pytest.mark.parametrize(
    ("path", "module", "project", "package"),
    [
        ("shop/config/settings.py", "config.settings", "shop", "shop/config"),
        ("shop/config/settings/__init__.py", "config.settings", "shop", "shop/config"),
        ("shop/config/settings/local.py", "config.settings.local", "shop", "shop/config"),
        ("a/b/c/settings.py", "settings", "a/b", "a/b/c"),
        ("a/b/c/settings.py", "c.settings", "a/b/c", "a/b/c"),
        ("config/settings.py", "config.settings", "", "config"),
    ],
)
def test_settings_are_where_the_script_could_import_them(
    tmp_path: Path, path: str, module: str, project: str, package: str
) -> None:
    """From the project, from beside the script, or from beside its package."""
    tree = {path: SAYS}
    assert asked(tree, path) == found(tmp_path, tree, module, project, package)


@pytest.mark.parametrize("path", ["shop/other/settings.py", "shop/config/settings.pyc"])
def test_settings_that_are_not_there_are_none(tmp_path: Path, path: str) -> None:
    """A script may name any."""
    assert None is found(tmp_path, {path: SAYS})


def test_settings_below_a_name_that_is_not_ascii_are_not_asked_about(tmp_path: Path) -> None:
    """What the helper is told of a path is ASCII; Apache's configuration would not name it."""
    tree = {"caf\u00e9/config/settings.py": SAYS}
    assert None is found(tmp_path, tree, project="caf\u00e9", package="caf\u00e9/config")


def test_what_settings_import_of_their_own_package_is_asked_about_with_them(
    tmp_path: Path,
) -> None:
    """Relative or in full, each once, in the order in which they are met."""
    tree = {
        "shop/config/settings/local.py": "from .base import *\nfrom config.settings.more import x\n"
        "from .. import urls\nfrom django.conf import settings\nfrom other.base import *\n",
        "shop/config/settings/base.py": "from .local import *\nfrom ..common import *\n",
        "shop/config/settings/more.py": "from .base import *\n",
        "shop/config/common.py": SAYS,
        "shop/config/urls.py": SAYS,
        "shop/other/base.py": SAYS,
    }
    names = ("settings/local", "settings/base", "settings/more", "common")
    expected = asked(tree, *(f"shop/config/{name}.py" for name in names))
    assert expected == found(tmp_path, tree, "config.settings.local")


def test_four_files_of_one_projects_settings_are_read(tmp_path: Path) -> None:
    """And no more, whatever they import."""
    names = [f"s{number}" for number in range(5)]
    first = "".join(f"from .{name} import *\n" for name in names[1:]) + SAYS
    tree = {f"shop/config/{name}.py": first if name == "s0" else SAYS for name in names}
    expected = asked(tree, *(f"shop/config/{name}.py" for name in names[:4]))
    assert expected == found(tmp_path, tree, "config.s0")


def test_a_file_that_is_no_text_is_left_out_and_the_next_is_not(tmp_path: Path) -> None:
    """A zero byte is what separates the files in a request; nothing of ours may be forged by it."""
    tree = {
        "shop/config/settings.py": "from .bad import *\nfrom .good import *\n",
        "shop/config/bad.py": "\0shop/config/settings.py\0STATIC_ROOT = '/etc'\n",
        "shop/config/good.py": SAYS,
    }
    expected = asked(tree, "shop/config/settings.py", "shop/config/good.py")
    assert expected == found(tmp_path, tree)


@pytest.mark.parametrize("more", [0, 1])
def test_the_files_of_one_project_are_read_up_to_their_bound(tmp_path: Path, more: int) -> None:
    """64 KiB together: the first that does not fit any more is left out."""
    first = "from .base import *\n" + SAYS
    tree = {
        "shop/config/settings.py": first,
        "shop/config/base.py": "#" * (64 * 1024 - len(first) + more),
    }
    paths = ("shop/config/settings.py", "shop/config/base.py")[: 2 - more]
    assert asked(tree, *paths) == found(tmp_path, tree)


def test_settings_that_say_nothing_of_their_own_are_named_and_not_asked_about(
    tmp_path: Path,
) -> None:
    """A new project's, with all that it imports."""
    tree = {
        "shop/config/settings.py": "from .base import *\n",
        "shop/config/base.py": "STATIC_URL = 'static/'\n",
    }
    assert SettingsFiles("shop/config/settings.py", None) == found(tmp_path, tree)
