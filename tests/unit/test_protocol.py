"""Steps 5 to 10, on real files, with an Apache that does as it is told."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from reconciler.publish.lock import LockTimeoutError
from reconciler.publish.notes import Quarantine
from reconciler.publish.outcome import Ending
from tests.unit.servers import Side, configuration, published

TWO = configuration("alice", "bob")
CLASS = configuration(*(f"s{number:02}" for number in range(20)))


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return Side(tmp_path)


def names(side: Side) -> list[str]:
    """Return who is in what `current` says."""
    found = published(side.state)
    return [] if found is None else sorted(found.stanzas)


def test_a_configuration_goes_live(side: Side) -> None:
    """Written, tested, current, reloaded, seen: and noted as verified."""
    outcome = side.publish(TWO)

    assert (Ending.CONVERGED, 1, True, True, None) == (
        outcome.ending, outcome.generation, outcome.published, outcome.reloaded, outcome.message,
    )  # fmt: skip
    assert ["test", "reload", "wait 15"] == side.server.calls
    assert TWO.files == side.server.runs.files  # type: ignore[union-attr]
    notes = side.publisher.notes
    assert (1, 1, 0) == (notes.verified, notes.seen, notes.reloads)
    assert not side.publisher.unverified
    assert side.publisher.is_current(TWO)


def test_the_same_again_costs_one_look(side: Side) -> None:
    """Equal bytes: no generation, no test, no reload."""
    side.publish(TWO)
    side.server.calls.clear()

    outcome = side.publish(TWO)

    assert (Ending.CONVERGED, False, False) == (outcome.ending, outcome.published, outcome.reloaded)
    assert ["look"] == side.server.calls
    assert [1] == side.publisher.generations.find()


def test_nothing_published_is_nothing_to_see_to(side: Side) -> None:
    """On a machine with no generation, `configure(None)` asks nobody."""
    outcome = side.publisher.configure(None)
    assert (Ending.CONVERGED, None, []) == (outcome.ending, outcome.generation, side.server.calls)


def test_what_apache_forgot_is_reloaded(side: Side) -> None:
    """It serves another configuration than the current one: one reload, and it is seen."""
    side.publish(TWO)
    side.server.runs = None
    outcome = side.publisher.configure(None)
    assert (Ending.CONVERGED, False, True) == (outcome.ending, outcome.published, outcome.reloaded)


def test_without_a_reload_it_is_current_and_not_verified(side: Side) -> None:
    """`--no-reload`, before Apache starts: nobody is asked for anything but the test."""
    outcome = side.publish(TWO, reload=False)
    assert (Ending.CONVERGED, True, False) == (outcome.ending, outcome.published, outcome.reloaded)
    assert ["test"] == side.server.calls
    assert side.publisher.unverified
    assert TWO.files == published(side.state).files  # type: ignore[union-attr]


def test_who_was_overtaken_touches_nothing(side: Side) -> None:
    """Made over what a `--once` beside us has replaced meanwhile: the caller looks again."""
    wanted = side.wanted(configuration("alice"))
    side.publish(TWO)
    side.server.calls.clear()

    outcome = side.publisher.configure(wanted)

    assert (Ending.OVERTAKEN, 1) == (outcome.ending, outcome.generation)
    assert [] == side.server.calls
    assert ["alice", "bob"] == names(side)


def test_one_configures_at_a_time(side: Side) -> None:
    """While another process holds server.lock, a pass ends without having touched anything."""
    side.settings = side.settings.__class__(
        state=side.settings.state, apache=side.settings.apache.__class__(timeout=0.05)
    )
    side.begin()
    with (side.state / "server.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LockTimeoutError):
            side.publish(TWO)
    assert not (side.state / "generations").exists()
    assert Ending.CONVERGED is side.publish(TWO).ending


@pytest.mark.parametrize("step", ["create", "discard"])
def test_a_full_disk_leaves_no_numbered_rest(
    side: Side, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was live stays, and each try leaves nothing behind."""
    side.publish(TWO)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "create":
        monkeypatch.setattr(side.publisher.generations, "create", full)
    else:
        monkeypatch.setattr(side.server, "test", full)
    with pytest.raises(OSError, match="No space"):
        side.publish(configuration("carol"))
    assert [1] == side.publisher.generations.find()
    assert ["alice", "bob"] == names(side)


