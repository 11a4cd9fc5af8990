"""Ruled tables: drawn lines that cross make a grid, the words inside it its cells.

Lines are snapped together, lines that touch form components, a component with two rows and two columns is a grid, and
grid fields without a line between them are one spanning cell.
"""

from __future__ import annotations

import itertools

import msgspec
import numpy as np

from docfleet.engines.local.layout.boxes import Bools, Boxes, Floats, Ints, median, run_lengths, steps
from docfleet.engines.local.layout.cells import Grid, GridCell, cell_lines, is_numeric
from docfleet.engines.local.layout.lines import TextLine

MOST_LINES = 600
"""Longest lines of a direction that are looked at."""
TOUCH_EM = 0.3
SPACE_EM = 0.8
"""Gaps wider than this part cells."""
FILLED = 0.3
"""Least share of fields with text; charts and forms have less."""
WORDY = 45
"""Mean words in a cell above which the grid is a page layout and no table."""


class Rules(msgspec.Struct, frozen=True):
    """Drawn lines of one direction: they stand at `at` and run from `low` to `high`."""

    at: Floats
    low: Floats
    high: Floats


def snap_lines(at: Floats, low: Floats, high: Floats, em: float) -> Rules:
    """Joins pieces of one line: equal within a quarter of the font size, with at most half of it between pieces."""
    if len(at) > MOST_LINES:
        longest = np.argsort(low - high, kind="stable")[:MOST_LINES]
        at, low, high = at[longest], low[longest], high[longest]
    if not len(at):
        return Rules(at, low, high)
    order = np.argsort(at, kind="stable")
    at, low, high = at[order], low[order], high[order]
    level = np.concatenate(([0], np.cumsum(steps(at) > 0.25 * em)))
    order = np.lexsort((low, level))
    at, low, high, level = at[order], low[order], high[order], level[order]
    begins = np.ones(len(at), dtype=bool)
    reach, same = -np.inf, -1
    for k, (a, z, group) in enumerate(zip(low.tolist(), high.tolist(), level.tolist(), strict=True)):
        begins[k] = group != same or a > reach + TOUCH_EM * em
        reach = z if begins[k] else max(reach, z)
        same = group
    first = np.flatnonzero(begins)
    mean = np.add.reduceat(at, first) / run_lengths(first, len(at))
    return Rules(mean, np.minimum.reduceat(low, first), np.maximum.reduceat(high, first))


def page_rules(b: Boxes) -> tuple[Rules, Rules]:
    """(horizontal, vertical) lines of the page, snapped."""
    em = median(b.em) if len(b.em) else 10.0
    h, v = b.horizontals, b.verticals
    return (
        snap_lines((h[:, 1] + h[:, 3]) / 2, h[:, 0], h[:, 2], em),
        snap_lines((v[:, 0] + v[:, 2]) / 2, v[:, 1], v[:, 3], em),
    )


def find_ruled(b: Boxes, horizontal: Rules, vertical: Rules) -> list[Grid]:
    """Ruled tables of the page, top to bottom; their cells hold positions in `b`."""
    if len(horizontal.at) < 2 or not len(vertical.at):
        return []
    em = median(b.em)
    found: list[Grid] = []
    for rows, columns in _components(horizontal, vertical, TOUCH_EM * em):
        grid = _grid(b, horizontal, vertical, rows, columns, em)
        if grid is not None and not any(_overlap(grid, other) for other in found):
            found.append(grid)
    return sorted(found, key=lambda grid: (grid.rect[1], grid.rect[0]))


def _components(h: Rules, v: Rules, touch: float) -> list[tuple[Ints, Ints]]:
    """Groups of lines that touch, largest first."""
    meets = (h.low[:, None] - touch <= v.at) & (v.at <= h.high[:, None] + touch)
    meets &= (v.low - touch <= h.at[:, None]) & (h.at[:, None] <= v.high + touch)
    free = np.ones(len(h.at), dtype=bool)
    groups: list[tuple[Ints, Ints]] = []
    for seed in range(len(h.at)):
        if not free[seed]:
            continue
        rows = np.zeros(len(h.at), dtype=bool)
        rows[seed] = True
        while True:
            columns = meets[rows].any(axis=0)
            wider = rows | meets[:, columns].any(axis=1)
            if (wider == rows).all():
                break
            rows = wider
        free &= ~rows
        if rows.sum() >= 2 and (columns.sum() >= 2 or (columns.any() and rows.sum() >= 3)):
            groups.append((np.flatnonzero(rows), np.flatnonzero(columns)))
    return sorted(groups, key=lambda pair: -len(pair[0]) * len(pair[1]))


def _edges(at: Floats, least: float) -> Floats:
    """Distinct positions at least `least` apart; of closer ones the mean."""
    at = np.sort(at)
    first = np.concatenate(([0], np.flatnonzero(steps(at) > least) + 1))
    edges: Floats = np.add.reduceat(at, first) / run_lengths(first, len(at))
    return edges


