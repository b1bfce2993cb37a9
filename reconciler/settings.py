"""One validated, frozen `Settings` from `reconciler.toml`.

Every key is optional, and so is the file. An unknown key, a wrong type or a value out of its
range is a `SettingsError` that names the key. Durations are in seconds.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

DEFAULT_FILE = "/etc/slp-reconciler/reconciler.toml"

Seconds = Annotated[float, Meta(ge=0, le=86400)]
Some = Annotated[float, Meta(gt=0, le=86400)]
Count = Annotated[int, Meta(ge=1)]
Absolute = Annotated[str, Meta(pattern=r"^/[^\x00-\x1f\x7f\"\\]*\Z")]
"""A path that the configuration of Apache will quote."""
Runtime = Annotated[str, Meta(pattern=r"^/[^\x00-\x1f\x7f\"\\]*\Z", max_length=37)]
"""With `/told/` and a name of 64 characters, the longest path that a socket can have."""
_URL_PATH = r"(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+"
UrlPath = Annotated[str, Meta(pattern=rf"^{_URL_PATH}\Z")]
Within = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*(/(?!\.{1,2}(/|\Z))[A-Za-z0-9_.+-]+)*\Z"),
]
"""A path below a home, without `.` and `..`."""
Elsewhere = Annotated[str, Meta(pattern=r"^/[A-Za-z0-9_.~/-]+\Z")]
"""How a path begins that no app's redirect is to be kept from."""
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DOMAIN = r"(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+"
Memory = Annotated[str, Meta(pattern=r"^([1-9][0-9]{0,9}[KMG]|infinity)\Z")]
Share = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,4}%\Z")]
Tasks = Annotated[int, Meta(ge=8, le=10000)]
Words = Annotated[list[str], Meta(min_length=1)]


class SettingsError(ValueError):
    """The settings are not usable; the text names the file, the key and the fault."""


class Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


class Homes(Table, frozen=True):
    """Where the homes are, and where in them a script can be."""

    root: Absolute = "/home/slp"
    scripts: Annotated[list[str], Meta(min_length=1, max_length=8)] = field(
        default_factory=lambda: ["*/*/wsgi.py", "*/wsgi.py", "*/*/*/wsgi.py"]
    )
    min_uid: Annotated[int, Meta(ge=1)] = 1000
    watch_budget: Count = 256
    account_pattern: str = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"

    def __post_init__(self) -> None:
        """Refuse what the observer could not follow, with the key's name."""
        try:
            re.compile(self.account_pattern)
        except re.error as error:
            raise ValueError(f"`account_pattern` is not a regular expression: {error}") from error
        for pattern in self.scripts:
            if not re.fullmatch(r"(\*/){1,4}[A-Za-z0-9_][A-Za-z0-9_.-]*\.py", pattern):
                raise ValueError(f"`scripts`: {pattern!r} is not like */wsgi.py or */*/wsgi.py")


class Urls(Table, frozen=True):
    """Where the apps appear."""

    prefix: UrlPath = "/django"
    hosts: Annotated[str, Meta(pattern=rf"^(\{{account\}}{_DOMAIN})?\Z")] = ""
    """"" for none."""
    keep_inside: bool | list[Elsewhere] = True


class Apps(Table, frozen=True):
    """What is done for an app in its own process."""

    follow: bool = True
    idle: Annotated[int, Meta(ge=0, le=30 * 86400)] = 300
    """Seconds after which an app that nobody asks gives its memory back; 0 for never."""
    log_bytes: Annotated[int, Meta(ge=4096, le=1024**3)] = 262144
    memory: Memory = "400M"
    """What one app's processes may use together; this and the next two where systemd runs them."""
    cpu: Share = "100%"
    """Of one processor."""
    tasks: Tasks = 64
    """Processes and threads."""


class StateDirectory(Table, frozen=True):
    """Where what is published is kept, and where apps tell how they are."""

    directory: Absolute = "/var/lib/slp-reconciler"
    runtime: Runtime = "/run/slp-reconciler"
    keep_generations: Count = 5


