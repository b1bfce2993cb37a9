"""The text of one generation: a head, and a stanza per account, for each generated file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

FILES = ("server.conf", "django.conf", "django-ssl.conf")

Stanza = tuple[str, ...]
"""One account's text, for each of `FILES`."""

_MARK = re.compile(r"^#=+ (\S+) =+#\n", re.MULTILINE)
_DIGEST = re.compile(r"^# digest ([0-9a-f]{32})\n")
_BLANK = "0" * 32
"""Stands for the digest in a head, until the rest has been digested."""


@dataclass(frozen=True)
class Configuration:
    """What Apache includes. Equal inputs give equal bytes, in whatever order they came."""

    head: Stanza
    """Rendered with `BLANK_DIGEST` where the marker's alias has the digest."""
    stanzas: Mapping[str, Stanza]

    @cached_property
    def digest(self) -> str:
        """Names these bytes; the marker's URL carries it."""
        digest = hashlib.sha256()
        for text in self._texts(_BLANK):
            digest.update(text.encode() + b"\0")
        return digest.hexdigest()[:32]

    @property
    def files(self) -> dict[str, bytes]:
        """The bytes of each of `FILES`: megabytes, so made when they are asked for."""
        return {
            name: text.encode() for name, text in zip(FILES, self._texts(self.digest), strict=True)
        }

    def only(self, accounts: Iterable[str]) -> Configuration:
        """Return the same with these accounts' stanzas alone."""
        wanted = set(accounts)
        return replace(self, stanzas={n: s for n, s in self.stanzas.items() if n in wanted})

    def _texts(self, digest: str) -> list[str]:
        texts = []
        names = sorted(self.stanzas)
        for index, head in enumerate(self.head):
            parts = [f"# digest {digest}\n", head.replace(_BLANK, digest)]
            for name in names:
                stanza = self.stanzas[name][index]
                if stanza:
                    parts += (f"#= {name} =#\n", stanza)
            texts.append("".join(parts))
        return texts


def digest_of(stanza: Stanza) -> str:
    """Return what stands for one account's text in a quarantine."""
    return hashlib.sha256("\0".join(stanza).encode()).hexdigest()[:32]


BLANK_DIGEST = _BLANK


def parse(texts: Mapping[str, bytes]) -> Configuration:
    """Return the configuration whose `files` these bytes are: the inverse, for what is on disk."""
    heads, stanzas = [], {}  # type: ignore[var-annotated]
    for index, name in enumerate(FILES):
        text = texts[name].decode()
        found = _DIGEST.match(text)
        digest = found.group(1) if found else _BLANK
        parts = _MARK.split(text[found.end() :] if found else text)
        heads.append(parts[0].replace(digest, _BLANK))
        for account, stanza in zip(parts[1::2], parts[2::2], strict=True):
            stanzas.setdefault(account, [""] * len(FILES))[index] = stanza
    return Configuration(tuple(heads), {name: tuple(texts) for name, texts in stanzas.items()})
