"""What a mistake is, and how a good project is made bad by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.box.mistakes.projects import Project

HERE = "# here"
"""At the end of the line that is to be told."""

Edit = tuple[str, str]
"""A piece of the good text, and what the student has in its place."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake. Paths are relative to the project, `~/mysite`."""

    name: str
    """Also the account's."""
    what: str
    """What the student did, in a sentence."""
    source: str
    """The title of the thread or page that it was found in, and whose it is."""
    project: Project
    """The good one."""
    broken: Mapping[str, str | bytes | Edit | None] = field(default_factory=dict)
    """The files that are not as they should be: whole, edited, or not there."""
    spoil: str = ""
    """What else the student typed, in the home."""
    spoil_as_root: str = ""
    """What `sudo` did."""
    mend: str = ""
    """What mends it, typed in the home; without it the good files are put back."""
    typed: bool = False
    """Whether the mend is what the status says: a command, typed as it stands there."""
    mend_as_root: str = ""
    """Where no student's command can mend it: what is told is to ask for it."""
    code: str
    """In the status: of the rejection, the health, or a warning."""
    where: str = ""
    """The file, relative to the home, whose line marked HERE is told."""
    line: int = 0
    """That line, where it cannot be marked; 0: the marked one, or none at all."""
    words: tuple[str, ...] = ()
    """Pieces of what is told: of the message, or of what mends it."""
    at: str = "url"
    """Where a student sees it first: `url`, `status` or `log`."""
    log: tuple[str, ...] = ()
    """Pieces of what is in ~/.slp/app.log."""
    path: str = ""
    """What is asked for below the account's URL."""
    good: str = "It works."
    """A piece of what is answered when all is well."""
    within: float = 40.0
    """Seconds in which it is to be told: a quarter of them where nothing else runs."""

    def files(self) -> dict[str, bytes | None]:
        """Return what the mistake writes over the good project; None: the file is not there."""
        return {path: self._text(path, text) for path, text in self.broken.items()}

    def place(self) -> str:
        """Return `file:line` that is told, as the health has it; empty where there is none."""
        if not self.where or self.line:
            return f"{self.where}:{self.line}" if self.where else ""
        text = self.files()[self.where.partition("/")[2]] or b""
        lines = text.decode(errors="replace").splitlines()
        (line,) = (n for n, found in enumerate(lines, 1) if found.endswith(HERE))
        return f"{self.where}:{line}"

    def _text(self, path: str, text: str | bytes | Edit | None) -> bytes | None:
        if isinstance(text, tuple):
            good, (old, new) = self.project.files[path], text
            assert 1 == good.count(old), f"{self.name}: {path} has {good.count(old)} of {old!r}"
            text = good.replace(old, new)
        return text.encode() if isinstance(text, str) else text
