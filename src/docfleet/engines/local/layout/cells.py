"""Tables as grids of cells, before they are anchored in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from docfleet.domain.geometry import Rect
from docfleet.engines.local.layout.boxes import Boxes
from docfleet.engines.local.layout.lines import TextLine, describe

_NUMBER = re.compile(
    r"^[<>≤≥~≈(+\-−–±]*\s*(?:[€$£¥₹]|EUR|USD|GBP|CHF)?\s*[+\-−–]?[\d][\d.,'’:/\s]*\s*(?:[%‰€$£¥]|EUR|USD|GBP|CHF|[a-z*]|\*+)?\)?[*†‡]*$"
)
_BLANKS = frozenset(("-", "–", "—", "−", "..", "...", ":", "n/a", "n.a.", "N/A", "na", "n.d.", "x", "X", "."))


class GridCell(msgspec.Struct):
    row: int
    column: int
    row_span: int
    column_span: int
    lines: list[TextLine]
    rect: Rect
    """Reading coordinates."""


class Grid(msgspec.Struct):
    """A table: `cells` row by row; spanned fields are left out."""

    cells: list[GridCell]
    rows: int
    columns: int
    rect: Rect
    header_rows: int = 0


def is_numeric(text: str) -> bool:
    """A figure, an amount, a share, a date in digits, or the dash that stands for one."""
    return text in _BLANKS or _NUMBER.match(text) is not None


def cell_lines(b: Boxes, members: Iterable[int]) -> list[TextLine]:
    """The words of one cell as lines, top to bottom, in reading order."""
    flat = b.flat
    ordered = sorted((flat[k][1] + flat[k][3], k) for k in members)
    found: list[TextLine] = []
    last = 0.0
    for double, k in ordered:
        x0, y0, x1, y1, em = flat[k]
        if found and double - last <= min(em, found[-1].em):
            line = found[-1]
            line.members.append(k)
            line.x0, line.x1 = min(line.x0, x0), max(line.x1, x1)
            line.y0, line.y1 = min(line.y0, y0), max(line.y1, y1)
        else:
            found.append(TextLine([k], x0, y0, x1, y1, em))
        last = double
    for line in found:
        if len(line.members) > 1:
            backwards = 2 * sum(b.rtl[line.members].tolist()) > len(line.members)
            line.members.sort(key=lambda k: -flat[k][2] if backwards else flat[k][0])
        describe(b, line)
    return found


def guess_header_rows(grid: Grid) -> int:
    """How many rows at the top name the columns: bold ones, or those without figures above rows with figures."""
    rows: list[list[GridCell]] = [[] for _ in range(grid.rows)]
    for cell in grid.cells:
        if cell.lines:
            rows[cell.row].append(cell)
    filled = [row for row in rows if row]
    if len(filled) < 2:
        return 0
    figures = [_figures(row) for row in rows]
    body = [share for share, row in zip(figures[1:], rows[1:], strict=True) if row]
    count = 0
    reach = 0
    while count < min(grid.rows - 1, 4) and (
        count < reach or _is_header(rows[count], figures[count], body, rows[count + 1 :])
    ):
        reach = max([reach] + [cell.row + cell.row_span for cell in rows[count] if cell.column_span < grid.columns])
        count += 1
    return count


def _figures(row: list[GridCell]) -> float:
    """Share of figures among the cells right of the first column."""
    rest = [cell for cell in row if cell.column > 0]
    return sum(is_numeric(cell.lines[0].text) for cell in rest) / len(rest) if rest else 0.0


def _is_header(row: list[GridCell], figures: float, body: list[float], below: list[list[GridCell]]) -> bool:
    if not row:
        return False
    bold = all(line.bold for cell in row for line in cell.lines)
    body_bold = [line.bold for other in below for cell in other for line in cell.lines]
    if bold and body_bold and sum(body_bold) < 0.5 * len(body_bold):
        return len(row) > 1
    if len(row) == 1 and row[0].column == 0 and row[0].column_span == 1:
        return False
    years = all(re.fullmatch(r"(19|20)\d\d[a-z*]?", cell.lines[0].text) for cell in row if cell.column > 0)
    return sum(body) / max(len(body), 1) > 0.35 and (figures < 0.2 or (years and len(row) > 1))
