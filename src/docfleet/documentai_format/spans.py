"""Cells that span, between our tables and Document AI's.

In our model a cell that spans stands once and what it covers is left out, as in HTML. Document AI's tables are
rectangular, and its readers (the toolbox's data frames among them) refuse any other; so a covered position is written
as an empty object `{}`, and an empty object in a covered position is left out again on reading.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from docfleet.domain.document import Layout, Table, TableCell

Rows = tuple[tuple[TableCell, ...], ...]

COVERED = TableCell(Layout(), row_span=0, column_span=0)
"""Written as `{}`."""

_EMPTY = (COVERED, TableCell(Layout()))
_WIDEST = 1000
"""Columns; a table that claims more is taken as it is."""


def with_covered(table: Table) -> Table:
    """`table` with `COVERED` in every position a cell spans over; the same table where its rows are equally long."""
    rows = table.header_rows + table.body_rows
    if not _spans(rows) or len({len(row) for row in rows}) == 1:
        return table
    return _with_rows(table, tuple(_placed(rows)))


def without_covered(table: Table) -> Table:
    """`table` without the empty cells that stand where another cell spans over."""
    rows = table.header_rows + table.body_rows
    return _with_rows(table, tuple(_uncovered(rows))) if _spans(rows) else table


def _spans(rows: Rows) -> bool:
    """Whether any cell spans, and none absurdly far."""
    spans = [max(cell.row_span, cell.column_span) for row in rows for cell in row]
    return any(span > 1 for span in spans) and all(cell.column_span <= _WIDEST for row in rows for cell in row)


def _with_rows(table: Table, rows: Rows) -> Table:
    heads = len(table.header_rows)
    return msgspec.structs.replace(table, header_rows=rows[:heads], body_rows=rows[heads:])


def _placed(rows: Rows) -> Iterator[tuple[TableCell, ...]]:
    taken: set[tuple[int, int]] = set()
    for number, row in enumerate(rows):
        placed: list[TableCell] = []
        for cell in row:
            while (number, len(placed)) in taken:
                placed.append(COVERED)
            taken |= _covered_by(cell, number, len(placed), len(rows))
            placed.append(cell)
        while (number, len(placed)) in taken:
            placed.append(COVERED)
        yield tuple(placed)


def _uncovered(rows: Rows) -> Iterator[tuple[TableCell, ...]]:
    taken: set[tuple[int, int]] = set()
    for number, row in enumerate(rows):
        kept = []
        for column, cell in enumerate(row):
            if cell in _EMPTY and (number, column) in taken:
                continue
            taken |= _covered_by(cell, number, column, len(rows))
            kept.append(cell)
        yield tuple(kept)


def _covered_by(cell: TableCell, row: int, column: int, rows: int) -> set[tuple[int, int]]:
    below, right = min(row + cell.row_span, rows), column + cell.column_span
    return {(r, c) for r in range(row, below) for c in range(column, right)} - {(row, column)}
