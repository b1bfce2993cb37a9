"""A visit: what it tells of good apps; no bad one can hold it, lead it astray or use it."""

from __future__ import annotations

import gzip
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.health import hypertext
from reconciler.health.asking import MAX_BODY, Address, Place
from reconciler.health.visitor import MAX_ASKED, MAX_HOPS, Target, Visitor
from reconciler.model import Visit
from tests.unit.hostile import Play, Stage, drip, page, to, without_end

BASE = "/django/alice"
HOST = "slp.example.edu"
ALICE = Target(HOST, BASE, frozenset({"www.example.edu"}))
ENOUGH = 0.5
"""Seconds that a visit may take here for its first page."""


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Return a server that is gone after the test."""
    made = Stage()
    yield made
    made.close()


def visit(
    stage: Stage, target: Target = ALICE, *, timeout: float = 5.0, links: bool = True
) -> Visit:
    """Visit alice's app there."""
    return Visitor(stage.url, timeout=timeout, links=links).visit(target)


def first(stage: Stage, play: Play, **options: float) -> Visit:
    """Visit an app whose first page is this."""
    stage.plays[f"{BASE}/"] = play
    return visit(stage, **options)


# ---- what is told of an app ---------------------------------------------------------------------


def test_an_app_is_asked_for_by_its_public_name(stage: Stage) -> None:
    """At the address that Apache listens at; its status and the time are told."""
    told = first(stage, page("<title>Shop</title>"))
    assert [("GET", f"{BASE}/", HOST)] == stage.asked
    assert (200, "Shop", f"{BASE}/", HOST) == (told.status, told.title, told.page, told.host)
    assert 0 < told.took < 2
    assert ("", False, (), ()) == (told.trouble, told.refused, told.missing, told.outside)


def test_an_exception_that_django_shows_is_told(stage: Stage) -> None:
    """Its page says which one in its title, and what it says in a place of its own."""
    text = (
        "<title>OperationalError at /</title>"
        '<pre class="exception_value">no such table: &#x27;a&#x27;\n b</pre>'
    )
    told = first(stage, page(text, "500 Internal Server Error"))
    assert (500, "OperationalError at /", "no such table: 'a' b") == (
        told.status, told.title, told.said,
    )  # fmt: skip


def test_redirects_within_the_app_are_followed(stage: Stage) -> None:
    """Relative, from the root, by another of the server's names, and by the app's own."""
    stage.plays |= {
        f"{BASE}/": to("en/"),
        f"{BASE}/en/": to(f"{BASE}/b/?next=a%20b"),
        f"{BASE}/b/?next=a%20b": to(f"http://WWW.example.edu{BASE}/c"),
        f"{BASE}/c": to(f"//{HOST}{BASE}/d"),
        f"{BASE}/d": page("<title>there</title>"),
    }
    told = visit(stage)
    assert (200, "there", f"{BASE}/d") == (told.status, told.title, told.page)
    assert [HOST, HOST, HOST, "www.example.edu", HOST] == [host.lower() for *_, host in stage.asked]


def test_a_redirect_without_an_end_ends(stage: Stage) -> None:
    """After so many answers; that it does is told."""
    told = first(stage, to("."))
    assert MAX_HOPS + 1 == len(stage.asked)
    assert (302, "it redirects without an end") == (told.status, told.trouble)


@pytest.mark.parametrize(
    "location", ["/accounts/login/?next=/", "/", "/django/", "../bob/", "/django/alicex/"]
)
def test_a_redirect_out_of_the_app_is_told_and_not_followed(stage: Stage, location: str) -> None:
    """It is somebody else's page."""
    told = first(stage, to(location))
    ((kind, where),) = told.outside
    assert ("redirect", 302) == (kind, told.status)
    assert not where.startswith(f"{BASE}/")
    assert 1 == len(stage.asked)


@pytest.mark.parametrize("location", ["https://idp.example.org/sso", "mailto:a@b", "", "http://["])
def test_a_redirect_to_others_is_an_answer(stage: Stage, location: str) -> None:
    """A login elsewhere is none of ours."""
    told = first(stage, to(location))
    assert (302, (), "") == (told.status, told.outside, told.trouble)
    assert 1 == len(stage.asked)


