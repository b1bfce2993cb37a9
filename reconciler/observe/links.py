"""Which directories of a project Apache serves: what it collected, and what it was sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.model import Static
from reconciler.observe.interior import Interior, below
from reconciler.observe.roots import HOME
from reconciler.observe.source import Roots

PLAIN_PATH = re.compile(r"[A-Za-z0-9_.+-]+(/[A-Za-z0-9_.+-]+)*")
_SEGMENT = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The name of a link in a set: none that is `app.wsgi`, and none that Apache has a meaning for."""


@dataclass(frozen=True, slots=True)
class Links:
    """Finds them for one script. All paths are relative to the home."""

    home: Interior
    base: str
    """The home's own path."""
    url: str
    """Of the app, as `/django/alice`."""
    project: str
    package: str
    settings: str | None
    said: Roots

    def find(self, static: str | None) -> tuple[Static, ...]:
        """Return what is there, by name; `static` is the directory that a setting names.

        Where the settings do not say, or what they say is not there: `staticfiles`, `static`, and
        of a project that takes uploads, `media`.

        Raises:
            Unreadable: it could not be told.
        """
        said = self.said
        found = {}
        wanted = {
            _segment(said.media_url, self.url, "media"): self._media(),
            _segment(said.static_url, self.url, "static"): self._static(static),
        }
        for name, paths in wanted.items():
            link = next(filter(None, (self._link(name, path) for path in paths)), None)
            if link is not None and _SEGMENT.fullmatch(name):
                found[name] = link
        return tuple(found[name] for name in sorted(found))

    def _static(self, named: str | None) -> Iterator[str]:
        if named is not None:
            yield named
            return
        root = self.below_home(self.said.static_root)
        if root is not None:
            yield root
        yield from (self._beside(name) for name in ("staticfiles", "static"))

    def _media(self) -> Iterator[str]:
        # Not without a word of it in the settings: of another project, a directory that is called
        # so may hold what nobody but its app may hand out.
        said = self.said
        root = self.below_home(said.media_root)
        if root is not None:
            yield root
        elif not said.media_root and (said.media_root, said.media_url) != (None, None):
            yield self._beside("media")

    def _beside(self, name: str) -> str:
        return below(self.project, name)

    def _link(self, name: str, path: str) -> Static | None:
        # One that holds the project's own text, whoever names it, would give that to the world.
        own = filter(None, (self.project, self.package, self.settings))
        if any(f"{each}/".startswith(f"{path}/") for each in own):
            return None
        if not is_directory(self.home, path):
            return None
        above = self.home.walk(path)[0][:-1]
        closed = tuple(node.path for node in above if not node.mode & 0o001)
        return Static(name, f"{self.base}/{path}", closed=closed)

    def below_home(self, root: str | None) -> str | None:
        """Return a root as settings say it, relative to the home; None where it is not below it."""
        if not root:
            return None
        for base in (HOME, self.base):
            if root.startswith(f"{base}/"):
                return _normal(root[len(base) :])
        return None if root.startswith("/") else _normal(self._beside(root))


def is_directory(home: Interior, path: str) -> bool:
    """Whether `path` is a directory, with no link on the way and nothing odd in its name."""
    return is_plain(path) and home.is_directory(path)


def is_plain(path: str) -> bool:
    """Whether nothing in a relative path is odd, or leads up."""
    return bool(PLAIN_PATH.fullmatch(path)) and not {".", ".."} & set(path.split("/"))


def _normal(path: str) -> str | None:
    """Return a path without what may be left out; None where a name in it is odd or leads up."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    plain = "/".join(parts)
    return plain if is_plain(plain) else None


def _segment(url: str | None, own: str, usual: str) -> str:
    """Return the one segment of a URL below the app's; the usual one where settings do not say.

    "" is no link's name: files that are elsewhere, or deeper, are the app's or another server's.
    """
    if not url:
        return usual
    if "//" in url:
        return ""
    parts = [part for part in url.removeprefix(own).split("/") if part]
    return parts[0] if len(parts) == 1 else ""
