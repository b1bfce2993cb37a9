"""Asks an app once, as a visitor would, and looks whether its page is whole.

What answers is a student's, and root's process asks, from this very machine. Therefore
- only `verify_url`'s address is connected to, at its own port or the usual one of the other scheme:
  a redirect to `http://this.server:6379/` would have us speak to another service;
- nothing is asked for but what lies in the app's own addresses: to Apache we are "local", for which
  others' pages, `/server-status` among them, may have no lock;
- a link is asked for only if a browser would do so by itself to show the page: HEAD of `/delete/1/`
  deletes, in a view that does not look at the method;
- no cookie is kept, and none sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

from msgspec.structs import replace

from reconciler.health import hypertext
from reconciler.health.asking import PORTS, Address, Answer, Place, SilenceError
from reconciler.model import Visit

MAX_HOPS = 5
"""Answers on the way to a page: https, a slash, a language, a login."""
MAX_ASKED = 20
"""What pages load that is asked for; and of what lies outside, of each kind, what is told."""
_ASK_WITHIN = 5.0
"""Seconds for each of those."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AWAY = frozenset({403, 404, 410})
_AS_THEY_ARE = "%/:@!$&'()*+,;=~-._"
"""Characters of a path that need no number."""


@dataclass(frozen=True, slots=True)
class Target:
    """An app, as a visitor knows it."""

    host: str
    """The name to ask for, as the header has it."""
    base: str
    """Its path, without a slash at its end; "" where it has the whole host."""
    names: frozenset[str] = frozenset()
    """Other names by which the same path is had, in lower case; none where it has a whole host:
    all that another name leads to would then be taken for its own, `/server-status` too."""
    more: tuple[str, ...] = ()
    """Pages below `base` to look at beside the first, as "/admin/"; they need not be there."""
    other: Target | None = None
    """The same app by another address, where something else may be wrong."""


