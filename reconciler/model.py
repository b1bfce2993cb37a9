"""The frozen values that the stages hand to one another. No I/O, and no judgement.

The flow: `Home` (facts) → `Verdict` (judgement) → `Plan` (effects to come) → `Outcome`.

Structs of msgspec rather than dataclasses: a first pass makes some forty of them for each home, and
to make and compare them took a tenth of it. None is ever part of a cycle: none is the collector's.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class News(StrEnum):
    """How bad a rejection is, which settles when it takes effect (rule 7 of the design)."""

    UNSAFE = "unsafe"
    """Withdraws at once: a link, an owner, a mode, a name."""
    SOFT = "soft"
    """Must hold for `grace` seconds: an editor or an upload may be at work."""
    UNKNOWN = "unknown"
    """Could not be told: what is published stays."""
    CHOICE = "choice"
    """Nobody's fault: superseded, disabled, over the budget."""


class Rejection(Struct, frozen=True, gc=False):
    """Why a script or an account is not served, in words that a student can act on."""

    code: str
    message: str
    news: News
    advice: str = ""
    """What to do, in words; "" where the command says it all."""
    command: str = ""
    """What can be pasted into a shell: root's where `advice` is to ask the administrator; or ""."""
    above: bool = False
    """Its cause lies above the home: one fault of the machine's can bring it upon everybody."""

    @property
    def fix(self) -> str:
        """Advice and command as one text."""
        return ": ".join(filter(None, (self.advice, self.command)))


class Node(Struct, frozen=True, gc=False):
    """One component of a path below a home, as `fstat` of its own descriptor told it."""

    path: str
    """Relative to the home; "" is the home itself."""
    kind: str
    """"directory", "file", "link" or "other"."""
    uid: int
    gid: int
    mode: int
    """The permission bits, setuid and setgid included."""
    links: int
    size: int
    inode: int
    mtime_ns: int


class Source(Struct, frozen=True, gc=False):
    """What the Python of mod_wsgi says of a script's text."""

    encoding: str | None
    """Why its bytes are no text; None when they are."""
    syntax: tuple[int, str] | None
    """The line and Python's complaint; None when it compiles."""
    binds_application: bool


class Static(Struct, frozen=True, gc=False):
    """A directory of a project's whose files Apache serves: what it collected, or was sent."""

    name: str
    """The first segment of their URLs, below the app's own; the set's link to it is called so."""
    path: str
    """Absolute, without a link in it below the home."""
    reachable: bool | None = None
    """Whether Apache's own user can list it; None where that could not be told."""
    closed: tuple[str, ...] = ()
    """Directories from the home (as "") down to it that not everybody may pass through."""


class Virtualenv(Struct, frozen=True, gc=False):
    """A virtual environment that belongs to a project, or that a setting names."""

    path: str
    """Absolute."""
    chosen: bool
    """Named by a setting, rather than found beside the project."""
    site_packages: str | None
    """Absolute, for the Python of mod_wsgi; None where it has none for that version."""
    system_site_packages: bool = True
    """The distribution's packages are seen in it as well; so they are where it does not say."""
    python: str | None = None
    """The version that it says it is of, as "3.9"."""


class Script(Struct, frozen=True, gc=False):
    """A `wsgi.py` found in a home, or one that a setting names."""

    path: str
    """Relative to the home."""
    nodes: tuple[Node, ...]
    """From the home down to the script; shorter where one is missing or no directory."""
    source: Source | None
    """None where the text was not read, since a node above says enough."""
    trouble: str | None
    """Why it could not be told, as opposed to "is not there"."""
    project: str
    """Relative to the home; "" is the home."""
    package: str
    links: tuple[Static, ...] = ()
    virtualenv: Virtualenv | None = None
    settings: str | None = None
    """The file of the settings that it names, relative to the home, where it is there."""
    static_root: str | None = None
    """What they say it is, relative to the home: whether it is there or not."""
    requirements: str | None = None
    """The `requirements.txt` of the project or of what is above it, relative to the home."""
    reachable: bool | None = None
    """Whether Apache's own user can read the script; only asked where a stanza names it."""

    @property
    def file(self) -> Node | None:
        """The script's own node, where every component is there."""
        last = self.nodes[-1] if self.nodes else None
        return last if last is not None and last.path == self.path else None


