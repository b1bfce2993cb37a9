"""The machine: homes, accounts, settings, an Apache, and the ways to run the program on them."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import tempfile
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from reconciler import once
from reconciler.daemon import Daemon
from reconciler.observe.accounts import Accounts
from reconciler.observe.identity import become
from reconciler.outside import Outside
from reconciler.settings import Settings, load
from tests.lab.waiting import wait_for
from tests.unit.machine.apache import Apache
from tests.unit.machine.outside import Log, Notify, Settable
from tests.unit.machine.school import ROOT, School

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.model import Account
    from reconciler.once import Exit

LOCKS = ("lock", "looks.lock")
"""What a look locks."""


class Page(str):
    """What a visitor reads who does not meet an app."""


class Machine(School):
    """Everything in one directory, which everybody may enter: homes are read as their students."""

    def __init__(self, home: Path, patch: Any) -> None:
        super().__init__(home)
        self.home = home
        self._patch = patch
        self.state, self.config = home / "state", home / "reconciler.toml"
        self.runtime = home / "run"
        self.templates = home / "templates"
        self.templates.mkdir()
        self.apache = Apache(home / "apache", self.state)
        self.clock, self.notify, self.log = Settable(), Notify(), Log()
        self.accounts_raise: BaseException | None = None
        """What a new view of the account database raises, as with no descriptor left."""
        self._tables: dict[str, Any] = {}
        self.configure()

    def close(self) -> None:
        """End what was started."""
        self.apache.close()

    # ---- settings --------------------------------------------------------------------------

    def configure(self, **tables: dict[str, Any]) -> None:
        """Write the settings' file: what is fit for a test, with these keys of these tables."""
        for name, table in tables.items():
            self._tables[name] = {**self._tables.get(name, {}), **table}
        temporary = self.config.with_suffix(".new")
        temporary.write_text(_toml(self._whole(self._tables)))
        temporary.rename(self.config)

    def settings_with(self, **tables: dict[str, Any]) -> Settings:
        """Return other settings for the same machine, without writing them down."""
        return msgspec.convert(self._whole({**self._tables, **tables}), Settings)

    def _whole(self, tables: dict[str, Any]) -> dict[str, Any]:
        base: dict[str, dict[str, Any]] = {
            "homes": {"root": str(self.root), "min_uid": 1000 if ROOT else 1},
            "state": {"directory": str(self.state), "runtime": str(self.runtime)},
            "apache": {
                **self.apache.tables(), "user": _own_name(), "templates": str(self.templates),
            },
            "timing": {
                "quiet": 0.01, "max_wait": 0.1, "grace": 0.0, "resync": 3600.0,
                "reload_interval": 0.0,
            },
            "probe": {"enabled": False},  # who tests visits asks for them
        }  # fmt: skip
        return {name: {**base.get(name, {}), **tables.get(name, {})} for name in {**base, **tables}}

    @property
    def settings(self) -> Settings:
        """The settings as the file has them."""
        return load(str(self.config))

    # ---- running the program ---------------------------------------------------------------

    @property
    def outside(self) -> Outside:
        """The seam, with what stands here in place of the machine's own."""
        as_student = become if ROOT else _stay
        return Outside(
            accounts=self._accounts, as_student=as_student, clock=self.clock, notify=self.notify
        )

    def _accounts(self) -> Accounts:
        if self.accounts_raise is not None:
            raise self.accounts_raise
        return Accounts(str(self.etc))

    def once(self, settings: Settings | None = None, **options: bool) -> Exit:
        """Make one pass, as `--once` does."""
        return once.run(settings or self.settings, self.log, self.outside, **options)

    def preview(self) -> list[str]:
        """Return what `--dry-run` would print."""
        return list(once.preview(self.settings, self.outside))

    @contextmanager
    def daemon(self, *, ready: bool = True) -> Iterator[Running]:
        """Run a daemon meanwhile; with `ready`, from when it says so."""
        running = Running(self)
        before = self.notify.count("READY")
        running.start()
        try:
            if ready:
                self.until(lambda: self.notify.count("READY") > before, "the daemon is ready")
            yield running
        finally:
            self.apache.hang(on=False)
            for command in ("configtest", "graceful"):
                self.apache.release(command)
            running.stop()

    @contextmanager
    def no_looks(self) -> Iterator[None]:
        """Hold the lock of looks meanwhile, so that what happens is looked at in one go."""
        with ExitStack() as stack:
            for name in LOCKS:
                stream = stack.enter_context((self.state / name).open("ab"))
                fcntl.flock(stream, fcntl.LOCK_EX)
            self.database()  # the look that this calls for waits here, and the next takes the rest
            time.sleep(0.05)
            yield
            time.sleep(0.05)

    def wall(self, wrong: float) -> None:
        """Set the wall's clock, for whoever looks at it: so many seconds from the truth."""
        self.clock.wrong = wrong
        self._patch.setattr(time, "time", lambda: _TIME() + self.clock.ahead + self.clock.wrong)

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.ahead += seconds
        self.wall(self.clock.wrong)

    # ---- what is to be seen ----------------------------------------------------------------

    def until(self, condition: Callable[[], Any], what: str = "", within: float = 5.0) -> Any:
        """Wait until it holds; the log goes with the failure."""
        try:
            return wait_for(condition, within, what, every=0.005)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log!r}") from None

    def stays(self, condition: Callable[[], Any], what: str = "", during: float = 0.3) -> None:
        """See that it holds all the time, for as long as a wrong daemon would need."""
        end = time.monotonic() + during
        while time.monotonic() < end:
            assert condition(), f"{what or 'it'} did not stay so\n{self.log!r}"
            time.sleep(0.005)

    def visit(self, name: str, path: str = "/") -> str:
        """Return what a visitor of the account's URL meets: the script that runs, or a `Page`."""
        status, body = self.apache.answer(f"{self.settings.url(name)}{path}")
        if status == 200:
            return str(Path(json.loads(body)["script"]).relative_to(self.root / name))
        return Page(body.decode())

    def serves(self, name: str) -> bool:
        """Whether a visitor meets an app."""
        return not isinstance(self.visit(name), Page)

    def app(self, name: str) -> dict[str, Any] | None:
        """Return the `app.json` that the account's link leads to."""
        try:
            return json.loads((self.state / "apps" / name / "app.json").read_bytes())  # type: ignore[no-any-return]
        except FileNotFoundError:
            return None

    @property
    def published(self) -> set[str]:
        """The accounts whose link is there."""
        try:
            return {name for name in os.listdir(self.state / "apps") if self.app(name)}
        except FileNotFoundError:
            return set()

    @property
    def generation(self) -> int | None:
        """The number of the current generation."""
        try:
            return int(os.path.basename(os.readlink(self.state / "current")))
        except FileNotFoundError:
            return None

    def text(self, file: str = "server.conf") -> str:
        """Return a file of the current generation."""
        return (self.state / "current" / file).read_text()

    @property
    def stanzas(self) -> set[str]:
        """The accounts that the current generation declares."""
        return self.apache.declared(self.text())

    @property
    def status(self) -> dict[str, Any]:
        """`status.json`."""
        return json.loads((self.state / "status.json").read_bytes())  # type: ignore[no-any-return]

    def entry(self, name: str) -> dict[str, Any]:
        """Return an account's entry of the status."""
        return self.status["accounts"][name]  # type: ignore[no-any-return]

    def code(self, name: str) -> str | None:
        """Return the code of an account's reason, None where it has none."""
        reason = self.entry(name)["reason"]
        return None if reason is None else reason["code"]  # type: ignore[no-any-return]

    def health(self, name: str) -> dict[str, Any]:
        """Return how the status says that an account's app is."""
        return self.entry(name)["health"]  # type: ignore[no-any-return]

    def tell(self, name: str, event: str, /, **keys: Any) -> bool:
        """Tell how an account's app is, as its process does; return whether there was room."""
        report = json.dumps({"event": event, **keys}).encode()
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as own:
            own.setblocking(False)
            try:
                own.sendto(report, str(self.runtime / "told" / name))
            except BlockingIOError:
                return False
            return True

    def page(self, name: str) -> str | None:
        """Return the account's page, as it lies on the disk."""
        try:
            return (self.state / "pages" / f"{name}.html").read_text()
        except FileNotFoundError:
            return None

    def picture(self) -> dict[str, Any]:
        """Return all that visitors and Apache see, to compare with another machine's, or time."""
        status = {
            name: {key: value for key, value in entry.items() if key not in {"since", "health"}}
            for name, entry in self.status["accounts"].items()
        }
        pages = sorted(n for n in os.listdir(self.state / "pages") if not n.startswith("."))
        return {
            "published": {name: self.app(name)["script"] for name in self.published},  # type: ignore[index]
            "visits": {name: str(self.visit(name)) for name in self.rows},
            "stanzas": self.stanzas,
            "daemons": self.apache.daemons,
            "pages": {name: (self.state / "pages" / name).read_text() for name in pages},
            "status": status,
            "held": self.status["held"],
            "leftovers": [str(path) for path in self.state.rglob("*.new")],
        }


