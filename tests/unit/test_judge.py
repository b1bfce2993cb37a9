"""`decide/judge.py`: each check with its words, and what comes before what."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.decide.judge import judge_home, judge_script, judge_wishes
from reconciler.model import NO_WISHES, Fault, News, Node, Rejection, Script, Source, Wishes
from tests.unit.facts import ALICE, BROKEN, gone, node, script

PATH = "~/one/one/wsgi.py"
SHARED = replace(ALICE, private_group=False)


def told(found: Rejection | None) -> tuple[str, str, str]:
    """Return code, sentence and mend."""
    assert found is not None
    return found.code, found.message, found.fix


def at(path: str, **changes: object) -> Script:
    """Return a good script with one of its nodes changed."""
    good = script("one")
    nodes = tuple(replace(n, **changes) if n.path == path else n for n in good.nodes)
    return replace(good, nodes=nodes)


def called(path: str) -> Script:
    """Return a good script of that path."""
    return replace(script("one"), path=path, nodes=(node(""), node(path, "file")))


FAULTS: list[tuple[Script, tuple[str, str, str]]] = [
    (
        at("one/one/wsgi.py", kind="link"),
        (
            "symlink",
            f"{PATH} is a symbolic link, and links are not followed",
            f"cp -rL -- {PATH} {PATH}.real && rm -- {PATH} && mv -- {PATH}.real {PATH}",
        ),
    ),
    (
        at("one/one/wsgi.py", kind="other"),
        (
            "not-regular",
            f"{PATH} is a device, pipe or socket, not a regular file",
            f"mv -T -- {PATH} {PATH}.old  # and create it anew",
        ),
    ),
    (
        at("one", kind="file"),
        (
            "not-regular",
            "~/one is a file, not a directory",
            "mv -T -- ~/one ~/one.old  # and create it anew",
        ),
    ),
    (
        at("one/one/wsgi.py", kind="directory"),
        (
            "not-regular",
            f"{PATH} is a directory, not a regular file",
            f"mv -T -- {PATH} {PATH}.old  # and create it anew",
        ),
    ),
    (
        at("one/one/wsgi.py", uid=0),
        (
            "wrong-owner",
            f"{PATH} belongs to uid 0, not to alice (uid 1001)",
            f"cp -r -- {PATH} {PATH}.own && mv -T -- {PATH} {PATH}.old && "
            f"mv -T -- {PATH}.own {PATH}",
        ),
    ),
    (
        at("", uid=0),
        (
            "wrong-owner",
            "~ belongs to uid 0, not to alice (uid 1001)",
            "ask the administrator: chown alice ~alice",
        ),
    ),
    (
        at("one/one/wsgi.py", links=2),
        (
            "hard-link",
            f"{PATH} has 2 names (hard links), so somebody else's copy of it could change",
            f"cp -- {PATH} {PATH}.own && mv -- {PATH}.own {PATH}",
        ),
    ),
    (
        at("one/one/wsgi.py", mode=0o646),
        (
            "writable-by-others",
            f"{PATH} has mode 0646, so every account could put code of theirs into your app",
            f"chmod go-w -- {PATH}",
        ),
    ),
    (
        at("one", mode=0o777),
        (
            "writable-by-others",
            "~/one has mode 0777, so every account could put code of theirs into your app",
            "chmod -R go-w -- ~/one",
        ),
    ),
    (
        at("", mode=0o757),
        (
            "writable-by-others",
            "~ has mode 0757, so every account could put code of theirs into your app",
            "chmod go-w -- ~",
        ),
    ),
    (
        at("one/one", mode=0o775, gid=100),
        (
            "writable-by-others",
            "~/one/one has mode 0775, so group 100 could put code of theirs into your app",
            "chmod -R go-w -- ~/one/one",
        ),
    ),
    (
        at("one/one/wsgi.py", mode=0o4755),
        (
            "writable-by-others",
            f"{PATH} has mode 4755, so whoever runs it (it is setuid or setgid) could put code of "
            "theirs into your app",
            f"chmod ug-s -- {PATH}",
        ),
    ),
    (
        at("one/one/wsgi.py", size=65537),
        (
            "too-large",
            f"{PATH} has 65537 bytes; at most 65536 are read",
            f"shorten {PATH}: a script's code can move into a module beside it, and be imported "
            "from there",
        ),
    ),
    (
        replace(script("one"), trouble="Input/output error (EIO)"),
        (
            "unreadable",
            f"{PATH} could not be looked at: Input/output error (EIO); what was published stays",
            "nothing: it is tried again by itself; if it lasts, tell the administrator",
        ),
    ),
    (
        script("one", source=None),
        (
            "unreadable",
            f"{PATH} could not be looked at: its text was not read; what was published stays",
            "nothing: it is tried again by itself; if it lasts, tell the administrator",
        ),
    ),
    (
        script("one", source=Source("line 2 is not UTF-8", None, binds_application=False)),
        (
            "encoding",
            f"{PATH}: line 2 is not UTF-8",
            f"save {PATH} as UTF-8, or declare ASCII, Latin-1 or cp1252 in its first line",
        ),
    ),
    (
        script("one", source=BROKEN),
        (
            "syntax-error",
            f"{PATH}, line 3: invalid syntax",
            f"mend line 3 of {PATH}, which this shows: python3 -m py_compile {PATH}",
        ),
    ),
    (
        script("one", source=Source(None, None, binds_application=False)),
        (
            "no-application",
            f"{PATH} defines no `application`, which is what the server calls",
            f"end {PATH} with a line, not indented, that says application = "
            "get_wsgi_application(); for Flask, from app import app as application",
        ),
    ),
    (
        gone("one/one/wsgi.py"),
        (
            "not-regular",
            f"{PATH} is not there, not a regular file",
            f"create {PATH}, or name another script",
        ),
    ),
]


@pytest.mark.parametrize(("found", "words"), FAULTS)
def test_each_fault_has_its_words(found: Script, words: tuple[str, str, str]) -> None:
    """The file, the fault, and what mends it."""
    assert words == told(judge_script(found, ALICE))


def test_a_good_script_has_no_fault() -> None:
    """Nor has one below a directory of root's, which is a fixture of the machine."""
    assert judge_script(script("one"), ALICE) is None
    assert judge_script(at("one", uid=0), ALICE) is None
    assert judge_script(at("one", mode=0o2755), ALICE) is None, "setgid says whose group"
    assert judge_script(at("one", links=4), ALICE) is None, "a directory has more than one"
    assert judge_script(at("one", size=4_000_000), ALICE) is None