class Wishes(Struct, frozen=True, gc=False):
    """What a student's `~/.slp.toml` says."""

    nodes: tuple[Node, ...] = ()
    """The home and the file; empty where there is no file."""
    fault: Fault | None = None
    script: str | None = None
    static: str | None = None
    virtualenv: str | None = None
    enabled: bool = True


class Fault(Struct, frozen=True, gc=False):
    """What is wrong with the text of a `~/.slp.toml`."""

    code: str
    line: int
    message: str


NO_WISHES = Wishes()


class Kind(StrEnum):
    """What a home without a script has in its place."""

    DEEP = "deep"
    """A script, one level deeper than is looked."""
    DJANGO = "django"
    WSGI = "flask"
    """A module that binds an app, of Flask or its kind."""
    FACTORY = "factory"
    """A module whose function makes one."""
    ASGI = "asgi"
    """A module that binds an app of FastAPI or its kind."""


class Instead(Struct, frozen=True, gc=False):
    """A project without a script that can be served, and the script that it lacks."""

    kind: Kind
    path: str
    """The file that shows it, relative to the home."""
    module: str = ""
    """What the script is to import; of Django, the settings."""
    name: str = ""
    """What it is to take from there."""
    script: str = ""
    """Where the script is to be, or is; "" where the project lies in the home itself."""
    virtualenv: str | None = None
    """Absolute: the one that would serve it, where it needs a package more."""


class Standing(StrEnum):
    """What the account database says of a name."""

    FOUND = "found"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """It did not answer: an outage is not a deletion."""


class Account(Struct, frozen=True, gc=False):
    """A row of the account database."""

    name: str
    uid: int
    gid: int
    home: str
    group: str
    """The primary group as `WSGIDaemonProcess group=` takes it: a plain name, or `#gid`."""
    private_group: bool
    """The group is the account's own: nobody else has it, first or supplementary."""
    groups: tuple[int, ...] = ()
    """Supplementary groups as a login would have them, in order, without the primary one: whoever
    has that anyway has the same rights, and most students then have none that differ."""


class Home(Struct, frozen=True, gc=False):
    """Everything observed about one name below the root of the homes."""

    name: str
    standing: Standing
    account: Account | None = None
    node: Node | None = None
    """The home itself; None where there is no such entry. What root's own link names; a student's
    link is told as one."""
    trouble: str | None = None
    """Why the home could not be looked at."""
    scripts: tuple[Script, ...] = ()
    wishes: Wishes = NO_WISHES
    unseen: int = 0
    """Directories that were not looked into, since the home has too many, and directories that were
    not read to their end: a script may be there that nobody has seen."""
    instead: Instead | None = None
    """What it has in the place of a script."""
    unwatched: int = 0
    """Directories more than are watched: a change in those is seen only by the next resync."""
    path: str | None = None
    """Its real path, where a link of root's own leads to it; None: it is `<root>/<name>`. What is
    published names this one: Apache compares the owners of a link and of what it leads to."""
    is_accounts: bool = False
    """The account's home by the database, however spelled, is this very directory."""
    vacant: bool = False
    """It belongs to root and holds nothing: so does the mount point of a home that is away."""


class Run(Struct, frozen=True, gc=False):
    """What the settings say to the runner, which loads an app in a process of its own."""

    url: str = ""
    """The app's path, without a slash at its end."""
    told: str = ""
    """The socket that it reports to; "" for none."""
    explain: bool = True
    """Whether visitors are told why it does not work."""
    idle: int = 300
    """Seconds after which mod_wsgi ends a process that nobody asks; 0 for never."""
    follow: bool = True
    """Whether a saved change ends the process, so that the next request loads it."""
    log_bytes: int = 262144
    """How large `~/.slp/app.log` may grow; its predecessor is kept as well."""
    startup_timeout: float = 20.0
    """Seconds after which somebody outside ends a load, or gives it up; 0 for never."""


class App(Struct, frozen=True, gc=False):
    """The one admitted script of an account, with all that its set will say.

    Every field is in the set's digest: equal apps have equal sets, and make no new one.
    """

    account: str
    uid: int
    gid: int
    script: str
    """Absolute, like `project`, `package`, `virtualenv` and `site_packages`."""
    project: str
    package: str
    links: tuple[tuple[str, str], ...]
    """By name: directories whose files Apache serves at `<url>/<name>/`, absolute."""
    virtualenv: str | None
    site_packages: str | None
    identity: tuple[int, int, int]
    """The script's inode, size and mtime in ns: a `touch` makes a new set."""
    system_site_packages: bool = True
    """Python sees the distribution's packages too; not in a virtualenv that was made without."""
    run: Run = Run()

    def within(self, home: str) -> str | None:
        """Return the script relative to `home`; None where it was published below another."""
        base = f"{home}/"
        return self.script.removeprefix(base) if self.script.startswith(base) else None


