"""What each pass does anew and always comes out the same, done once for all tests of a process.

To start a parser takes 60 ms and to compile the templates 15, of the 100 that a pass took.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import Environment

from reconciler.observe.source import Parser

if TYPE_CHECKING:
    import pytest

    from reconciler.model import Source

_SAID: dict[bytes, Source] = {}
_COMPILED: dict[object, Any] = {}


def remember(patch: pytest.MonkeyPatch) -> None:
    """Have a parser start only for a text, and Jinja compile only what none of them met before."""
    examine, foresee, compiled = Parser.examine, Parser.foresee, Environment.compile

    def examine_once(self: Parser, source: bytes) -> Source:
        if source not in _SAID:
            _SAID[source] = examine(self, source)
        return _SAID[source]

    def foresee_once(self: Parser, source: bytes) -> None:
        if source not in _SAID:
            foresee(self, source)

    def compile_once(self: Environment, source: str, name: str, filename: str) -> Any:
        key = source, name, filename, self.autoescape, *self.filters
        if key not in _COMPILED:
            _COMPILED[key] = compiled(self, source, name, filename)
        return _COMPILED[key]

    patch.setattr(Parser, "examine", examine_once)
    patch.setattr(Parser, "foresee", foresee_once)
    patch.setattr(Parser, "begin", lambda self: None)
    patch.setattr(Parser, "start", lambda self: None)
    patch.setattr(Environment, "compile", compile_once)
