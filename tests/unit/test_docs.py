"""The texts say what is there: whatever of them can be held by a test, is held here."""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from reconciler.cli import cli
from reconciler.decide.rules import RULES
from reconciler.model import News
from reconciler.once import Exit
from reconciler.settings import AccountSettings, Settings

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "reconciler"
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
}
"""Every text for people, by its path."""
DESIGN = TEXTS["docs/design.md"]
SOURCES = {path: path.read_text() for path in sorted(PROGRAM.rglob("*.py"))}
STAGES = ("observe", "decide", "publish", "report", "watch", "health")
STUDENTS_OWN = {"wsgi.py", "manage.py", "asgi.py", "random.py", "urls.py", "views.py"}
"""Files that texts name, and that are in homes."""
FILE_TYPES = (".json", ".conf", ".wsgi", ".html", ".toml", ".cfg", ".py", ".txt")


def part(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one as high or higher."""
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, heading
    return re.split(rf"\n#{{1,{level}}} ", rest)[0]


def spans(text: str) -> list[str]:
    """Return what stands in code quotes on one line."""
    return re.findall(r"`([^`\n]+)`", text)


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of every row of a table."""
    for line in text.splitlines():
        if line.startswith(("| ", "|-")):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not all(re.fullmatch(r"[-:]*", cell) for cell in cells):
                yield cells


# ---- the outside contract ----------------------------------------------------------------------


def test_the_design_and_the_shipped_file_have_every_setting_and_its_default() -> None:
    """No key is missing in either, none is there besides, and no default is another."""
    defaults = msgspec.to_builtins(Settings())
    del defaults["accounts"]
    defaults["daemons"]["options"] = Settings().daemons.effective
    design = part(DESIGN, "### Settings")
    (said,) = re.findall(r"```toml\n(.*?)```", design, re.DOTALL)
    assert defaults == tomllib.loads(said)
    assert defaults == tomllib.loads((ROOT / "conf/reconciler.toml").read_text())
    (own,) = re.findall(r"`\[accounts\.NAME\]` may have (.*?)\.", design, re.DOTALL)
    assert sorted(AccountSettings.__struct_fields__) == sorted(spans(own))


def test_the_design_names_every_rejection_and_its_kind() -> None:
    """The table is that of `rules.py`; a kind there is the first word here."""
    kinds = {"unsafe": News.UNSAFE, "soft": News.SOFT, "unknown": News.UNKNOWN}
    said: dict[str, News | None] = {}
    for codes, kind in list(rows(part(DESIGN, "### Rejection codes")))[1:]:
        first = kind.removeprefix("a ").partition(" ")[0].strip(":;,")
        news = News.CHOICE if first == "choice" else kinds.get(first)
        said |= dict.fromkeys(spans(codes), news)
    assert {code: rule.news for code, rule in RULES.items()} == {
        code: RULES["static-unreachable"].news if code == "static-unreachable" else news
        for code, news in said.items()
    }


def test_the_readme_names_every_rejection() -> None:
    """What is a warning alone keeps no app down, and is not there."""
    table = part(TEXTS["README.md"], "## Why an app is not up")
    said = [code for codes, _ in list(rows(table))[1:] for code in spans(codes)]
    assert sorted(RULES.keys() - {"static-unreachable"}) == sorted(said)


def test_the_design_and_the_readme_have_every_exit_status() -> None:
    """In order, from 0."""
    statuses = [int(status) for status in Exit]
    table = rows(part(DESIGN, "### Command line"))
    assert statuses == [int(cells[0]) for cells in table if cells[0].isdecimal()]
    (sentence,) = re.findall(r"says how it ended: (.*?)\n\n", TEXTS["README.md"], re.DOTALL)
    assert statuses == [int(number) for number in re.findall(r"(?:^|;\s)(\d) ", sentence)]


def events() -> set[str]:
    """Return the log's events: dotted names in the program that are no file's and no module's."""
    return {
        node.value
        for path, source in SOURCES.items()
        if path.parent.name != "run"  # apps' processes tell the log nothing
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"[a-z]+\.[a-z_]+", node.value)
        and not node.value.endswith(FILE_TYPES)
        and not node.value.startswith("reconciler.")
    }