def test_old_generations_go_and_the_verified_one_stays(side: Side) -> None:
    """The last two, the current and the verified one are kept, whatever happens after it."""
    side.publish(TWO)
    side.server.alive = False
    for name in ("c", "d", "e", "f"):
        side.publish(configuration(name))
    assert [1, 4, 5] == side.publisher.generations.find()
    assert (1, 5) == (side.publisher.notes.verified, side.publisher.generations.current())


# ---- step 6: who is at fault ---------------------------------------------------------------


def test_one_at_fault_is_left_out_and_the_rest_goes_live(side: Side) -> None:
    """Quarantined with the digest of the text, and why; noted for whoever looks."""
    side.publish(CLASS)
    outcome = side.publish(configuration(*CLASS.stanzas, mallory="Bogus on\n", carol="Daemon c\n"))

    assert Ending.CONVERGED is outcome.ending
    assert ["mallory"] == list(outcome.quarantined)
    assert "Bogus" in outcome.quarantined["mallory"].why
    assert ["carol", *CLASS.stanzas] == names(side)
    assert dict(outcome.quarantined) == side.publisher.notes.quarantined
    assert [1, 2] == side.publisher.generations.find(), "what was staged for tests is gone"


def test_a_quarantine_of_before_stays_and_one_that_is_over_goes(side: Side) -> None:
    """After a publication they are those left out and the new ones, no others."""
    held = Quarantine("0" * 32, "before")
    side.publisher.configure(side.wanted(CLASS, eve=held, dave=held))
    side.publisher.configure(side.wanted(configuration(*CLASS.stanzas, m="Bogus\n"), eve=held))
    assert {"eve", "m"} == set(side.publisher.notes.quarantined)
    side.publisher.configure(side.wanted(CLASS))
    assert {} == side.publisher.notes.quarantined


def test_the_current_one_less_who_is_at_fault_is_no_new_generation(side: Side) -> None:
    """A newcomer whose text is refused costs tests, and neither a generation nor a reload."""
    side.publish(CLASS)
    side.server.count("reload")
    outcome = side.publish(configuration(*CLASS.stanzas, mallory="Bogus on\n"))
    assert (Ending.CONVERGED, 1, False) == (outcome.ending, outcome.generation, outcome.published)
    assert ["mallory"] == list(outcome.quarantined)
    assert 0 == side.server.count("reload")


@pytest.mark.parametrize("before", [True, False])
def test_everybody_at_fault_is_nobodys_fault(side: Side, before: bool) -> None:
    """One typing error in the account template, with and without a generation to fall back on."""
    if before:
        side.publish(configuration("a", "b", "c"))
    at_fault = configuration(a="Bogus a\n", b="Bogus b\n", c="Bogus c\n")

    outcome = side.publish(at_fault)

    assert Ending.REFUSED_BY_TEST is outcome.ending
    assert "Bogus" in (outcome.message or "")
    assert {} == outcome.quarantined == side.publisher.notes.quarantined
    assert (["a", "b", "c"] if before else []) == names(side)


@pytest.mark.parametrize(("guilty", "blamed"), [(5, True), (6, False)])
def test_more_than_the_brake_lets_through_are_nobodys_fault(
    side: Side, guilty: int, blamed: bool
) -> None:
    """Of 20 declared, five may be quarantined at once, by count and share, and not six."""
    side.publish(CLASS)
    texts = dict.fromkeys(list(CLASS.stanzas)[:guilty], "Bogus on\n")

    outcome = side.publish(configuration(*CLASS.stanzas, **texts))

    assert (Ending.CONVERGED if blamed else Ending.REFUSED_BY_TEST) is outcome.ending
    assert (guilty if blamed else 0) == len(outcome.quarantined)


def test_a_search_in_vain_is_made_once(side: Side) -> None:
    """The daemon comes again and again: one test, not sixty, until a byte or the fault differs."""
    at_fault = configuration(**{f"s{number:02}": f"Bogus {number}\n" for number in range(64)})
    side.publish(at_fault)
    assert 20 < side.server.count("test") <= 70
    assert Ending.REFUSED_BY_TEST is side.publish(at_fault).ending
    assert 1 == side.server.count("test")
    side.server.offends = "Nonsense"
    assert Ending.CONVERGED is side.publish(at_fault).ending