class Condition(StrEnum):
    """Whether a served app works: its last load and its last answer were good."""

    WORKING = "working"
    FAILING = "failing"
    UNKNOWN = "unknown"
    """Nobody has told since it was published, or since its code changed."""


class Failure(Struct, frozen=True, gc=False):
    """Why an app fails, as facts: `decide.ailments` makes a sentence and a mend of them.

    It may be a student's word: whoever makes one has it validated, bounded and printable.
    """

    code: str
    kind: str = ""
    """The exception's class, as "ModuleNotFoundError"; "" where there is none."""
    name: str = ""
    """What it is about: a module, an attribute, a file, a table, a setting; or ""."""
    where: str = ""
    """File and line, relative to the home, as "shop/views.py:12"; or ""."""
    message: str = ""
    """What the exception said; "" where that might carry a secret."""


class Health(Struct, frozen=True, gc=False):
    """How the app of one set is, as it told itself or as a visitor saw it."""

    state: Condition
    since: str
    """When that began, as people read it; like `worked_until`."""
    set: str
    """The name of the set that it is about."""
    uid: int
    """The account's, whose health is not that of the next one with the name."""
    failure: Failure | None = None
    """Why it fails; None unless it does."""
    worked_until: str | None = None
    """When it was last known to work; None where it never was."""
    changed: tuple[str, ...] = ()
    """Files that have changed since, relative to the home."""


class Visit(Struct, frozen=True, gc=False):
    """What a visitor of an app found. Its texts are hostile, but bounded; paths are plain ASCII."""

    status: int | None
    """Of the first page's last answer; None where there was none."""
    took: float = 0.0
    """Seconds until the first page had answered, or was given up."""
    trouble: str = ""
    """Why there was no answer; "" where there was one."""
    refused: bool = False
    """Nobody listens where Apache should: no fault of the app's."""
    host: str = ""
    """The name it was asked by."""
    page: str = ""
    """Where it ended: the path of the last answer."""
    title: str = ""
    said: str = ""
    """The exception's text, where the page was that of one."""
    missing: tuple[tuple[str, int], ...] = ()
    """What the pages load and is not to be had: path and status."""
    outside: tuple[tuple[str, str], ...] = ()
    """What leads out of the app's own addresses: "redirect", "load" or "lead", and the link."""
    set: str = ""
    """The name of the set that was visited; of another one it tells nothing."""


class Usage(Struct, frozen=True, gc=False):
    """What the processes of an app use, as the kernel counts it; None for what it does not."""

    memory: int | None
    """In bytes, with what of files is kept for it."""
    cpu: float | None
    """In seconds of a processor, since they began."""


class State(StrEnum):
    """What a visitor of an account's URL meets."""

    SERVED = "served"
    REJECTED = "rejected"
    EMPTY = "empty"


class Verdict(Struct, frozen=True, gc=False):
    """What ought to be so for one account, and why."""

    name: str
    state: State
    account: Account | None
    """None where no stanza may name it."""
    url: str
    app: App | None = None
    """What ought to be published; with `keep`, what stays published although `reason` holds."""
    keep: bool = False
    """Leave the link as it is: the fault is inside `grace`, or unknown."""
    reason: Rejection | None = None
    warnings: tuple[Rejection, ...] = ()
    others: tuple[tuple[str, Rejection], ...] = ()
    soft_since: float | None = None
    """When the soft fault that `keep` bridges was first seen (seconds on `Clock.now()`)."""
    recheck_at: float | None = None
    """When to look again even if nothing happens (seconds on `Clock.now()`)."""
    host: str | None = None
    """At whose root the app answers too; the roster gives it."""

    @property
    def is_unknown(self) -> bool:
        """Whether another look may tell more: of what is served, or of what could be."""
        reasons = [self.reason]
        if self.state is not State.SERVED or self.keep:
            reasons += [reason for _, reason in self.others]
        return any(reason is not None and reason.news is News.UNKNOWN for reason in reasons)
