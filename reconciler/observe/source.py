"""What the Python of mod_wsgi says of a text, asked in a process that can do no harm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reconciler.model import Source
from reconciler.observe import jail
from reconciler.observe.helper import Helper, HelperDied, HelperError
from reconciler.observe.roots import LONGEST

__all__ = ["SOURCE_LIMIT", "HelperError", "Parser", "Roots", "Source", "settings_request"]

SOURCE_LIMIT = 64 * 1024
"""Bytes of a script that `Parser` takes; Django's own wsgi.py has some 400."""
CPU = 2
"""Seconds of CPU for one script. Measured: Django's takes 0.0002 s; 6,500 empty functions in 64 KiB
1.9 s before Python 3.12, which are quadratic there, and 0.2 s since."""


class Roots(NamedTuple):
    """What settings say, as they say it: None where they do not, "" where it is not understood.

    A path may begin with `/~/`: it is below the home.
    """

    static_root: str | None = None
    static_url: str | None = None
    media_root: str | None = None
    media_url: str | None = None


class Parser:
    """Examines texts with `python`, the interpreter that Apache will run them with.

    One long-lived helper, without privileges, network or files (see `jail.lockdown`), serves all
    homes; it is started when first needed, and started again when a script is the death of it.
    """

    def __init__(self, python: str, *, timeout: float = 5.0) -> None:
        self._timeout = timeout
        self._helper = Helper(python, "parser", str(CPU), timeout=timeout)

    def examine(self, source: bytes) -> Source:
        """The facts about `source`, at most `SOURCE_LIMIT` bytes; compiled, never run.

        Raises:
            HelperError: it could not be told, and that is not the script's doing.
            ValueError: `source` is longer than that.
        """
        if len(source) > SOURCE_LIMIT:
            raise ValueError(f"a source of {len(source)} bytes is longer than {SOURCE_LIMIT}")
        if source.startswith(jail.SETTINGS):  # as every Python says of it
            return Source(None, (1, "source code cannot contain null bytes"), False)
        try:
            return self._ask(source)
        except HelperError:
            pass  # killed from outside, or full of the neighbours' names: a new one gets a say
        try:
            return self._ask(source)
        except HelperDied:
            limits = f"within {min(CPU, self._timeout):g} s and {jail.MEMORY >> 20} MiB"
            return Source(None, (1, f"Python could not parse it {limits}"), False)

    def roots(self, request: bytes) -> Roots:
        """Return what settings say, by what `settings_request` has made of their files.

        Of a text that is the end of the helper nothing is said: what runs it will tell of it.

        Raises:
            HelperError: it could not be told, and that is not the text's doing.
        """
        for _ in range(2):  # as above
            try:
                answer = self._helper.ask(request)
            except HelperDied:
                continue
            said = _valid_roots(answer)
            if said is not None:
                return said
            self._helper.close()
        return Roots()

    def foresee(self, request: bytes) -> None:
        """Have a source or settings examined meanwhile that will soon be asked about."""
        self._helper.foresee(request)

    def begin(self) -> None:
        """Begins to start the helper, if it does not run, without waiting until it is ready."""
        self._helper.begin()

    def start(self) -> None:
        """Starts the helper: 50 ms that the next script to be examined need not wait.

        Raises:
            HelperError: it cannot be started.
        """
        self._helper.start()

    def close(self) -> None:
        """Ends the helper, without a signal where it is well."""
        self._helper.close()

    def _ask(self, source: bytes) -> Source:
        answer = self._helper.ask(source)
        facts = _valid(answer)
        if facts is None:
            self._helper.close()
            raise HelperDied("a helper answered what no parser says")
        return facts


def _valid(answer: object) -> Source | None:
    """The answer as facts; None where it is none: text may have taken the helper over."""
    match answer:
        case [None, None, None, bool() as binds]:
            return Source(None, None, binds)
        case [str() as encoding, None, None, False] if _fit(encoding):
            return Source(encoding, None, False)
        case [None, int() as line, str() as message, False] if (
            type(line) is int and 0 < line <= SOURCE_LIMIT + 1 and _fit(message)
        ):
            return Source(None, (line, message), False)
    return None


def settings_request(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return how `Parser.roots` is asked; the first file is the settings, paths are ASCII."""
    return b"".join(
        jail.SETTINGS + path.encode("ascii") + jail.SETTINGS + text for path, text in files
    )


def _valid_roots(answer: object) -> Roots | None:
    match answer:
        case [None | str(), None | str(), None | str(), None | str()] if all(map(_told, answer)):
            return Roots(*answer)
    return None


def _told(text: str | None) -> bool:
    return text is None or (len(text) <= LONGEST and text.isascii() and text.isprintable())


def _fit(text: str) -> bool:
    return 0 < len(text) <= 200 and text.isprintable()