def test_a_fault_of_apaches_own_blames_nobody(side: Side) -> None:
    """Even what it runs fails: two tests, and everything stays."""
    side.publish(TWO)
    side.server.calls.clear()
    side.server.broken = "ports.conf: garbage"
    outcome = side.publish(configuration("alice", "bob", "carol"))
    assert (Ending.REFUSED_BY_TEST, "ports.conf: garbage", 1) == (
        outcome.ending, outcome.message, outcome.generation,
    )  # fmt: skip
    assert ["test", "test"] == side.server.calls
    assert [1] == side.publisher.generations.find()


def test_a_fault_of_the_heads_blames_nobody(side: Side) -> None:
    """The accounts pass or fail with it alike."""
    outcome = side.publish(configuration("alice", "bob", head="Bogus on\n"))
    assert Ending.REFUSED_BY_TEST is outcome.ending
    assert {} == outcome.quarantined


@pytest.mark.parametrize("at", [1, 3])
def test_a_test_that_cannot_be_run_blames_nobody(side: Side, at: int) -> None:
    """At once, or in the middle of a search."""
    side.publish(TWO)
    real, calls = side.server.test, []

    def test(generation: str) -> object:
        calls.append(generation)
        if len(calls) >= at:
            side.server.untestable = "apachectl: no such file"
        return real(generation)

    side.server.test = test  # type: ignore[assignment,method-assign]
    outcome = side.publish(configuration("alice", "bob", mallory="Bogus\n"))
    assert (Ending.REFUSED_BY_TEST, "apachectl: no such file") == (outcome.ending, outcome.message)
    assert [1] == side.publisher.generations.find()


# ---- step 7: a test that did not read what was staged --------------------------------------


def test_what_could_not_be_tested_where_it_was_staged_is_tested_in_place(side: Side) -> None:
    """Good: it goes live, and it is said once which line stands in the way."""
    side.server.unread = frozenset({"server.conf", "django.conf"})
    outcome = side.publish(TWO)
    assert Ending.CONVERGED is outcome.ending
    assert "line 1" in (outcome.warning or "")
    assert ["test", "test in place", "reload", "wait 15"] == side.server.calls
    assert None is side.publish(configuration("carol")).warning
    side.begin()
    assert None is not side.publish(configuration("dave")).warning


def test_a_file_that_no_site_has_is_no_warning(side: Side) -> None:
    """A server without https: tested in place as well, and nobody is told anything."""
    side.server.unread = frozenset({"django-ssl.conf"})
    assert None is side.publish(TWO).warning
    assert 1 == side.server.count("test in place")


def test_what_is_bad_in_place_goes_back_before_any_reload(side: Side) -> None:
    """Status 3, the one before, and no second try until something differs."""
    side.publish(TWO)
    side.server.calls.clear()
    side.server.unread = frozenset({"server.conf", "django.conf", "django-ssl.conf"})
    bad = configuration("alice", "bob", mallory="Bogus\n")

    outcome = side.publish(bad)

    assert (Ending.REFUSED_BY_TEST, 1, False) == (
        outcome.ending, outcome.generation, outcome.published,
    )  # fmt: skip
    assert "Bogus" in (outcome.message or "")
    assert ["alice", "bob"] == names(side)
    assert ["test", "test in place"] == side.server.calls
    again = side.publish(bad)
    assert Ending.REFUSED_BY_TEST is again.ending
    assert "refused before" in (again.message or "")
    assert "Bogus" in (again.message or "")
    assert ["test", "test in place"] == side.server.calls
    side.server.side = "mended"
    side.publish(bad)
    assert 2 == side.server.count("test")


def test_what_cannot_be_tested_at_all_does_not_stay(side: Side) -> None:
    """Unread where it is staged, and untestable in place."""
    side.server.unread = frozenset({"django.conf"})
    real = side.server.test_in_place

    def test_in_place() -> str | None:
        side.server.untestable = "it hangs"
        return real()

    side.server.test_in_place = test_in_place  # type: ignore[method-assign]
    outcome = side.publish(TWO)
    assert (Ending.REFUSED_BY_TEST, "it hangs", None) == (
        outcome.ending, outcome.message, outcome.generation,
    )  # fmt: skip
    assert [] == names(side)
    side.server.untestable, side.server.test_in_place = None, real  # type: ignore[method-assign]
    assert Ending.CONVERGED is side.publish(TWO).ending, "that was no judgement of it"


# ---- step 8: reloads -----------------------------------------------------------------------


