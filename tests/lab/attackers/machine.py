"""Looks around on the machine: systemd's units by D-Bus, what lies in /run, the logs."""

import os
import subprocess

from own_memory import answering


def names(directory):
    """Return what lies in a directory."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def look():
    """Return what can be seen of each."""
    command = ["systemctl", "list-units", "--all", "--full", "--plain", "--no-legend"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    units = [line.split()[0] for line in done.stdout.splitlines()]
    return {"units": units, "run": names("/run"), "logs": names("/var/log")}


application = answering(look)