class Apache(Table, frozen=True):
    """The server that is published to."""

    confdir: Absolute = "/etc/apache2"
    configtest: Words = field(default_factory=lambda: ["apachectl", "configtest"])
    reload: str | list[str] = "auto"
    user: str = "www-data"
    pid_file: Absolute = "/run/apache2/apache2.pid"
    timeout: Some = 15.0
    access_control: Literal["2.4", "2.2"] = "2.4"
    verify_url: Annotated[str, Meta(pattern=r"^https?://[^\s/]+\Z")] = "http://127.0.0.1"
    verify_host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:_-]*\Z")] = ""
    template_set: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")] = "stable"
    templates: Absolute = "/etc/slp-reconciler/templates"
    python: str = "auto"

    def __post_init__(self) -> None:
        """A reload is "auto" or a command."""
        if isinstance(self.reload, str) and self.reload != "auto":
            raise ValueError('`reload` is "auto" or a list of words, such as ["systemctl", "…"]')
        if isinstance(self.reload, list) and not self.reload:
            raise ValueError("`reload` is an empty command")
        if self.python != "auto" and not self.python.startswith("/"):
            raise ValueError('`python` is "auto" or an absolute path')
        if self.template_set == "isolated" and self.access_control == "2.2":
            raise ValueError(
                '`template_set` "isolated" is rules of Apache 2.4, which cannot be said with'
                ' `access_control` "2.2"'
            )


# What one app can hold of Apache's workers. *Measured* with 300 clients of an app that sleeps: with
# mod_wsgi's defaults its neighbours had no answer at all; with the design's `connect-timeout` of 1,
# in which a worker waits for room in the backlog, a p99 of 2.6 s, and 9 s where the clients come
# back at once; with 0, 0.01 and 0.1 s. Whom the backlog has no room for is answered 503, so it has
# room for a class: 36 visitors at once, and at most 36 of Apache's workers.
DAEMON_OPTIONS: dict[str, str | int] = {
    "threads": 3,
    "listen-backlog": 32,
    "connect-timeout": 0,
    "queue-timeout": 15,
    "request-timeout": 30,
    "socket-timeout": 30,
    "graceful-timeout": 5,
    "eviction-timeout": 5,
    "shutdown-timeout": 5,
    "deadlock-timeout": 60,
    "startup-timeout": 20,
    "memory-limit": 536870912,
}
_DAY = 86400
_MIB = 1024 * 1024
_OFF: tuple[int, ...] = (0,)
_TIMEOUTS = (
    "connect-timeout", "queue-timeout", "request-timeout", "socket-timeout", "startup-timeout",
    "response-socket-timeout", "graceful-timeout", "eviction-timeout", "shutdown-timeout",
    "deadlock-timeout",
)  # fmt: skip
# Option → its least and greatest value, and what it may be besides: 0, for "none" or "the default".
# mod_wsgi 4.9 passes a configuration test with much that serves nobody. *Measured*, three threads,
# a bare script and a new Django project: with `threads=0`, and with a `memory-limit` of 32 MiB and
# below, every visitor waits in vain; Django answers from 80 MiB on, from a `virtual-memory-limit`
# of 128 MiB and a `stack-size` of 64 KiB on. The greatest values are what a machine of a school can
# bear, or where mod_wsgi's own `int` ends.
_RANGES: dict[str, tuple[int, int, tuple[int, ...]]] = {
    **dict.fromkeys(_TIMEOUTS, (0, _DAY, ())),
    "processes": (1, 64, ()),
    "threads": (1, 512, ()),
    "listen-backlog": (1, 65535, ()),
    "inactivity-timeout": (0, 30 * _DAY, ()),
    "restart-interval": (0, 30 * _DAY, ()),
    "maximum-requests": (0, 2**31 - 1, ()),
    "cpu-time-limit": (1, 2**31 - 1, _OFF),
    "cpu-priority": (-20, 19, ()),
    "memory-limit": (96 * _MIB, 2**50, _OFF),
    "virtual-memory-limit": (128 * _MIB, 2**50, _OFF),
    "stack-size": (128 * 1024, 1024 * _MIB, ()),
    "send-buffer-size": (512, 64 * _MIB, _OFF),
    "receive-buffer-size": (512, 64 * _MIB, _OFF),
    "header-buffer-size": (8192, 64 * _MIB, _OFF),
    "response-buffer-size": (65536, 1024 * _MIB, _OFF),
}
_WORDS = {
    "umask": (r"0?[0-7]{3}", 'a string of octal digits, such as "0027"'),
    "lang": (r"[A-Za-z0-9_.@-]+", "the name of a locale"),
    "locale": (r"[A-Za-z0-9_.@-]+", "the name of a locale"),
}


