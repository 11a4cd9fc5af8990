"""Cells that span, written for readers that want rectangles."""

from __future__ import annotations

import json

import pytest

from docfleet.documentai_format import from_json, to_json
from docfleet.domain.anchors import Span
from docfleet.domain.document import Document, Layout, Page, Table, TableCell


def table_of(*rows: str) -> Table:
    """One cell a word: "a", or "a:2x3" for two rows and three columns, or "-" for an empty cell."""

    def cell(word: str) -> TableCell:
        name, _, size = word.partition(":")
        height, _, width = (size or "1x1").partition("x")
        layout = Layout() if name == "-" else Layout((Span(ord(name), ord(name) + 1),))
        return TableCell(layout, int(height), int(width))

    return Table(Layout(), body_rows=tuple(tuple(cell(word) for word in row.split()) for row in rows))


def written(table: Table) -> bytes:
    return to_json(Document(pages=(Page(1, tables=(table,)),)))


def lengths(table: Table) -> list[int]:
    rows = json.loads(written(table))["pages"][0]["tables"][0]["bodyRows"]
    return [len(row["cells"]) for row in rows]


@pytest.mark.parametrize(
    ("rows", "widths"),
    [
        (("a b", "c d"), [2, 2]),
        (("a:1x2", "b c"), [2, 2]),
        (("a:2x1 b", "c"), [2, 2]),
        (("a b:2x2", "c", "d e f"), [3, 3, 3]),
        (("a:3x1 b c", "d:1x2", "e f"), [3, 3, 3]),
        (("a:1x3", "b:1x2 c", "d e f"), [3, 3, 3]),
        (("a:9x2", "b", "c d e"), [2, 3, 5]),
        (("a - c", "d:1x2 e"), [3, 3]),
        (("a:1x99999", "b c"), [1, 2]),
    ],
)
def test_covered_positions_are_written_and_left_out_again(rows: tuple[str, ...], widths: list[int]) -> None:
    table = table_of(*rows)
    assert lengths(table) == widths
    assert from_json(written(table)).pages[0].tables[0] == table


@pytest.mark.parametrize(
    "rows",
    [
        [[{"colSpan": 2}, {}, {}], [{}, {}, {}]],
        [[{"colSpan": 2, "rowSpan": 1}, {"colSpan": 1, "rowSpan": 1}], [{"rowSpan": 1}, {}]],
        [[{"colSpan": 2, "rowSpan": 2}], [{"colSpan": 1, "rowSpan": 1}]],
    ],
)
def test_tables_of_other_makers_come_out_as_they_came(rows: list[list[dict[str, int]]]) -> None:
    raw = {"pages": [{"tables": [{"bodyRows": [{"cells": cells} for cells in rows]}]}]}
    assert json.loads(to_json(from_json(json.dumps(raw).encode()))) == raw


def test_an_empty_cell_that_nothing_covers_keeps_its_place() -> None:
    raw = {"pages": [{"tables": [{"bodyRows": [{"cells": [{"colSpan": 2}, {}, {}]}, {"cells": [{}, {}, {}]}]}]}]}
    table = from_json(json.dumps(raw).encode()).pages[0].tables[0]
    assert [len(row) for row in table.body_rows] == [2, 3]
