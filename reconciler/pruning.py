"""Which directories of a home are looked into for scripts: one rule for who looks and who watches.

While the two had a rule each, `~/ENV/mysite/wsgi.py` was served and never watched.
"""

from __future__ import annotations

PYVENV = "pyvenv.cfg"
"""The file that makes a directory a virtualenv, whatever its name is (PEP 405)."""

VIRTUALENVS = frozenset({"venv", ".venv", "env", ".env", "virtualenv", ".virtualenv"})
"""Names that are a virtualenv, or are about to be one. Of any other name, such as `ENV` or the
site's own, a virtualenv is a directory like others, without its `PARTS`."""

PROGRAMS_OWN = frozenset({"__pycache__", "node_modules", "site-packages"})
"""Made and removed by programs, never by people: their coming and going says nothing either."""

PARTS = frozenset({"bin", "include", "lib", "lib64", "share", "etc"})
"""What is the virtualenv's own in a directory that holds `pyvenv.cfg`. The rest of it is looked
into: students make one, and their project inside it, with `manage.py` beside `pyvenv.cfg`."""

_APPS_OWN = frozenset({"migrations", "templates", "templatetags", "fixtures", "locale"})
"""What Django gives a meaning inside of an app: at depth three, half of a project's directories."""

_PRUNED = VIRTUALENVS | PROGRAMS_OWN | _APPS_OWN | {"static", "media"}


def looked_into(name: str, *, in_virtualenv: bool) -> bool:
    """Whether a directory of that name may hold a script, in itself or further down.

    `in_virtualenv` says whether the directory that it is in holds `pyvenv.cfg`.
    """
    if name.startswith(".") or name in _PRUNED:
        return False
    return not (in_virtualenv and name in PARTS)
