"""The main job on the sample documents: one command, and what it wrote is compared with the truth.

Only the results are looked at, as a user has them: the index, each document's folder, the exit code.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pytest
from PIL import Image, ImageChops, ImageStat

from document_json import JsonPage, read_json
from scoring import (
    PlacedWord,
    box_match_rate,
    character_error_rate,
    reading_order,
    table_match,
    word_match,
    words_of,
)

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"
TRUTH = ROOT / "tests" / "samples_truth"
PASSWORDS = TRUTH / "passwords.txt"
NAMES = sorted(path.name.removesuffix(".json") for path in TRUTH.glob("*.json"))
TRUTHS: dict[str, dict[str, Any]] = {
    name: json.loads((TRUTH / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES
}
READ = [name for name in NAMES if TRUTHS[name]["pages"]]
PAGES = [(name, index) for name in READ for index in range(len(TRUTHS[name]["pages"]))]
DIGITAL = [(name, index) for name, index in PAGES if TRUTHS[name]["pages"][index]["engine"] == "text_layer"]

WORD_F1 = {"text_layer": 0.99, "both": 0.96, "ocr": 0.95}
"""Least word F1 of a page by how it has to be read; type is exact but for marks that belong to no word."""
WORD_F1_OF = {"receipt-photo.jpg": 0.90, "fax-standard.tif": 0.85}
"""Harder pictures: taken from the side in bad light; half the lines missing."""
CHARACTER_ERRORS = {
    "contract.pdf": 0.01,
    "letter-fr.pdf": 0.04,
    "article-two-column.pdf": 0.03,
    "letter-de.png": 0.03,
    "upside-down-skewed.png": 0.02,
    "garbage-layer.pdf": 0.02,
    "fax.tif": 0.04,
    "half-scan.pdf": 0.04,
}
"""Most character errors of documents whose order of reading leaves little choice. In a letterhead the name or the
address beside it may come first (the French one's address is 3 % of its letter)."""
BOX_OVERLAP = 0.4
"""Truth boxes span the font's ascent and descent, a recogniser's the ink: half the height may differ."""


@dataclass(frozen=True)
class Run:
    folder: Path
    exit_code: int
    errors: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
        return found

    def row(self, name: str) -> dict[str, Any]:
        matching = [row for row in self.rows if row["file"] == f"samples/{name}"]
        assert len(matching) == 1, f"{name}: {len(matching)} rows"
        return matching[0]

    def document(self, name: str) -> Path:
        return self.folder / str(self.row(name)["folder"])

    def page(self, name: str, index: int) -> JsonPage:
        return read_json(self.document(name) / "document.json")[index]


def process(out: Path, *arguments: str | Path) -> Run:
    command = [sys.executable, "-m", "docfleet", "process", *map(str, arguments), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=ROOT)
    return Run(out, done.returncode, done.stderr)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return process(tmp_path_factory.mktemp("samples") / "results", "samples", "--password-file", PASSWORDS)


def true_page(name: str, index: int) -> dict[str, Any]:
    page: dict[str, Any] = TRUTHS[name]["pages"][index]
    return page


def true_text(name: str, index: int) -> str:
    return "\n".join(true_page(name, index)["text"])


def true_words(name: str, index: int) -> list[PlacedWord]:
    return [(text, (x0, y0, x1, y1)) for text, x0, y0, x1, y1 in true_page(name, index)["words"]]


def test_exit_code_says_that_some_documents_failed(run: Run) -> None:
    assert run.exit_code == 1, run.errors


def test_every_input_has_one_row(run: Run) -> None:
    expected = {name for name in NAMES if name != "mixed.zip"}
    expected |= {f"mixed.zip/{member['file']}" for member in TRUTHS["mixed.zip"]["members"]}
    assert sorted(row["file"] for row in run.rows) == sorted(f"samples/{name}" for name in expected)
    with (run.folder / "index.csv").open(newline="", encoding="utf-8") as sheet:
        assert [row["file"] for row in csv.DictReader(sheet)] == [row["file"] for row in run.rows]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mixed.zip"])
def test_outcome(run: Run, name: str) -> None:
    truth, row = TRUTHS[name], run.row(name)
    assert (row["outcome"], row["code"]) == (truth["outcome"], truth["code"])
    if truth["code"]:
        assert row["message"]
        assert row["remedy"]
    else:
        assert row["pages"] == len(truth["pages"])
        assert run.document(name).is_dir()


@pytest.mark.parametrize(("name", "index"), PAGES)
def test_each_page_was_read_the_right_way(run: Run, name: str, index: int) -> None:
    page = json.loads((run.document(name) / "outcome.json").read_text(encoding="utf-8"))["pages"][index]
    layer, pixels = "text_layer" in page["engine"], page["engine"] not in ("", "none", "text_layer")
    way = {(True, False): "text_layer", (False, True): "ocr", (True, True): "both"}.get((layer, pixels), "none")
    assert way == true_page(name, index)["engine"], page["detail"]
    assert page["reason"]
    assert 0 < page["confidence"] <= 1


@pytest.mark.parametrize(("name", "index"), PAGES)
def test_words(run: Run, name: str, index: int) -> None:
    least = WORD_F1_OF.get(name, WORD_F1[true_page(name, index)["engine"]])
    match = word_match(true_text(name, index), run.page(name, index).text)
    assert match.f1 >= least, match


@pytest.mark.parametrize("name", CHARACTER_ERRORS)
def test_characters_in_reading_order(run: Run, name: str) -> None:
    pages = read_json(run.document(name) / "document.json")
    truth = "\n".join(true_text(name, index) for index in range(len(pages)))
    rate = character_error_rate(truth, "\n".join(page.text for page in pages))
    assert rate <= CHARACTER_ERRORS[name]


@pytest.mark.parametrize("index", range(len(TRUTHS["article-two-column.pdf"]["pages"])))
def test_columns_are_read_one_after_the_other(run: Run, index: int) -> None:
    name = "article-two-column.pdf"
    assert reading_order(true_text(name, index), run.page(name, index).text) >= 0.97


@pytest.mark.parametrize(("name", "index"), PAGES)
def test_words_stand_in_the_right_place(run: Run, name: str, index: int) -> None:
    rate = box_match_rate(true_words(name, index), run.page(name, index).words, BOX_OVERLAP)
    assert rate >= (0.97 if (name, index) in DIGITAL else 0.9)


@pytest.mark.parametrize(("name", "index"), PAGES)
def test_orientation(run: Run, name: str, index: int) -> None:
    names = {0: "PAGE_UP", 90: "PAGE_RIGHT", 180: "PAGE_DOWN", 270: "PAGE_LEFT"}
    assert run.page(name, index).orientation == names[true_page(name, index)["orientation"]]


@pytest.mark.parametrize(("name", "index"), PAGES)
def test_language(run: Run, name: str, index: int) -> None:
    """The first language found; a page of little more than names and figures may be left open."""
    found = [code.partition("-")[0] for code in run.page(name, index).languages]
    if name not in ("receipt-photo.jpg", "bank-statement.pdf") or found:
        assert found[:1] == true_page(name, index)["languages"]


@pytest.mark.parametrize(("name", "index"), [(n, i) for n, i in DIGITAL if TRUTHS[n]["pages"][i]["tables"]])
def test_tables_of_digital_pages(run: Run, name: str, index: int) -> None:
    match = table_match(true_page(name, index)["tables"], run.page(name, index).tables)
    assert match.recall >= 0.95, match
    assert match.precision >= 0.85, match


@pytest.mark.parametrize("name", ["contract.pdf", "letter-fr.pdf"])
def test_prose_holds_no_tables(run: Run, name: str) -> None:
    pages = read_json(run.document(name) / "document.json")
    assert [page.tables for page in pages] == [[] for _ in pages]


@pytest.mark.parametrize("name", READ)
def test_tables_as_files_are_the_tables_of_the_json(run: Run, name: str) -> None:
    folder = run.document(name)
    sheets = []
    for path in sorted((folder / "tables").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as sheet:
            sheets.append([[" ".join(cell.split()) for cell in row] for row in csv.reader(sheet)])
    pages = read_json(folder / "document.json")
    tables = [[[" ".join(c.split()) for c in row] for row in table] for page in pages for table in page.tables]
    assert sheets == tables


@pytest.mark.parametrize("name", READ)
def test_text_file_has_the_words_of_the_json(run: Run, name: str) -> None:
    folder = run.document(name)
    pages = (folder / "document.txt").read_text(encoding="utf-8").rstrip("\f").split("\f")
    expected = read_json(folder / "document.json")
    assert [words_of(page) for page in pages] == [words_of(page.text) for page in expected]


def test_markdown_keeps_headings_lists_and_tables(run: Run) -> None:
    def lines(name: str) -> list[str]:
        return (run.document(name) / "document.md").read_text(encoding="utf-8").splitlines()

    article = lines("article-two-column.pdf")
    assert any(line.startswith("# ") and "Slow water, fast paper" in line for line in article)
    headings = [line.lstrip("# ") for line in article if line.startswith("#")]
    for heading in ("1 Introduction", "3.2 Hoods", "5 Conclusion"):
        assert heading in headings
    _, first, *_ = true_page("invoice-01.pdf", 0)["tables"][0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines("invoice-01.pdf") if "|" in line]
    assert first in rows
    assert any(line.lstrip().startswith(("- ", "* ")) and "120 cahiers" in line for line in lines("letter-fr.pdf"))


@pytest.mark.parametrize("name", READ)
def test_searchable_pdf_finds_the_words_where_they_stand(run: Run, name: str) -> None:
    """By another reader than ours: the PDF engine's own text of each word's box."""
    document = pdfium.PdfDocument(run.document(name) / "searchable.pdf", password=last_password())
    assert len(document) == len(TRUTHS[name]["pages"])
    for index in range(len(document)):
        page = document[index]
        if name == "garbage-layer.pdf" and index == 0:
            continue  # visible type keeps its wrong map; how it is selected is for the exporter to document
        width, height = page.get_size()
        text = page.get_textpage()
        read = text.get_text_range()
        assert word_match(true_text(name, index), read).recall >= WORD_F1_OF.get(name, 0.93)
        found = []
        for _, (x0, y0, x1, y1) in true_words(name, index):
            here = text.get_text_bounded(x0 * width, (1 - y1) * height, x1 * width, (1 - y0) * height)
            found.append(here.replace("\ufffe", "-"))
        assert word_match(true_text(name, index), " ".join(found)).recall >= WORD_F1_OF.get(name, 0.93) - 0.08
    document.close()


def last_password() -> str:
    return PASSWORDS.read_text().split()[-1]


@pytest.mark.parametrize("name", [name for name in READ if name.endswith(".pdf")])
def test_searchable_pdf_looks_like_the_original(run: Run, name: str) -> None:
    before = pdfium.PdfDocument(SAMPLES / name, password=last_password())
    after = pdfium.PdfDocument(run.document(name) / "searchable.pdf", password=last_password())
    for index in range(len(before)):
        pictures: list[Image.Image] = [d[index].render(scale=1).to_pil().convert("L") for d in (before, after)]
        assert ImageStat.Stat(ImageChops.difference(*pictures)).mean[0] < 0.01
    before.close()
    after.close()


def test_same_bytes_are_read_once(run: Run) -> None:
    first = run.row("invoice-01.pdf")
    again = run.row("mixed.zip/invoice-01.pdf")
    copy, note = run.row("mixed.zip/copies/delivery-note-copy.pdf"), run.row("mixed.zip/delivery-note.pdf")
    assert sum(bool(row["duplicate_of"]) for row in (first, again)) == 1
    assert sum(bool(row["duplicate_of"]) for row in (copy, note)) == 1
    assert again["folder"] == first["folder"]
    assert copy["folder"] == note["folder"]
    text = read_json(run.folder / note["folder"] / "document.json")[0].text
    assert word_match("\n".join(TRUTHS["mixed.zip"]["members"][0]["pages"][0]["text"]), text).f1 >= 0.99


def test_report_of_the_batch(run: Run) -> None:
    report = pdfium.PdfDocument(run.folder / "report.pdf")
    text = " ".join(report[index].get_textpage().get_text_range() for index in range(len(report)))
    report.close()
    assert "unrepairable.pdf" in text


def test_same_command_again_reads_nothing_again(run: Run) -> None:
    def stamps() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in run.folder.glob("*/document.json")}

    before, rows = stamps(), run.rows
    again = process(run.folder, "samples", "--password-file", PASSWORDS)
    assert again.exit_code == run.exit_code
    assert stamps() == before
    assert [(row["file"], row["outcome"], row["folder"]) for row in again.rows] == [
        (row["file"], row["outcome"], row["folder"]) for row in rows
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("given", "code"), [(None, "password_required"), ("not-this-one\n", "password_wrong")])
def test_locked_document_without_its_password(tmp_path: Path, given: str | None, code: str) -> None:
    (tmp_path / "passwords.txt").write_text(given or "")
    arguments: list[str | Path] = ["--password-file", tmp_path / "passwords.txt"] if given else []
    run = process(tmp_path / "out", "samples/password-protected.pdf", *arguments)
    row = run.row("password-protected.pdf")
    assert (run.exit_code, row["outcome"], row["code"]) == (1, "failed", code)
