"""The units as they are shipped, put in place on a machine that systemd runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.lab.program import EXECUTABLE

SHIPPED = Path(__file__).resolve().parents[2] / "systemd"
UNITS = Path("/etc/systemd/system")
UNIT = "slp-reconciler.service"
APACHE = "apache2.service"
DROP_IN = f"{APACHE}.d/slp-reconciler.conf"


def run(*command: str, status: int = 0) -> str:
    """Run a command; return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert status == done.returncode, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def ask(name: str, unit: str = UNIT) -> str:
    """Return one property of a unit."""
    return run("systemctl", "show", "--value", f"--property={name}", unit).strip()


def journal(*options: str) -> list[str]:
    """Return the daemon's own lines in the journal."""
    selected = ["-u", UNIT, "-t", "slp-reconciler", *options]
    return run("journalctl", "--no-pager", "--quiet", *selected).splitlines()


def install(*lines: str) -> None:
    """Put the units in place, with the program where it is here and lines for a drop-in."""
    ship(UNIT)
    ship(DROP_IN)
    more = list(lines)
    if "COVERAGE_PROCESS_START" in os.environ:
        names = ("COVERAGE_PROCESS_START", "COVERAGE_FILE")
        more += [f"Environment={name}={os.environ[name]}" for name in names]
        more += [f"ReadWritePaths={Path(os.environ['COVERAGE_FILE']).parent}"]
    drop_in(UNIT, "Service", *more)


def ship(name: str) -> None:
    """Put one of the shipped files in place, with the program where it is here."""
    shipped = "/opt/slp-reconciler/bin/slp-reconciler"
    text = (SHIPPED / name).read_text()
    assert shipped in text
    (UNITS / name).parent.mkdir(exist_ok=True)
    (UNITS / name).write_text(text.replace(shipped, str(EXECUTABLE)))
    run("systemctl", "daemon-reload")


def isolate() -> None:
    """Do what the README has an administrator do for the template set `isolated`."""
    run("a2enmod", "-q", "proxy", "proxy_http")
    name = "sysusers.d/slp-reconciler.conf"
    run("systemd-sysusers", str(SHIPPED / name))


def drop_in(unit: str, section: str, *lines: str) -> None:
    """Give a unit more lines in a section, in a file of the test's own."""
    file = UNITS / f"{unit}.d/test.conf"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"[{section}]\n" + "\n".join(lines) + "\n")
    run("systemctl", "daemon-reload")