@pytest.mark.parametrize("uid", [1000, 1002, 65534])
def test_a_directory_of_anybody_else_is_not_ones_own(uid: int) -> None:
    """Who owns a directory on the way can put another script into it."""
    assert "wrong-owner" == told(judge_script(at("one", uid=uid), ALICE))[0]


@pytest.mark.parametrize(
    ("account", "gid", "fault"),
    [
        (ALICE, 1001, None),
        (ALICE, 100, "writable-by-others"),
        (SHARED, 1001, "writable-by-others"),
        (SHARED, 100, "writable-by-others"),
    ],
)
def test_a_group_may_write_where_it_is_ones_own(account: object, gid: int, fault: str) -> None:
    """The default umask of many distributions gives 0664; a group that has others is theirs too."""
    found = judge_script(at("one/one/wsgi.py", mode=0o664, gid=gid), account)  # type: ignore[arg-type]
    assert fault == (found and found.code)


@pytest.mark.parametrize("mode", [0o2755, 0o4755, 0o6755])
def test_no_script_is_setuid_or_setgid(mode: int) -> None:
    """Each of the two bits by itself."""
    for gid in (1001, 100):
        found = judge_script(at("one/one/wsgi.py", mode=mode, gid=gid), ALICE)
        assert "whoever runs it" in told(found)[1]