def test_a_stopped_apache_is_not_started(side: Side) -> None:
    """The new one is current and waits; nothing is reloaded."""
    side.server.alive = False
    for outcome in (side.publish(TWO), side.publisher.configure(None)):
        assert (Ending.NOT_RELOADED, "Apache is not running") == (outcome.ending, outcome.message)
    assert ["alice", "bob"] == names(side)
    assert 0 == side.server.count("reload")
    side.server.alive = True
    assert Ending.CONVERGED is side.publisher.configure(None).ending


def test_a_reload_that_fails_is_tried_again(side: Side) -> None:
    """The configuration is good in place: it stays, and no try counts as a reload."""
    side.server.unreloadable = "the unit is activating"
    for _ in range(4):
        outcome = side.publisher.configure(side.wanted(TWO))
        assert Ending.NOT_RELOADED is outcome.ending
        assert not outcome.reloaded
        assert "activating" in (outcome.message or "")
    side.server.unreloadable = None
    assert Ending.CONVERGED is side.publish(TWO).ending


def test_after_a_failed_reload_what_is_bad_in_place_goes_back(side: Side) -> None:
    """It became bad after it was tested: Apache, at its next start, finds the one before."""
    side.publish(TWO)
    side.server.unreloadable = "status 1"
    real = side.server.reload

    def reload() -> None:
        side.server.offends = "Daemon carol"
        real()

    side.server.reload = reload  # type: ignore[method-assign]
    outcome = side.publish(configuration("alice", "bob", "carol"))
    assert (Ending.REFUSED_BY_TEST, 1) == (outcome.ending, outcome.generation)
    assert "in place" in (outcome.message or "")
    assert ["alice", "bob"] == names(side)


def test_after_a_failed_reload_what_was_current_goes_back_to_what_was_verified(side: Side) -> None:
    """A process before us made it current, and could not reload."""
    side.publish(TWO)
    side.publish(configuration("alice", "bob", "carol"), reload=False)
    side.server.unreloadable = "status 1"
    side.server.offends = "Daemon carol"
    outcome = side.publisher.configure(None)
    assert (Ending.REFUSED_BY_TEST, 1) == (outcome.ending, outcome.generation)
    again = side.publisher.configure(None)
    assert Ending.NOT_RELOADED is again.ending or Ending.CONVERGED is again.ending


def test_with_nothing_to_go_back_to_what_is_current_stays(side: Side) -> None:
    """Nothing was ever verified: it is said, and tried again."""
    side.publish(TWO, reload=False)
    side.server.unreloadable = "status 1"
    side.server.broken = "garbage"
    outcome = side.publisher.configure(None)
    assert (Ending.NOT_RELOADED, 1) == (outcome.ending, outcome.generation)
    assert "garbage" in (outcome.message or "")
    side.server.untestable = "it hangs"
    assert "status 1" in (side.publisher.configure(None).message or "")


def test_two_reloads_for_one_set_of_bytes_and_then_only_looks(side: Side) -> None:
    """An Apache that does not answer: nine in 20 s were seen. Its own restart is a new chance."""
    side.server.deaf = True
    side.publish(TWO)
    for _ in range(5):
        side.begin()  # whatever restarts us
        outcome = side.publisher.configure(None)
        assert Ending.NOT_RELOADED is outcome.ending
    assert "2 times" in (outcome.message or "")
    assert "did not answer" in (outcome.message or "")
    assert 2 == side.server.count("reload")
    side.server.side = "started again"
    side.publisher.configure(None)
    assert 1 == side.server.count("reload")
    side.server.deaf = False
    assert Ending.CONVERGED is side.publisher.configure(None).ending
    assert (0, 0) == (side.server.count("reload"), side.publisher.notes.reloads)


def test_the_spacing_of_reloads_outlives_the_process(side: Side) -> None:
    """Noted before the reload, by CLOCK_BOOTTIME: a crash loop waits; another boot does not."""
    assert 0.0 == side.publisher.not_before
    real = side.server.reload

    def reload() -> None:
        side.begin()
        assert 1005.0 == side.publisher.not_before, "it was noted beforehand"
        real()
        side.clock.time += 2.0  # what it stalls

    side.server.reload = reload  # type: ignore[method-assign]
    wait = side.server.wait

    def slow(asked: object, *, allow: float) -> object:
        side.clock.time += 3.0
        return wait(asked, allow=allow)  # type: ignore[arg-type]

    side.server.wait = slow  # type: ignore[assignment,method-assign]
    outcome = side.publish(TWO)
    assert 3.0 == outcome.stall
    side.begin()
    assert 1060.0 == side.publisher.not_before, "twenty times the stall after the reload"
    side.clock.id = "another"
    assert 0.0 == side.publisher.not_before


