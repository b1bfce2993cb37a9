"""What a page loads and where it leads, of a text that a student's app wrote.

Linear in the text's length, whatever it is: each character is looked at by a bounded number of
expressions, none of which goes back. The standard library's parser is not: *measured*, it holds
Python's lock for 0.5 s over 256 KiB of `<`, where this takes 0.02 s, in a process that publishes
everybody's apps; and `<![` raises. What is lost is a link behind a `>` within an attribute.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from msgspec import Struct

MAX_LINKS = 200
"""Of a page, of each kind: more are not told apart by anybody."""
MAX_LENGTH = 1000
"""Characters of a link: browsers and Apache take eight times as many, people write fewer."""
_MAX_TEXT = 500

_TAG = re.compile(r"<(?:(!--)|([a-zA-Z][a-zA-Z0-9]{0,15})([^<>]*))")
_ATTRIBUTE = re.compile(
    r"\b(href|src|action|rel)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.I
)
_OPAQUE = {
    name: re.compile(f"</{name}", re.I) for name in ("script", "style", "textarea", "noscript")
}
"""Elements whose content is no page, though it may look like one."""
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{0,2000})", re.I)
# Django's page of an exception, and the sentence of Flask's.
_SAID = re.compile(
    r"class=\"(?:exception_value|errormsg)\"[^<>]{0,200}>(?:<p>)?([^<]{0,2000})", re.I
)


class Hypertext(Struct, frozen=True):
    """What was found. Links are as they are written there, with entities resolved."""

    title: str
    said: str
    """The exception's text, where it is the page of one."""
    base: str
    """What links are relative to; "" is the page's own address."""
    loads: tuple[str, ...]
    """What a browser asks for by itself to show the page: styles, scripts, pictures."""
    leads: tuple[str, ...]
    """What a person may follow or send: links and forms."""


def read(text: str) -> Hypertext:
    """Return what stands in a page."""
    loads: dict[str, None] = {}
    leads: dict[str, None] = {}
    base = ""
    for name, attributes in _tags(text):
        link = attributes.get("href" if name in {"a", "link", "base"} else "src", "")
        if name == "form":
            link = attributes.get("action", "")
        if name == "base":
            base = base or link
        elif name == "link" and not re.search(r"stylesheet|icon", attributes.get("rel", ""), re.I):
            continue  # canonical, next, alternate: nothing that is loaded
        elif 0 < len(link) <= MAX_LENGTH:
            kind = leads if name in {"a", "form"} else loads
            if len(kind) < MAX_LINKS:
                kind[link] = None
    return Hypertext(_first(_TITLE, text), _first(_SAID, text), base, (*loads,), (*leads,))


_LINKING = frozenset({"a", "link", "base", "form", "script", "img", "source", "audio", "video"})


def _tags(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    at = 0
    while (found := _TAG.search(text, at)) is not None:
        at = found.end()
        name = (found[2] or "").lower()
        if name in _LINKING:
            yield name, _attributes(found[3])
        if found[1]:
            at = text.find("-->", at)
        elif name in _OPAQUE:
            end = _OPAQUE[name].search(text, at)
            at = end.start() if end else -1
        if at < 0:
            return


def _attributes(text: str) -> dict[str, str]:
    """Return those that matter; of two of one name the first counts, as in a browser."""
    told: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(text):
        told.setdefault(name.lower(), html.unescape("".join(values)[: MAX_LENGTH + 1]).strip())
    return told


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return " ".join(html.unescape(found[1]).split())[:_MAX_TEXT] if found else ""
