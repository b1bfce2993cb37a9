"""The text of one generation: a head, and a stanza per account, for each generated file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from msgspec import Struct

FILES = ("server.conf", "django.conf", "django-ssl.conf")


class Stanza(Struct, frozen=True, gc=False):
    """What is written for one account.

    Apache resolves `user=` and `group=` when it starts. *Measured*: two accounts were made anew
    with each other's uid, no name changed, and each app ran as the other student until somebody
    reloaded. So what the names stand for is part of the bytes, in the line above each text.
    """

    ids: tuple[int, int] | None
    """The account's uid and gid; None in what was written before they were."""
    texts: tuple[str, ...]
    """One for each of `FILES`."""


_MARK = re.compile(r"^#=+ (\S+)(?: (\d+):(\d+))? =+#\n", re.MULTILINE)
_DIGEST = re.compile(r"^# digest ([0-9a-f]{32})\n")
_BLANK = "0" * 32
"""Stands for the digest in a head, until the rest has been digested."""


@dataclass(frozen=True)
class Configuration:
    """What Apache includes. Equal inputs give equal bytes, in whatever order they came."""

    head: tuple[str, ...]
    """For each of `FILES`, rendered with `BLANK_DIGEST` where the marker's alias has the digest."""
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
                stanza = self.stanzas[name]
                if text := stanza.texts[index]:
                    parts += (f"#= {name}{_ids(stanza)} =#\n", text)
            texts.append("".join(parts))
        return texts


def _ids(stanza: Stanza) -> str:
    return "" if stanza.ids is None else " {}:{}".format(*stanza.ids)


def digest_of(stanza: Stanza) -> str:
    """Return what stands for one account's stanza in a quarantine."""
    said = "\0".join((_ids(stanza), *stanza.texts))
    return hashlib.sha256(said.encode()).hexdigest()[:32]


BLANK_DIGEST = _BLANK


def parse(texts: Mapping[str, bytes]) -> Configuration:
    """Return the configuration whose `files` these bytes are: the inverse, for what is on disk."""
    heads: list[str] = []
    ids: dict[str, tuple[int, int] | None] = {}
    stanzas: dict[str, list[str]] = {}
    for index, name in enumerate(FILES):
        text = texts[name].decode()
        found = _DIGEST.match(text)
        digest = found.group(1) if found else _BLANK
        head, *rest = _MARK.split(text[found.end() :] if found else text)
        heads.append(head.replace(digest, _BLANK))
        for account, uid, gid, stanza in zip(*[iter(rest)] * 4, strict=True):
            ids[account] = None if uid is None else (int(uid), int(gid))
            stanzas.setdefault(account, [""] * len(FILES))[index] = stanza
    return Configuration(
        tuple(heads), {name: Stanza(ids[name], tuple(said)) for name, said in stanzas.items()}
    )
