"""Grids into the page: their paragraphs in the text, then `Table`s anchored in it."""

from __future__ import annotations

import msgspec
import numpy as np

from docfleet.domain.document import Layout, Orientation, Role, Table, TableCell
from docfleet.domain.words import WordPage
from docfleet.engines.local.layout.boxes import Boxes, turn_back
from docfleet.engines.local.layout.cells import Grid, guess_header_rows
from docfleet.engines.local.layout.emit import boxes_of
from docfleet.engines.local.layout.paragraphs import TextParagraph


class PlacedTable(msgspec.Struct, frozen=True):
    boxes: Boxes
    grid: Grid


def table_paragraphs(grid: Grid, table: int, column: int) -> list[TextParagraph]:
    """One paragraph for each filled cell, row by row."""
    return [
        TextParagraph(cell.lines, Role.TABLE, 0, column, (table, number))
        for number, cell in enumerate(grid.cells)
        if cell.lines
    ]


def anchor_tables(
    page: WordPage, tables: list[PlacedTable], paragraphs: list[TextParagraph], layouts: list[Layout]
) -> tuple[Table, ...]:
    """The tables with every cell anchored in the text; an empty cell has a box and no span."""
    if not tables:
        return ()
    anchored = {p.cell: layout for p, layout in zip(paragraphs, layouts, strict=True) if p.cell is not None}
    return tuple([_table(page, number, placed, anchored) for number, placed in enumerate(tables)])


def _table(page: WordPage, number: int, placed: PlacedTable, anchored: dict[tuple[int, int], Layout]) -> Table:
    b, grid = placed.boxes, placed.grid
    angle = page.words[int(b.index[0])].angle % 360 // 90 * 90
    rects = np.array([grid.rect] + [cell.rect for cell in grid.cells], dtype=np.float64)
    boxes = boxes_of(page, turn_back(rects, angle // 90, b.width, b.height), [angle] * len(rects))
    towards = Orientation.of_degrees(page.orientation // 90 * 90 + angle)
    header = guess_header_rows(grid)
    rows: list[list[TableCell]] = [[] for _ in range(grid.rows)]
    spans = []
    weights, sure = 0.0, 0.0
    for k, (cell, box) in enumerate(zip(grid.cells, boxes[1:], strict=True)):
        found = anchored.get((number, k))
        if found is None:
            layout = Layout((), box, 0.0, towards)
        else:
            layout = Layout(found.spans, box, found.confidence, towards)
            spans.append(found.spans[0])
            length = found.spans[0].end - found.spans[0].start
            weights, sure = weights + length, sure + length * found.confidence
        rows[cell.row].append(TableCell(layout, cell.row_span, cell.column_span))
    whole = (msgspec.structs.replace(spans[0], end=spans[-1].end),) if spans else ()
    layout = Layout(whole, boxes[0], sure / weights if weights else 0.0, towards)
    filled = [tuple(row) for row in rows]
    return Table(layout, tuple(filled[:header]), tuple(filled[header:]))
