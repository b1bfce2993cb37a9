"""What an account or its home is refused for: the words, and whether a stanza may stand for it."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from reconciler.decide.verdict import judge
from reconciler.model import (
    Home,
    News,
    Rejection,
    Run,
    Standing,
    State,
    Static,
    Verdict,
    Virtualenv,
)
from reconciler.settings import Settings
from tests.unit.facts import ALICE, app, context, home, node, script

SERVED = app("one")


def settings(**tables: object) -> Settings:
    """Return settings with these tables."""
    return msgspec.convert(tables, Settings)


def verdict(found: Home, **keys: object) -> Verdict:
    """Judge, where there is something to judge."""
    told = judge(found, context(**keys))  # type: ignore[arg-type]
    assert told is not None
    return told


def words(reason: Rejection | None) -> tuple[str, str, str]:
    """Return code, sentence and mend."""
    assert reason is not None
    return reason.code, reason.message, reason.fix


GHOST = Home("it's", Standing.ABSENT, None, node(""))
NO_STANZA = {
    "silent": (
        Home("alice", Standing.UNKNOWN, None, node(""), scripts=(script("one"),)),
        (
            "unreadable",
            "/home/slp/alice could not be looked at: the account database does not answer; what "
            "was published stays",
            "nothing: it is tried again by itself; if it lasts, tell the administrator",
        ),
    ),
    "ghost": (
        GHOST,
        (
            "no-account",
            "/home/slp/it's belongs to no account on this machine, or to one whose group is not "
            "there",
            "ask the administrator: useradd -d '/home/slp/it'\"'\"'s' 'it'\"'\"'s' && "
            "chown -R 'it'\"'\"'s': '/home/slp/it'\"'\"'s'",
        ),
    ),
    "system": (
        home(script("one"), account=replace(ALICE, uid=999)),
        (
            "system-account",
            "alice has uid 999, below 1000: system accounts are not published",
            "ask the administrator for an ordinary account",
        ),
    ),
    "moved": (
        home(script("one"), account=replace(ALICE, home="/home/alice")),
        (
            "home-mismatch",
            "the account database gives alice the home /home/alice, not /home/slp/alice",
            "ask the administrator: usermod -d /home/slp/alice alice",
        ),
    ),
    "odd": (
        replace(home(script("one")), name="a@b", account=replace(ALICE, home="/home/slp/a@b")),
        (
            "url-name",
            "a@b is not a name that a URL and a configuration can carry",
            "ask the administrator for an account whose name has only letters, digits and _ . -",
        ),
    ),
}


@pytest.mark.parametrize("case", NO_STANZA)
def test_an_account_that_no_stanza_may_name(case: str) -> None:
    """It says why and whom to ask; each script that was found has that reason."""
    found, expected = NO_STANZA[case]
    told = verdict(found)
    assert expected == words(told.reason)
    assert (State.REJECTED, None, None) == (told.state, told.account, told.app)
    assert tuple((s.path, told.reason) for s in found.scripts) == told.others
    assert (found.name, f"/django/{found.name}") == (told.name, told.url)


@pytest.mark.parametrize("name", ["-a", ".a", "a b", 'a"b', "a\n", "é", "x" * 65])
def test_a_name_that_a_configuration_cannot_carry(name: str) -> None:
    """Letters, digits, _ . and -, not first; whatever the administrator's pattern lets through."""
    for given in (Settings(), settings(homes={"account_pattern": "(?s).{1,64}"})):
        named = replace(home(), name=name, account=replace(ALICE, home=f"/home/slp/{name}"))
        told = verdict(named, settings=given)
        assert "url-name" == words(told.reason)[0]


def test_a_name_that_the_administrators_pattern_refuses() -> None:
    """A narrower one counts as well."""
    given = settings(homes={"account_pattern": "[a-z]{3}"})
    assert "url-name" == words(verdict(home(), settings=given).reason)[0]
    assert verdict(home(), settings=settings(homes={"account_pattern": "[a-z]{5}"})).reason is None


def test_the_least_uid_and_a_slash_at_the_end_of_a_home_are_fine() -> None:
    """1000 is ordinary; `/home/slp/alice/` is the same directory."""
    least = replace(ALICE, uid=1000, home="/home/slp/alice/")
    told = verdict(Home("alice", Standing.FOUND, least, node("", uid=1000)))
    assert (State.EMPTY, least) == (told.state, told.account)
    capital = replace(home(), name="aX", account=replace(ALICE, home="/home/slp/aX"))
    assert verdict(capital).reason is None