class Visitor:
    """Visits the apps of one server. Any thread may use it."""

    def __init__(self, url: str, *, timeout: float, links: bool) -> None:
        """`timeout` is in seconds: for the first page, and once more for all that belongs to it."""
        self._address, self._timeout, self._links = Address(url), timeout, links

    def visit(self, target: Target) -> Visit:
        """Ask for the first page and what belongs to it; raises nothing that an app can cause.

        Of an app with two addresses the worse answer counts, and what is missing at either.
        """
        found = self._visit(target)
        if target.other is None or found.status is None:
            return found
        other = self._visit(target.other)
        worse = max(found, other, key=lambda visit: (visit.status or 0) // 100)
        return replace(
            worse,
            took=found.took,  # with the load, which the other found done
            missing=(*found.missing, *other.missing),
            outside=(*found.outside, *other.outside),
        )

    def _visit(self, target: Target) -> Visit:
        started = time.monotonic()
        tour = _Tour(self._address, target, started + self._timeout)
        try:
            answer = tour.follow("/")
        except OSError as error:
            took = time.monotonic() - started
            why = str(error) or type(error).__name__
            refused = not isinstance(error, SilenceError | TimeoutError)
            return Visit(None, took, why, refused=refused, host=target.host, page=tour.at.path)
        took, page, where = time.monotonic() - started, _page(answer), tour.at
        if self._links:
            tour.deadline = time.monotonic() + self._timeout
            tour.note(page, leads=True)
            for path in target.more:
                tour.look_also(path)
        return Visit(
            answer.status,
            took,
            "it redirects without an end" if tour.is_lost else "",
            host=target.host,
            page=where.path,
            title=page.title,
            said=page.said,
            missing=tuple(tour.missing()) if self._links else (),
            outside=tuple(tour.outside),
        )


class _Tour:
    """One visit under way."""

    def __init__(self, address: Address, target: Target, deadline: float) -> None:
        self._address, self._target = address, target
        self.deadline = deadline
        self.at = Place(address.scheme, target.host, f"{target.base}/")
        self.is_lost = False
        self.outside: dict[tuple[str, str], None] = {}
        self._loads: dict[Place, None] = {}

    def follow(self, path: str) -> Answer:
        """Ask for a page of the app, and follow where it leads, as long as that is the app's.

        Raises:
            OSError: as `Address.ask`, for the first answer.
        """
        self.at = Place(self._address.scheme, self._target.host, f"{self._target.base}{path}")
        answer = self._address.ask("GET", self.at, self.deadline)
        for _ in range(MAX_HOPS):
            if answer.status not in _REDIRECTS or not answer.location:
                return answer
            place = self._place(answer.location)
            if place is None:
                return answer
            if not self._is_own(place):
                self._leads_out("redirect", place)
                return answer
            try:
                answer = self._address.ask("GET", place, self.deadline)
            except SilenceError:
                raise
            except OSError:  # nobody listens there on this machine: another terminates TLS
                return answer
            self.at = place
        self.is_lost = answer.status in _REDIRECTS
        return answer

    def look_also(self, path: str) -> None:
        """Note what another page loads, if it is there."""
        known = dict(self.outside)
        try:
            answer = self.follow(path)
        except OSError:
            return
        finally:
            self.outside = known  # of that page, only what it loads is of interest
        if answer.status == 200:
            self.note(_page(answer), leads=False)

    def note(self, page: hypertext.Hypertext, *, leads: bool) -> None:
        """Sort the links of the page that was reached last."""
        try:
            base = urljoin(self.at.url, page.base)
        except ValueError:  # http://[, of which a browser makes nothing either
            base = self.at.url
        for kind, links in (("load", page.loads), ("lead", page.leads if leads else ())):
            for link in links:
                place = self._place(link, base)
                if place is None:
                    continue
                if not self._is_own(place):
                    self._leads_out(kind, place)
                elif kind == "load":
                    self._loads[place] = None

    def _leads_out(self, kind: str, place: Place) -> None:
        if sum(known == kind for known, _ in self.outside) < MAX_ASKED:
            self.outside[kind, place.path] = None

    def missing(self) -> Iterator[tuple[str, int]]:
        """Ask for what pages load; yield what is not to be had."""
        for place in list(self._loads)[:MAX_ASKED]:
            try:
                deadline = min(self.deadline, time.monotonic() + _ASK_WITHIN)
                status = self._address.ask("HEAD", place, deadline).status
            except OSError:
                continue  # it is there, if slow; or the deadline is past, as for all that follow
            if status in _AWAY:
                yield place.path, status

    def _place(self, link: str, base: str | None = None) -> Place | None:
        """Return where a link leads; None where that is not this server, or nowhere.

        Nor where it is longer than people write: a `<base>` is before each link of a page.
        """
        try:
            url = urlsplit(urljoin(base or self.at.url, link))
            port = url.port
        except ValueError:
            return None
        if url.scheme not in PORTS or (url.hostname or "") not in self._names():
            return None
        if port not in {None, PORTS[url.scheme], self._address.port(url.scheme)}:
            return None
        path = quote(url.path or "/", safe=_AS_THEY_ARE)
        if url.query:
            path += "?" + quote(url.query, safe=_AS_THEY_ARE + "?")
        if len(path) > hypertext.MAX_LENGTH:
            return None
        return Place(url.scheme, quote(url.netloc.rpartition("@")[2], safe=":.-_[]"), path)

    def _names(self) -> frozenset[str]:
        own = urlsplit(f"//{self._target.host}").hostname or ""
        return self._target.names | {own}

    def _is_own(self, place: Place) -> bool:
        """Whether it is the app's; Apache decodes a path once before it takes its dots away."""
        path = unquote(place.path.partition("?")[0])
        return path.startswith(f"{self._target.base}/") and not {".", ".."} & set(path.split("/"))


def _page(answer: Answer) -> hypertext.Hypertext:
    return hypertext.read(answer.body.decode("utf-8", "replace") if answer.is_page else "")
