"""systemd as the program meets it: `systemctl`, and a directory of units."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.publish import unit, units

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

# A systemd that knows sockets: a file for each that stands, with its state in it.
SYSTEMCTL = """\
#!/bin/sh
cd "$(dirname "$0")"
echo "$*" >>asked
if [ -e "fail-$1" ]; then cat "fail-$1"; exit 1; fi
verb=$1; shift
case $verb in
start) shift; for name; do [ -e "stuck-$name" ] || echo active >"up/$name"; done;;
show) case $1 in *UID) cat uids 2>/dev/null || true; exit 0;; esac; shift 2
  for name; do cat "up/$name" 2>/dev/null || echo inactive; echo; done;;
stop) shift; for name; do rm -f "up/$name"; done;;
list-units) for name in up/*.socket; do
  [ -e "$name" ] || continue
  read -r state <"$name"; echo "${name#up/} loaded $state listening"
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
        return [line.split()[0] for line in self.lines]

    @property
    def lines(self) -> list[str]:
        """Each command since the last time."""
        file = self.place / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    @property
    def standing(self) -> set[str]:
        """What stands."""
        return {path.name for path in self.up.iterdir()}

    def stand_in(self, patch: pytest.MonkeyPatch) -> None:
        """Be the one that this process asks."""
        patch.setenv("PATH", f"{self.place}:{os.environ['PATH']}")
        patch.setattr(units, "DIRECTORY", str(self.units))
        patch.setattr(unit, "is_there", lambda: True)
