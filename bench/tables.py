"""Tables of born-digital pages against the ICDAR 2013 truth: adjacency relations found, in place and not found.

    python -m bench.tables [FOLDER]               one line a document, then the totals
    python -m bench.tables --without-rulings      the same pages with their drawn lines hidden: plain tables only

Measure: Göbel et al., "A methodology for evaluating algorithms for table understanding in PDF documents" (2012). Each
filled cell and its next filled neighbour to the right and below make a relation; relations are compared by the texts of
both cells (white space removed) and the direction, per document, repeated ones counted. This is the complete task:
tables are found and read by docfleet, nothing is told about where they are.
"""

from __future__ import annotations

import argparse
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.table import Row
from docfleet.domain.document import Page, Table
from docfleet.domain.words import WordPage
from docfleet.engines.local import text_layer
from docfleet.engines.local.layout import lay_out
from docfleet.sandbox import PageBundle, Sandbox

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "corpora" / "tables"
Relation = tuple[str, str, str]


@dataclass(frozen=True)
class Cell:
    row: int
    column: int
    row_end: int
    column_end: int
    text: str


@dataclass(frozen=True)
class Score:
    right: int
    found: int
    true: int

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else float(self.true == 0)

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split()).lower()


def relations(cells: Iterable[Cell]) -> Counter[Relation]:
    """Pairs of a filled cell and its next filled neighbour to the right and below."""
    field: dict[tuple[int, int], Cell] = {}
    for cell in cells:
        if cell.text:
            for row in range(cell.row, cell.row_end + 1):
                for column in range(cell.column, cell.column_end + 1):
                    field.setdefault((row, column), cell)
    rows = max((row for row, _ in field), default=-1)
    columns = max((column for _, column in field), default=-1)
    pairs: set[tuple[Cell, Cell, str]] = set()
    for (row, column), cell in field.items():
        right = next((field[row, k] for k in range(column + 1, columns + 1) if (row, k) in field), None)
        below = next((field[k, column] for k in range(row + 1, rows + 1) if (k, column) in field), None)
        pairs |= {(cell, other, way) for other, way in ((right, "h"), (below, "v")) if other not in (None, cell)}
    return Counter((a.text, b.text, way) for a, b, way in pairs)


def true_tables(path: Path) -> Iterator[list[Cell]]:
    """The tables of one `*-str.xml`; a table's regions on several pages count each for itself."""
    for table in ElementTree.parse(path).getroot().iter("table"):
        for region in table.iter("region"):
            cells = []
            for cell in region.iter("cell"):
                row, column = int(cell.get("start-row", 0)), int(cell.get("start-col", 0))
                content = cell.findtext("content") or ""
                row_end, column_end = int(cell.get("end-row", row)), int(cell.get("end-col", column))
                cells.append(Cell(row, column, row_end, column_end, plain(content)))
            yield cells


def cells_of(table: Table, text: str) -> list[Cell]:
    """A table's cells at their places in its grid: fields under a span are skipped, as in HTML."""
    taken: set[tuple[int, int]] = set()
    found = []
    for row, cells in enumerate((*table.header_rows, *table.body_rows)):
        column = 0
        for cell in cells:
            while (row, column) in taken:
                column += 1
            last_row, last_column = row + cell.row_span - 1, column + cell.column_span - 1
            taken |= {(r, c) for r in range(row, last_row + 1) for c in range(column, last_column + 1)}
            content = "".join(text[s.start : s.end] for s in cell.layout.spans)
            found.append(Cell(row, column, last_row, last_column, plain(content)))
            column = last_column + 1
    return found


def score(pages: Iterable[tuple[str, Page]], truth: Iterable[list[Cell]]) -> Score:
    found: Counter[Relation] = Counter()
    for text, page in pages:
        for table in page.tables:
            found += relations(cells_of(table, text))
    true: Counter[Relation] = Counter()
    for cells in truth:
        true += relations(cells)
    return Score((found & true).total(), found.total(), true.total())


def read_pages(path: Path) -> list[WordPage]:
    with Sandbox() as sandbox:
        opened = sandbox.open(path, "application/pdf")
        bundles = [b for b in sandbox.pages(range(1, opened.pages + 1)) if isinstance(b, PageBundle)]
    return [text_layer.words(b.facts, b.text) for b in bundles if b.text is not None]


def total(scores: Iterable[Score]) -> Score:
    right, found, true = (sum(column) for column in zip(*((s.right, s.found, s.true) for s in scores), strict=True))
    return Score(right, found, true)


def measure(folder: Path, *, rulings: bool = True) -> dict[str, Score]:
    scores = {}
    for path in sorted(folder.glob("*.pdf")):
        pages = read_pages(path)
        if not rulings:
            pages = [msgspec.structs.replace(page, rulings=[]) for page in pages]
        laid = [lay_out(page, number) for number, page in enumerate(pages, 1)]
        scores[path.stem] = score(laid, true_tables(path.with_name(f"{path.stem}-str.xml")))
    return scores


def rows(quick: bool) -> list[Row]:
    """One row with the drawn lines, one with them hidden. These documents were looked at while the reader was made."""
    made = []
    for rulings in (True, False):
        scores = measure(FOLDER, rulings=rulings)
        kept = list(scores.values())[:: 4 if quick else 1]
        sum_ = total(kept)
        made.append(
            Row(
                f"tables of {len(kept)} digital PDFs{'' if rulings else ', drawn lines hidden'}: adjacency relations",
                f"F1 {sum_.f1:.3f} (precision {sum_.precision:.3f}, recall {sum_.recall:.3f})",
                "published on the whole set: best academic .837 (complete task), FineReader .877",
                "-",
                None,
            )
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--without-rulings", action="store_true")
    asked = parser.parse_args()
    scores = measure(asked.folder, rulings=not asked.without_rulings)
    for name, s in [*scores.items(), ("all", total(scores.values()))]:
        counts = f"({s.right} right, {s.found} found, {s.true} true)"
        print(f"{name:12} precision {s.precision:.3f}  recall {s.recall:.3f}  F1 {s.f1:.3f}  {counts}")
    print(f"mean of the documents' F1: {sum(s.f1 for s in scores.values()) / max(len(scores), 1):.3f}")


if __name__ == "__main__":
    main()