def _fault_of(option: str, value: str | int) -> str | None:
    """Return what is wrong with one of `[daemons.options]`, None where nothing is.

    None of them can change whose code runs as whom: others than these are not known.
    """
    if option in _WORDS:
        pattern, wanted = _WORDS[option]
        good = isinstance(value, str) and re.fullmatch(pattern, value)
        return None if good else f"{option} = {value!r} is not {wanted}"
    if option not in _RANGES:
        return f"{option!r} is not one of {', '.join(sorted(_RANGES.keys() | _WORDS))}"
    least, most, besides = _RANGES[option]
    if not re.fullmatch(r"-?[0-9]{1,18}", str(value)):
        return f"{option} = {value!r} is not a whole number"
    if least <= int(value) <= most or int(value) in besides:
        return None
    return f"{option} = {value} is not from {least} to {most}{', or 0' if besides else ''}"


class Daemons(Table, frozen=True):
    """Which accounts have a daemon, and what each may use."""

    declare: Literal["auto", "homes", "apps"] = "auto"
    budget: Count = 300
    options: dict[str, str | int] = {}

    def __post_init__(self) -> None:
        """Refuse what would serve nobody, with the option's name."""
        for option, value in self.options.items():
            if fault := _fault_of(option, value):
                raise ValueError(f"`options`: {fault}")

    @property
    def effective(self) -> dict[str, str | int]:
        """The defaults, with the file's own in place. An empty set of keys is not possible."""
        return {**DAEMON_OPTIONS, **self.options}


class Probe(Table, frozen=True):
    """How an app is asked after a change, as a visitor would ask."""

    enabled: bool = True
    timeout: Annotated[float, Meta(ge=1, le=300)] = 20.0
    """Seconds for the first page, and once more for what belongs to it."""
    per_minute: Annotated[int, Meta(ge=1, le=6000)] = 60
    links: bool = True


class Timing(Table, frozen=True):
    """How long the program waits for what."""

    quiet: Seconds = 0.05
    max_wait: Seconds = 1.0
    grace: Seconds = 2.0
    resync: Some = 60.0
    reload_interval: Seconds = 5.0


class Safety(Table, frozen=True):
    """The brake on mass withdrawal: held when above both."""

    max_withdrawn_share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    max_withdrawn_count: Annotated[int, Meta(ge=0)] = 5


class Pages(Table, frozen=True):
    """What a browser is told."""

    explain: bool = True
    dashboard: Annotated[str, Meta(pattern=rf"^({_URL_PATH})?\Z")] = "/slp-status"
    """"" for none."""


class AccountSettings(Table, frozen=True):
    """What the administrator settles for one account."""

    enabled: bool = True
    script: Within | None = None
    static: Within | None = None
    virtualenv: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_./+-]+\Z")] | None = None
    url: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")] | None = None
    at_root: bool = False
    skip_checks: bool = False
    memory: Memory | None = None
    cpu: Share | None = None
    tasks: Tasks | None = None

    @property
    def limits(self) -> tuple[str, ...]:
        """What its app may use, in systemd's words, as far as it is not what all may."""
        said = (("MemoryMax", self.memory), ("CPUQuota", self.cpu), ("TasksMax", self.tasks))
        return tuple(f"{name}={value}" for name, value in said if value is not None)


