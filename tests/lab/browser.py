"""A browser that shows nothing: it keeps cookies, follows redirects, fills in forms, uploads."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urldefrag, urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from collections.abc import Mapping

LOADS = {"link": "href", "script": "src", "img": "src"}
"""What a page loads by itself: the tag, and the attribute that says from where."""
TIMEOUT = 30.0


@dataclass
class Form:
    """A form of a page: where it is sent to, and what its fields have in them."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class Page:
    """What was answered in the end, after redirects; the addresses are absolute."""

    status: int
    url: str
    kind: str
    body: bytes
    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The body, as text."""
        return self.body.decode("utf-8", "replace")


class Browser:
    """One visitor."""

    def __init__(self) -> None:
        self.opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))

    def open(self, url: str) -> Page:
        """GET a page; an answer of 4xx or 5xx is a page as well."""
        return self.send(Request(url))

    def submit(self, page: Page, files: Mapping[str, bytes] | None = None, **fields: str) -> Page:
        """Fill in the page's last form and send it; `files` are by the names of their fields."""
        form = page.forms[-1]
        edge = secrets.token_hex(8)
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in (form.fields | fields).items()
        ]
        parts += [
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.txt"\r\n'
            "Content-Type: text/plain\r\n\r\n".encode()
            + content
            + b"\r\n"
            for name, content in (files or {}).items()
        ]
        request = Request(form.action, b"".join(parts) + f"--{edge}--\r\n".encode())
        request.add_header("Content-Type", f"multipart/form-data; boundary={edge}")
        request.add_header("Referer", page.url)
        return self.send(request)

    def send(self, request: Request) -> Page:
        """Send a request, and read the page that is answered in the end."""
        try:
            answer = self.opener.open(request, timeout=TIMEOUT)
        except HTTPError as problem:
            answer = problem
        with answer:
            kind = answer.headers.get_content_type()
            page = Page(answer.status, answer.url, kind, answer.read())
        if kind == "text/html":
            _Reader(page).feed(page.text)
        return page


class _Reader(HTMLParser):
    """Notes down what a page loads, links to and asks for."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attributes}
        if tag in LOADS and LOADS[tag] in has:
            self.page.loads.append(self.absolute(has[LOADS[tag]]))
        elif tag == "a" and "href" in has:
            self.page.links.append(self.absolute(has["href"]))
        elif tag == "form":
            self.page.forms.append(Form(self.absolute(has.get("action", ""))))
        elif tag == "input" and self.page.forms and has.get("type") not in {"file", "submit"}:
            self.page.forms[-1].fields[has.get("name", "")] = has.get("value", "")

    def absolute(self, address: str) -> str:
        """Return where an address of the page leads to."""
        return urldefrag(urljoin(self.page.url, address)).url