def test_a_script_may_be_executable_by_all_and_written_by_ones_own_group() -> None:
    """`chmod 775` is what a umask of 002 gives."""
    assert judge_script(at("one/one/wsgi.py", mode=0o775), ALICE) is None


def test_a_script_of_which_nothing_was_seen_is_unknown() -> None:
    """It is not missing: that would have been seen in its directory."""
    unseen = replace(script("one", source=None), nodes=())
    assert "unreadable" == told(judge_script(unseen, ALICE))[0]


def test_the_first_fault_from_the_home_down_is_told() -> None:
    """And of one node the kind comes before the owner, then links, the mode, the size."""
    both = at("one", mode=0o777)
    nodes = tuple(replace(n, mode=0o777) if n.path == "one/one" else n for n in both.nodes)
    assert "~/one has" in told(judge_script(replace(both, nodes=nodes), ALICE))[1]
    worse: dict[str, object] = {}
    expected = []
    for code, changes in [
        ("too-large", {"size": 70_000}),
        ("writable-by-others", {"mode": 0o666}),
        ("hard-link", {"links": 2}),
        ("wrong-owner", {"uid": 1002}),
        ("not-regular", {"kind": "other"}),
    ]:
        worse |= changes
        expected.append(code)
        assert code == told(judge_script(at("one/one/wsgi.py", **worse), ALICE))[0]
    assert 5 == len(expected)


def test_what_is_unsafe_counts_before_what_could_not_be_told() -> None:
    """A link is known to be one, whatever else is not; a size is not told of then."""
    unsafe = replace(at("one", kind="link"), trouble="EIO")
    assert "symlink" == told(judge_script(unsafe, ALICE))[0]
    large = replace(at("one/one/wsgi.py", size=70_000), trouble="EIO")
    assert "unreadable" == told(judge_script(large, ALICE))[0]


def test_what_is_missing_is_soft_and_comes_after_what_is_unsafe_above_it() -> None:
    """A checkout may be at work; a link on the way stays unsafe."""
    found = judge_script(gone("one/one/wsgi.py"), ALICE)
    assert found is not None
    assert (News.SOFT, False) == (found.news, found.above)
    above = replace(gone("one/one/wsgi.py"), nodes=(node("", mode=0o777),))
    assert "writable-by-others" == told(judge_script(above, ALICE))[0]


def test_content_that_is_not_asked_for_is_not_judged() -> None:
    """Only the text is left out: never a node."""
    assert judge_script(script("one", source=BROKEN), ALICE, content=False) is None
    assert judge_script(script("one", source=None), ALICE, content=False) is None
    large = at("one/one/wsgi.py", size=70_000)
    assert "too-large" == told(judge_script(large, ALICE, content=False))[0]
    trouble = replace(script("one"), trouble="EIO")
    assert "unreadable" == told(judge_script(trouble, ALICE, content=False))[0]


@pytest.mark.parametrize(
    ("path", "part", "mended"),
    [
        ("My Site/x/wsgi.py", "~/My Site", "mv -T -- ~/'My Site' ~/My_Site"),
        ("ok/-rf/wsgi.py", "~/ok/-rf", "mv -T -- ~/ok/-rf ~/ok/_rf"),
        ("ok/.x/wsgi.py", "~/ok/.x", "mv -T -- ~/ok/.x ~/ok/_x"),
        ("ok/+x/wsgi.py", "~/ok/+x", "mv -T -- ~/ok/+x ~/ok/_x"),
        ("a b/c d/wsgi.py", "~/a b", "mv -T -- ~/'a b' ~/a_b"),
        ("a/x*y*z/wsgi.py", "~/a/x*y*z", "mv -T -- ~/'a/x*y*z' ~/a/x_y_z"),
        ("é/x/wsgi.py", "~/é", "mv -T -- ~/'é' ~/_"),
        ("a//wsgi.py", "~/a/", None),
        ("n" * 256 + "/x/wsgi.py", "~/" + "n" * 256, None),
        ("n\n/x/wsgi.py", "~/n\\n", "mv -T -- ~/$'n\\x0a' ~/n_"),
    ],
)
def test_a_name_outside_the_allow_list_is_told_with_a_plain_one(
    path: str, part: str, mended: str | None
) -> None:
    """The first on the way, which is to be mended first; the plain name passes."""
    code, message, fix = told(judge_script(called(path), ALICE))
    assert "unsafe-name" == code
    assert message.startswith(f"{part}: the name {part.rpartition('/')[2]} has characters")
    if mended is not None:
        assert mended == fix
        plain = fix.rpartition(" ")[2].removeprefix("~/")
        assert judge_script(called(f"{plain}/wsgi.py"), ALICE) is None


