"""tables/*.csv, and the grid that every export of a table is drawn from."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from docfleet.domain.document import Layout, Table, TableCell
from docfleet.exports.base import ExportJob, PageSource, open_text

FOLDER_NAME = "tables"
MAX_GRID_CELLS = 1_000_000
"""Spans past this are cut: a table of another maker may claim any."""
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def table_grid(table: Table) -> list[list[TableCell | None]]:
    """The table as a rectangle, header rows first: a spanned place is None, the cell stands at its top left."""
    source = (*table.header_rows, *table.body_rows)
    rows: list[dict[int, TableCell | None]] = [{} for _ in source]
    budget = MAX_GRID_CELLS
    for index, cells in enumerate(source):
        column = 0
        for cell in cells:
            while column in rows[index]:
                column += 1
            height = min(max(1, cell.row_span), len(source) - index)
            width = max(1, min(cell.column_span, budget // height))
            budget = max(0, budget - width * height)
            for row in rows[index : index + height]:
                row.update((covered, None) for covered in range(column, column + width))
            rows[index][column] = cell
    columns = max((max(row) + 1 for row in rows if row), default=0)
    return [[row.get(column) for column in range(columns)] for row in rows]


def cell_text(text: str, layout: Layout) -> str:
    """What a cell says, without white space around each of its lines."""
    content = "".join(text[span.start : span.end] for span in layout.spans)
    return "\n".join(line for part in content.splitlines() if (line := " ".join(part.split())))


def write_tables(pages: PageSource, folder: Path, *, guard_formulas: bool = False) -> list[Path]:
    """Writes each table to `folder`/page-003-table-1.csv; returns the files, in order of page and table.

    RFC 4180: UTF-8 without a mark, CRLF between rows, a line break inside a cell kept within quotes; a place covered by
    a spanning cell is blank. Cells hold what was read, unchanged, because programs read these files: "-12.50" must stay
    a number. A spreadsheet takes a cell that starts with =, +, -, @, tab or carriage return for a formula; for files
    that people open there, `guard_formulas` puts an apostrophe before each such cell that is not a plain number.
    The folder is made when there is a table.
    """
    written = []
    for text, page in pages:
        for index, table in enumerate(page.tables, start=1):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"page-{page.number:03d}-table-{index}.csv"
            with open_text(path) as file:
                writer = csv.writer(file, lineterminator="\r\n")
                for row in table_grid(table):
                    writer.writerow(_values(text, row, guard_formulas))
            written.append(path)
    return written


def _values(text: str, row: Sequence[TableCell | None], guard_formulas: bool) -> Iterable[str]:
    for cell in row:
        value = cell_text(text, cell.layout) if cell else ""
        yield "'" + value if guard_formulas and value.startswith(_FORMULA_STARTS) and not _is_number(value) else value


def _is_number(value: str) -> bool:
    return value[1:].replace(".", "").replace(",", "").isdecimal() and value[0] in "+-"


def export_tables(job: ExportJob) -> list[Path]:
    return write_tables(job.pages, job.folder / FOLDER_NAME)
