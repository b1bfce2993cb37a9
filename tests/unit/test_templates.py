"""The template sets: what they say for whom, and that no name can say more than a name."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model import Account, App
from reconciler.publish.configuration import BLANK_DIGEST, FILES
from reconciler.publish.render import TemplateError, Templates, shipped
from reconciler.settings import AccountSettings, Apache, Settings, StateDirectory, Urls

ALICE = Account("alice", 1001, 1002, "/home/slp/alice", "staff", True)
APP = App(
    account="alice",
    uid=1001,
    gid=1002,
    script="/home/slp/alice/site/pkg/wsgi.py",
    project="/home/slp/alice/site",
    package="/home/slp/alice/site/pkg",
    links=(("static", "/home/slp/alice/site/static"), ("media", "/home/slp/alice/uploads")),
    virtualenv="/home/slp/alice/site/.venv",
    site_packages="/home/slp/alice/site/.venv/lib/python3.11/site-packages",
    identity=(1, 2, 3),
)
SETS = ("stable", "classic")
ALL = (*SETS, "isolated")
MARKER = f"/django/.slp/{BLANK_DIGEST}"
HOSTILE = (
    "x user=root",
    "x\tuser=root",
    'x" user=backup home="/tmp',
    "x'",
    "x\nListen 8081",
    "x\\",
    "${HOME}",
    "%{GLOBAL}",
    "x>",
    "<x",
    "\x00",
    "\u2028",
)


def templates(name: str, **more: object) -> Templates:
    """Return a shipped set, with other settings of Apache's."""
    return Templates(Settings(apache=Apache(template_set=name, templates="/nowhere", **more)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_name_can_stand_in_any_line_as_more_than_a_name(name: str, hostile: str) -> None:
    """The second lock: whichever value is hostile, and wherever a template has it."""
    found = templates(name)
    values = (
        (replace(ALICE, name=hostile), "/django/alice", APP),
        (replace(ALICE, group=hostile), "/django/alice", APP),
        (ALICE, f"/django/{hostile}", APP),
    )
    for account, url, app in values:
        with pytest.raises(TemplateError, match="cannot stand in a configuration"):
            found.stanza(account, url, app)
    for account, url, _ in (values[0], values[2]):
        with pytest.raises(TemplateError, match="cannot stand in a configuration"):
            found.stanza(account, url, None)
    with pytest.raises(TemplateError, match="cannot stand in a configuration"):
        found.configuration({}, f"/django/.slp/{hostile}")


@pytest.mark.parametrize("field", ["script", "project", "package", "links", "site_packages"])
@pytest.mark.parametrize("hostile", sorted(set(HOSTILE) - {"x user=root", "x'", "x>", "<x"}))
def test_no_path_of_a_students_leaves_its_quotes(field: str, hostile: str) -> None:
    """`classic` names them. A space, a sign or an apostrophe is an ordinary one in quotes."""
    path = f"/home/slp/alice/{hostile}"
    app = replace(APP, **{field: (("media", path),) if field == "links" else path})
    with pytest.raises(TemplateError, match="cannot stand in a configuration"):
        templates("classic").stanza(ALICE, "/django/alice", app)


@given(st.text(), st.text())
def test_whatever_is_let_through_stands_between_spaces_or_quotes(name: str, group: str) -> None:
    """A template that forgets `| quote` gives nothing away: the value is one word, or none."""
    found = templates("stable")
    try:
        stanza = found.stanza(replace(ALICE, name=name, group=group), "/django/x", None)
    except TemplateError:
        return
    [line] = stanza.texts[0].splitlines()
    assert [f"user={name}", f"group={group}", "home=/"] == line.split()[2:5]


@pytest.mark.parametrize("name", ALL)
def test_a_stanza_carries_its_accounts_ids(name: str) -> None:
    """Whatever the templates say, the account's uid and gid are part of what is written."""
    assert (1001, 1002) == templates(name).stanza(ALICE, "/django/alice", APP).ids


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("app", [None, APP])
def test_no_file_lacks_an_end_of_line(name: str, app: App | None) -> None:
    """The next account's mark begins a line of its own."""
    found = templates(name)
    for text in (
        *found.stanza(ALICE, "/django/alice", app).texts,
        *found.configuration({}, f"/django/.slp/{BLANK_DIGEST}").head,
    ):
        assert text == "" or text.endswith("\n")


def test_the_routes_of_https_are_those_of_http() -> None:
    """By the set's own word, rendered once and kept in memory once."""
    texts = templates("stable").stanza(ALICE, "/django/alice", None).texts
    assert texts[1] is texts[2]
    assert texts[1]


def test_classic_is_in_the_manuals_order() -> None:
    """Alias, Directory, WSGIScriptAlias, WSGIDaemonProcess, Location, Directory with Files."""
    texts = templates("classic").stanza(ALICE, "/django/alice", APP).texts
    assert "" == texts[FILES.index("server.conf")]
    order = r"^ *(Alias|<Directory|WSGIScriptAlias|WSGIDaemonProcess|<Location)\b"
    over_http = [*["Alias", "<Directory"] * 2, "WSGIScriptAlias", "WSGIDaemonProcess"]
    found = [re.findall(order, text, re.M) for text in texts[1:]]
    rest = ["<Location"] * 3 + ["<Directory"]
    assert [*over_http, *rest] == found[0]
    assert [*over_http[:-1], *rest] == found[1]


def test_a_dot_in_a_url_is_a_dot() -> None:
    """Where it is an expression's, `a.b` would answer for the static files of `axb`."""
    texts = templates("stable").stanza(ALICE, "/django/a.b", None).texts
    [rule] = re.findall(r'^ *RewriteRule "(\S+)"', texts[1], re.M)
    assert re.match(rule, "/django/a.b/static/own.css")
    assert not re.match(rule, "/django/axb/static/own.css")


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("app", [None, APP])
def test_whatever_apache_itself_answers_leads_to_the_accounts_page(
    name: str, app: App | None
) -> None:
    """With an app and without: for one that is not there, crashed, hung, or is too busy."""
    for text in templates(name).stanza(ALICE, "/django/alice", app).texts[1:]:
        found = re.findall(r'^ *ErrorDocument (\d+) "(\S+)"$', text, re.M)
        assert [
            (str(n), "/django/.slp/pages/alice.html") for n in (404, 500, 502, 503, 504)
        ] == found


def test_one_rule_tells_apaches_files_from_the_apps_for_everybody() -> None:
    """A request costs the same for 3 accounts and for 300; who is moved is left out of it."""
    accounts = {"bob": AccountSettings(url="shop"), "no name": AccountSettings(at_root=True)}
    found = Templates(Settings(accounts=accounts))
    head = found.configuration({}, f"/django/.slp/{BLANK_DIGEST}").head[1]
    [rule] = re.findall(r'^ *RewriteRule "(\S+)" "\S+/apps/\$1/\$2" \[L\]$', head, re.M)
    for path, parts in {
        "/django/alice/static/a/b c.css": ("alice", "static/a/b c.css"),
        "/django/a.b/media/x": ("a.b", "media/x"),
        "/django/alice/app.json": None,
        "/django/alice/app.wsgi/x": None,
        "/django/alice/static": None,
        "/django/alice/static/": None,
        "/django/alice/static/a?b": None,
        "/djangox/alice/static/a": None,
    }.items():
        match = re.match(rule, path)
        assert parts == (match.groups() if match else None), path
    assert ["bob"] == re.findall(r'^ *RewriteCond "\$1" "!=(\S+)"$', head, re.M)
    assert "RewriteRule" not in found.stanza(ALICE, "/django/alice", None).texts[1]
    moved = found.stanza(replace(ALICE, name="bob"), "/django/shop", None).texts[1]
    assert '"^/django/shop/([A-Za-z0-9_-]+/[^?]+)$" "/var/lib/slp-reconciler/apps/bob/$1"' in moved


@pytest.mark.parametrize("name", SETS)
def test_hosts_are_rules_in_the_sites_files_alone_and_none_where_none_are_set(name: str) -> None:
    """The domain's dots are dots; nothing of it is in a stanza, or at server scope."""
    marker = f"/django/.slp/{BLANK_DIGEST}"
    without = templates(name)
    assert "SLP_URL" not in "".join(without.configuration({}, marker).head)
    hosts = {"template_set": name, "templates": "/nowhere"}
    found = Templates(
        msgspec.convert({"apache": hosts, "urls": {"hosts": "{account}.a.edu"}}, Settings)
    )
    server, http, https = found.configuration({}, marker).head
    assert "SLP_URL" not in server
    assert http == https
    [expression] = re.findall(r"=~ m#(\S+)# && -f '/var/lib/slp-reconciler/hosts/\$1'", http)
    for host, label in {
        "alice.a.edu": "alice", "a-b.a.edu:8080": "a-b", "alice.a.edu.": "alice",
        "alice.axedu": None, "x.alice.a.edu": None, "alice.a.edu.x": None, "a.edu": None,
        f"{'a' * 64}.a.edu": None, "../x.a.edu": None, "alice.a.edu:x": None, "": None,
    }.items():  # fmt: skip
        match = re.search(expression, host)
        assert label == (match[1] if match else None), host
    account = (ALICE, "/django/alice", None)
    assert found.stanza(*account).texts == without.stanza(*account).texts


@pytest.mark.parametrize("name", SETS)
def test_what_an_apps_redirect_may_lead_to(name: str) -> None:
    """All that is not below the prefix or its own URL is put there, but for what is left alone."""

    def rewritten(keep: object, url: str, to: str) -> str:
        document = {"apache": {"template_set": name, "templates": "/nowhere"}}
        found = Templates(msgspec.convert({**document, "urls": {"keep_inside": keep}}, Settings))
        text = found.stanza(ALICE, url, None).texts[1]
        edits = re.findall(r'Header edit Location "(.+?)" "\$1(.+?)" "expr=', text)
        for expression, value in edits:
            to = re.sub(expression, rf"\g<1>{value}", to)
        return to

    for url in ("/django/alice", "/shop"):
        assert f"{url}/" == rewritten(True, url, "/")
        assert f"{url}/login" == rewritten(True, url, "/login")
        assert f"{url}/djangox/" == rewritten(True, url, "/djangox/")
        assert f"http://a{url}/x" == rewritten(True, url, "http://a/x")
        assert f"{url}/SSO/x" == rewritten(["/SSO.x/"], url, "/SSO/x")
        for kept in ("//other/", "x", "?x", "/django", "/django/", "/django?x", url, f"{url}/x"):
            assert kept == rewritten(True, url, kept)
        assert "/SSO/x" == rewritten(["/a/", "/SSO/"], url, "/SSO/x")
        assert "/x" == rewritten(False, url, "/x")


def test_a_state_directory_with_a_space_is_quoted_and_a_hostile_one_refused() -> None:
    """It is the administrator's, and no reason to write what Apache reads otherwise."""
    settings = Settings(state=StateDirectory(directory="/var/lib/a b"))
    text = "".join(Templates(settings).stanza(ALICE, "/django/alice", None).texts)
    assert '"/var/lib/a b/apps/alice/app.wsgi"' in text
    with pytest.raises(TemplateError, match="cannot stand in a configuration"):
        Templates(Settings(state=StateDirectory(directory="/var/${HOME}")))
    for hostile in ("/var/a'b", "/var/a b"):  # an expression's own quotes
        urls = Urls(hosts="{account}.a.edu")
        found = Templates(Settings(state=StateDirectory(directory=hostile), urls=urls))
        with pytest.raises(TemplateError, match="cannot stand in a configuration"):
            found.configuration({}, "/django/.slp/x")


def test_the_administrators_set_comes_first_and_its_faults_are_told(tmp_path: Path) -> None:
    """A directory of the set's name; a template that is wrong says where."""
    own = tmp_path / "stable"
    own.mkdir()
    (own / "set.toml").write_text("")
    (own / "server.conf.account.j2").write_text("X {{ account }} {{ nothing }}\n")
    found = Templates(Settings(apache=Apache(templates=str(tmp_path))))
    with pytest.raises(TemplateError, match="'nothing' is undefined"):
        found.stanza(ALICE, "/django/alice", None)
    (own / "server.conf.account.j2").write_text("X {{ account }\n")
    with pytest.raises(TemplateError, match=re.escape(str(own))):
        Templates(Settings(apache=Apache(templates=str(tmp_path))))
    (own / "server.conf.account.j2").write_text("X {{ account }}\n")
    stanza = Templates(Settings(apache=Apache(templates=str(tmp_path)))).stanza(ALICE, "/x", None)
    assert ("X alice\n", "", "") == stanza.texts
    assert (shipped() / "templates/stable/set.toml").is_file()


def isolated(**tables: object) -> Templates:
    """Return the shipped set, with these tables of the settings."""
    apache = {"template_set": "isolated", "templates": "/nowhere"}
    return Templates(msgspec.convert({"apache": apache, **tables}, Settings))


def test_isolated_is_the_same_whoever_has_an_account_or_an_app() -> None:
    """No stanza says anything, so Apache is reloaded for settings and templates alone."""
    found = isolated(urls={"hosts": "{account}.a.edu"})
    empty = found.configuration({}, MARKER)
    for app in (None, APP):
        stanza = found.stanza(ALICE, "/django/alice", app)
        full = found.configuration({"alice": stanza}, MARKER)
        assert empty.files == full.files
        assert empty.digest == full.digest
    text = "".join(empty.head)
    assert "alice" not in text
    assert "wsgi" not in text.lower().replace("app.wsgi", "")
    assert empty.head[1] is empty.head[2]


def test_isolated_names_whom_the_settings_move_and_nobody_else() -> None:
    """At the URL that they give, and not at its own; nor one that would hide what is ours."""
    accounts = {
        "bob": {"url": "shop", "at_root": True},
        "eve": {"url": "django", "at_root": True},
        "mallory": {"url": "slp-status", "at_root": True},
        "dora": {"url": "d.x"},
        "carol": {"enabled": False},
        "no name": {"url": "x"},
        "..": {"url": "y"},
    }
    server, routes, _ = isolated(accounts=accounts).configuration({}, MARKER).head
    assert ["bob", "dora", "eve", "mallory"] == sorted(
        re.findall(r'^RewriteCond "\$2" "!=(\S+)"$', routes, re.M)
    )
    rules = re.findall(
        r'^RewriteRule "(\S+)" "-" \[E=SLP_URL:(\S+),E=SLP_ACCOUNT:(\S+)\]', routes, re.M
    )
    assert ["$2", "bob", "dora"] == [account for _, _, account in rules]
    for (rule, url, _), mine, others in (
        (
            rules[0],
            "/django/a.b_C-1/x",
            "/django/.slp/pages/x.html /django/ /django/%2e /djangox/a",
        ),
        (rules[1], "/shop", "/shopx /django/bob /django/shop"),
        (rules[2], "/django/d.x/y", "/django/dxx"),
    ):
        expression = rule.replace(r"\z", r"\Z")
        assert re.search(expression, mine), url
        assert not any(re.search(expression, path) for path in others.split())
    assert [] == re.findall("bob|dora|eve|carol|mallory", server)


@pytest.mark.parametrize(
    "hostile",
    [
        {"state": {"directory": "/var/${HOME}"}},
        {"state": {"runtime": "/run/${HOME}"}},
        {"state": {"runtime": "/run/%{x}"}},
        {"state": {"runtime": "/run/a b"}},
        {"state": {"runtime": "/run/a'b"}},
        {"state": {"runtime": "/run/a|b"}},
    ],
)
def test_isolated_refuses_a_hostile_directory(hostile: dict[str, object]) -> None:
    """A socket's path stands in a URL and in an expression, whose quotes are others."""
    with pytest.raises(TemplateError, match="cannot stand in a configuration"):
        isolated(**hostile).configuration({}, MARKER)


def test_isolated_waits_as_long_as_the_settings_say() -> None:
    """Apache refuses a limit of 0, which is none."""

    def limit(options: dict[str, object]) -> list[str]:
        text = isolated(daemons={"options": options}).configuration({}, MARKER).head[1]
        return re.findall("^ProxyTimeout (.+)$", text, re.M)

    assert ["30"] == limit({})
    assert ["7"] == limit({"request-timeout": "7"})
    assert [] == limit({"request-timeout": 0})