def test_the_design_names_every_event_of_the_log() -> None:
    """And none that the program never tells."""
    table = rows(part(DESIGN, "### Log events"))
    said = [name for names, *_ in list(table)[1:] for name in spans(names)]
    assert sorted(events()) == sorted(said)


def options() -> set[str]:
    """Return every long option of the command line."""
    found = {"--help"}
    for command in (cli, *cli.commands.values()):
        found |= {name for option in command.params for name in option.opts if name[:2] == "--"}
    return found


def test_the_design_names_every_command_and_option() -> None:
    """And none that does not exist."""
    table = part(DESIGN, "### Command line")
    assert options() == set(re.findall(r"--[a-z][a-z-]*", table))
    calls = [call.split()[0] for cells in rows(table) for call in spans(cells[0])]
    assert set(cli.commands) == {word for word in calls if word[0] != "-"} - {"slp-reconciler"}


@pytest.mark.parametrize("name", TEXTS)
def test_a_command_that_a_text_names_exists(name: str) -> None:
    """Also an option, where it stands by itself in code quotes; and a target of make."""
    text = TEXTS[name]
    known = options() | set(cli.commands)
    assert set() == set(re.findall(r"(?<![\w/-])slp-reconciler (-{0,2}[a-z-]+)", text)) - known
    assert set() == {span.split()[0] for span in spans(text) if span.startswith("--")} - known
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set() == set(re.findall(r"(?:`|    )make ([a-z][a-z-]*)", text)) - targets


def test_what_took_the_place_of_each_of_the_old_tools_flags_is_shown() -> None:
    """The box test says at each of its lines which row of the table it is."""
    table = list(rows(TEXTS["docs/wsgi-admin.md"]))[1:]
    flags = {span.split()[0] for cells in table for span in spans(cells[0])}
    test = (ROOT / "tests/box/test_powers.py").read_text()
    shown = set(re.findall(r"[\w-]+", " ".join(re.findall(r"  # (.*)", test))))
    assert {"-register", "-nocheck", "urluserid"} <= flags
    assert set() == flags - shown


# ---- what texts name, and what names the texts --------------------------------------------------


def named_files(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each file, directory and test that a text names, and whether it is there."""
    inside = r"(?<![\w/.<>-])((?:docs|reconciler|tests|conf|systemd|\.ci)/[\w./-]*)"
    for path in re.findall(inside, text):
        yield path, (ROOT / path.rstrip(".")).exists()
    for span in spans(text):
        path, _, test = span.partition("::")
        where = PROGRAM if path.startswith(tuple(f"{stage}/" for stage in STAGES)) else ROOT
        if test:
            file = where / path
            yield span, file.exists() and f"def {test}(" in file.read_text()
        elif where is PROGRAM:
            yield span, (where / path).exists()
        elif re.fullmatch(r"\w+\.py", path) and path not in STUDENTS_OWN:
            yield span, any(path == source.name for source in SOURCES)


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_a_text_names_exists(name: str) -> None:
    """Modules, directories, tests, and whatever else of the repository."""
    named = list(named_files(TEXTS[name]))
    assert [] == [path for path, is_there in named if not is_there]
    assert named or name not in {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"}


def anchors(text: str) -> set[str]:
    """Return what a link may name after `#`, as forges make it of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TEXTS)
