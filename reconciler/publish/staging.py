"""Has Apache test what is staged in place of what is published, and tells whether it did.

`apachectl configtest` alone would read what is published. So it is given a configuration directory
of links to the real one's entries (`APACHE_CONFDIR`), with ours in place. That fails without a word
where an include is absolute, where `ServerRoot` is set, or where the command is one that heeds no
APACHE_CONFDIR: *measured*, a bad configuration went live, and Apache could not start again. So each
staged file first names a variable that nobody defines, of which Apache warns by its name (AH00111):
whose warning is missing was not read. It costs no second test.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Collection, Iterator

INCLUDES = {
    "server.conf": "slp-server.conf",
    "django.conf": "django.conf",
    "django-ssl.conf": "django-ssl.conf",
}
"""Generated file → its name below Apache's configuration directory."""

_VARIABLES = {file: f"SLP_STAGED_{file[:-5].replace('-', '_').upper()}" for file in INCLUDES}
_WARNING = re.compile(r".*\$\{SLP_STAGED_\w+\} is not defined.*\n?")
_LINE = re.compile(r'\s*(ServerRoot|Include|IncludeOptional)\s+"?(/[^"\s]*)', re.IGNORECASE)
_MAX_TEXT = 1024 * 1024  # characters of one of Apache's files that are searched


@contextlib.contextmanager
def staged(confdir: str, generation: str, *, within: str) -> Iterator[str]:
    """Make, for the block, a configuration directory that includes `generation`'s files.

    Raises:
        OSError: `confdir` cannot be listed, or `within` not be written.
    """
    with tempfile.TemporaryDirectory(prefix=".", suffix=".new", dir=within) as directory:
        for name in set(os.listdir(confdir)) - set(INCLUDES.values()):
            os.symlink(f"{confdir}/{name}", f"{directory}/{name}")
        for file, name in INCLUDES.items():
            with open(f"{directory}/{name}", "w") as stream:
                stream.write(
                    f'Define SLP_STAGED ${{{_VARIABLES[file]}}}\nInclude "{generation}/{file}"\n'
                )
        yield directory


def unread(said: str) -> frozenset[str]:
    """Return the generated files that were not read, by what a test printed."""
    return frozenset(file for file, name in _VARIABLES.items() if f"${{{name}}}" not in said)


def cleaned(said: str) -> str:
    """Return what a test printed without the warnings that we made it print."""
    return _WARNING.sub("", said)


def obstacle(confdir: str, files: Collection[str], *, state: str) -> str | None:
    """Return the line that keeps staged files from being read, as far as it can be found.

    It is for people: that a file was not read is known without it, and a file that no site
    includes, as where there is no https, is not read either.
    """
    targets = {f"{confdir}/{INCLUDES[file]}" for file in files}
    targets |= {f"{state}/current/{file}" for file in files}
    for where, directories, names in os.walk(confdir):
        directories[:] = sorted(name for name in directories if not name.endswith("-available"))
        for path in (f"{where}/{name}" for name in sorted(names)):
            for number, line in enumerate(_lines(path), 1):
                found = _LINE.match(line)
                if found and (found[1].lower() == "serverroot" or found[2] in targets):
                    return f"{path}, line {number}: `{line.strip()}`"
    return None


def _lines(path: str) -> list[str]:
    try:
        with open(path, errors="replace") as stream:
            return stream.read(_MAX_TEXT).splitlines()
    except OSError:
        return []