IN_THE_HOME = {
    "disabled": (
        home(script("one")),
        settings(accounts={"alice": {"enabled": False}}),
        (
            "disabled",
            "the administrator has disabled alice",
            'ask the administrator to take enabled = false out of [accounts."alice"]',
        ),
        ALICE,
    ),
    "trouble": (
        home(script("one"), node=None, trouble="Input/output error"),
        Settings(),
        (
            "unreadable",
            "/home/slp/alice could not be looked at: Input/output error; what was published stays",
            "nothing: it is tried again by itself; if it lasts, tell the administrator",
        ),
        ALICE,
    ),
    "trouble in a link": (
        home(node=node("", kind="link"), trouble="Input/output error"),
        Settings(),
        (
            "symlink",
            "~ is a symbolic link, and links are not followed",
            "ask the administrator to put a directory in the place of the link",
        ),
        ALICE,
    ),
    "owner": (
        home(script("one"), node=node("", uid=0)),
        Settings(),
        (
            "wrong-owner",
            "~ belongs to uid 0, not to alice (uid 1001)",
            "ask the administrator: chown alice ~alice",
        ),
        ALICE,
    ),
    "link": (
        home(node=node("", kind="link")),
        Settings(),
        (
            "symlink",
            "~ is a symbolic link, and links are not followed",
            "ask the administrator to put a directory in the place of the link",
        ),
        None,
    ),
    "file": (
        home(node=node("", kind="file")),
        Settings(),
        (
            "not-regular",
            "~ is a file, not a directory",
            "ask the administrator to put a directory in its place",
        ),
        None,
    ),
}


@pytest.mark.parametrize("case", IN_THE_HOME)
def test_an_account_whose_home_is_not_looked_into(case: str) -> None:
    """A stanza stands for it, with the page that says why, unless its home is no directory."""
    found, given, expected, account = IN_THE_HOME[case]
    told = verdict(found, settings=given)
    assert expected == words(told.reason)
    assert (State.REJECTED, account, None) == (told.state, told.account, told.app)
    assert tuple((s.path, told.reason) for s in found.scripts) == told.others


def test_a_home_that_could_not_be_looked_at_keeps_its_app() -> None:
    """The unknown changes nothing; the unsafe, and an administrator's choice, do at once."""
    trouble = home(node=None, trouble="Input/output error")
    told = verdict(trouble, served=SERVED, now=9e9)
    assert (State.SERVED, SERVED, True) == (told.state, told.app, told.keep)
    assert (None, None) == (told.soft_since, told.recheck_at)
    assert told.reason is not None
    assert News.UNKNOWN is told.reason.news
    for found, given in (
        (home(node=node("", uid=0)), Settings()),
        (home(), settings(accounts={"alice": {"enabled": False}})),
    ):
        told = verdict(found, served=SERVED, settings=given)
        assert (State.REJECTED, None, False) == (told.state, told.app, told.keep)


def test_a_home_that_is_gone_keeps_its_stanza_inside_grace() -> None:
    """Its entry, its time and its place: it may be back in a second."""
    told = verdict(home(node=None), served=SERVED, now=100, grace=2)
    assert ("alice", ALICE, "/django/alice", State.SERVED) == (
        told.name, told.account, told.url, told.state
    )  # fmt: skip
    assert (SERVED, True, 100, 102) == (told.app, told.keep, told.soft_since, told.recheck_at)
    assert told.reason is None
    assert judge(home(node=None), context()) is None
    gone = Home("alice", Standing.ABSENT, None, None)
    assert judge(gone, context(SERVED)) is None, "the account went with it"


def test_at_its_end_grace_is_over() -> None:
    """`grace` seconds after the first sight, and not one look before."""
    found = home(node=None)
    assert verdict(found, served=SERVED, now=101.999, soft_since=100).keep
    assert judge(found, context(SERVED, now=102, soft_since=100)) is None
    assert judge(found, context(SERVED, now=100, grace=0)) is None


