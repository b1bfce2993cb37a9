"""Rejections that are the machine's or its administrator's affair, and a student's wishes."""

from __future__ import annotations

import html
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

ROOT = Path("/home/slp")


def root(script: str) -> None:
    """Run a shell script as the administrator."""
    subprocess.run(["bash", "-ec", script], check=True, cwd=ROOT)


@pytest.mark.box
def test_what_the_administrator_has_to_mend_says_so(
    server: Server, homes: Homes, program: Program
) -> None:
    """Accounts that are none, or are elsewhere, or another's: the command in the fix mends each."""
    for account in ("fine", "moved", "foreign", "linked", "off"):
        homes.create(account)
        homes.bare(account, body=f"I am {account}")
    root("cp -r --no-preserve=all fine ghost")
    root("useradd -r -M -d /home/slp/daemonish -u 400 daemonish; cp -a fine daemonish")
    root("usermod -d /home/elsewhere moved; chown root foreign; mv linked .linked")
    root("ln -s .linked linked; chown -h linked linked")
    root("cp -a fine 'joe@school'; sed -n 's/^fine:/joe@school:/; s,slp/fine,slp/joe@school,p' "
         "/etc/passwd | grep '^joe@' >> /etc/passwd")  # fmt: skip
    program.write_settings("[accounts.off]\nenabled = false\n")

    program.once()

    expected = {
        "ghost": ("no-account", "/home/slp/ghost belongs to no account"),
        "daemonish": ("system-account", "uid 400, below 1000"),
        "moved": ("home-mismatch", "/home/elsewhere, not /home/slp/moved"),
        "foreign": ("wrong-owner", "~ belongs to uid 0, not to foreign"),
        "linked": ("symlink", "~ is a symbolic link"),
        "off": ("disabled", "disabled off"),
        "joe@school": ("url-name", "joe@school is not a name"),
    }
    accounts = program.status()["accounts"]
    for account, (code, words) in expected.items():
        told = accounts[account]
        assert ("rejected", code) == (told["state"], told["reason"]["code"]), told
        assert words in told["reason"]["message"]
    assert "I am fine" == server.get("/django/fine/").text, "one broken account stops nobody"
    assert "disabled off" in html.unescape(server.get("/django/off/").text)

    for account, command in {
        "ghost": "useradd -d /home/slp/ghost ghost && chown -R ghost: /home/slp/ghost",
        "moved": "usermod -d /home/slp/moved moved",
        "foreign": "chown foreign ~foreign",
    }.items():
        fix = accounts[account]["reason"]["fix"]
        assert f"ask the administrator: {command}" == fix
        root(command)
    root("rm linked; mv .linked linked")
    program.write_settings("")
    program.once()

    assert "I am fine" == server.get("/django/ghost/").text
    for account in ("moved", "foreign", "linked", "off"):
        assert "served" == program.account(account)["state"], program.account(account)
        assert f"I am {account}" == server.get(f"/django/{account}/").text
    root("rm -r joe@school daemonish")
    program.write_settings("[apache]\npython = '/no/such/python3.11'\n")
    homes.create("late")
    homes.bare("late", body="I am late")
    homes.sh("fine", "touch mysite/mysite/wsgi.py")
    program.once()
    for account, state in {"late": "rejected", "fine": "served"}.items():
        told = program.account(account)
        assert (state, "unreadable") == (told["state"], told["reason"]["code"]), told
        assert "~/mysite/mysite/wsgi.py could not be looked at" in told["reason"]["message"]
    assert "I am fine" == server.get("/django/fine/").text, "the unknown changes nothing"
    program.write_settings("")
    program.once()
    assert "I am late" == server.get("/django/late/").text
    assert not {"joe@school", "daemonish"} & program.status()["accounts"].keys()


@pytest.mark.box
def test_the_newest_account_is_the_one_beyond_the_budget(
    server: Server, homes: Homes, program: Program
) -> None:
    """A full server turns the last comer away and says so; a larger budget serves them as well."""
    program.write_settings("[daemons]\nbudget = 2\n")
    for account in ("zoe", "mia"):
        homes.create(account)
        homes.bare(account, body=f"I am {account}")
        program.once()
    homes.create("ann")
    homes.bare("ann", body="I am ann")

    program.once()

    ann = program.account("ann")
    assert ("rejected", "over-budget") == (ann["state"], ann["reason"]["code"])
    assert "room for 2 apps" in ann["reason"]["message"]
    assert "a larger budget under [daemons]" in ann["reason"]["fix"]
    for account in ("zoe", "mia"):
        assert f"I am {account}" == server.get(f"/django/{account}/").text
    homes.sh("zoe", "mv mysite .away")
    program.once()
    homes.sh("zoe", "mv .away mysite")
    program.once()
    assert "I am zoe" == server.get("/django/zoe/").text, "a place is not lost by an absence"
    program.write_settings("[daemons]\nbudget = 3\n")
    program.once()
    assert "I am ann" == server.get("/django/ann/").text


