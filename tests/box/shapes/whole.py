"""Whether a site is whole, as one who visits it and its owner would find."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.box.shapes.shape import Shape
from tests.lab.browser import Browser, Page

ADMIN = "teacher"
"""The name and the password of who may log in."""


@dataclass(frozen=True)
class Site:
    """A site at an address, which ends with a slash."""

    base: str
    shape: Shape

    def is_whole(self) -> bool:
        """Assert all that a person would try; return True."""
        for path, words in self.shape.pages:
            self.good(Browser(), Browser().open(self.base + path), words)
        if self.shape.title:
            self.keeps_an_upload_behind_a_login()
        for path, before, after in self.shape.admins:
            self.has_an_admin_with_styles(path, before, after)
        return True

    def keeps_an_upload_behind_a_login(self) -> None:
        """The front page leads to a login, the login to an upload, and the upload is then shown."""
        browser, title = Browser(), self.shape.title
        front = self.good(browser, browser.open(self.base + self.shape.front), title)
        login = browser.open(front.links[-1])
        assert "password" in login.forms[-1].fields, f"{login.url} is no login: {login.text[:300]}"
        form = self.good(browser, browser.submit(login, username=ADMIN, password=ADMIN), "picture")
        content = secrets.token_bytes(16)
        front = self.good(browser, browser.submit(form, {"picture": content}), title)
        shown = [browser.open(url).body for url in front.loads if "css" not in url]
        assert content in shown, f"{front.loads} do not show what was uploaded"

    def has_an_admin_with_styles(self, path: str, before: str, after: str) -> None:
        """An admin's login has its styles, and lets in."""
        browser = Browser()
        login = self.good(browser, browser.open(self.base + path), before)
        assert [url for url in login.loads if ".css" in url], "a login without styles"
        self.good(browser, browser.submit(login, username=ADMIN, password=ADMIN), after)

    def good(self, browser: Browser, page: Page, words: str) -> Page:
        """Assert that a page of this site's answered, with all that it loads; return it."""
        said = f"{page.url}: {page.status} {page.text[:300]!r}"
        assert 200 == page.status, said
        assert page.url.startswith(self.base), f"{said} is outside of {self.base}"
        assert words in page.text, said
        # What lies on other servers, as Wagtail's pictures of its users do, is not ours.
        for url in (url for url in page.loads if urlsplit(url).netloc == urlsplit(page.url).netloc):
            loaded = browser.open(url)
            assert 200 == loaded.status, f"{page.url} loads {url}: {loaded.status}"
            assert "text/html" != loaded.kind, f"{page.url} loads {url}, which is a page"
        return page
