"""The documentation says what the code does: it fails the build when it lies."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from docfleet.cli.main import app
from docfleet.domain.cascade import CascadePolicy, Reason
from docfleet.domain.media import MEDIA_TYPES
from docfleet.engines.registry import BUILTIN
from docfleet.errors import document_error_codes
from docfleet.exports.registry import EXPORTS
from docfleet.pipeline.outcome import DocumentOutcome, IndexRow, PageOutcome
from docfleet.settings import Settings
from docfleet.worker.batch import CHEAP_CODES

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "docfleet"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = [
    ROOT / "README.md",
    *(ROOT / "docs" / name for name in ("quickstart.md", "how-to/use-from-python.md", "how-to/receive-webhooks.md")),
]
"""Pages whose Python blocks are run from the root of the repository, in order; but for those that need a service:
`tests/acceptance/test_quickstart_service.py` runs these.
"""
SECTIONS: dict[str, Any] = {name: field.annotation for name, field in Settings.model_fields.items()}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


class Block(NamedTuple):
    language: str
    text: str
    line: int


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks_of(text: str) -> Iterator[Block]:
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(match[1], match[2], text.count("\n", 0, match.start()) + 2)


def prose_of(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def code_of(text: str) -> list[str]:
    """What stands in code font within the prose."""
    return re.findall(r"`([^`\n]+)`", prose_of(text))


def between(text: str, mark: str, end: str | None = None) -> str:
    assert f"<!-- {mark} -->" in text, f"the mark {mark} is missing"
    return text.partition(f"<!-- {mark} -->")[2].partition(f"<!-- /{end or mark} -->")[0]


def rows_of(table: str) -> list[list[str]]:
    """Cells of a Markdown table's body, code font taken off the first."""
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]
    return [[cells_of[0].strip("` "), *cells_of[1:]] for cells_of in cells]


# --- links and places ------------------------------------------------------------------------------------------------


def anchors_of(text: str) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose_of(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page.read_text(encoding="utf-8"))):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        if anchor:
            assert anchor in anchors_of(place.read_text(encoding="utf-8")), target


def test_the_map_names_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / t).resolve() for t in re.findall(r"\]\(([^)#\s]+)", index.read_text(encoding="utf-8"))}
    assert {page for page in PAGES if page.is_relative_to(index.parent)} - linked == {index}


PLACE = re.compile(r"(?:[\w.-]+/)+[\w.*-]*|[\w-]+\.py")
FOLDERS = {"src", "tests", "docs", "tools", "bench", "samples", ".ci"}
BESIDE = [ROOT, PACKAGE, ROOT / "tests" / "engines" / "docfleet_engine_shout"]
"""What a place may be relative to: the repository, the package, the engine that is shown as an example."""


@every_page
def test_named_files_exist(page: Path) -> None:
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"ledger"}
    for name in code_of(page.read_text(encoding="utf-8")):
        if not PLACE.fullmatch(name):
            continue
        first = name.split("/")[0]
        if "/" not in name:
            found = [path for top in ("src", "tests") for path in (ROOT / top).rglob(name)]
            assert found, name
        elif first in FOLDERS or (name.endswith(".py") and first in packages):
            assert any(list(place.glob(name.rstrip("/"))) for place in BESIDE), name


@every_page
def test_no_machine_and_no_registry_is_named(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w.])/(?:work|tmp|home|root|mnt|Users)/\S*", text)
    assert not re.findall(r"\S*(?:pypi\.|pythonhosted|npmjs\.|jfrog|artifactory|/simple/|index-url)\S*", text)


@every_page
def test_lines_are_of_readable_length(page: Path) -> None:
    if "Written by `make docs`" in page.read_text(encoding="utf-8"):
        return
    prose = prose_of(page.read_text(encoding="utf-8")).splitlines()
    assert not [line for line in prose if len(line) > 150 and not line.startswith("|")]


# --- commands --------------------------------------------------------------------------------------------------------


@cache
def root_command() -> Any:
    return typer.main.get_command(app)