@pytest.mark.box
def test_what_apache_itself_cannot_reach_is_said_and_its_command_opens_the_way(
    server: Server, homes: Homes, program: Program
) -> None:
    """Static files behind 0700 are a warning; with `classic`, so is a script: a rejection."""
    for account in ("ann", "ben"):
        homes.create(account, mode=0o700)
        homes.bare(account, body=f"I am {account}")
        homes.write(account, "mysite/static/a.txt", "static")
        homes.sh(account, "chmod -R go= mysite")
    program.once()
    ann = program.account("ann")
    assert ("served", None) == (ann["state"], ann["reason"])
    assert ["static-unreachable"] == [warning["code"] for warning in ann["warnings"]]
    assert "~/mysite/static" in ann["warnings"][0]["message"]
    assert "I am ann" == server.get("/django/ann/static/a.txt").text, "the app's own to answer"

    homes.run("ann", "bash", "-ec", ann["warnings"][0]["fix"])
    program.once()

    assert [] == program.account("ann")["warnings"]
    assert "static" == server.get("/django/ann/static/a.txt").text
    program.write_settings('[apache]\ntemplate_set = "classic"\n')
    program.once()
    for account in ("ann", "ben"):
        told = program.account(account)
        assert ("rejected", "unreachable") == (told["state"], told["reason"]["code"])
        assert "(www-data) cannot get at ~/mysite/mysite/wsgi.py" in told["reason"]["message"]
        homes.run(account, "bash", "-ec", told["reason"]["fix"])
    program.once()
    for account in ("ann", "ben"):
        assert f"I am {account}" == server.get(f"/django/{account}/").text


@pytest.mark.box
def test_a_students_wishes_are_followed(server: Server, homes: Homes, program: Program) -> None:
    """`~/.slp.toml` picks the script, the static directory and the virtualenv."""
    homes.create("alice", mode=0o711)
    homes.bare("alice", "one", "the first")
    homes.write("alice", "two/app/wsgi.py", (
        "import sys\ndef application(environ, start_response):\n"
        "    start_response('200 OK', [])\n    return [sys.prefix.encode()]\n"
    ))  # fmt: skip
    homes.write("alice", "two/assets/a.txt", "an asset")
    homes.sh("alice", "python3 -m venv --without-pip two/ve")
    program.once()
    homes.write(
        "alice", ".slp.toml",
        'script = "two/app/wsgi.py"\nstatic = "two/assets"\nvirtualenv = "two/ve"\n',
    )  # fmt: skip

    program.once()

    alice = program.account("alice")
    assert ("served", []) == (alice["state"], alice["warnings"]), alice
    assert "/home/slp/alice/two/app/wsgi.py" == alice["script"]
    assert "/home/slp/alice/two/ve" == server.get("/django/alice/").text
    assert "an asset" == server.get("/django/alice/static/a.txt").text


HOSTILE = [
    "\udcff\udc80",
    "new\nline",
    "esc\x1b[2J\x1b]0;x\x07",
    "<script>alert(1)<script>",
    "\"'`$(id)\\",
]
CONTROL = set(map(chr, [*range(10), *range(11, 32), *range(127, 160)]))


@pytest.mark.box
def test_no_name_writes_into_a_log_a_page_or_a_status(
    server: Server, homes: Homes, program: Program
) -> None:
    """Homes and projects of odd names: escaped wherever they are told of, and no configuration."""
    homes.create("alice")
    homes.bare("alice", body="I am alice")
    program.once()
    before = (program.state / "current" / "server.conf").read_bytes()
    generation = program.status()["generation"]
    for name in HOSTILE:
        (ROOT / name).mkdir()
        homes.run("alice", "cp", "-r", "mysite", homes.home("alice") / name)
    homes.sh("alice", "mv mysite .away")
    outputs = []
    for form in ("console", "logfmt", "json"):
        Path(program.state / "status.json").unlink(missing_ok=True)  # so that all is news again
        done = program.run("--once", "--log-format", form, status=0)
        outputs.append(done.stdout + done.stderr)
        assert len(HOSTILE) <= done.stderr.count("app.rejected"), form
        for line in done.stderr.splitlines() if form == "json" else ():
            assert {"event", "level", "timestamp"} <= json.loads(line).keys()
    outputs.append(program.run("status", status=0).stdout)
    outputs.append(program.run("status", "alice", status=0).stdout)
    outputs.append((program.state / "status.json").read_text(encoding="utf-8"))
    for output in outputs:
        assert not CONTROL & set(output), output
    status = json.loads(outputs[-1])
    assert {"new\\nline", "\\udcff\\udc80"} <= status["accounts"].keys()
    alice = status["accounts"]["alice"]
    assert ("rejected", "unsafe-name") == (alice["state"], alice["reason"]["code"])
    assert len(HOSTILE) == 1 + len(alice["others"])
    for path in ("/django/alice/", "/slp-status"):
        page = server.get(path).body.decode("utf-8", "strict")
        assert "<script" not in page
        assert not CONTROL & set(page), page
    assert before == (program.state / "current" / "server.conf").read_bytes()
    assert generation == status["generation"]
