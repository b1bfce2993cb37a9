"""The settings: the defaults of the contract, and errors that name the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.settings import (
    _RANGES,
    DAEMON_OPTIONS,
    AccountSettings,
    Settings,
    SettingsError,
    load,
)

SHIPPED = Path(__file__).parents[2] / "conf" / "reconciler.toml"

DEFAULTS: dict[str, dict[str, Any]] = {
    "homes": {
        "root": "/home/slp",
        "scripts": ["*/*/wsgi.py", "*/wsgi.py", "*/*/*/wsgi.py"],
        "min_uid": 1000,
        "watch_budget": 256,
        "account_pattern": "[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}",
    },
    "urls": {"prefix": "/django", "hosts": "", "keep_inside": True},
    "apps": {
        "follow": True,
        "idle": 300,
        "log_bytes": 262144,
        "memory": "400M",
        "cpu": "100%",
        "tasks": 64,
    },
    "state": {
        "directory": "/var/lib/slp-reconciler",
        "runtime": "/run/slp-reconciler",
        "keep_generations": 5,
    },
    "apache": {
        "confdir": "/etc/apache2",
        "configtest": ["apachectl", "configtest"],
        "reload": "auto",
        "user": "www-data",
        "pid_file": "/run/apache2/apache2.pid",
        "timeout": 15,
        "access_control": "2.4",
        "verify_url": "http://127.0.0.1",
        "verify_host": "",
        "template_set": "stable",
        "python": "auto",
        "templates": "/etc/slp-reconciler/templates",
    },
    "daemons": {"declare": "auto", "budget": 300},
    "probe": {"enabled": True, "timeout": 20.0, "per_minute": 60, "links": True},
    "timing": {"quiet": 0.05, "max_wait": 1.0, "grace": 2.0, "resync": 60, "reload_interval": 5},
    "safety": {"max_withdrawn_share": 0.2, "max_withdrawn_count": 5},
    "pages": {"explain": True, "dashboard": "/slp-status"},
    "accounts": {},
}
"""Section 7 of the design, written out a second time so that neither changes alone."""


def write(tmp_path: Path, text: str) -> str:
    """Write a settings file; return its path."""
    path = tmp_path / "reconciler.toml"
    path.write_text(text)
    return str(path)


def test_every_default_is_the_contracts(tmp_path: Path) -> None:
    """No key has another default, none is missing, and there is none besides."""
    found = msgspec.to_builtins(load(write(tmp_path, "")))
    assert {} == found["daemons"].pop("options")
    assert DEFAULTS == found


def test_the_shipped_file_says_exactly_the_defaults() -> None:
    """Whoever installs it and changes nothing has changed nothing."""
    shipped, default = load(str(SHIPPED)), Settings()
    assert default.daemons.effective == shipped.daemons.effective
    mine, theirs = msgspec.to_builtins(default), msgspec.to_builtins(shipped)
    mine["daemons"].pop("options")
    theirs["daemons"].pop("options")
    assert mine == theirs


def test_the_shipped_file_names_every_key() -> None:
    """A key that is not in it is one that nobody finds; those of an account are comments."""
    text = SHIPPED.read_text()
    for table, keys in DEFAULTS.items():
        assert f"[{table}" in text
        for key in keys:
            assert f"\n{key} = " in text, (table, key)
    for key in AccountSettings.__struct_fields__:
        assert f"\n# {key} = " in text
    uncommented = text.replace("\n# [accounts", "\n[accounts")
    for key in AccountSettings.__struct_fields__:
        uncommented = uncommented.replace(f"\n# {key} =", f"\n{key} =")
    import tomllib

    assert {"alice"} == msgspec.convert(tomllib.loads(uncommented), Settings).accounts.keys()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[homes]\nrot = '/x'", ("homes", "rot")),
        ("[home]\nroot = '/x'", ("home",)),
        ("[homes]\nroot = 5", ("[homes] root",)),
        ("[homes]\nroot = 'home'", ("[homes] root",)),
        ("[homes]\nroot = '/a\"b'", ("[homes] root",)),
        ("[homes]\nmin_uid = '1000'", ("[homes] min_uid",)),
        ("[homes]\nmin_uid = true", ("[homes] min_uid",)),
        ("[homes]\nmin_uid = 0", ("[homes] min_uid",)),
        ("[homes]\nscripts = []", ("[homes] scripts",)),
        ("[homes]\nscripts = ['/etc/*.py']", ("homes", "`scripts`")),
        ("[homes]\nscripts = ['*/../wsgi.py']", ("homes", "`scripts`")),
        ("[homes]\naccount_pattern = '['", ("homes", "`account_pattern`")),
        ("[urls]\nprefix = 'django'", ("[urls] prefix",)),
        ("[urls]\nprefix = '/'", ("[urls] prefix",)),
        ('[urls]\nprefix = "/django\\n"', ("[urls] prefix",)),
        ("[urls]\nhosts = 'apps.example.edu'", ("[urls] hosts",)),
        ("[urls]\nhosts = '{account}'", ("[urls] hosts",)),
        ("[urls]\nhosts = '{account}-apps.example.edu'", ("[urls] hosts",)),
        ("[urls]\nhosts = '{account}.Example.edu'", ("[urls] hosts",)),
        ("[urls]\nhosts = '{account}.example.edu:8080'", ("[urls] hosts",)),
        ('[urls]\nhosts = "{account}.example.edu\\n"', ("[urls] hosts",)),
        ("[urls]\nkeep_inside = 'yes'", ("[urls] keep_inside",)),
        ("[urls]\nkeep_inside = ['Shibboleth.sso']", ("[urls] keep_inside",)),
        ("[urls]\nkeep_inside = ['/a|b']", ("[urls] keep_inside",)),
        ("[state]\nkeep_generations = 0", ("[state] keep_generations",)),
        ("[apache]\ntimeout = 0", ("[apache] timeout",)),
        ("[apache]\nconfigtest = []", ("[apache] configtest",)),
        ("[apache]\nreload = 'systemctl reload'", ("apache", "`reload`")),
        ("[apache]\nreload = []", ("apache", "`reload`")),
        ("[apache]\naccess_control = '2.5'", ("[apache] access_control",)),
        ("[apache]\ntemplate_set = '../x'", ("[apache] template_set",)),
        (
            "[apache]\ntemplate_set = 'isolated'\naccess_control = '2.2'",
            ("apache", "`template_set`", "`access_control`"),
        ),
        ("[apache]\npython = 'python3'", ("apache", "`python`")),
        ("[apache]\nverify_url = 'ftp://x'", ("[apache] verify_url",)),
        ("[daemons]\ndeclare = 'all'", ("[daemons] declare",)),
        ("[daemons]\nbudget = 0", ("[daemons] budget",)),
        ("[daemons.options]\nuser = 'root'", ("daemons", "'user'")),
        ("[daemons.options]\nthreads = '3 user=root'", ("daemons", "threads")),
        ("[daemons.options]\nthreads = 0", ("daemons", "threads = 0 is not from 1 to 512")),
        ("[daemons.options]\nthreads = -1", ("daemons", "threads")),
        ("[daemons.options]\nthreads = 513", ("daemons", "threads")),
        ("[daemons.options]\nthreads = 1.5", ("daemons", "options")),
        ("[daemons.options]\nthreads = true", ("daemons", "options")),
        ("[daemons.options]\nthreads = ''", ("daemons", "threads")),
        ("[daemons.options]\nthreads = '3\\n'", ("daemons", "threads")),
        ("[daemons.options]\nprocesses = 0", ("daemons", "processes")),
        ("[daemons.options]\nlisten-backlog = 0", ("daemons", "listen-backlog")),
        ("[daemons.options]\nrequest-timeout = -1", ("daemons", "request-timeout")),
        ("[daemons.options]\nmemory-limit = 33554432", ("memory-limit", "or 0")),
        ("[daemons.options]\nmemory-limit = '512M'", ("memory-limit", "whole number")),
        ("[daemons.options]\nmaximum-requests = 2147483648", ("daemons", "maximum-requests")),
        ("[daemons.options]\nheader-buffer-size = 512", ("daemons", "header-buffer-size")),
        ("[daemons.options]\ncpu-priority = 20", ("daemons", "cpu-priority")),
        ("[daemons.options]\numask = 22", ("daemons", "umask", "octal")),
        ("[daemons.options]\numask = '0o27'", ("daemons", "umask", "octal")),
        ("[daemons.options]\nlang = 'C user=root'", ("daemons", "lang")),
        ("[daemons.options]\nlang = 5", ("daemons", "lang")),
        ("[timing]\ngrace = -1", ("[timing] grace",)),
        ("[timing]\nresync = 0", ("[timing] resync",)),
        ("[timing]\nquiet = 'soon'", ("[timing] quiet",)),
        ("[safety]\nmax_withdrawn_share = 2", ("[safety] max_withdrawn_share",)),
        ("[pages]\nexplain = 'yes'", ("[pages] explain",)),
        ("[pages]\ndashboard = 'x'", ("[pages] dashboard",)),
        ("[accounts.bob]\n[accounts.alice]\nenable = true", ("alice", "enable")),
        ("[accounts.bob]\n[accounts.alice]\nenabled = 1", ("[accounts.alice] enabled",)),
        ("[accounts.alice]\nscript = '/etc/wsgi.py'", ("[accounts.alice] script",)),
        ("[accounts.alice]\nscript = 'a/../b/wsgi.py'", ("[accounts.alice] script",)),
        ("[accounts.alice]\nstatic = 'a/..'", ("[accounts.alice] static",)),
        ("[accounts.alice]\nstatic = '../a'", ("[accounts.alice] static",)),
        ("[accounts.alice]\nurl = 'a/b'", ("[accounts.alice] url",)),
        ('[accounts.alice]\nurl = "shop\\n"', ("[accounts.alice] url",)),
        ("[accounts.alice]\nvirtualenv = 'a b'", ("[accounts.alice] virtualenv",)),
        ("[homes\n", ("not TOML", "line 1")),
    ],
)
def test_an_error_names_the_key(tmp_path: Path, text: str, named: tuple[str, ...]) -> None:
    """An unknown key, a wrong type, a value out of its range."""
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    for name in named:
        assert name in str(caught.value)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """The default one need not; a directory or a far too large file is said to be one."""
    with pytest.raises(SettingsError, match="there is no such file"):
        load(str(tmp_path / "absent.toml"))
    with pytest.raises(SettingsError, match="directory"):
        load(str(tmp_path))
    with pytest.raises(SettingsError, match="larger than"):
        load(write(tmp_path, "#" * (4 * 1024 * 1024 + 1)))


def test_paths_below_a_home_may_have_dots(tmp_path: Path) -> None:
    """A hidden directory is a place for static files; only `.` and `..` are none."""
    text = "[accounts.a]\nstatic = 'a/.static/v1.2/..x'\nscript = 'a/b.c/wsgi.py'"
    assert "a/.static/v1.2/..x" == load(write(tmp_path, text)).of("a").static


def test_where_an_app_appears() -> None:
    """By its account's name, another name, or at the root."""
    found = msgspec.convert(
        {"urls": {"prefix": "/x"}, "accounts": {"b": {"url": "shop"}, "c": {"at_root": True}}},
        Settings,
    )
    assert ("/x/a", "/x/shop", "/c") == (found.url("a"), found.url("b"), found.url("c"))


