"""The items of an invoice: rows of tables whose columns are named as such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from docfleet.domain.document import Document, Table, TableCell
from docfleet.engines.local.fields import words
from docfleet.engines.local.fields.pieces import PagePieces
from docfleet.engines.local.fields.values import amounts_in

_HEADERS = 4
"""Among so many rows from the top the names of the columns are looked for."""
_ORDER = ("description", "quantity", "unit_price", "amount")


class Item(NamedTuple):
    parts: tuple[tuple[str, int, int, Decimal | None], ...]
    """(column, start and end in the document's text, number) from left to right."""


def items_of(document: Document, page: int, place: PagePieces) -> Iterator[Item]:
    """Rows of the page's tables that have an amount under a header that names a description and an amount."""
    for table in document.pages[page].tables:
        yield from _items_of_table(document, table)


def _items_of_table(document: Document, table: Table) -> Iterator[Item]:
    rows = [*table.header_rows, *table.body_rows]
    named = [_columns(document, row) for row in rows[:_HEADERS]]
    at = next((at for at, columns in enumerate(named) if "description" in columns and "amount" in columns), None)
    for row in rows[at + 1 :] if at is not None else ():
        item = _item(document, _by_column(row), named[at or 0])
        if item is not None:
            yield item


def _columns(document: Document, row: Sequence[TableCell]) -> dict[str, int]:
    """Name -> column. An amount is the last column that is called so, everything else the first."""
    found: dict[str, int] = {}
    taken: set[int] = set()
    cells = {column: document.text_of(cell.layout) for column, cell in _by_column(row).items()}
    for name in ("unit_price", "quantity", "amount", "description"):
        fits = [column for column, text in cells.items() if column not in taken and words.COLUMNS[name].search(text)]
        if fits:
            found[name] = fits[-1] if name == "amount" else fits[0]
            taken.add(found[name])
    return found


def _by_column(row: Sequence[TableCell]) -> dict[int, TableCell]:
    found = {}
    at = 0
    for cell in row:
        found[at] = cell
        at += cell.column_span
    return found


def _item(document: Document, cells: dict[int, TableCell], columns: dict[str, int]) -> Item | None:
    parts: list[tuple[str, int, int, Decimal | None]] = []
    for name in _ORDER:
        cell = cells.get(columns.get(name, -1))
        text = document.text_of(cell.layout) if cell is not None else ""
        if cell is None or not text.strip():
            continue
        start = cell.layout.spans[0].start + len(text) - len(text.lstrip())
        if name == "description":
            parts.append((name, start, start + len(text.strip()), None))
            continue
        amounts = list(amounts_in(text))
        if amounts:
            one = amounts[-1] if name == "amount" else amounts[0]
            begin = cell.layout.spans[0].start
            parts.append((name, begin + one.start, begin + one.end, one.value))
    named = {name: (start, end) for name, start, end, _ in parts}
    if "description" not in named or "amount" not in named:
        return None
    start, end = named["description"]
    return None if words.LAST_ROWS.search(document.text[start:end]) else Item(tuple(parts))
