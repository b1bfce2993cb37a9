"""Sockets are made and ended by one command for many; what somebody else did to them is mended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.publish import unit, units
from reconciler.publish.command import CommandError
from reconciler.publish.units import Units

TEXTS = {
    "slp-app@.service": "[Service]\n",
    "slp-app@.socket": "[Socket]\n",
    "slp-front@.socket": "[Socket]\n",
    "slp-apps.slice": "[Slice]\n",
}
# A systemd that knows sockets: a file for each that stands, with its state in it.
SYSTEMCTL = """\
#!/bin/sh
cd "$(dirname "$0")"
echo "$*" >>asked
if [ -e "fail-$1" ]; then cat "fail-$1"; exit 1; fi
verb=$1; shift
case $verb in
start) for name; do echo active >"up/$name"; done;;
stop) shift; for name; do rm -f "up/$name"; done;;
list-units) for name in up/*.socket; do
  [ -e "$name" ] && echo "${name#up/} loaded $(cat "$name") listening Where it asks"
done; true;;
esac
"""


class Systemd:
    """The one that is asked."""

    def __init__(self, place: Path) -> None:
        self.place, self.up = place, place / "up"
        self.up.mkdir(parents=True)
        script = place / "systemctl"
        script.write_text(SYSTEMCTL)
        script.chmod(0o755)
        self.units = place / "units"

    @property
    def asked(self) -> list[str]:
        """The first word of each command since the last time."""
        file = self.place / "asked"
        words = [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []
        file.unlink(missing_ok=True)
        return words

    @property
    def standing(self) -> set[str]:
        """What stands."""
        return {path.name for path in self.up.iterdir()}


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """Return a systemd that this process asks."""
    found = Systemd(tmp_path / "systemd")
    monkeypatch.setenv("PATH", f"{found.place}:{os.environ['PATH']}")
    monkeypatch.setattr(units, "DIRECTORY", str(found.units))
    monkeypatch.setattr(unit, "is_there", lambda: True)
    return found


def sockets(*names: str) -> set[str]:
    """Return the sockets of these accounts."""
    return {f"slp-{kind}@{name}.socket" for kind in ("app", "front") for name in names}


def test_sockets_follow_who_is_served(systemd: Systemd) -> None:
    """Many by one command; whoever has theirs is left alone."""
    mine = Units(TEXTS, timeout=5.0)
    names = {f"s{n}" for n in range(250)}
    mine.begin(names)
    assert sockets(*names) == systemd.standing
    assert ["daemon-reload", "list-units", "start", "start", "start"] == systemd.asked
    assert {name: (systemd.units / name).read_text() for name in TEXTS} == TEXTS
    mine.begin(names | {"late.r-x_"})
    assert ["start"] == systemd.asked
    assert names | {"late.r-x_"} == mine.there
    mine.begin({"s0"})
    mine.end_others({"s0"})
    assert sockets("s0") == systemd.standing
    assert ["list-units", "stop", "stop", "stop"] == systemd.asked


def test_what_somebody_else_did_to_them_is_mended(systemd: Systemd) -> None:
    """Stopped by hand, or taken down by systemd for starting too often."""
    mine = Units(TEXTS, timeout=5.0)
    mine.begin({"alice", "bob", "carol"})
    (systemd.up / "slp-app@alice.socket").write_text("failed")
    (systemd.up / "slp-front@bob.socket").unlink()
    (systemd.units / "slp-app@.socket").write_text("by hand")
    mine.there = None
    assert systemd.asked
    mine.begin({"alice", "bob", "carol"})
    assert ["daemon-reload", "list-units", "start"] == systemd.asked
    assert sockets("alice", "bob", "carol") == systemd.standing
    assert "active" == (systemd.up / "slp-app@alice.socket").read_text().strip()
    assert TEXTS["slp-app@.socket"] == (systemd.units / "slp-app@.socket").read_text()


def test_another_set_leaves_nothing_behind(systemd: Systemd) -> None:
    """Nobody's socket, and no unit; and where there never was one, systemd is not asked."""
    systemd.units.mkdir()
    (systemd.units / "theirs.service").touch()
    none = Units({}, timeout=5.0)
    none.begin({"alice"})
    none.end_others({"alice"})
    assert [] == systemd.asked
    Units(TEXTS, timeout=5.0).begin({"alice", "bob"})
    none.begin({"alice", "bob"})
    assert sockets("alice", "bob") == systemd.standing, "until Apache does not ask there"
    none.end_others({"alice", "bob"})
    assert set() == systemd.standing
    assert ["theirs.service"] == os.listdir(systemd.units)
    assert "daemon-reload" == systemd.asked[-1]


def test_what_systemd_refuses_is_an_error_and_tried_again(systemd: Systemd) -> None:
    """With its words."""
    mine = Units(TEXTS, timeout=5.0)
    (systemd.place / "fail-start").write_text("Failed to start: no room")
    with pytest.raises(CommandError, match="no room"):
        mine.begin({"alice"})
    assert mine.there is None
    (systemd.place / "fail-start").unlink()
    mine.begin({"alice"})
    assert sockets("alice") == systemd.standing


def test_without_systemd_it_says_so(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container, or another init."""
    monkeypatch.setattr(unit, "is_there", lambda: False)
    with pytest.raises(CommandError, match="needs systemd"):
        Units(TEXTS, timeout=5.0).begin({"alice"})
    Units(TEXTS, timeout=5.0).end_others(set())
    assert [] == systemd.asked