def test_a_server_that_takes_long_to_reload_is_given_five_times_as_long(side: Side) -> None:
    """Its last stall counts, where it is more than the settings' timeout."""
    wait = side.server.wait

    def slow(asked: object, *, allow: float) -> object:
        side.clock.time += 4.0
        return wait(asked, allow=allow)  # type: ignore[arg-type]

    side.server.wait = slow  # type: ignore[assignment,method-assign]
    side.publish(TWO)
    assert 1 == side.server.count("wait 15")
    side.publish(configuration("carol"))
    assert 1 == side.server.count("wait 20")


# ---- step 9: what is not served is put back ------------------------------------------------


def test_what_apache_takes_and_does_not_serve_is_put_back(side: Side) -> None:
    """What was seen is said; one reload each way; refused until it, or Apache's side, differs."""
    side.publish(TWO)
    side.server.strange = {"strange"}
    side.server.calls.clear()
    strange = configuration("alice", head="strange\n")

    outcome = side.publish(strange)

    assert (Ending.PUT_BACK, 1, False, True) == (
        outcome.ending, outcome.generation, outcome.published, outcome.reloaded,
    )  # fmt: skip
    assert "401" in (outcome.message or "")
    assert "IncludeOptional django.conf" in (outcome.message or "")
    assert ["test", "reload", "wait 15", "reload", "wait 15"] == side.server.calls
    assert TWO.files == side.server.runs.files  # type: ignore[union-attr]
    assert not side.publisher.unverified
    again = side.publish(strange)
    assert Ending.PUT_BACK is again.ending
    assert "401" in (again.message or "")
    assert 2 == side.server.count("reload")
    assert side.publisher.is_refused(strange)
    side.server.side = "mended"
    assert not side.publisher.is_refused(strange)


def test_a_canary_that_does_not_answer_is_put_back(side: Side) -> None:
    """The marker is served and no app is: the message says which address answered what."""
    side.publish(TWO)
    side.server.dead_apps = True
    canary = configuration("alice", head=f"Alias /.slp/app/{'0' * 32} /canary\n")
    outcome = side.publish(canary)
    assert (Ending.PUT_BACK, 1) == (outcome.ending, outcome.generation)
    assert "/.slp/app/ answered 503" in (outcome.message or "")
    assert "IncludeOptional" not in (outcome.message or "")


def test_the_canarys_file_is_there_for_nobody_to_read(side: Side) -> None:
    """Before any test, whoever removed it; in a directory that is its own and open to all."""
    side.publish(TWO)
    path = side.state / "verify/app.wsgi"
    path.write_text("by hand")
    side.publisher.configure(None)
    scope: dict[str, object] = {}
    exec(path.read_text(), scope)
    assert [b"slp-reconciler canary\n"] == scope["application"]({}, lambda *_: None)  # type: ignore[operator]
    assert 0o755 == path.parent.stat().st_mode & 0o777
    assert 0o644 == path.stat().st_mode & 0o777


def test_a_set_without_a_canary_is_verified_by_its_marker(side: Side) -> None:
    """An administrator's own: its text does not name one, so none is asked for."""
    side.server.dead_apps = True
    assert Ending.CONVERGED is side.publish(TWO).ending


def test_the_first_generation_ever_is_put_back_to_none(side: Side) -> None:
    """There is nothing to go back to: Apache runs without us."""
    side.server.strange = {"alice"}
    outcome = side.publish(TWO)
    assert (Ending.PUT_BACK, None) == (outcome.ending, outcome.generation)
    assert None is side.server.runs
    assert not (side.state / "current").is_symlink()


def test_without_notes_the_one_before_is_put_back(side: Side) -> None:
    """Somebody removed server.json: that costs memory, and never what is published."""
    side.publish(TWO)
    (side.state / "server.json").unlink()
    side.begin()
    side.server.strange = {"carol"}
    outcome = side.publish(configuration("carol"))
    assert (Ending.PUT_BACK, 1) == (outcome.ending, outcome.generation)
    assert ["alice", "bob"] == names(side)
    assert 1 == side.publisher.notes.verified


def test_what_was_refused_may_come_again_after_another_was_served(side: Side) -> None:
    """Refusal is for a state of things: once Apache took another, it is over."""
    side.publish(TWO)
    side.server.strange = {"carol"}
    side.publish(configuration("carol"))
    side.server.strange = set()
    assert Ending.CONVERGED is side.publish(configuration("dave")).ending
    assert Ending.CONVERGED is side.publish(configuration("carol")).ending