def test_a_link_of_a_text_leads_somewhere(name: str) -> None:
    """To a file of the repository, and to a heading in it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


@pytest.mark.parametrize(
    ("name", "heading"), [("ARCHITECTURE.md", "## The rooms"), ("docs/design.md", "## 4. Shape")]
)
def test_every_room_of_the_program_is_shown(name: str, heading: str) -> None:
    """Every module and package right below `reconciler/`."""
    rooms = {f"{path.name}/" for path in PROGRAM.iterdir() if (path / "__init__.py").exists()}
    rooms |= {path.name for path in PROGRAM.glob("*.py") if not path.name.startswith("__")}
    assert set() == rooms - set(spans(part(TEXTS[name], heading)))


def numbers(kind: str, texts: Iterable[str]) -> set[int]:
    """Return the numbers of rules or sections of the design that are cited."""
    cited = rf"\b{kind}s? (\d+)(?:,? (?:to|and|or) (\d+))? of\s+(?:# |\* )?the\s+(?:# )?\[?design"
    return {int(n) for text in texts for pair in re.findall(cited, text) for n in pair if n}


def test_rules_and_sections_that_are_cited_exist() -> None:
    """The program, its tests and the texts cite them by number, so numbers stay."""
    rules = [int(n) for n in re.findall(r"^(\d+)\. \S", part(DESIGN, "## 4. Shape"), re.MULTILINE)]
    assert list(range(1, 16)) == rules
    headings = re.findall(r"^## (\d+)(?: to (\d+))?\. ", DESIGN, re.MULTILINE)
    sections = [n for a, b in headings for n in range(int(a), int(b or a) + 1)]
    assert list(range(1, 12)) == sections
    citing = [*SOURCES.values(), *TEXTS.values()]
    citing += [path.read_text() for path in (ROOT / "tests").rglob("*.py")]
    assert numbers("rule", citing) <= set(rules)
    assert numbers("section", citing) <= set(sections)
    assert {7, 12, 14} <= numbers("rule", citing)  # it does find them, wrapped lines too


def test_the_table_of_the_state_has_every_file_that_the_program_has_there() -> None:
    """And none that it never names."""
    directory = r'(?:\bstate|\._state|state\.directory)(?:\}/|, ")([\w-]+(?:\.[\w-]+)*)'
    made = {name for source in SOURCES.values() for name in re.findall(directory, source)}
    table = list(rows(TEXTS["docs/state.md"]))[1:]
    paths = [span for cells in table for span in spans(cells[0].partition(" with ")[0])]
    assert made == {path.partition("/")[0] for path in paths}


# ---- the form of the texts ---------------------------------------------------------------------


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    """One name, one thing."""
    words = [cells[0].lower() for cells in rows(TEXTS["docs/glossary.md"])][1:]
    assert [] == [pair for pair in pairwise(words) if pair[0] >= pair[1]]
    assert {"case", "set", "stanza"} <= set(words)


def test_decisions_are_numbered_have_one_form_and_can_be_found() -> None:
    """Context, decision, consequences, measured; ARCHITECTURE.md leads to each."""
    decisions = [name for name in TEXTS if name.startswith("docs/decisions/")]
    assert decisions
    for number, name in enumerate(decisions, start=1):
        assert re.fullmatch(rf"docs/decisions/{number:04}-[a-z-]+\.md", name)
        assert TEXTS[name].startswith(f"# {number:04}: ")
        form = ["Context", "Decision", "Consequences", "Measured"]
        assert form == re.findall(r"^## (.*)$", TEXTS[name], re.MULTILINE)
        assert f"]({name})" in TEXTS["ARCHITECTURE.md"]


def test_the_readme_installs_what_templates_and_apaches_page_want() -> None:
    """The links of `conf/apache/README.md`, and every module that a template asks for."""
    readme = TEXTS["README.md"]
    links = re.compile(r"^    ln -s .*$", re.MULTILINE)
    assert links.findall((ROOT / "conf/apache/README.md").read_text()) == links.findall(readme)
    # What `isolated` wants besides, its own configuration says.
    sets = [ROOT / "conf/templates" / name for name in ("stable", "classic")]
    templates = "".join(path.read_text() for found in sets for path in found.rglob("*.j2"))
    wanted = set(re.findall(r"<IfModule !?mod_(\w+)\.c>", templates)) - {"access_compat"}
    enabled = " ".join(re.findall(r"a2enmod ([a-z_ ]+)", readme))
    assert wanted
    assert wanted <= set(enabled.split())