@pytest.mark.parametrize(
    ("account", "host"),
    [
        ("alice", "alice.apps.example.edu"),
        ("Alice_B", "alice-b.apps.example.edu"),
        ("a.b", "a-b.apps.example.edu"),
        ("7", "7.apps.example.edu"),
        ("_a", None),
        ("a_", None),
        ("a" * 64, None),
        ("a" * 63, f"{'a' * 63}.apps.example.edu"),
        ("\u0130", None),
        ("", None),
        ("a/b", None),
        ("a\n", None),
    ],
)
def test_a_host_is_a_label_that_every_resolver_and_django_takes(
    account: str, host: str | None
) -> None:
    """Or there is none: what begins or ends with a hyphen, or is longer than 63, is no label."""
    found = msgspec.convert({"urls": {"hosts": "{account}.apps.example.edu"}}, Settings)
    assert host == found.host(account)
    assert Settings().host(account) is None


def test_options_are_the_defaults_with_the_files_own_in_place() -> None:
    """One key changes one option."""
    found = msgspec.convert({"daemons": {"options": {"threads": 9, "umask": "0027"}}}, Settings)
    assert (9, "0027", 32) == tuple(
        found.daemons.effective[key] for key in ("threads", "umask", "listen-backlog")
    )


@given(st.sampled_from(sorted(_RANGES)), st.integers() | st.sampled_from([0, 1, -1]))
def test_an_options_value_is_within_its_range_or_is_named(option: str, value: int) -> None:
    """The ends are within, their neighbours are not, and 0 only where it means something."""
    least, most, besides = _RANGES[option]
    for number in {value, least - 1, least, most, most + 1}:
        document = {"daemons": {"options": {option: number}}}
        if least <= number <= most or number in besides:
            assert number == msgspec.convert(document, Settings).daemons.effective[option]
        else:
            with pytest.raises(msgspec.ValidationError, match=f"{option} = {number} is not"):
                msgspec.convert(document, Settings)


def test_the_defaults_are_within_their_ranges_and_words_are_plain() -> None:
    """Writing out a default changes nothing; a number may be a string, as it always might."""
    options = {**DAEMON_OPTIONS, "threads": "3", "umask": "0027", "lang": "de_DE.UTF-8@euro"}
    found = msgspec.convert({"daemons": {"options": options}}, Settings)
    assert options == found.daemons.effective
