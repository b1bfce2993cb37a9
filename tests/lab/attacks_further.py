"""More attacks of SECURITY.md, from A21 on: what is left to an app that is no fork of Apache's.

They are as those of `attacks.py`, and share a machine: each has a mallory of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.apache import LOOPBACK, all_pids
from tests.lab.attacks import (
    Attack,
    provoke,
    stands_still,
    stands_still_while_visited,
    uid,
    uid_of_process,
    visited,
)
from tests.lab.waiting import wait_for

if TYPE_CHECKING:
    from tests.lab.ground import Ground

SET_UID = Path("/usr/local/bin/lab-id")
"""`id` as root, whoever runs it."""
ACCOMPLICES = 7
"""Accounts that together wait in more places than Apache has workers: the relay lets 24 through."""


def reads_apaches_own_status(ground: Ground) -> bool:
    """Whether a page for this machine alone tells mallory what somebody asked of alice."""
    path = f"/django/alice/?page={ground.secret}"
    for _ in range(5):  # the page shows the last request of each worker
        ground.server.get(path)
        if path in ground.ask(port=ground.server.http_port)["page"]:
            return True
    return False


def looks_around_on_the_machine(ground: Ground) -> bool:
    """Whether mallory sees systemd's units, who else listens in /run, or which logs there are."""
    seen = ground.ask()
    return bool("apache2.service" in seen["units"] or "dbus" in seen["run"] or seen["logs"])


def becomes_another_by_a_program(ground: Ground) -> bool:
    """Whether a program that is set-uid runs as root."""
    shutil.copy("/usr/bin/id", SET_UID)
    SET_UID.chmod(0o4755)
    return "euid=0(" in str(ground.ask(command=SET_UID)["said"])


def begins_namespaces(ground: Ground) -> bool:
    """Whether mallory is root in a user namespace, from where many a hole is reached."""
    said = ground.ask(command="unshare --user --map-root-user id -u")["said"]
    return bool("0" == said.strip())


def accepts_nobody(ground: Ground) -> bool:
    """Whether alice does not answer while 400 visitors wait to be connected with mallory."""
    provoke(ground)
    return stands_still_while_visited(ground)


def holds_a_static_file(ground: Ground) -> bool:
    """Whether alice does not answer while 400 visitors wait for a file under a lease."""
    path = serve_a_file(ground)
    ground.ask()
    try:
        with visited([path], 400):
            return stands_still(ground)
    finally:
        end(ground.mallory)  # and with its holder the lease


def puts_a_fifo_in_a_files_place(ground: Ground) -> bool:
    """Whether three visitors of 2,000 have a worker wait for ever, who ask for a file or a FIFO.

    150 are all workers: asked on by 400 visitors, that took 15 s under `stable`.
    """
    path = serve_a_file(ground)
    ground.ask()
    waiting = 0
    try:
        for _ in range(2000):
            try:
                ground.server.get(path, timeout=1)
            except TimeoutError:
                assert 200 == ground.server.get("/django/alice/").status, "it is this file alone"
                waiting += 1
                if waiting == 3:
                    break
        return waiting == 3
    finally:
        end(ground.mallory)
        for name in ("held.css", "fifo"):  # whoever waits has a writer, and reads its end
            with contextlib.suppress(OSError):
                file = ground.homes.home(ground.mallory) / "mysite/static" / name
                os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK))


def serve_a_file(ground: Ground) -> str:
    """Have a static file of mallory's served; return its path."""
    path = f"/django/{ground.mallory}/static/held.css"
    ground.homes.write(ground.mallory, "mysite/static/held.css", "/* mine */")
    ground.publish()
    # Under `isolated` the program's own visitor may have asked her to begin before us; a lease is
    # the kernel's to take back after 45 s.
    wait_for(lambda: ground.server.get(path, timeout=1).text == "/* mine */", 60, "her file")
    return path


def end(account: str) -> None:
    """End all processes of an account."""
    for pid in all_pids():
        if uid_of_process(pid) == uid(account):
            os.kill(pid, signal.SIGKILL)


def takes_all_workers_together(ground: Ground) -> bool:
    """Whether alice does not answer while visitors wait for several students' apps, which sleep."""
    accounts = [f"accomplice{number}" for number in range(ACCOMPLICES)]
    ground.enlist(dict.fromkeys(accounts, "sleeper"))
    with visited([f"/django/{account}/" for account in accounts], 400):
        return stands_still(ground)


def is_believed_to_be_another(ground: Ground) -> bool:
    """Whether a visitor's own headers tell an app who asks, by which scheme, or at which URL."""
    path = f"/django/{ground.mallory}"
    true = {"REMOTE_ADDR": LOOPBACK, "wsgi.url_scheme": "http", "SCRIPT_NAME": path}
    names = (
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Script-Name",
    )
    forged = dict.fromkeys((*names, "Remote-Addr", "Remote-User", "Script-Name"), "evil")
    forged |= {name.replace("-", "_"): "evil" for name in forged}
    for dropped in ("close", "close, X-Forwarded-For, X-Forwarded-Host, Host"):
        told = ground.server.get(f"{path}/", headers=forged | {"Connection": dropped}).text
        said = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
        if true.items() - said.items() or "REMOTE_USER" in said or "evil" in said["SERVER_NAME"]:
            return True
    return False


def opens_too_many_files(ground: Ground) -> bool:
    """Whether alice or Apache lacks a descriptor while mallory has thousands."""
    assert ground.ask()["open"] > 500
    return any(ground.server.get(f"/django/{name}/").status != 200 for name in ("alice", "bob"))


def crashes_for_ever(ground: Ground) -> bool:
    """Whether alice does not answer while 400 visitors ask for an app that ends as it begins."""
    return stands_still_while_visited(ground)


FURTHER = (
    Attack("A21", "status-page", "status_page", reads_apaches_own_status),
    Attack("A22", "machine", "machine", looks_around_on_the_machine),
    Attack("A23", "set-uid", "programs", becomes_another_by_a_program),
    Attack("A24", "namespaces", "programs", begins_namespaces),
    Attack("A25", "unaccepted", "unaccepted", accepts_nobody),
    Attack("A26", "lease", "lease", holds_a_static_file),
    Attack("A27", "together", "powers", takes_all_workers_together),
    Attack("A28", "headers", "echo", is_believed_to_be_another),
    Attack("A29", "open-files", "open_files", opens_too_many_files),
    Attack("A30", "crash-loop", "crash", crashes_for_ever),
    Attack("A31", "fifo", "fifo", puts_a_fifo_in_a_files_place),
)