def _grid(b: Boxes, h: Rules, v: Rules, rows: Ints, columns: Ints, em: float) -> Grid | None:
    low, high = float(h.low[rows].min()), float(h.high[rows].max())
    top, bottom = float(v.low[columns].min()), float(v.high[columns].max())
    # tables are often open at the sides or end without a line: the other direction's ends close them
    xs = _edges(np.concatenate((v.at[columns], (low, high))), 0.6 * em)
    ys = _edges(np.concatenate((h.at[rows], (top, bottom))), 0.6 * em)
    if len(xs) < 3 or len(ys) < 3:
        return None
    xc, yc = (b.x0 + b.x1) / 2, b.yc
    inside = (xc > xs[0]) & (xc < xs[-1]) & (yc > ys[0]) & (yc < ys[-1])
    if not inside.any():
        return None
    xs, ys = _trim(xs, xc[inside]), _trim(ys, yc[inside])
    if len(xs) < 3 or len(ys) < 3:
        return None
    right, below = _walls(h, v, rows, columns, xs, ys, em)
    members = np.flatnonzero(inside)
    _wall_by_text(b, members, xs, ys, right)
    label = _merge_fields(right, below)
    row = np.searchsorted(ys, yc[members]).clip(1, len(ys) - 1) - 1
    column = np.searchsorted(xs, xc[members]).clip(1, len(xs) - 1) - 1
    cells = _cells(b, label, label[row, column], members, xs, ys)
    grid = Grid(cells, len(ys) - 1, len(xs) - 1, (float(xs[0]), float(ys[0]), float(xs[-1]), float(ys[-1])))
    return split_rows(b, grid) if _is_table(grid) and not _hides_columns(b, grid) else None


def _trim(edges: Floats, middles: Floats) -> Floats:
    """Drops empty outer fields: frames drawn around a table."""
    field = np.searchsorted(edges, middles) - 1
    return edges[int(field.min()) : int(field.max()) + 2]


def _walls(h: Rules, v: Rules, rows: Ints, columns: Ints, xs: Floats, ys: Floats, em: float) -> tuple[Bools, Bools]:
    """(wall right of field, wall below field), each (rows, columns)."""
    middle_x, middle_y = (xs[1:] + xs[:-1]) / 2, (ys[1:] + ys[:-1]) / 2
    right = np.zeros((len(middle_y), len(middle_x)), dtype=bool)
    below = np.zeros_like(right)
    right[:, -1], below[-1, :] = True, True
    for k in columns.tolist():
        c = int(np.abs(xs - v.at[k]).argmin())
        if 0 < c < len(xs) - 1:
            right[:, c - 1] |= (v.low[k] <= middle_y) & (middle_y <= v.high[k])
    for k in rows.tolist():
        r = int(np.abs(ys - h.at[k]).argmin())
        if 0 < r < len(ys) - 1:
            below[r - 1, :] |= (h.low[k] - 0.2 * em <= middle_x) & (middle_x <= h.high[k] + 0.2 * em)
    return right, below


def _wall_by_text(b: Boxes, members: Ints, xs: Floats, ys: Floats, right: Bools) -> None:
    """Many tables rule their columns in the header only: in a row without drawn walls, text that keeps clear of the
    columns' edges, with gaps wider than word spaces, stands for them."""
    row = np.searchsorted(ys, b.yc[members]) - 1
    edges = xs[1:-1]
    for r in np.flatnonzero(~right[:, :-1].any(axis=1)).tolist():
        part = members[row == r]
        if len(part) < 2:
            continue
        wide, narrow = _gaps(b, cell_lines(b, part.tolist()))
        if not ((wide[:, :1] < edges + 1) & (wide[:, 1:] > edges - 1)).any():
            continue
        slack = 0.2 * float(b.em[part].min())
        inked = np.vstack(
            (np.stack((b.x0[part] + slack, b.x1[part] - slack), axis=1), narrow + np.array((-slack, slack)))
        )
        right[r, :-1] = ~((inked[:, :1] < edges) & (inked[:, 1:] > edges)).any(axis=0)


def _gaps(b: Boxes, lines: list[TextLine]) -> tuple[Floats, Floats]:
    """Gaps between the words of lines as rows (start, end): those that part cells, and word spaces."""
    wide: list[tuple[float, float]] = []
    narrow: list[tuple[float, float]] = []
    for line in lines:
        for p, q in itertools.pairwise(line.members):
            low, high = b.flat[p][2], b.flat[q][0]
            (wide if high - low > SPACE_EM * line.em else narrow).append((low, high))
    return np.array(wide).reshape(-1, 2), np.array(narrow).reshape(-1, 2)


