"""Every rejection a student can bring about: its code, its words, and that its `fix` mends it."""

from __future__ import annotations

import html
import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.homes import APP

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

WSGI = "mysite/mysite/wsgi.py"
GOOD = "cat >mysite/mysite/wsgi.py <<'END'\n{app}\nEND\n"
"""What a student does where the fix is a sentence: write the script as it should be."""


@dataclass(frozen=True)
class Fault:
    """One home, broken in one way.

    `student` and `root` are the shell scripts that break it, in the home. `words` are pieces of the
    message. After the fix was typed, the student types `then`; where the fix is no command but
    a sentence (`typed=False`), `then` is what the sentence says.
    """

    code: str
    words: tuple[str, ...]
    student: str = ":"
    root: str = ":"
    typed: bool = True
    then: str = ":"


WRITE = "{write}"  # stands for GOOD with the account's own app
WISH = "printf '{0}' > .slp.toml"

FAULTS = {
    "linkfile": Fault("symlink", (f"~/{WSGI} ",), f"mv {WSGI} .r; ln -s ~/.r {WSGI}"),
    "linkdir": Fault("symlink", ("~/mysite ",), "mv mysite .real; ln -s .real mysite"),
    "linkpkg": Fault("symlink", ("~/mysite/mysite ",), "cd mysite; mv mysite .r; ln -s .r mysite"),
    "hardlink": Fault("hard-link", (f"~/{WSGI} ", "2 names"), f"ln {WSGI} copy.py"),
    "fifo": Fault(
        "not-regular", (f"~/{WSGI} ", "pipe"), f"rm {WSGI}; mkfifo {WSGI}", then=WRITE
    ),
    "adir": Fault(
        "not-regular", (f"~/{WSGI} ", "a directory"), f"rm {WSGI}; mkdir {WSGI}", then=WRITE
    ),
    "device": Fault(
        "not-regular",
        (f"~/{WSGI} ", "a device"),
        root=f"rm {WSGI}; mknod {WSGI} c 1 3; chown --reference mysite {WSGI}",
        then=WRITE,
    ),
    "missing": Fault(
        "not-regular",
        ("~/gone/gone/wsgi.py ", "not there"),
        "mv mysite .kept; printf 'script = \"gone/gone/wsgi.py\"' > .slp.toml; mkdir -p gone/gone",
        typed=False,
        then="cp .kept/mysite/wsgi.py gone/gone/wsgi.py",
    ),
    "rootfile": Fault("wrong-owner", (f"~/{WSGI} ", "uid 0"), root=f"chown root {WSGI}"),
    "otherdir": Fault("wrong-owner", ("~/mysite ", "uid"), root="chown -R nobody mysite"),
    "worldfile": Fault(
        "writable-by-others", (f"~/{WSGI} ", "0666", "every account"), f"chmod 666 {WSGI}"
    ),
    "worldtree": Fault(
        "writable-by-others", ("~/mysite ", "0777", "every account"), "chmod -R 777 mysite"
    ),
    "worldhome": Fault("writable-by-others", ("~ ", "0777", "every account"), "chmod 777 ~"),
    "groupfile": Fault(
        "writable-by-others",
        (f"~/{WSGI} ", "0664", "group 100"),
        f"chmod 664 {WSGI}",
        f"chgrp users {WSGI}",
    ),
    "joined": Fault(
        "writable-by-others",
        (f"~/{WSGI} ", "0664", "group"),
        f"chmod 664 {WSGI}",
        "usermod -aG joined nobody",
    ),
    "setuid": Fault(
        "writable-by-others", (f"~/{WSGI} ", "4755", "setuid"), f"chmod 4755 {WSGI}"
    ),
    "large": Fault(
        "too-large",
        (f"~/{WSGI} ", "65536"),
        f"head -c 70000 /dev/zero | tr '\\0' '#' >> {WSGI}",
        typed=False,
        then=WRITE,
    ),
    "bytes": Fault(
        "encoding", (f"~/{WSGI}", "line 4"), f"printf '# \\377' >> {WSGI}", typed=False, then=WRITE
    ),
    "syntax": Fault(
        "syntax-error",
        (f"~/{WSGI}", "line 4"),
        f"echo 'def x(:' >> {WSGI}",
        typed=False,
        then=WRITE,
    ),
    "noapp": Fault(
        "no-application", (f"~/{WSGI}",), f"echo pass > {WSGI}", typed=False, then=WRITE
    ),
    "venv": Fault(
        "virtualenv",
        ("~/mysite/.venv ", "Python 3"),
        WISH.format('virtualenv = "mysite/.venv"'),
    ),
    "space": Fault("unsafe-name", ("~/my site:", "my site"), "mv mysite 'my site'"),
    "dash": Fault("unsafe-name", ("~/-rf:",), "mv -- mysite -rf"),
    "quotes": Fault(
        "unsafe-name", ("'\"$(touch hit)`\\:",), """mv mysite \\''"$(touch hit)`\\'"""
    ),
    "escape": Fault("unsafe-name", ("a\\x1b[2Jb",), "mv mysite \"$(printf 'a\\033[2Jb')\""),
    "newline": Fault("unsafe-name", ("a\\nb",), "mv mysite 'a\nb'"),
    "latin": Fault("unsafe-name", ("caf\\udce9",), "mv mysite \"$(printf 'caf\\351')\""),
    "markup": Fault("unsafe-name", ("<img src=x>",), "mv mysite '<img src=x>'"),
    "twice": Fault("unsafe-name", ("~/a b:",), "mv mysite/mysite 'mysite/c d'; mv mysite 'a b'"),
}  # fmt: skip

