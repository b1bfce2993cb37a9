"""How published apps are: what they tell of themselves, what visitors find, and what is said of it.

Each row's `health`, `visit` and `voice` is written here, by the thread that looks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from msgspec.structs import replace

from reconciler.case import Case, Cases
from reconciler.clock import Clock
from reconciler.decide import ailments, visits
from reconciler.decide.ailments import facts_of
from reconciler.health import condition
from reconciler.health.reports import Report
from reconciler.health.visitor import Target
from reconciler.model import Condition, Health, News, Rejection, Verdict, Visit
from reconciler.report import voice
from reconciler.report.events import Event
from reconciler.report.status import Update
from reconciler.settings import Settings

_LOOK_ALSO = ("/admin/",)
"""Django's own administration: what is wrong with a project's styles is often seen there first."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Checkup:
    """How the published apps of some cases are."""

    def __init__(
        self,
        settings: Settings,
        cases: Cases,
        clock: Clock,
        *,
        python: str,
        can_be_asked: Callable[[str], bool],
    ) -> None:
        """`python` is the version that runs the apps.

        `can_be_asked` tells whether Apache knows of an account's app.
        """
        self._settings, self._cases, self._python = settings, cases, python
        self._can_be_asked, self._clock = can_be_asked, clock
        address = urlsplit(settings.apache.verify_url)
        self._host = settings.apache.verify_host or address.netloc
        named = visits.name_of(self._host)
        is_public = bool(settings.apache.verify_host) or named not in _LOOPBACK
        self._public = named if is_public else os.uname().nodename

    # ---- what apps tell ------------------------------------------------------------------------

    def heard(self, told: Mapping[str, Report]) -> dict[str, Condition]:
        """Take what apps told; return whose health is another for it, and how they are now."""
        now, news = self._clock.wall(), dict[str, Condition]()
        for name, report in told.items():
            case = self._cases.get(name)
            before = None if case is None else self.health(case, now)
            if case is None or before is None:  # withdrawn meanwhile
                continue
            case.health = condition.after(before, report, now)
            if condition.is_news(before, case.health):
                self._cases.open.add(name)
                news[name] = case.health.state
        return news

    def health(self, case: Case, now: str) -> Health | None:
        """Return what is known of the published app; of another set than before, nothing.

        `now` is the time as people read it.
        """
        live = case.live
        return None if live is None else condition.of_set(case.health, live.name, live.app.uid, now)

    # ---- visits --------------------------------------------------------------------------------

    @property
    def unvisited(self) -> set[str]:
        """Who is served, and of whose set no visitor has told."""
        rows = map(self._cases.row, self._cases.served)
        return {c.name for c in rows if c.live and (c.visit is None or c.visit.set != c.live.name)}

    @property
    def complained(self) -> set[str]:
        """Those of them of whom a visitor before told something that may be mended by now."""
        rows = map(self._cases.row, self.unvisited)
        return {
            c.name for c in rows if c.told and any(w.code in visits.CODES for w in c.told.warnings)
        }

    def target(self, name: str) -> tuple[str, Target] | None:
        """Return an account's set, and how a visitor asks for it; None while nobody can.

        Where it has a host of its own it is asked for there, and at its path as well.
        """
        case = self._cases.row(name) if name in self._cases.names else None
        if case is None or case.live is None or not self._can_be_asked(name):
            return None
        names, host = frozenset({self._public, *_LOOPBACK}), self._cases.roster.hosts.get(name)
        target = Target(self._host, self._settings.url(name), names, more=_LOOK_ALSO)
        if host is not None:
            target = Target(host, "", more=_LOOK_ALSO, other=target)
        return case.live.name, target

    def visited(self, name: str, visit: Visit) -> bool:
        """Note what a visitor found, for the next look to tell; return whether all is well."""
        if name not in self._cases.served:
            return True
        self._cases.open.add(name)
        case = self._cases.row(name)
        live = case.live
        if live is None or live.name != visit.set:
            return True
        case.visit = visit
        now = self._clock.wall()
        health = condition.of_set(case.health, live.name, live.app.uid, now)
        works, failure = visits.works(visit), visits.failure(visit)
        if works:
            health = condition.worked(health, now)
        elif failure is not None and health.state is not Condition.FAILING:
            health = condition.failed(health, failure, now)  # what the app said itself says more
        case.health = health
        return bool(works) and not self._found(case, visit, frozenset())

    # ---- what is said of it --------------------------------------------------------------------

    def ailment(self, case: Case) -> Rejection | None:
        """Return in words why the published app fails, if it does."""
        if case.failure is None or case.app is None or case.seen is None:
            return None
        facts = facts_of(case.app, case.seen.home, self._settings, self._python)
        return ailments.of_failure(case.failure, facts, self._settings)

    def told(self, case: Case, verdict: Verdict) -> Verdict:
        """Return the verdict with what visitors stumble over."""
        if verdict.app is None or not self._settings.probe.enabled:
            return verdict
        known = {warning.code for warning in verdict.warnings}
        if case.failure is not None:
            known.add(case.failure.code)
        visit = case.visit
        if visit is not None and case.live is not None and case.live.name == visit.set:
            found = self._found(case, visit, known)
        else:  # until somebody has been there, what the visitor before found
            before = case.told.warnings if case.told is not None else ()
            found = tuple(
                Rejection(reason.code, reason.message, News.CHOICE, reason.fix)
                for reason in before
                if reason.code in visits.CODES - known
            )
        return replace(verdict, warnings=(*verdict.warnings, *found))

    def voice(self, update: Update) -> Event | None:
        """Return what the log is to say of the health of one app."""
        case = self._cases.get(update.name)
        if case is None:
            return None
        now = self._clock.now()
        case.voice, event = voice.tell(case.voice, case.name, update.after, now)
        return event

    def _found(
        self, case: Case, visit: Visit, known: frozenset[str] | set[str]
    ) -> tuple[Rejection, ...]:
        if case.seen is None or case.app is None:
            return ()
        facts = facts_of(case.app, case.seen.home, self._settings, self._python)
        asked, own = visits.name_of(visit.host), self._settings.host(case.name)
        names = (own, self._public, "localhost", asked)
        facts = replace(facts, hosts=tuple(dict.fromkeys(filter(None, names))))
        return visits.warnings(visit, facts, self._settings, known)