def test_what_a_page_loads_is_asked_for_and_what_it_leads_to_is_not(stage: Stage) -> None:
    """HEAD of `/delete/1/` deletes; a browser asks for styles, scripts and pictures by itself."""
    stage.plays[f"{BASE}/static/there.css"] = page("")
    stage.plays[f"{BASE}/static/closed.js"] = page("", "403 Forbidden")
    stage.plays[f"{BASE}/broken.png"] = page("", "500 Internal Server Error")
    told = first(
        stage,
        page(
            "<link rel=stylesheet href=static/there.css><link rel='next' href=two>"
            f"<script src='{BASE}/static/closed.js'></script><img src=broken.png>"
            '<IMG SRC="a b/\u00e9.png?x=1&amp;y=2"><a href="delete/1/">x</a><form action=send>'
            '<img src="data:image/png;base64,AA"><img src="https://cdn.example.org/x.png">'
        ),
    )
    assert {
        f"{BASE}/static/there.css", f"{BASE}/static/closed.js", f"{BASE}/broken.png",
        f"{BASE}/a%20b/%C3%A9.png?x=1&y=2",
    } == set(stage.heads())  # fmt: skip
    assert {
        (f"{BASE}/static/closed.js", 403), (f"{BASE}/a%20b/%C3%A9.png?x=1&y=2", 404),
    } == set(told.missing)  # fmt: skip
    assert () == told.outside


def test_what_lies_outside_is_told_and_never_asked_for(stage: Stage) -> None:
    """To Apache we are this machine, for which others' pages may have no lock."""
    told = first(
        stage,
        page(
            '<link rel="stylesheet" href="/static/a.css"><a href="/">home</a><form action="/go">'
            f'<img src="/server-status?reload"><img src="http://{HOST}/x.png">'
            f'<img src="{BASE}/%2e%2e/%2e./server-status"><img src="{BASE}/../bob/delete/1">'
            '<img src="..%2fbob/delete/2"><img src="//www.example.edu/django/bob/">'
        ),
    )
    assert [] == stage.heads()
    assert {
        ("load", "/static/a.css"), ("load", "/server-status?reload"), ("load", "/x.png"),
        ("load", f"{BASE}/%2e%2e/%2e./server-status"), ("load", "/django/bob/delete/1"),
        ("load", f"{BASE}/..%2fbob/delete/2"), ("load", "/django/bob/"),
        ("lead", "/"), ("lead", "/go"),
    } == set(told.outside)  # fmt: skip


def test_at_a_host_of_its_own_everything_is_the_apps(stage: Stage) -> None:
    """`href="/"` is right there."""
    stage.plays["/"] = page('<a href="/"><img src="/static/x.png">')
    told = visit(stage, Target("alice.apps.example.edu", ""))
    assert [("/", "GET"), ("/static/x.png", "HEAD")] == [(p, m) for m, p, _ in stage.asked]
    assert (("/static/x.png", 404),) == told.missing
    assert () == told.outside


def test_at_a_host_of_its_own_another_name_is_another_server(stage: Stage) -> None:
    """All that is there would else be the app's: `/server-status`, and every other app."""
    stage.plays["/"] = page(
        f'<img src="http://{HOST}/server-status"><img src="http://127.0.0.1:{stage.port}/x">'
        f'<img src="http://bob.apps.example.edu/delete/1">'
    )
    told = visit(stage, Target("alice.apps.example.edu", ""))
    assert ([], ()) == (stage.heads(), told.outside)
    stage.plays["/"] = to(f"http://{HOST}/server-status")
    assert 302 == visit(stage, Target("alice.apps.example.edu", "")).status
    assert {"/", "/admin/"} >= {path for _, path, _ in stage.asked}


def test_a_page_more_is_looked_at_for_what_it_loads(stage: Stage) -> None:
    """As Django's own administration is: where it is not there, nothing is told of that."""
    stage.plays |= {
        f"{BASE}/": page("", "404 Not Found"),
        f"{BASE}/admin/": to("login/"),
        f"{BASE}/admin/login/": page('<link rel="stylesheet" href="/s.css"><a href="/">'
                                     '<link rel="stylesheet" href="../../static/base.css">'),
    }  # fmt: skip
    more = Target(HOST, BASE, more=("/admin/", "/nothing/"))
    told = visit(stage, more)
    assert (404, f"{BASE}/") == (told.status, told.page)
    assert ((f"{BASE}/static/base.css", 404),) == told.missing
    assert (("load", "/s.css"),) == told.outside


def test_links_can_be_left_alone(stage: Stage) -> None:
    """`[probe] links = false`: one request."""
    stage.plays[f"{BASE}/"] = page('<img src="x.png"><a href="/">')
    told = visit(stage, Target(HOST, BASE, more=("/admin/",)), links=False)
    assert 1 == len(stage.asked)
    assert ((), ()) == (told.missing, told.outside)