WISHES = {
    "linkwish": Fault("symlink", ("~/.slp.toml ",), "echo >.w; ln -s .w .slp.toml"),
    "rootwish": Fault(
        "wrong-owner", ("~/.slp.toml ", "uid 0"), root="echo > .slp.toml; chmod 644 .slp.toml"
    ),
    "wishtext": Fault(
        "syntax-error",
        ("~/.slp.toml", "line 2"),
        WISH.format("# mine\\nscript = oops\\n"),
        typed=False,
        then="rm .slp.toml",
    ),
    "wishkey": Fault(
        "syntax-error",
        ("~/.slp.toml", "line 2", "'color'"),
        WISH.format('# mine\\ncolor = "red"\\n'),
        typed=False,
        then="rm .slp.toml",
    ),
    "wishabs": Fault(
        "syntax-error",
        ("~/.slp.toml", "line 1", "script"),
        WISH.format('script = "/etc/x/wsgi.py"'),
        typed=False,
        then="rm .slp.toml",
    ),
    "wishup": Fault(
        "syntax-error",
        ("~/.slp.toml", "line 1", "static"),
        WISH.format('static = "mysite/../../linkdir"'),
        typed=False,
        then="rm .slp.toml",
    ),
    "wishbytes": Fault(
        "encoding",
        ("~/.slp.toml", "line 2"),
        WISH.format("# mine\\n# \\377"),
        typed=False,
        then="rm .slp.toml",
    ),
    "wishlarge": Fault(
        "too-large",
        ("~/.slp.toml", "8192"),
        "head -c 9000 /dev/zero | tr '\\0' '#' >> .slp.toml",
        typed=False,
        then="rm .slp.toml",
    ),
}  # fmt: skip


@pytest.mark.box(timeout=180)
def test_every_fault_of_a_student_is_told_and_its_fix_mends_it(
    server: Server, homes: Homes, program: Program
) -> None:
    """Each fault has its code, names its file, is on the page; the fix is typed, and it is up."""
    for account in [*FAULTS, "fine"]:
        homes.create(account)
        homes.bare(account, body=f"I am {account}")
    homes.sh("fine", "chmod g+w . mysite mysite/mysite mysite/mysite/wsgi.py")
    program.once()
    before = config(program)
    assert "served" == program.account("fine")["state"], "0664 of a group of one's own is fine"
    for account, fault in FAULTS.items():
        homes.sh(account, fault.student)
        subprocess.run(["sh", "-ec", fault.root], cwd=homes.home(account), check=True)

    said = program.once("--force")

    accounts = program.status()["accounts"]
    for account, fault in FAULTS.items():
        told = accounts[account]
        assert ("rejected", fault.code) == (told["state"], told["reason"]["code"]), (account, told)
        for words in fault.words:
            assert words in told["reason"]["message"], account
        assert told["reason"]["message"].isprintable(), account
        assert told["reason"]["fix"].isprintable(), account
        page = server.get(f"/django/{account}/")
        assert 404 == page.status, account
        assert told["reason"]["message"] in html.unescape(page.text), account
        for part in told["reason"]["fix"].split(": "):  # what to do, and what to paste
            assert part in html.unescape(page.text), account
        assert "<img" not in page.text, account
        assert 1 == len(said.named("app.withdrawn", account=account, code=fault.code)), account
    assert before == config(program), "a student's fault is no configuration"
    printed = program.run("status", "syntax", "--json", status=0).stdout
    assert accounts["syntax"] == json.loads(printed)

    for _ in range(2):  # a name with two odd parts takes two turns, as its owner sees
        for account, fault in FAULTS.items():
            told = program.account(account)
            if told["state"] == "rejected":
                mend(homes, account, fault, told["reason"]["fix"])
        program.once()

    for account in [*FAULTS, "fine"]:
        told = program.account(account)
        assert "served" == told["state"], (account, told)
        assert f"I am {account}" == server.get(f"/django/{account}/").text, account
        assert not (homes.home(account) / "hit").exists()


