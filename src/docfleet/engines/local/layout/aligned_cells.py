"""Text rows of a plain table to its rows and cells: the lines of wrapped cells belong together."""

from __future__ import annotations

import itertools

import msgspec

from docfleet.engines.local.layout.aligned_rows import Row, rules_between
from docfleet.engines.local.layout.boxes import Boxes
from docfleet.engines.local.layout.cells import Grid, GridCell, cell_lines, is_numeric
from docfleet.engines.local.layout.grids import Rules


class Band(msgspec.Struct):
    """Text rows that make up one table row."""

    rows: list[Row]

    @property
    def columns(self) -> set[int]:
        return {c for row in self.rows for piece in row.pieces for c in range(piece.first, piece.last + 1)}


def merge_wrapped(rows: list[Row], columns: int, h: Rules) -> list[Band]:
    """Joins the lines of wrapped cells: by rules where they part the rows, else by what is missing from a line."""
    x0, x1 = min(row.x0 for row in rows), max(row.x1 for row in rows)
    parted = [rules_between(h, (a.y0 + a.y1) / 2, (z.y0 + z.y1) / 2, x0, x1) > 0 for a, z in itertools.pairwise(rows)]
    ruled = sum(parted) >= max(2, 0.45 * (len(rows) - 1))
    bands = [Band([rows[0]])]
    first_figures = next((k for k, row in enumerate(rows) if _mostly_figures(row)), 0)
    for k in range(1, len(rows)):
        last, row = bands[-1], rows[k]
        if parted[k - 1]:
            bands.append(Band([row]))
        elif (ruled and not _independent(last, row)) or _wraps(last, row, columns, header=k < first_figures):
            last.rows.append(row)
        else:
            bands.append(Band([row]))
    return bands


def _mostly_figures(row: Row) -> bool:
    rest = [piece for piece in row.pieces if piece.first > 0]
    return bool(rest) and sum(is_numeric(piece.text) for piece in rest) >= 0.5 * len(rest)


def _independent(band: Band, row: Row) -> bool:
    """Both have figures in the same column: two rows, whatever the rules say."""
    figures = {piece.first for piece in row.pieces if is_numeric(piece.text)}
    return any(is_numeric(piece.text) and piece.first in figures for each in band.rows for piece in each.pieces)


def _wraps(band: Band, row: Row, columns: int, *, header: bool) -> bool:
    above = band.rows[-1]
    em = min(above.em, row.em)
    step = row.y1 - above.y1
    mine = {c for piece in row.pieces for c in range(piece.first, piece.last + 1)}
    if step < 0.95 * em and not (mine & {c for p in above.pieces for c in range(p.first, p.last + 1)}):
        return True
    if step > 1.45 * em or any(piece.last > piece.first for each in (*band.rows, row) for piece in each.pieces):
        return False
    text = row.pieces[0].text
    figures = any(is_numeric(piece.text) for piece in row.pieces)
    if header:
        return not figures and mine <= band.columns | mine and not any(is_numeric(p.text) for p in above.pieces)
    if 0 not in mine:
        return not figures and mine <= band.columns and len(mine) < columns
    continues = text[:1].islower() or text[:1] in "(&/" or above.pieces[0].text.endswith(("-", ",", "/", "&"))
    if mine == {0}:
        return continues
    return band.columns == {0} and continues


def band_cells(b: Boxes, bands: list[Band], bounds: list[tuple[float, float]]) -> Grid:
    """The grid of these rows; a cell that spans columns stands once."""
    cells: list[GridCell] = []
    edges = [bounds[0][0]] + [(a[1] + z[0]) / 2 for a, z in itertools.pairwise(bounds)] + [bounds[-1][1]]
    tops = [min(row.y0 for row in band.rows) for band in bands]
    bottom = max(row.y1 for row in bands[-1].rows)
    for r, band in enumerate(bands):
        y0, y1 = tops[r], max(row.y1 for row in band.rows)
        spans = _spans(band, len(bounds))
        for first, last in spans:
            members = [
                k for row in band.rows for piece in row.pieces if first <= piece.first <= last for k in piece.members
            ]
            lines = cell_lines(b, members)
            cells.append(GridCell(r, first, 1, last - first + 1, lines, (edges[first], y0, edges[last + 1], y1)))
    return Grid(cells, len(bands), len(bounds), (edges[0], tops[0], edges[-1], bottom))


def _spans(band: Band, columns: int) -> list[tuple[int, int]]:
    """The columns of a table row cut into cells: a piece that stands in several joins them."""
    joined = [False] * columns
    for row in band.rows:
        for piece in row.pieces:
            for c in range(piece.first + 1, piece.last + 1):
                joined[c] = True
    spans: list[tuple[int, int]] = []
    for c in range(columns):
        if joined[c] and spans:
            spans[-1] = (spans[-1][0], c)
        else:
            spans.append((c, c))
    return spans
