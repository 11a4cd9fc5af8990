"""Plain tables: rows of short texts whose edges line up in columns, with white gutters between them.

Found within one column of the page: a run of rows with gaps in them, gutters that all full rows share, then tests that
keep out prose in columns, lists, forms and tables of contents. Horizontal rules, where drawn, separate the rows.
"""

from __future__ import annotations

import msgspec
import numpy as np

from docfleet.engines.local.layout.aligned_cells import band_cells, merge_wrapped
from docfleet.engines.local.layout.aligned_rows import Row, cut_rows, rules_between
from docfleet.engines.local.layout.boxes import Boxes, Ints, median
from docfleet.engines.local.layout.cells import Grid
from docfleet.engines.local.layout.grids import Rules
from docfleet.engines.local.layout.segments import Segments
from docfleet.engines.local.layout.tabular import reads_as_table

PAUSE_EM = 2.2
WIDE_PAUSE_EM = 4.0
GUTTER_EM = 0.3
MOST_COLUMNS = 60
"""No page of paper has more; hostile ones do."""


class Found(msgspec.Struct, frozen=True):
    """A table in place of entries `start` to `stop` (excluded) of the column's segments."""

    start: int
    stop: int
    grid: Grid


def find_aligned(b: Boxes, s: Segments, column: Ints, horizontal: Rules) -> list[Found]:
    """Plain tables among the segments of one column (top to bottom, left to right within a row)."""
    if len(column) < 6:
        return []
    rows, starts = cut_rows(b, s, column)
    if sum(row.segments > 1 for row in rows) < 2:
        return []
    starts.append(len(column))
    found = []
    at = 0
    while at < len(rows):
        if not _has_gap(rows[at]):
            at += 1
            continue
        stop = _run_end(rows, at, horizontal)
        begin, stop, grid = _best_grid(b, rows, at, stop, horizontal)
        if grid is None:
            at = max(stop, at + 1)
            continue
        found.append(Found(starts[begin], starts[stop], grid))
        at = stop
    return found


def _has_gap(row: Row) -> bool:
    return row.segments > 1 or len(row.pieces) > 2


def _run_end(rows: list[Row], at: int, h: Rules) -> int:
    """First row after `at` that cannot belong to a table which begins there."""
    misses = 0
    last = at
    x0, x1 = rows[at].x0, rows[at].x1
    for k in range(at + 1, len(rows)):
        row, above = rows[k], rows[k - 1]
        gap = row.y0 - above.y1
        em = min(row.em, above.em)
        wide = _same_columns(above, row) or rules_between(h, above.y1 - em, row.y0 + em, x0, x1)
        pause = WIDE_PAUSE_EM if wide else PAUSE_EM
        if gap > pause * em or row.y0 < above.y0 - em:
            break
        if _has_gap(row):
            misses, last = 0, k
            x0, x1 = min(x0, row.x0), max(x1, row.x1)
        else:
            broad = row.x1 - row.x0 > 0.6 * (x1 - x0)
            misses += 3 if broad and len(row.pieces[0].members) > 6 else 1
            if misses > 3:
                break
            if misses == k - last and not broad and gap < 0.5 * em:
                continue
    return last + 1


def _same_columns(a: Row, b: Row) -> bool:
    """Both rows have three pieces or more, and most of the fewer ones stand at edges of the other row's."""
    few, many = sorted((a.pieces, b.pieces), key=len)
    if not 3 <= len(few) <= len(many) <= MOST_COLUMNS:
        return False
    reach = 0.5 * min(a.em, b.em)
    level = sum(any(min(abs(p.x0 - q.x0), abs(p.x1 - q.x1)) < reach for q in many) for p in few)
    return level >= 0.7 * len(few)


def _best_grid(b: Boxes, rows: list[Row], start: int, stop: int, h: Rules) -> tuple[int, int, Grid | None]:
    """The grid of rows start..stop; where it fails, of what follows its first row (a heading line in two parts)."""
    for begin in range(start, min(start + 3, stop)):
        if _has_gap(rows[begin]):
            end = _with_last_lines(rows, begin, stop, h)
            grid = build_grid(b, rows[begin:end], h)
            if grid is not None:
                skip = _lines_above(rows[begin:end], grid.columns)
                inner = build_grid(b, rows[begin + skip : end], h) if skip else None
                return (begin, end, grid) if inner is None else (begin + skip, end, inner)
    return start, stop, None


