"""Apache as a unit of systemd: reloaded without ever standing in the way of its own restart."""

from __future__ import annotations

import os
import time

from reconciler.publish import command
from reconciler.publish.command import CommandError

_UNIT = "apache2.service"
_PAUSE = 0.02  # seconds; asking takes 10 ms


def is_there() -> bool:
    """Whether this machine is run by systemd."""
    return os.path.isdir("/run/systemd/system")


def reload(*, timeout: float) -> bool:
    """Reload the unit and wait until that is done; False where Apache is not run by its unit.

    `systemctl reload` would also wait for a `restart` that comes meanwhile. That waits for what
    runs before Apache's start, which waits for our lock: *measured*, 15 s without Apache.

    Raises:
        CommandError: it failed, or Apache is being started or stopped. Then `apachectl graceful`
            is no way out: it would start an Apache of ours, the unit would find that one running,
            give up and stop it.
    """
    deadline = time.monotonic() + timeout
    if _look(timeout)["ActiveState"] in {"inactive", "failed"}:
        return False
    command.run(["systemctl", "--no-block", "reload", _UNIT], timeout=timeout)
    while (found := _look(timeout))["ActiveState"] in {"active", "reloading"}:
        if found.get("Job", "0") in {"", "0"}:
            if found["ReloadResult"] != "success":
                raise CommandError(f"{_UNIT}: reload: {found['ReloadResult']}", status=None)
            return True
        if time.monotonic() >= deadline:
            raise CommandError(f"{_UNIT} did not reload within {timeout:g} s", status=None)
        time.sleep(_PAUSE)
    raise CommandError(f"{_UNIT} is {found['ActiveState']}", status=None)


def _look(timeout: float) -> dict[str, str]:
    asked = ["systemctl", "show", "--property=ActiveState,Job,ReloadResult", _UNIT]
    lines = command.run(asked, timeout=timeout).splitlines()
    return {"ActiveState": "inactive"} | dict(line.split("=", 1) for line in lines if "=" in line)