def test_a_base_of_a_page_counts(stage: Stage) -> None:
    """As a browser takes it."""
    told = first(stage, page('<base href="/"><img src="x.png">'))
    assert (("load", "/x.png"),) == told.outside


def test_a_base_that_is_none_is_left_out(stage: Stage) -> None:
    """As a browser does; the page is an answer all the same."""
    told = first(stage, page('<base href="http://["><title>Shop</title><img src="x.png">'))
    assert (200, "Shop", ((f"{BASE}/x.png", 404),)) == (told.status, told.title, told.missing)


# ---- answers that are hostile -------------------------------------------------------------------


def test_nobody_listening_is_told_apart_from_an_app_that_is_silent(stage: Stage) -> None:
    """Apache is stopped: no fault of the app's."""
    stage.close()
    told = visit(stage)
    assert (None, True) == (told.status, told.refused)
    assert told.trouble


@pytest.mark.parametrize(
    "play",
    [
        drip(page("x" * 9999).encode()[:40]),  # half a head, and slowly
        without_end(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100),
        without_end(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=", b"a" * 65536),
        without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        without_end(b"", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 1000),
        without_end(b"", b"\r\n"),
        without_end(b"", b"\0" * 4096),
        b"HTTP/1.1 999 No\r\n\r\n",
        b"HTTP/1.1 2000\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"",
        b"\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_a_silence(stage: Stage, play: Play) -> None:
    """In time, in little memory, whatever comes and however it comes."""
    started = time.monotonic()
    tracemalloc.start()
    told = first(stage, play, timeout=ENOUGH)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (None, False) == (told.status, told.refused)
    assert told.trouble
    assert time.monotonic() - started < ENOUGH + 2
    assert peak < 4 * 1024 * 1024


@pytest.mark.parametrize(
    "play",
    [
        without_end(page("<title>long</title>").encode(), b"x" * 65536),
        without_end(page("<title>long</title>").encode(), b"<a href=/>" * 1000),
        without_end(page("<title>long</title>").encode(), b"<" * 65536),
        drip(page("<title>long</title>" + "x" * 9999).encode()[:90] + b" " * 9999, 0.001),
        page("<title>long</title>", "200 OK", "Content-Length: 99999999999999"),
        page("<title>long</title>", "200 OK", "Content-Length: -1", "Transfer-Encoding: chunked"),
        page("<title>long</title>", "200 OK", "Set-Cookie: a=" + "a" * 60000),
        page("<title>long</title>", "200 OK", *["Set-Cookie: a=b"] * 3000),
        page("<title>long</title>", "200"),
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + page("<title>long</title>").encode(),
    ],
)  # fmt: skip
def test_an_answer_without_an_end_is_its_beginning(stage: Stage, play: Play) -> None:
    """So many bytes of it, within the time."""
    started = time.monotonic()
    told = first(stage, play, timeout=ENOUGH)
    assert (200, "long", "") == (told.status, told.title, told.trouble)
    assert time.monotonic() - started < ENOUGH + 2


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (gzip.compress(b"<title>x</title>" * 100_000), "Content-Encoding: gzip"),
        (b"<title>x</title>", "Content-Encoding: br"),
        (b"\xff\xfe<\x00t\x00i\x00t\x00l\x00e\x00>\x00", "X: y"),
        ("<title>\u202ex</title>".encode("utf-16"), "X: y"),
        (bytes(range(256)) * 500, "X: \xff\xff"),
    ],
)
def test_a_body_that_is_no_text_is_no_page(stage: Stage, body: bytes, header: str) -> None:
    """Nothing is unpacked: a bomb stays as small as it came."""
    told = first(stage, page("", "200 OK", header).encode("latin-1") + body)
    assert (200, "") == (told.status, told.title.replace("\u202ex", ""))


def test_what_leads_out_is_kept_in_a_few_kilobytes(stage: Stage) -> None:
    """A base stands before each link: nine kilobytes of page were five megabytes of links."""
    links = "".join(f'<img src="{n}"><a href="a{n}">' for n in range(200))
    for base in ("/x/" + "\U0001f600" * 990, "/" + "x" * 900):
        told = first(stage, page(f'<base href="{base}/">{links}'))
        assert sum(len(path) for _, path in told.outside) <= 2 * MAX_ASKED * 1000
    assert {"load": MAX_ASKED, "lead": MAX_ASKED} == Counter(kind for kind, _ in told.outside)


def test_only_so_many_links_are_asked_for(stage: Stage) -> None:
    """And in the time that the first page had as well."""
    told = first(stage, page("".join(f'<img src="{n}.png">' for n in range(9999))))
    assert MAX_ASKED == len(stage.heads()) == len(told.missing)
    stage.plays["*"] = drip(b"HTTP/1.1 404 Not Found\r\n", 0.1)
    started = time.monotonic()
    assert () == first(stage, page('<img src="a"><img src="b">'), timeout=ENOUGH).missing
    assert time.monotonic() - started < 2 * ENOUGH + 2


@pytest.mark.parametrize(
    "location",
    ["http://slp.example.edu:{port}/django/alice/", "http://slp.example.edu:22/django/alice/",
     "https://slp.example.edu:6379/django/alice/", "http://127.0.0.1:{port}/django/alice/",
     "gopher://slp.example.edu/django/alice/", "file:///etc/passwd"],
)  # fmt: skip
def test_no_other_service_of_this_machine_is_spoken_to(stage: Stage, location: str) -> None:
    """Root's process would be the one that speaks: to a cache, a mail server, a printer."""
    other = Stage()
    try:
        told = first(stage, to(location.format(port=other.port)))
        assert 302 == told.status
        assert [] == other.asked
        assert 1 == len(stage.asked)
    finally:
        other.close()


def test_a_link_cannot_write_a_request_of_its_own(stage: Stage) -> None:
    """A line's end in a link would be a header, or a request of the attacker's."""
    links = [
        "x\r\nHost: evil\r\n\r\nGET /server-status HTTP/1.0",
        "x y",
        "a\x00b",
        "\x0b",
        "?a b\tc\r\nd",
    ]
    first(stage, page("".join(f'<img src="{link}">' for link in links)))
    first(stage, to("x y\tz"))
    assert all(HOST == host for *_, host in stage.asked)
    assert "/server-status" not in [path for _, path, _ in stage.asked]
    assert all(path.isascii() and path.isprintable() for _, path, _ in stage.asked)


def test_two_visits_are_two_threads(stage: Stage) -> None:
    """A visitor has no state."""
    stage.plays[f"{BASE}/"] = page("<title>a</title>")
    stage.plays["/django/bob/"] = drip(page("<title>b</title>").encode(), 0.005)
    visitor, told = Visitor(stage.url, timeout=5.0, links=True), {}

    def work(name: str) -> None:
        told[name] = visitor.visit(Target(HOST, f"/django/{name}")).title

    threads = [threading.Thread(target=work, args=[name]) for name in ("bob", "alice")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {"alice": "a", "bob": "b"} == told


# ---- texts -------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["<", ">", "<!--", "-->", "<a ", "<a href=", '"', "'", "=", " ", "href", "<script>", "/", "x",
     "</script>", "<base href=", "<title>", "&amp;", "\0", "\u202e", "<form action='x'>"]
)  # fmt: skip