def test_what_is_served_has_everything_that_its_set_says() -> None:
    """Absolute paths; the account's ids; the file's identity; the account's own URL."""
    venv = Virtualenv("/home/slp/alice/ve", False, "/home/slp/alice/ve/lib/p")
    links = (Static("static", "/home/slp/alice/one/static", True), Static("up", "/h/uploads"))
    found = replace(script("one", inode=8, size=9, mtime=10), links=links, virtualenv=venv)
    account = replace(ALICE, gid=1007)
    given = settings(accounts={"alice": {"url": "shop"}})
    told = verdict(home(found, account=account), settings=given)
    assert told.app is not None
    assert {
        "account": "alice",
        "uid": 1001,
        "gid": 1007,
        "script": "/home/slp/alice/one/one/wsgi.py",
        "project": "/home/slp/alice/one",
        "package": "/home/slp/alice/one/one",
        "links": (("static", "/home/slp/alice/one/static"), ("up", "/h/uploads")),
        "virtualenv": "/home/slp/alice/ve",
        "site_packages": "/home/slp/alice/ve/lib/p",
        "identity": (8, 9, 10),
        "system_site_packages": True,
        "run": Run(url="/django/shop", told="/run/slp-reconciler/told/alice"),
    } == msgspec.structs.asdict(told.app)
    assert ("alice", "/django/shop", account, ()) == (
        told.name, told.url, told.account, told.warnings
    )  # fmt: skip


def test_a_project_that_is_the_home_ends_without_a_slash() -> None:
    """`~/manage.py` makes the home the project."""
    bare = replace(script("one"), project="", package="one")
    told = verdict(home(bare))
    assert told.app is not None
    assert "/home/slp/alice" == told.app.project
    told = verdict(home(script("X")))
    assert told.app is not None
    assert "/home/slp/alice/X" == told.app.project


def test_what_was_found_beside_a_script_and_does_not_serve_is_a_warning() -> None:
    """Static files that Apache cannot read, a virtualenv of another Python: it goes on without."""
    venv = Virtualenv("/home/slp/alice/ve", False, None)
    static = Static("static", "/home/slp/alice/one/static", False, ("", "one"))
    told = verdict(home(replace(script("one"), links=(static,), virtualenv=venv)))
    assert told.app is not None
    assert ((("static", static.path),), None, None) == (
        told.app.links, told.app.virtualenv, told.app.site_packages
    )  # fmt: skip
    assert [
        (
            "static-unreachable",
            "Apache's own user (www-data) cannot read ~/one/static, "
            "so it serves no file from there",
            "chmod o+x ~ ~/one && chmod -R o+rX -- ~/one/static",
        ),
        (
            "virtualenv",
            "the virtualenv ~/ve has no packages for Python 3.11, which the server runs",
            "python3.11 -m venv ~/one/.venv && ~/one/.venv/bin/pip install django",
        ),
    ] == [words(warning) for warning in told.warnings]
    within = replace(script("one"), links=(replace(static, closed=()),))
    (told_of,) = verdict(home(within)).warnings
    assert "chmod -R o+rX -- ~/one/static" == told_of.command, "no more than is closed"
    unknown = replace(script("one"), links=(replace(static, reachable=None),))
    assert () == verdict(home(unknown)).warnings


ELSEWHERE = "/home/slp/alice/ve"
INSIDE = "/home/slp/alice/one"


@pytest.mark.parametrize(
    ("path", "chosen", "python", "command"),
    [
        (f"{INSIDE}/.venv", False, "3.8", "mv -T -- ~/one/.venv ~/one/.venv.old && "),
        (f"{INSIDE}/.venv", False, None, ""),
        (ELSEWHERE, False, "3.8", ""),
        (ELSEWHERE, True, "3.8", "mv -T -- ~/ve ~/ve.old && "),
        (ELSEWHERE, True, None, ""),
        (INSIDE, True, "3.8", ""),
        ("/opt/ve", True, None, ""),
    ],
)
def test_what_makes_another_virtualenv_says_which_it_was_and_empties_nothing(
    path: str, chosen: bool, python: str | None, command: str
) -> None:
    """Where the app looks first, or where it was wished for; with the packages of their list."""
    venv = Virtualenv(path, chosen, None, python=python)
    one = replace(script("one"), virtualenv=venv, requirements="one/requirements.txt")
    told = verdict(home(one))
    (said,) = (told.reason,) if chosen else told.warnings
    assert said is not None
    has = "is of Python 3.8 and has no packages" if python else "has no packages"
    shown = path.replace("/home/slp/alice", "~")
    assert f"the virtualenv {shown} {has} for Python 3.11, which the server runs" == said.message
    fresh = shown if chosen else "~/one/.venv"
    assert (
        f"{command}python3.11 -m venv {fresh} && {fresh}/bin/pip install -r ~/one/requirements.txt"
    ) == said.command


