"""What is told about a document besides what was read: its outcome, page by page, and its row in the index."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from docfleet.domain.document import Page, Reading

OUTCOME_FILE = "outcome.json"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula."""


class PageOutcome(msgspec.Struct, frozen=True):
    """How one page was read."""

    page: int
    outcome: str
    """"read", or the code of the error that cost it."""
    engine: str
    reason: str
    detail: str
    confidence: float
    cost_usd: float
    seconds: float
    characters: int
    tables: int
    languages: list[str]
    orientation: str
    quality: float | None
    """Image quality 0..1; null for pages whose pixels were not looked at."""


class DocumentOutcome(msgspec.Struct, frozen=True):
    """`outcome.json`: beside the results of every document."""

    file: str
    outcome: str
    code: str
    message: str
    media_type: str
    sha256: str
    bytes: int
    repaired: bool
    """The file was damaged; what was read is a repaired copy."""
    pages: list[PageOutcome]
    confidence: float
    cost_usd: float
    seconds: float
    formats: list[str]
    docfleet: str
    """Version that read it."""


class IndexRow(msgspec.Struct, frozen=True):
    """One row of `index.json` and `index.csv`: what became of one input."""

    file: str
    outcome: str
    """succeeded, partial or failed."""
    code: str = ""
    """Why not succeeded; empty otherwise."""
    message: str = ""
    remedy: str = ""
    pages: int = 0
    pages_failed: int = 0
    engine: str = ""
    """Engines that read its pages, most used first, joined with a comma."""
    confidence: float | None = None
    seconds: float = 0.0
    cost_usd: float = 0.0
    bytes: int = 0
    media_type: str = ""
    sha256: str = ""
    folder: str = ""
    """Folder of the results, relative to the index; empty when there is none."""
    duplicate_of: str = ""
    """The input with the same bytes that was read in its place."""


def page_outcome(text: str, page: Page, reading: Reading) -> PageOutcome:
    return PageOutcome(
        page=page.number,
        outcome=reading.outcome,
        engine=reading.engine,
        reason=reading.reason,
        detail=reading.detail,
        confidence=reading.confidence,
        cost_usd=reading.cost_usd,
        seconds=reading.seconds,
        characters=sum(not character.isspace() for character in text),
        tables=len(page.tables),
        languages=[language.code for language in page.languages],
        orientation=str(page.layout.orientation) if page.layout else "",
        quality=round(page.quality.score, 4) if page.quality else None,
    )


def engines_used(engines: Iterable[str]) -> str:
    """Engines most used first, joined with a comma; pages that needed none do not count."""
    counted = Counter(engine for engine in engines if engine not in ("", "none"))
    return ",".join(name for name, _ in counted.most_common())


def confidence_of(pages: Sequence[PageOutcome]) -> float:
    """Mean over characters of the pages that were read; 1 when there is no character."""
    read = [page for page in pages if page.outcome == "read"]
    characters = sum(page.characters for page in read)
    if not characters:
        return 1.0
    return round(sum(page.confidence * page.characters for page in read) / characters, 4)


def write_index(rows: Sequence[IndexRow], folder: Path) -> None:
    """Writes `index.json` and `index.csv`, each whole or not at all.

    People open the CSV in spreadsheets, which take text that starts with =, +, -, @, tab or carriage return for a
    formula: such a text (a file name from outside may be one) gets an apostrophe before it. The JSON holds it as it is.
    """
    replace_file(folder / "index.json", msgspec.json.format(msgspec.json.encode(rows), indent=1))
    sheet = io.StringIO()
    names = IndexRow.__struct_fields__
    writer = csv.writer(sheet)
    writer.writerow(names)
    writer.writerows([[_cell(getattr(row, name)) for name in names] for row in rows])
    replace_file(folder / "index.csv", sheet.getvalue().encode())


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(data)
    beside.replace(path)
