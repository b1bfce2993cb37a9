"""A whole reconciler in a temporary directory: nothing of `/etc`, no Apache, no systemd, no root.

What is real: the program, its settings' file, the file system, inotify, threads, locks, the helper
that parses, the commands that are run and the address that is asked. What is not: the account
database (two files of our own), Apache (`apache.py`), systemd and the clock (`outside.py`).

    def test_it(machine: Machine) -> None:
        machine.student("alice")
        assert Exit.CONVERGED == machine.once()
        assert "mysite" in machine.visit("alice")

With a daemon, which is ended after the block, and whose log goes with a wait that was in vain:

    with machine.daemon() as daemon:
        machine.student("alice")
        machine.until(lambda: machine.serves("alice"))
"""

from tests.unit.machine.apache import Apache
from tests.unit.machine.faults import Faults
from tests.unit.machine.machine import Machine, Page
from tests.unit.machine.outside import Log, Notify, Settable

__all__ = ["Apache", "Faults", "Log", "Machine", "Notify", "Page", "Settable"]