@pytest.mark.parametrize("name", ["n" * 255, "a", "Z", "0", "_", "a.b+c-d_e", "9-"])
def test_a_plain_name_is_none(name: str) -> None:
    """Letters, digits and _ . + -, not first; as long as a file system lets it be."""
    assert judge_script(called(f"{name}/wsgi.py"), ALICE) is None


def toml(**changes: object) -> tuple[Node, Node]:
    """Return the nodes of a `~/.slp.toml`."""
    return node(""), node(".slp.toml", "file", **changes)


WISHES = [
    (
        Wishes(toml(), Fault("encoding", 2, "line 2 is not UTF-8")),
        (
            "encoding",
            "~/.slp.toml: line 2 is not UTF-8",
            "save ~/.slp.toml as UTF-8, or declare ASCII, Latin-1 or cp1252 in its first line",
        ),
    ),
    (
        Wishes(toml(), Fault("syntax-error", 4, "what is this")),
        (
            "syntax-error",
            "~/.slp.toml, line 4: what is this",
            "mend line 4 of ~/.slp.toml, which this shows: cat -n ~/.slp.toml",
        ),
    ),
    (
        Wishes(toml(size=8193)),
        (
            "too-large",
            "~/.slp.toml has 8193 bytes; at most 8192 are read",
            "shorten ~/.slp.toml: a script's code can move into a module beside it, and be "
            "imported from there",
        ),
    ),
    (
        Wishes(toml(links=2), Fault("syntax-error", 4, "what is this")),
        (
            "hard-link",
            "~/.slp.toml has 2 names (hard links), so somebody else's copy of it could change",
            "cp -- ~/.slp.toml ~/.slp.toml.own && mv -- ~/.slp.toml.own ~/.slp.toml",
        ),
    ),
]


@pytest.mark.parametrize(("wishes", "words"), WISHES)
def test_each_fault_of_the_wishes_has_its_words(
    wishes: Wishes, words: tuple[str, str, str]
) -> None:
    """The file is checked as a script is, and its text after that."""
    assert words == told(judge_wishes(wishes, ALICE))


def test_no_wishes_have_no_fault() -> None:
    """Nor have those of a file that is fit."""
    assert judge_wishes(NO_WISHES, ALICE) is None
    assert judge_wishes(Wishes(toml(size=8192), script="a/wsgi.py"), ALICE) is None
    assert judge_wishes(Wishes((), Fault("syntax-error", 1, "x")), ALICE) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"kind": "link"}, "symlink"),
        ({"kind": "file"}, "not-regular"),
        ({"uid": 0}, "wrong-owner"),
        ({"mode": 0o757}, "writable-by-others"),
        ({"mode": 0o6755}, None),
        ({"links": 3}, None),
        ({"size": 4096}, None),
    ],
)
def test_a_home_is_a_directory_of_its_accounts_own(
    changes: dict[str, object], code: str | None
) -> None:
    """Nothing below it can be trusted otherwise."""
    found = judge_home(node("", **changes), ALICE)
    assert code == (found and found.code)