def _merge_fields(right: Bools, below: Bools) -> Ints:
    """Cell number of every field: fields without a wall between them join to rectangles."""
    rows, columns = right.shape
    label = np.full((rows, columns), -1)
    number = 0
    for r in range(rows):
        for c in range(columns):
            if label[r, c] >= 0:
                continue
            c1 = c
            while c1 + 1 < columns and not right[r, c1] and label[r, c1 + 1] < 0:
                c1 += 1
            r1 = r
            while r1 + 1 < rows and not below[r1, c : c1 + 1].any() and not right[r1 + 1, c:c1].any():
                r1 += 1
            label[r : r1 + 1, c : c1 + 1] = number
            number += 1
    return label


def _cells(b: Boxes, label: Ints, of_word: Ints, members: Ints, xs: Floats, ys: Floats) -> list[GridCell]:
    order = np.argsort(of_word, kind="stable")
    bounds = np.searchsorted(of_word[order], np.arange(int(label.max()) + 2))
    cells = []
    for number in range(int(label.max()) + 1):
        at_row, at_column = np.nonzero(label == number)
        r, c, r1, c1 = int(at_row.min()), int(at_column.min()), int(at_row.max()), int(at_column.max())
        inside = members[order[bounds[number] : bounds[number + 1]]]
        rect = (float(xs[c]), float(ys[r]), float(xs[c1 + 1]), float(ys[r1 + 1]))
        cells.append(GridCell(r, c, r1 - r + 1, c1 - c + 1, cell_lines(b, inside.tolist()), rect))
    return cells


def _is_table(grid: Grid) -> bool:
    filled = [cell for cell in grid.cells if cell.lines]
    if len(filled) < 4 or len(filled) < FILLED * len(grid.cells):
        return False
    if len({cell.row for cell in filled}) < 2 or len({cell.column for cell in filled}) < 2:
        return False
    return sum(len(line.members) for cell in filled for line in cell.lines) / len(filled) <= WORDY


def _hides_columns(b: Boxes, grid: Grid) -> bool:
    """Most lines of one ruled column fall into pieces: its columns are not ruled, and plain reading finds more."""
    for column in range(grid.columns):
        lines = [line for cell in grid.cells if cell.column == column for line in cell.lines]
        parted = sum(len(_gaps(b, [line])[0]) > 0 for line in lines)
        if parted >= 3 and parted > 0.6 * len(lines):
            return True
    return False


def _overlap(a: Grid, b: Grid) -> bool:
    return min(a.rect[2], b.rect[2]) > max(a.rect[0], b.rect[0]) and min(a.rect[3], b.rect[3]) > max(
        a.rect[1], b.rect[1]
    )


def split_rows(b: Boxes, grid: Grid) -> Grid:
    """Splits ruled rows that hold several rows of figures: a column of nothing but numbers cannot be wrapped text."""
    cells: list[GridCell] = []
    shift = 0
    for r in range(grid.rows):
        band = [cell for cell in grid.cells if cell.row == r]
        anchors = _row_anchors(band)
        spanned = any(cell.row < r < cell.row + cell.row_span for cell in grid.cells)
        if len(anchors) < 2 or spanned or any(cell.row_span > 1 for cell in band):
            cells += [msgspec.structs.replace(cell, row=cell.row + shift) for cell in band]
            continue
        cells += [part for cell in band for part in _split_cell(cell, r + shift, anchors)]
        shift += len(anchors) - 1
    if not shift:
        return grid
    cells.sort(key=lambda cell: (cell.row, cell.column))
    return Grid(cells, grid.rows + shift, grid.columns, grid.rect)


def _row_anchors(band: list[GridCell]) -> list[float]:
    """Bottoms of the text rows that two columns share, one of them all figures; [] where the row is one row."""
    figures = [c for c in band if len(c.lines) > 1 and all(is_numeric(line.text) for line in c.lines)]
    for cell in figures:
        bottoms = [line.y1 for line in cell.lines]
        for other in band:
            if other is not cell and len(other.lines) >= len(bottoms):
                near = [min(abs(line.y1 - y) for line in other.lines) < 0.35 * cell.lines[0].em for y in bottoms]
                if all(near):
                    return bottoms
    return []


def _split_cell(cell: GridCell, row: int, anchors: list[float]) -> list[GridCell]:
    """The cell's lines dealt out to the rows: each to the last row that is not below it."""
    x0, y0, x1, y1 = cell.rect
    edges = [y0] + [(a + z) / 2 for a, z in itertools.pairwise(anchors)] + [y1]
    parts = [
        GridCell(row + k, cell.column, 1, cell.column_span, [], (x0, edges[k], x1, edges[k + 1]))
        for k in range(len(anchors))
    ]
    for line in cell.lines:
        k = min(range(len(anchors)), key=lambda k: abs(anchors[k] - line.y1))
        parts[k].lines.append(line)
    return parts
