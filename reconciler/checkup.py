"""How a visit goes from a case and back: as whom an app is asked for, and what is told of it."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from msgspec.structs import replace

from reconciler.case import Case
from reconciler.decide import visits
from reconciler.decide.ailments import facts_of
from reconciler.health import condition
from reconciler.health.visitor import Target
from reconciler.model import Condition, News, Rejection, Verdict, Visit
from reconciler.publish.generations import Generations
from reconciler.settings import Settings

_LOOK_ALSO = ("/admin/",)
"""Django's own administration: what is wrong with a project's styles is often seen there first."""


class Visits:
    """What visits need to know of accounts, and what they tell."""

    def __init__(self, settings: Settings, python: str, generations: Generations) -> None:
        """`python` is the version that runs the apps."""
        self._settings, self._python = settings, python
        self._generations = generations
        self._live: tuple[int | None, frozenset[str]] = (None, frozenset())
        address = urlsplit(settings.apache.verify_url)
        self._host = settings.apache.verify_host or address.netloc
        named = urlsplit(f"//{self._host}").hostname or ""
        is_public = bool(settings.apache.verify_host) or named not in _LOOPBACK
        self._public = named if is_public else os.uname().nodename

    def target(self, case: Case, host: str | None) -> Target | None:
        """Return how a visitor asks for the app; None where Apache does not know it yet.

        Where it has a `host` of its own it is asked for there, and at its path as well.
        """
        if case.live is None or case.name not in self._declared():
            return None
        names = frozenset({self._public, *_LOOPBACK})
        path = Target(self._host, self._settings.url(case.name), names, more=_LOOK_ALSO)
        return path if host is None else Target(host, "", more=_LOOK_ALSO, other=path)

    def note(self, case: Case, visit: Visit, now: str) -> bool:
        """Write down what was found of the set that is published; return whether all is well.

        `now` is the time as people read it.
        """
        live = case.live
        if live is None or live.name != visit.set:
            return True
        case.visit = visit
        health = condition.of_set(case.health, live.name, live.app.uid, now)
        works, failure = visits.works(visit), visits.failure(visit)
        if works:
            health = condition.worked(health, now)
        elif failure is not None and health.state is not Condition.FAILING:
            health = condition.failed(health, failure, now)  # what the app said itself says more
        case.health = health
        return bool(works) and not self._found(case, visit, frozenset())

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

    def _found(
        self, case: Case, visit: Visit, known: frozenset[str] | set[str]
    ) -> tuple[Rejection, ...]:
        if case.seen is None or case.app is None:
            return ()
        facts = facts_of(case.app, case.seen.home, self._settings, self._python)
        asked, own = visit.host.partition(":")[0], self._settings.host(case.name)
        names = (own, self._public, "localhost", asked)
        facts = replace(facts, hosts=tuple(dict.fromkeys(filter(None, names))))
        return visits.warnings(visit, facts, self._settings, known)

    def _declared(self) -> frozenset[str]:
        """Return whom the current configuration names."""
        current = self._generations.current()
        if current is None:
            return frozenset()
        if current != self._live[0]:
            read = self._generations.read(current)
            self._live = current, frozenset(read.stanzas if read is not None else ())
        return self._live[1]


_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