@pytest.mark.parametrize("system", [True, False])
def test_a_virtualenv_says_whether_the_distributions_packages_are_seen(system: bool) -> None:
    """One that is not used says nothing."""
    venv = Virtualenv(ELSEWHERE, False, f"{ELSEWHERE}/lib/p", system)
    for used in (True, False):
        found = venv if used else replace(venv, site_packages=None)
        told = verdict(home(replace(script("one"), virtualenv=found))).app
        assert told is not None
        assert (system or not used) == told.system_site_packages


def test_a_virtualenv_that_is_wished_for_and_does_not_serve_is_a_rejection() -> None:
    """Without it, other packages would be imported than was said."""
    chosen = replace(script("one"), virtualenv=Virtualenv("/ve", True, None))
    told = verdict(home(chosen))
    assert (State.REJECTED, "virtualenv") == (told.state, words(told.reason)[0])
    assert "/ve has no packages for Python 3.11" in words(told.reason)[1]


@pytest.mark.parametrize(
    ("names", "reachable", "code"),
    [(True, False, "unreachable"), (True, True, None), (True, None, None), (False, False, None)],
)
def test_a_script_that_apache_cannot_reach_matters_where_a_stanza_names_it(
    names: bool, reachable: bool | None, code: str | None
) -> None:
    """In the manual's own form Apache opens the script itself."""
    found = home(replace(script("one"), reachable=reachable))
    given = replace(context(), names_scripts=names)
    told = judge(found, given)
    assert told is not None
    assert code == (told.reason and told.reason.code)
    if code is not None:
        assert (
            "Apache's own user (www-data) cannot get at ~/one/one/wsgi.py" == words(told.reason)[1]
        )
        assert (
            "chmod o+x ~ ~/one ~/one/one && chmod o+r -- ~/one/one/wsgi.py"
            == (words(told.reason)[2])
        )


def test_another_script_is_superseded_in_words_and_with_a_command() -> None:
    """It says which one is the app, and how to switch."""
    told = verdict(home(script("one"), script("two", mtime=2_000)))
    assert ["one/one/wsgi.py"] == [path for path, _ in told.others]
    assert (
        "superseded",
        "~/one/one/wsgi.py is valid, but an account has one app, and ~/two/two/wsgi.py is it",
        "printf 'script = \"%s\"\\n' one/one/wsgi.py > ~/.slp.toml",
    ) == words(told.others[0][1])


def test_what_went_is_named_with_where_to_put_it_back() -> None:
    """Inside grace; and the newcomer waits, superseded by what is still served."""
    told = verdict(home(script("two")), served=SERVED)
    assert (
        "not-regular",
        "~/one/one/wsgi.py is not there any more, not a regular file",
        "put ~/one/one/wsgi.py back, and it is served as before",
    ) == words(told.reason)
    assert [("two/two/wsgi.py", "superseded")] == [(p, why.code) for p, why in told.others]
    assert "and ~/one/one/wsgi.py is it" in told.others[0][1].message


def test_a_home_that_roots_own_link_leads_to_is_published_by_its_real_path() -> None:
    """Apache compares the owners of a link and of what it leads to."""
    static = Static("static", "/srv/alice/one/static", False)
    away = home(replace(script("one"), links=(static,)), path="/srv/alice")
    told = verdict(away)
    assert told.app is not None
    assert ("/srv/alice/one/one/wsgi.py", "/srv/alice/one") == (told.app.script, told.app.project)
    assert "~/one/static" in told.warnings[0].message
    again = verdict(away, served=told.app)
    assert (told.app, None) == (again.app, again.reason)


def test_a_home_that_is_the_accounts_by_another_spelling_is_no_mismatch() -> None:
    """What counts is that it is the same directory."""
    other = replace(ALICE, home="/home/../home/slp/alice")
    assert State.SERVED is verdict(home(script("one"), account=other, is_accounts=True)).state
    told = verdict(home(script("one"), account=other))
    assert "home-mismatch" == words(told.reason)[0]


def test_a_home_that_is_an_empty_mount_point_keeps_its_app() -> None:
    """Root's and empty: its file system is away. Where nothing is served, that is a wrong owner."""
    vacant = home(node=node("", uid=0), vacant=True)
    told = verdict(vacant, served=SERVED, now=9e9)
    assert (State.SERVED, SERVED, True) == (told.state, told.app, told.keep)
    assert (
        "/home/slp/alice could not be looked at: it belongs to root and is empty, as if its file "
        "system were not mounted; what was published stays"
    ) == words(told.reason)[1]
    assert "wrong-owner" == words(verdict(vacant).reason)[0]