def _lines_above(rows: list[Row], columns: int) -> int:
    """How many rows at the top are lines of text above the table: they fill its first half at most, and no row that
    is fuller stands before them."""
    for k, row in enumerate(rows):
        if 2 * row.pieces[-1].last >= columns or (row.pieces[0].first > 0 and len(row.pieces) > 1):
            return k
    return 0


def _with_last_lines(rows: list[Row], start: int, stop: int, h: Rules) -> int:
    """Takes in the wrapped lines of the last row."""
    x0, x1 = min(row.x0 for row in rows[start:stop]), max(row.x1 for row in rows[start:stop])
    while stop < len(rows):
        row, above = rows[stop], rows[stop - 1]
        tight = 0 <= row.y0 - above.y1 + 0.4 * row.em < 0.55 * row.em
        inside = row.x0 > x0 - 0.5 * row.em and row.x1 < x1 + 0.5 * row.em and row.x1 - row.x0 < 0.6 * (x1 - x0)
        starts_high = row.pieces[0].text[:1].isupper() and row.x0 < x0 + row.em
        if not tight or not inside or starts_high or rules_between(h, above.yc, row.yc, x0, x1):
            break
        stop += 1
    return stop


def build_grid(b: Boxes, rows: list[Row], h: Rules) -> Grid | None:
    """Columns, then cells; None where the rows are no table."""
    em = median([row.em for row in rows])
    full = _full_rows(rows)
    x0, x1 = min(row.x0 for row in rows), max(row.x1 for row in rows)
    rules = rules_between(h, rows[0].y0 - 1.5 * em, rows[-1].y1 + 1.5 * em, x0, x1)
    if len(full) < (2 if rules >= 2 else 3):
        return None
    bounds = _column_bounds(full, x0, x1, em)
    if not 2 <= len(bounds) <= MOST_COLUMNS:
        return None
    for row in rows:
        _place(row, bounds)
    ocr = b.words[b.index[rows[0].pieces[0].members[0]]].ocr
    if not reads_as_table(rows, full, bounds, rules, em, ocr=ocr):
        return None
    return band_cells(b, merge_wrapped(rows, len(bounds), h), bounds)


def _full_rows(rows: list[Row]) -> list[Row]:
    """Rows with about as many cells as the fuller ones have: these show where the gutters are."""
    counts = sorted(len(row.pieces) for row in rows if _has_gap(row) or len(row.pieces) > 1)
    if not counts:
        return []
    usual = counts[len(counts) * 6 // 10]
    return [row for row in rows if len(row.pieces) >= max(2, 0.7 * usual)]


def _column_bounds(full: list[Row], x0: float, x1: float, em: float) -> list[tuple[float, float]]:
    """Left and right edge of each column: maximal stretches that no gutter crosses."""
    step = 0.2 * em
    size = min(int((x1 - x0) / step) + 2, 20_000)
    cover = np.zeros(size + 1)
    for row in full:
        for piece in row.pieces:
            cover[min(int((piece.x0 - x0) / step), size - 1)] += 1
            cover[min(int((piece.x1 - x0) / step) + 1, size)] -= 1
    filled = np.cumsum(cover[:-1]) > (0.04 * len(full) if len(full) > 12 else 0)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], filled, [False])).astype(np.int8)))
    bounds: list[tuple[float, float]] = []
    for a, z in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        low, high = x0 + a * step, x0 + z * step
        if bounds and low - bounds[-1][1] < GUTTER_EM * em:
            bounds[-1] = (bounds[-1][0], high)
        else:
            bounds.append((low, high))
    return bounds


def _place(row: Row, bounds: list[tuple[float, float]]) -> None:
    """Tells each piece which columns it stands in."""
    for piece in row.pieces:
        touched = [
            k for k, (low, high) in enumerate(bounds)
            if min(piece.x1, high) - max(piece.x0, low) > 0.25 * min(piece.x1 - piece.x0, high - low)
        ]  # fmt: skip
        if not touched:
            middle = (piece.x0 + piece.x1) / 2
            touched = [min(range(len(bounds)), key=lambda k: abs(sum(bounds[k]) / 2 - middle))]
        piece.first, piece.last = touched[0], touched[-1]