@given(st.lists(PIECES).map("".join) | st.text())
def test_any_text_is_read(text: str) -> None:
    """Whatever it is: nothing is raised, and what is told is bounded."""
    told = hypertext.read(text)
    assert len(told.title) <= 500
    assert all(0 < len(link) <= 1000 for link in (*told.loads, *told.leads))


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a ",
        "<a href=",
        "<a href='\"",
        "<!--",
        "<script>",
        "<title>",
        "href=",
        '<a href="x',
        "<a " + "x" * 50,
        "<title",
        '<x class="errormsg"',
        "&#x",
        " ",
        "<script",
    ],
)
def test_a_text_is_read_in_a_time_that_grows_with_its_length(piece: str) -> None:
    """256 KiB of the worst of it: what goes back over it again and again takes minutes."""
    text = piece * (MAX_BODY // len(piece))
    started = time.thread_time()
    hypertext.read(text)
    hypertext.read(f"<a {text}")
    assert time.thread_time() - started < 5.0


def test_what_only_looks_like_a_page_is_none() -> None:
    """Comments, scripts and styles have links of no browser's."""
    text = (
        "<!-- <a href=1> --><script>'<a href=2>'</script><STYLE><a href=3></STYLE>"
        "<textarea><a href=4></textarea><a href=5 HREF=6><a href='7&amp;8'>< a href=9><a>"
    )
    assert ("5", "7&8") == hypertext.read(text).leads


def test_a_place_is_what_a_browser_shows() -> None:
    """For what links are relative to."""
    assert "https://h:1/a?b" == Place("https", "h:1", "/a?b").url
    assert 8080 == Address("http://127.0.0.1:8080").port("http")
    assert 443 == Address("http://127.0.0.1:8080").port("https")
