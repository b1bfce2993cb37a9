"""Runs a program: one that is set-uid, or one that begins namespaces of its own."""

import subprocess

from own_memory import answering


def run(command):
    """Return what it printed."""
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    return {"said": done.stdout, "error": done.stderr}


application = answering(run)