def commands_in(text: str) -> Iterator[tuple[str, bool]]:
    """Command lines of docfleet, and whether they are whole: lines of shell blocks are, mentions in code font not."""
    for block in blocks_of(text):
        if block.language in ("", "sh", "console"):
            for line in block.text.splitlines():
                if match := re.match(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?docfleet (.*)", line):
                    yield match[1], True
    for code in code_of(text):
        if code.startswith("docfleet "):
            yield code.removeprefix("docfleet "), False


def check_command(line: str, *, whole: bool = True) -> None:
    """Raises what the command line itself would say; nothing is run. Only a whole one must have all it needs."""
    words = shlex.split(line.replace("…", ""), comments=True)
    arguments = list(takewhile(lambda word: word not in (">", "|", "&&"), words))
    if {"--version", "--help", "[OPTIONS]"} & set(arguments):
        return
    command, name, rest = root_command(), "", list(arguments)
    while hasattr(command, "commands"):
        while rest and rest[0].startswith("-"):
            option = next(p for p in command.params if rest[0] in p.opts)
            rest = rest[1 if option.is_flag else 2 :]
        if not rest and not whole and name:
            return  # a mention of a group of commands
        assert rest, f"no command in: docfleet {line}"
        assert rest[0] in command.commands, f"no such command: docfleet {line}"
        name, rest = rest[0], rest[1:]
        command = command.commands[name]
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    assert {word for word in rest if word.startswith("--")} <= known, line
    if whole:
        command.make_context(name, rest)


def every_command(command: Any | None = None) -> Iterator[Any]:
    """The root command, its groups, and every command in them."""
    command = command or root_command()
    yield command
    for one in getattr(command, "commands", {}).values():
        yield from every_command(one)


@every_page
def test_commands_and_options_exist(page: Path) -> None:
    for line, whole in commands_in(page.read_text(encoding="utf-8")):
        try:
            check_command(line, whole=whole)
        except typer.TyperException as error:
            pytest.fail(f"docfleet {line}: {error}")


def test_a_wrong_command_would_be_noticed() -> None:
    for line in ("proces inbox/ --out results/", "codes --yaml", "process inbox/ --output results/"):
        with pytest.raises((AssertionError, typer.TyperException)):
            check_command(line)
    with pytest.raises(typer.TyperException):
        check_command("process inbox/ --workers many --out results/")


@every_page
def test_options_in_code_font_exist(page: Path) -> None:
    known = {option for c in every_command() for p in c.params for option in (*p.opts, *p.secondary_opts)}
    known |= {"--quick", "--only", "--help", "--check"}  # of `python -m bench` and the tools
    known |= set(re.findall(r'"(--[a-z-]+)"', read("tools/chaos.py")))
    for code in code_of(page.read_text(encoding="utf-8")):
        if code.startswith("--"):
            assert code.split()[0].rstrip(",") in known, code


@every_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    lines = [line for block in blocks_of(text) if block.language == "" for line in block.text.splitlines()]
    named = [match[1] for line in (*lines, *code_of(text)) if (match := re.match(r"^make ([a-z-]+)", line))]
    assert set(named) <= targets


# --- settings, codes, names ------------------------------------------------------------------------------------------


@cache
def words_of_the_sources() -> frozenset[str]:
    files = [path for top in ("src", "tests", "tools", "bench") for path in (ROOT / top).rglob("*.py")]
    files = [path for path in files if path != Path(__file__)]
    files.append(ROOT / "pyproject.toml")
    return frozenset(word for path in files for word in re.findall(r"\w+", path.read_text(encoding="utf-8")))


@every_page
def test_environment_variables_exist(page: Path) -> None:
    settings = {f"DOCFLEET_{s}__{n}".upper() for s, kind in SECTIONS.items() for n in kind.model_fields}
    for name in re.findall(r"\bDOCFLEET_\w+", page.read_text(encoding="utf-8")):
        assert name in (settings if "__" in name else words_of_the_sources()), name


@every_page
def test_settings_exist(page: Path) -> None:
    for code in code_of(page.read_text(encoding="utf-8")):
        section, dot, name = code.partition(".")
        if dot and section in SECTIONS and re.fullmatch(r"\w+", name):
            assert name in SECTIONS[section].model_fields, code


@every_page
def test_toml_blocks_are_settings(page: Path) -> None:
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.language == "toml" and "[build-system]" not in block.text:
            given = tomllib.loads(block.text)
            assert set(given) <= set(SECTIONS)
            Settings(**given)


@every_page
def test_names_in_code_font_exist(page: Path) -> None:
    """Codes, reasons, fields and functions: whatever is spelled with underscores stands somewhere in the sources."""
    for code in code_of(page.read_text(encoding="utf-8")):
        if re.fullmatch(r"[a-zA-Z]+(_[a-zA-Z]+)+", code) and not code.startswith(("RLIMIT_", "PR_SET_")):
            assert code in words_of_the_sources(), code


def test_every_code_is_documented() -> None:
    listed = [row[0] for row in rows_of("| code |" + read("docs/reference/outcome-codes.md").partition("| code |")[2])]
    assert set(document_error_codes()) <= set(listed)
    for code, cls in document_error_codes().items():
        assert cls.remedy, code
        assert cls.__doc__, code


def test_codes_that_every_run_looks_at_again() -> None:
    page = read("docs/how-to/continue-and-retry.md")
    listed = between(page, "cheap codes")
    assert set(re.findall(r"`(\w+)`", listed)) == CHEAP_CODES


@pytest.mark.parametrize("kind", [IndexRow, DocumentOutcome, PageOutcome], ids=lambda kind: kind.__name__)
def test_fields_of_the_results(kind: Any) -> None:
    table = between(read("docs/how-to/read-results.md"), f"fields: {kind.__name__}", "fields")
    assert [row[0] for row in rows_of(table)] == list(kind.__struct_fields__)


def test_keys_of_the_summary() -> None:
    from docfleet.cli.process import _summary
    from docfleet.worker.batch import BatchEnd

    table = between(read("docs/how-to/read-results.md"), "fields: summary", "fields")
    assert [row[0] for row in rows_of(table)] == list(_summary([], BatchEnd(False, 0.0, 0.0, frozenset()), Path("out")))


def test_reasons_of_the_cascade() -> None:
    table = between(read("docs/explanation/how-a-page-is-read.md"), "reasons")
    assert sorted(row[0] for row in rows_of(table)) == sorted(Reason)


@pytest.mark.parametrize(
    ("page", "start"),
    [
        ("docs/explanation/how-a-page-is-read.md", "<!-- thresholds -->"),
        ("docs/decisions/0003-cascade.md", "| threshold | value |"),
    ],
)
def test_thresholds_of_the_cascade(page: str, start: str) -> None:
    part = read(page).partition(start)[2].partition("\n\n")[0]
    told = {row[0]: float(row[1]) for row in rows_of("| head |\n" + part) if re.fullmatch(r"[\d.]+", row[-2])}
    policy = CascadePolicy()
    assert told == {name: getattr(policy, name) for name in policy.__struct_fields__ if name != "force"}


def test_formats_types_and_engines_are_listed() -> None:
    formats = {row[0]: row[1].strip("`") for row in rows_of(read("docs/how-to/choose-formats.md"))}
    for name, export in EXPORTS.items():
        assert formats[name].startswith(export.file_name), name
    types = re.findall(r"\| `([\w-]+/[\w-]+)` \|", read("docs/how-to/process-a-folder.md"))
    assert sorted(types) == sorted(MEDIA_TYPES)
    assert set(BUILTIN) <= {row[0] for row in rows_of(read("docs/how-to/choose-an-engine.md"))}


def test_layers_are_those_the_linter_enforces() -> None:
    layers = read(".importlinter").partition("layers =\n")[2]
    shown = between(read("docs/explanation/architecture.md"), "layers").strip().splitlines()[1:-1]
    assert shown == [line.strip() for line in layers.splitlines() if line.strip()]


# --- pages and blocks made from the code -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written() -> dict[str, Callable[[], str]]:
    import importlib.util

    spec = importlib.util.spec_from_file_location("write_reference", ROOT / "tools" / "write_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, Callable[[], str]] = module.PAGES
    return pages


def test_generated_pages_are_current(written: dict[str, Callable[[], str]]) -> None:
    stale = [name for name, write in written.items() if read(f"docs/reference/{name}") != write()]
    assert not stale, "run `make docs`"


def test_the_help_shows_its_defaults() -> None:
    """Square brackets are markup in help texts: an unescaped "[default: ...]" would vanish."""
    for command in every_command():
        for parameter in command.params:
            assert not re.search(r"(?<!\\)\[default:", getattr(parameter, "help", None) or ""), parameter.name


def test_files_shown_whole_are_the_files() -> None:
    shown = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name, code in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            assert read(name).rstrip("\n") == code.rstrip("\n"), f"{page.name} shows another {name}"
            shown += 1
    assert shown == 2


@every_page
def test_python_blocks_compile(page: Path) -> None:
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.language == "python":
            compile(block.text, f"{page.name}:{block.line}", "exec")


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_python_blocks_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for name in [name for name in os.environ if name.startswith("DOCFLEET_")]:
        monkeypatch.delenv(name)
    names: dict[str, Any] = {"__name__": "page"}
    ran = 0
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.language == "python" and "Client(" not in block.text:
            exec(compile(block.text, f"{page.name}:{block.line}", "exec"), names)
            ran += 1
        elif block.language == "pycon":
            example = doctest.DocTestParser().get_doctest(block.text, names, page.name, str(page), block.line)
            runner = doctest.DocTestRunner(verbose=False)
            told: list[str] = []
            runner.run(example, out=told.append, clear_globs=False)
            assert not told, "".join(told)
            names = example.globs
            ran += 1
    assert ran