def config(program: Program) -> dict[str, bytes]:
    """Return the bytes that Apache includes."""
    return {path.name: path.read_bytes() for path in (program.state / "current").iterdir()}


def mend(homes: Homes, account: str, fault: Fault, fix: str) -> None:
    """Do as the rejection says, in the student's own shell."""
    if fault.typed:
        # Without a network `pip install` fails, once the virtualenv is there; it need not insist.
        fails = fault.code == "virtualenv"
        homes.run(account, "env", "PIP_RETRIES=0", "bash", "-c", fix, check=not fails)
    write = GOOD.format(app=APP.format(body=f"I am {account}"))
    homes.sh(account, fault.then.replace(WRITE, write))


@pytest.mark.box
def test_a_bad_wish_is_a_warning_and_its_fix_mends_it(
    server: Server, homes: Homes, program: Program
) -> None:
    """A `~/.slp.toml` that is not to be followed takes no app down, and says what mends it."""
    for account in WISHES:
        homes.create(account)
        homes.bare(account, body=f"I am {account}")
    program.once()
    for account, fault in WISHES.items():
        homes.sh(account, fault.student)
        subprocess.run(["sh", "-ec", fault.root], cwd=homes.home(account), check=True)

    said = program.once()

    assert [] == said.named("app.withdrawn")
    for account, fault in WISHES.items():
        told = program.account(account)
        assert ("served", None) == (told["state"], told["reason"]), (account, told)
        assert [fault.code] == [warning["code"] for warning in told["warnings"]], account
        for words in fault.words:
            assert words in told["warnings"][0]["message"], account
        assert f"I am {account}" == server.get(f"/django/{account}/").text, account
        mend(homes, account, fault, told["warnings"][0]["fix"])
    program.once()
    for account in WISHES:
        told = program.account(account)
        assert ("served", []) == (told["state"], told["warnings"]), (account, told)


@pytest.mark.box
def test_of_two_good_scripts_one_is_the_app_and_the_other_says_how_to_switch(
    server: Server, homes: Homes, program: Program
) -> None:
    """A neighbour of the app is `superseded`; its command makes it the app; each is told once."""
    homes.create("alice")
    homes.bare("alice", "one", "the first")
    program.once()
    homes.bare("alice", "two", "the second")
    homes.bare("alice", "bad", source="def x(:\n")

    program.once()

    alice = program.account("alice")
    assert "/home/slp/alice/one/one/wsgi.py" == alice["script"], "the one being served stays"
    codes = {other["script"]: other["reason"]["code"] for other in alice["others"]}
    assert {
        "/home/slp/alice/bad/bad/wsgi.py": "syntax-error",
        "/home/slp/alice/two/two/wsgi.py": "superseded",
    } == codes
    assert 2 == len(alice["others"])
    second: dict[str, Any] = next(o for o in alice["others"] if "two" in o["script"])
    homes.run("alice", "bash", "-ec", second["reason"]["fix"])
    program.once()
    assert "the second" == server.get("/django/alice/").text
    homes.sh("alice", "rm .slp.toml")
    program.once()
    assert "the second" == server.get("/django/alice/").text, "what is served is kept to"