class Running:
    """A daemon in a thread of its own."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._daemon = Daemon(str(machine.config), machine.settings, machine.log, machine.outside)
        self._thread = threading.Thread(target=self._run, name="daemon", daemon=True)
        self.status: int | None = None
        self.error: BaseException | None = None

    def _run(self) -> None:
        try:
            self.status = self._daemon.run()
        except BaseException as error:  # told by `stop`, and by whoever waits
            self.error = error

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._daemon.signal(number)

    def hup(self) -> None:
        """Have it read its settings again."""
        self.signal(signal.SIGHUP)

    def stop(self) -> int | None:
        """Stop it, and return its exit status."""
        self.signal(signal.SIGTERM)
        self._thread.join(15)
        assert not self.alive, f"the daemon does not stop\n{self._machine.log!r}"
        if self.error is not None:
            raise self.error
        return self.status


def _stay(account: Account | None) -> None:
    """Become nobody else: without root, every student is us."""
    del account


_TIME = time.time
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None


@contextmanager
def temporary() -> Iterator[Path]:
    """Make a directory that everybody may enter, unlike pytest's own.

    In memory where it can be: removing what was synced to a disk took 0.1 s for each test.
    """
    home = Path(tempfile.mkdtemp(prefix="slp-machine-", dir=_MEMORY))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _own_name() -> str:
    """Return who we are: Apache's own user is asked for by name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "nobody"


def _toml(tables: dict[str, Any], above: str = "") -> str:
    """Return TOML: JSON's strings, numbers, booleans and lists are TOML's too."""
    lines, below = [], []
    for key, value in tables.items():
        name = json.dumps(key)
        if isinstance(value, dict):
            below.append(_toml(value, f"{above}.{name}" if above else name))
        else:
            lines.append(f"{name} = {json.dumps(value)}\n")
    head = f"[{above}]\n" if above and lines else ""
    return "".join([head, *lines, *below])
