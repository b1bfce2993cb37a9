"""What Apache refuses costs the one who is at fault, or nobody."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.apache import CONF, STATE

if TYPE_CHECKING:
    from tests.lab.apache import Server
    from tests.lab.homes import Homes
    from tests.lab.program import Program

SHIPPED = Path(__file__).resolve().parents[2] / "conf/templates/stable"
OWN = Path("/etc/slp-reconciler/templates/course")
COUNT = Path("/root/configtests")
SETTINGS = """\
[apache]
template_set = "course"
timeout = 4
configtest = ["sh", "-c", "echo >>/root/configtests; exec apachectl configtest"]
"""


class Course:
    """A class whose administrator has templates of their own."""

    def __init__(self, homes: Homes, program: Program, *students: str) -> None:
        self.homes = homes
        shutil.copytree(SHIPPED, OWN)
        program.write_settings(SETTINGS)
        for student in students:
            self.enrol(student)

    def enrol(self, student: str) -> None:
        """A student comes, with an app."""
        self.homes.create(student)
        self.homes.bare(student, body=f"I am {student}")

    @staticmethod
    def template(name: str, more: str = "") -> None:
        """Make the template what is shipped, and `more`."""
        (OWN / name).write_text((SHIPPED / name).read_text() + more)

    @staticmethod
    def tests() -> int:
        """Return how many configuration tests there were since the last call."""
        number = COUNT.read_text().count("\n") if COUNT.exists() else 0
        COUNT.unlink(missing_ok=True)
        return number


def bad_for(*accounts: str, text: str = "Bogus on") -> str:
    """Return the end of a template that goes wrong for these accounts."""
    return f"{{% if account in {list(accounts)} %}}\n{text}\n{{% endif %}}\n"


def answered(server: Server, students: list[str]) -> list[str]:
    """Return those whose own app answers."""
    texts = {name: server.get(f"/django/{name}/").text for name in students}
    return [name for name in students if texts[name] == f"I am {name}"]


def refused(program: Program) -> dict[str, str]:
    """Return who is not served, and the code."""
    accounts = program.status()["accounts"].items()
    return {name: a["reason"]["code"] for name, a in accounts if a["state"] == "rejected"}


@pytest.mark.box(timeout=180)
def test_a_stanza_that_apache_refuses_is_found_and_left_out(
    server: Server, homes: Homes, program: Program
) -> None:
    """The others go live in the same pass; nothing is tested again until something changes."""
    students = [f"s{number:02}" for number in range(15)]
    course = Course(homes, program, *students, "mallory")
    course.template("django.conf.account.j2", bad_for("mallory"))

    program.once()

    # The whole, the last good one (there is none: the head alone), and the halves of halves.
    assert 3 <= course.tests() <= 2 * math.log2(len(students) + 1) + 4
    assert students == answered(server, [*students, "mallory"])
    assert {"mallory": "quarantined"} == refused(program)

    # Left alone: no test, no reload.
    reloads = server.reloads()
    program.once()
    assert 0 == course.tests()
    assert reloads == server.reloads()

    # Two at fault, one of whom was served, and a newcomer in the same pass.
    course.template("django.conf.account.j2", bad_for("mallory", "s03"))
    course.enrol("newcomer")
    program.once()
    assert 2 * (2 * math.log2(len(students) + 2) + 4) >= course.tests()
    others = [name for name in students if name != "s03"]
    assert [*others, "newcomer"] == answered(server, [*students, "mallory", "newcomer"])
    assert {"mallory": "quarantined", "s03": "quarantined"} == refused(program)
    server.restart()
    assert [*others, "newcomer"] == answered(server, [*students, "newcomer"])

    # A template that does not even render for one is that one's affair alone.
    course.template("django.conf.account.j2", bad_for("s05", text="{{ nobody.knows }}"))
    program.once()
    everyone = [*students, "mallory", "newcomer"]
    assert [n for n in everyone if n != "s05"] == answered(server, everyone)
    assert {"s05": "quarantined"} == refused(program)

    course.template("django.conf.account.j2")
    program.once()
    assert everyone == answered(server, everyone)
    assert {} == refused(program)


@pytest.mark.box
def test_for_a_fault_of_the_administrators_nobody_is_blamed(
    server: Server, homes: Homes, program: Program
) -> None:
    """Status 3: what is live stays, to the byte, and nobody is quarantined."""
    course = Course(homes, program, "alice", "bob")
    program.once()
    before = os.readlink(STATE / "current")
    reloads = server.reloads()
    course.enrol("carol")
    garbage = CONF / "conf-enabled/x.conf"

    def check(message: str) -> None:
        result = program.once(status=3)
        assert message in result.stderr
        assert before == os.readlink(STATE / "current")
        assert reloads == server.reloads()
        assert {} == refused(program)
        assert ["alice", "bob"] == answered(server, ["alice", "bob", "carol"])

    garbage.write_text("Garbage in\n")
    check("Garbage")
    garbage.unlink()
    course.template("server.conf.head.j2", "Nonsense on\n")
    check("Nonsense")
    course.template("server.conf.head.j2", "{{ nobody.knows }}\n")
    check("nobody")
    course.template("server.conf.head.j2", "{% if %}\n")
    check("end of statement block")
    shutil.rmtree(OWN)
    check("course")

    shutil.copytree(SHIPPED, OWN)
    program.once()
    assert ["alice", "bob", "carol"] == answered(server, ["alice", "bob", "carol"])


@pytest.mark.box
def test_what_apache_takes_and_does_not_serve_is_put_back(
    server: Server, homes: Homes, program: Program
) -> None:
    """Status 4, the last verified generation again, and no second try until something changes."""
    course = Course(homes, program, "alice")
    program.once()
    before = os.readlink(STATE / "current")
    assert 1 == server.reloads()
    marker = (SHIPPED / "marker.j2").read_text()
    (OWN / "marker.j2").write_text(marker.replace('Alias "{{ marker }}"', "# Alias"))
    homes.bare("alice", body="another")

    result = program.once(status=4)

    assert 1 == len(result.named("generation.rolled_back"))
    assert before == os.readlink(STATE / "current")
    assert 3 == server.reloads(), "one for the new, one for the old"
    assert "another" == server.get("/django/alice/").text, "an app's set waits for no reload"

    course.tests()
    program.once(status=4)
    assert (before, 3, 0) == (os.readlink(STATE / "current"), server.reloads(), course.tests())

    course.template("marker.j2")
    program.once()
    course.enrol("bob")
    program.once()
    assert ["bob"] == answered(server, ["bob"])