def test_an_apache_that_ended_is_left_with_the_last_good_one(side: Side) -> None:
    """It is not started again; and the refusal holds whoever starts it."""
    side.publish(TWO)
    side.server.dies = True
    outcome = side.publish(configuration("carol"))
    assert (Ending.PUT_BACK, "Apache ended at the reload") == (outcome.ending, outcome.message)
    assert ["alice", "bob"] == names(side)
    assert 2 == side.server.count("reload")
    assert side.publisher.notes.refused_by.endswith("False")


def test_what_was_served_before_is_not_put_back(side: Side) -> None:
    """Verification itself fails: bytes that were served once are kept, and asked for again."""
    side.publish(TWO)
    side.server.strange = {"alice"}
    for _ in range(5):
        outcome = side.publisher.configure(None)
        assert (Ending.NOT_RELOADED, 1) == (outcome.ending, outcome.generation)
    assert "401" in (outcome.message or "")
    assert 1 + 2 == side.server.count("reload")


def test_verification_that_fails_for_all_costs_a_bounded_number_of_reloads(side: Side) -> None:
    """A site is put behind a password: the new one, the old one, and the old one once more."""
    side.publish(TWO)
    side.server.strange = {"Daemon"}
    side.server.calls.clear()
    outcome = side.publish(configuration("carol"))
    assert Ending.PUT_BACK is outcome.ending
    assert "nor is what was put back" in (outcome.message or "")
    for _ in range(6):
        side.publish(configuration("carol"))
        side.publisher.configure(None)
    assert 3 == side.server.count("reload")


def test_a_reload_of_what_was_put_back_that_fails_is_told(side: Side) -> None:
    """And what was put back is current all the same."""
    side.publish(TWO)
    side.server.strange = {"carol"}
    real = side.server.reload

    def reload() -> None:
        if names(side) == ["alice", "bob"]:
            side.server.unreloadable = "it hangs"
        real()

    side.server.reload = reload  # type: ignore[method-assign]
    outcome = side.publish(configuration("carol"))
    assert "the reload of what was put back failed: it hangs" in (outcome.message or "")
    assert ["alice", "bob"] == names(side)


def test_who_is_gone_since_is_not_put_back(side: Side) -> None:
    """To name an account that is gone is fatal at Apache's next start."""
    side.publish(TWO)
    side.server.strange = {"carol"}
    side.gone = {"bob"}
    outcome = side.publish(configuration("alice", "carol"))
    assert Ending.PUT_BACK is outcome.ending
    assert ["alice"] == names(side) == sorted(side.server.runs.stanzas)  # type: ignore[union-attr]
    notes = side.publisher.notes
    assert outcome.generation == notes.verified == notes.seen


def test_what_was_put_back_without_the_dead_is_what_is_gone_back_to(side: Side) -> None:
    """Though Apache has ended and cannot show it: the one with the dead would end it again."""
    side.publish(TWO)
    side.server.dies = True
    side.gone = {"bob"}
    outcome = side.publish(configuration("alice", "carol"))
    assert (["alice"], 3) == (names(side), outcome.generation)
    assert 3 == side.publisher.notes.verified


def test_who_was_made_anew_with_other_ids_is_not_put_back(side: Side) -> None:
    """The daemon that the last good one declares would run as whoever has that uid now."""
    side.publish(configuration("alice", "bob", ids=(1, 1)))
    side.server.strange = {"carol"}
    side.ids = {"bob": (1, 2)}
    outcome = side.publish(configuration("alice", "carol", ids=(1, 1)))
    assert Ending.PUT_BACK is outcome.ending
    assert ["alice"] == names(side)


def test_who_is_left_over_after_a_search_may_have_been_refused_before(side: Side) -> None:
    """What is left when the guilty are out was put back once: it is not tried again."""
    side.publish(CLASS)
    side.server.strange = {"carol"}
    side.publish(configuration(*CLASS.stanzas, "carol"))
    reloads = side.server.count("reload")
    assert 3 == reloads
    outcome = side.publish(configuration(*CLASS.stanzas, "carol", mallory="Bogus\n"))
    assert Ending.PUT_BACK is outcome.ending
    assert "refused before" in (outcome.message or "")
    assert 0 == side.server.count("reload")