class Settings(Table, frozen=True):
    """The whole file."""

    homes: Homes = field(default_factory=Homes)
    urls: Urls = field(default_factory=Urls)
    apps: Apps = field(default_factory=Apps)
    state: StateDirectory = field(default_factory=StateDirectory)
    apache: Apache = field(default_factory=Apache)
    daemons: Daemons = field(default_factory=Daemons)
    probe: Probe = field(default_factory=Probe)
    timing: Timing = field(default_factory=Timing)
    safety: Safety = field(default_factory=Safety)
    pages: Pages = field(default_factory=Pages)
    accounts: dict[str, AccountSettings] = {}

    def of(self, account: str) -> AccountSettings:
        """The account's own table, or the defaults."""
        return self.accounts.get(account, _DEFAULT_ACCOUNT)

    @property
    def daemon_options(self) -> dict[str, str | int]:
        """The options of every daemon; one that the file names wins over `[apps] idle`."""
        return {"inactivity-timeout": self.apps.idle, **self.daemons.effective}

    @property
    def startup_timeout(self) -> float:
        """Seconds after which Apache or mod_wsgi gives a load up; 0 for never."""
        options = self.daemon_options
        timeouts = [float(options[name]) for name in ("startup-timeout", "socket-timeout")]
        return min(filter(None, timeouts), default=0.0)

    def url(self, account: str) -> str:
        """The path of an account's app, without a slash at its end."""
        own = self.of(account)
        name = own.url or account
        return f"/{name}" if own.at_root else f"{self.urls.prefix}/{name}"

    def host(self, account: str) -> str | None:
        """The name at whose root an account's app answers too; None where no name can be its.

        One label of it is the account: in lower case, and with `-` for `_` and `.`, as Django
        refuses a `_`, and a wildcard certificate covers one label. Of two accounts that have one
        name by this, the roster gives it to one.
        """
        label = re.sub("[_.]", "-", account.lower())
        if not self.urls.hosts or not _LABEL.fullmatch(label):
            return None
        return self.urls.hosts.replace("{account}", label)


_DEFAULT_ACCOUNT = AccountSettings()
_MAX_BYTES = 4 * 1024 * 1024  # ten thousand [accounts.NAME] tables are under 1 MiB


def load(path: str | None = None) -> Settings:
    """Return the settings in `path`, or the defaults where the default file is absent.

    Raises:
        SettingsError: the file is missing though named, unreadable, no TOML, or has a bad key.
    """
    file = Path(path or DEFAULT_FILE)
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        if path is None:
            return Settings()
        raise SettingsError(f"{file}: there is no such file") from None
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from error
    if len(raw) > _MAX_BYTES:
        raise SettingsError(f"{file}: larger than {_MAX_BYTES} bytes")
    try:
        document = tomllib.loads(raw.decode())
        return msgspec.convert(document, Settings)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{file}: not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {_named(str(error), document)}") from error


def _named(text: str, document: dict[str, object]) -> str:
    """Turn msgspec's "… - at `$.homes.min_uid`" into "[homes] min_uid: …"."""
    fault, _, place = text.partition(" - at `$")
    if "[...]" in place:  # msgspec does not say which account
        place = place.replace("[...]", f".{_faulty_account(document)}")
    keys = [key for key in place.rstrip("`").split(".") if key]
    if not keys:
        return fault
    table, key = ".".join(keys[:-1]), keys[-1]
    return f"[{table}] {key}: {fault}" if table else f"[{key}]: {fault}"


def _faulty_account(document: dict[str, object]) -> str:
    tables = document.get("accounts")
    for name, table in tables.items() if isinstance(tables, dict) else ():
        try:
            msgspec.convert(table, AccountSettings)
        except msgspec.ValidationError:
            return str(name)
    return "?"
