"""Plain tables: rows of short texts whose edges line up in columns, with white gutters between them.

Found within one column of the page: a run of rows with gaps in them, gutters that all full rows share, then tests that
keep out prose in columns, lists, forms and tables of contents. Horizontal rules, where drawn, separate the rows.
"""

from __future__ import annotations

import itertools
import re

import msgspec
import numpy as np

from docfleet.engines.local.layout.boxes import Boxes, Ints
from docfleet.engines.local.layout.cells import Grid, GridCell, cell_lines, is_numeric
from docfleet.engines.local.layout.grids import Rules
from docfleet.engines.local.layout.paragraphs import list_marker
from docfleet.engines.local.layout.segments import Segments

PIECE_EM = 0.55
"""Gap beside a figure that parts two cells."""
PAUSE_EM = 2.2
RULED_PAUSE_EM = 4.0
GUTTER_EM = 0.3
MOST_COLUMNS = 60
"""No page of paper has more; hostile ones do."""
LEADERS = re.compile(r"(\.\s?){4,}|…{2,}|(_\s?){4,}")


class Piece(msgspec.Struct):
    """Words that belong to one cell's line."""

    members: list[int]
    x0: float
    x1: float
    text: str
    first: int = 0
    last: int = 0
    """Columns it stands in."""


class Row(msgspec.Struct):
    pieces: list[Piece]
    y0: float
    y1: float
    em: float
    segments: int

    @property
    def yc(self) -> float:
        return (self.y0 + self.y1) / 2

    @property
    def x0(self) -> float:
        return self.pieces[0].x0

    @property
    def x1(self) -> float:
        return max(piece.x1 for piece in self.pieces)


class Found(msgspec.Struct, frozen=True):
    """A table in place of entries `start` to `stop` (excluded) of the column's segments."""

    start: int
    stop: int
    grid: Grid


def find_aligned(b: Boxes, s: Segments, column: Ints, horizontal: Rules) -> list[Found]:
    """Plain tables among the segments of one column (top to bottom, left to right within a row)."""
    if len(column) < 6:
        return []
    rows, starts = _rows(b, s, column)
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


def _rows(b: Boxes, s: Segments, column: Ints) -> tuple[list[Row], list[int]]:
    yc = s.yc[column]
    em = s.em[column]
    new = np.abs(np.diff(yc)) > 0.5 * np.minimum(em[1:], em[:-1])
    # the same row goes on only to the right
    new |= s.x0[column][1:] < s.x0[column][:-1]
    starts = [0, *(np.flatnonzero(new) + 1).tolist()]
    y0, y1, sizes = s.y0[column].tolist(), s.y1[column].tolist(), em.tolist()
    rows = []
    for a, z in zip(starts, [*starts[1:], len(column)], strict=True):
        part = column[a:z]
        pieces = [piece for k in part.tolist() for piece in _pieces(b, s.members[k])]
        rows.append(Row(pieces, min(y0[a:z]), max(y1[a:z]), sorted(sizes[a:z])[(z - a) // 2], z - a))
    return rows, starts


def _pieces(b: Boxes, members: Ints) -> list[Piece]:
    """A segment cut where a gap beside a figure is wider than a word space."""
    index = members.tolist()
    texts = [b.words[k].text for k in b.index[members].tolist()]
    x0, x1 = [b.flat[k][0] for k in index], [b.flat[k][2] for k in index]
    if len(index) == 1 or not any(text[-1:].isdigit() or text[:1].isdigit() for text in texts):
        return [Piece(index, min(x0), max(x1), " ".join(texts))]
    em = min(b.flat[k][4] for k in index)
    figure = [is_numeric(text) for text in texts]
    wide = [x0[k] - x1[k - 1] > PIECE_EM * em and (figure[k] or figure[k - 1]) for k in range(1, len(index))]
    cuts = [0] + [k for k, cut in enumerate(wide, 1) if cut]
    return [
        Piece(index[a:z], min(x0[a:z]), max(x1[a:z]), " ".join(texts[a:z]))
        for a, z in zip(cuts, [*cuts[1:], len(index)], strict=True)
    ]


def _rules_between(h: Rules, top: float, bottom: float, x0: float, x1: float) -> int:
    """Horizontal rules between two heights that cover most of a width."""
    if not len(h.at):
        return 0
    cover = np.minimum(h.high, x1) - np.maximum(h.low, x0)
    return int(((h.at > top) & (h.at < bottom) & (cover > 0.5 * (x1 - x0))).sum())


def _run_end(rows: list[Row], at: int, h: Rules) -> int:
    """First row after `at` that cannot belong to a table which begins there."""
    misses = 0
    last = at
    x0, x1 = rows[at].x0, rows[at].x1
    for k in range(at + 1, len(rows)):
        row, above = rows[k], rows[k - 1]
        gap = row.y0 - above.y1
        em = min(row.em, above.em)
        pause = RULED_PAUSE_EM if _rules_between(h, above.y1 - em, row.y0 + em, x0, x1) else PAUSE_EM
        if gap > pause * em or row.y0 < above.y0 - em:
            break
        if _has_gap(row):
            misses, last = 0, k
            x0, x1 = min(x0, row.x0), max(x1, row.x1)
        else:
            wide = row.x1 - row.x0 > 0.6 * (x1 - x0)
            misses += 3 if wide and len(row.pieces[0].members) > 6 else 1
            if misses > 3:
                break
            if misses == k - last and not wide and gap < 0.5 * em:
                continue
    return last + 1


def _best_grid(b: Boxes, rows: list[Row], start: int, stop: int, h: Rules) -> tuple[int, int, Grid | None]:
    """The grid of rows start..stop; where it fails, of what follows its first row (a heading line in two parts)."""
    for begin in range(start, min(start + 3, stop)):
        if _has_gap(rows[begin]):
            end = _with_last_lines(rows, begin, stop, h)
            grid = build_grid(b, rows[begin:end], h)
            if grid is not None:
                return begin, end, grid
    return start, stop, None


def _with_last_lines(rows: list[Row], start: int, stop: int, h: Rules) -> int:
    """Takes in the wrapped lines of the last row."""
    x0, x1 = min(row.x0 for row in rows[start:stop]), max(row.x1 for row in rows[start:stop])
    while stop < len(rows):
        row, above = rows[stop], rows[stop - 1]
        tight = 0 <= row.y0 - above.y1 + 0.4 * row.em < 0.55 * row.em
        inside = row.x0 > x0 - 0.5 * row.em and row.x1 < x1 + 0.5 * row.em and row.x1 - row.x0 < 0.6 * (x1 - x0)
        starts_high = row.pieces[0].text[:1].isupper() and row.x0 < x0 + row.em
        if not tight or not inside or starts_high or _rules_between(h, above.yc, row.yc, x0, x1):
            break
        stop += 1
    return stop


def build_grid(b: Boxes, rows: list[Row], h: Rules) -> Grid | None:
    """Columns, then cells; None where the rows are no table."""
    em = float(np.median([row.em for row in rows]))
    full = _full_rows(rows)
    x0, x1 = min(row.x0 for row in rows), max(row.x1 for row in rows)
    rules = _rules_between(h, rows[0].y0 - 1.5 * em, rows[-1].y1 + 1.5 * em, x0, x1)
    if len(full) < (2 if rules >= 2 else 3):
        return None
    bounds = _column_bounds(full, x0, x1, em)
    if not 2 <= len(bounds) <= MOST_COLUMNS:
        return None
    for row in rows:
        _place(row, bounds)
    if not _reads_as_table(rows, full, bounds, rules, em):
        return None
    return _cells(b, _merge_wrapped(rows, len(bounds), h), bounds)


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


def _reads_as_table(rows: list[Row], full: list[Row], bounds: list[tuple[float, float]], rules: int, em: float) -> bool:
    pieces = [piece for row in full for piece in row.pieces]
    if any(LEADERS.search(piece.text) for row in rows for piece in row.pieces):
        leaders = sum(any(LEADERS.search(piece.text) for piece in row.pieces) for row in rows)
        if leaders > 0.25 * len(rows):
            return False
    columns: list[list[Piece]] = [[] for _ in bounds]
    for piece in pieces:
        columns[piece.first].append(piece)
    if min(len(column) for column in columns) < (2 if len(full) > 2 else 1):
        return False
    words = float(np.mean([len(piece.members) for piece in pieces]))
    figures = float(np.mean([is_numeric(piece.text) for piece in pieces if piece.first > 0] or [False]))
    if _is_contents(rows):
        return False
    if list_marker(rows[0].pieces[0].text + " x") and _is_list(columns, rows):
        return False
    if len(bounds) == 2:
        return _two_columns(columns, rows, rules, figures, words, em)
    if not rules and len(rows) > 5 and _prose_columns(columns, bounds) > 1:
        return False
    filled = len(pieces) / (len(full) * len(bounds))
    if filled < 0.45 or words > 7:
        return False
    return figures > 0.3 or rules >= 2 or _aligned_share(columns, em) >= 0.7


def _two_columns(
    columns: list[list[Piece]], rows: list[Row], rules: int, figures: float, words: float, em: float
) -> bool:
    """Two columns are a table when the second holds figures, or rules say so; else they may be anything."""
    keys = sum(piece.text.endswith(":") for piece in columns[0])
    if keys > 0.3 * len(columns[0]):
        return False
    if min(float(np.median([p.x1 - p.x0 for p in column])) for column in columns) > 12 * em:
        return False
    regular = sum(len(row.pieces) == 2 for row in rows) > 0.6 * len(rows)
    if figures > 0.7 and regular and len(rows) >= 4:
        return True
    return rules >= 3 and regular and words < 8


def _prose_columns(columns: list[list[Piece]], bounds: list[tuple[float, float]]) -> int:
    """Columns whose every line is several words that fill it: running text set in columns."""
    return sum(
        float(np.median([len(p.members) for p in column])) >= 3
        and float(np.median([p.x1 - p.x0 for p in column])) > 0.75 * (high - low)
        for column, (low, high) in zip(columns, bounds, strict=True)
    )


def _is_contents(rows: list[Row]) -> bool:
    """A table of contents: headings, then page numbers that never fall."""
    numbers = [int(row.pieces[-1].text) for row in rows if re.fullmatch(r"\d{1,4}", row.pieces[-1].text)]
    worded = sum(any(ch.isalpha() for ch in row.pieces[-2].text) for row in rows if len(row.pieces) > 1)
    if len(numbers) < 4 or max(len(row.pieces) for row in rows) > 3 or worded < 0.8 * len(numbers):
        return False
    falls = sum(b < a for a, b in itertools.pairwise(numbers))
    return len(numbers) >= 0.7 * len(rows) and falls <= 0.05 * len(numbers) and numbers[-1] > numbers[0]


def _is_list(columns: list[list[Piece]], rows: list[Row]) -> bool:
    marked = sum(list_marker(row.pieces[0].text + " x") for row in rows)
    return marked > 0.5 * len(rows) and len(columns) < 4


def _aligned_share(columns: list[list[Piece]], em: float) -> float:
    """Share of columns whose left edges, right edges or middles agree."""
    good = 0
    for column in columns:
        left = np.array([p.x0 for p in column])
        right = np.array([p.x1 for p in column])
        spread = min(float(np.median(np.abs(v - np.median(v)))) for v in (left, right, (left + right) / 2))
        good += int(spread < 0.4 * em)
    return good / len(columns)


class _Band(msgspec.Struct):
    """Text rows that make up one table row."""

    rows: list[Row]

    @property
    def columns(self) -> set[int]:
        return {c for row in self.rows for piece in row.pieces for c in range(piece.first, piece.last + 1)}


def _merge_wrapped(rows: list[Row], columns: int, h: Rules) -> list[_Band]:
    """Joins the lines of wrapped cells: by rules where they part the rows, else by what is missing from a line."""
    x0, x1 = min(row.x0 for row in rows), max(row.x1 for row in rows)
    parted = [_rules_between(h, (a.y0 + a.y1) / 2, (z.y0 + z.y1) / 2, x0, x1) > 0 for a, z in itertools.pairwise(rows)]
    ruled = sum(parted) >= max(2, 0.45 * (len(rows) - 1))
    bands = [_Band([rows[0]])]
    first_figures = next((k for k, row in enumerate(rows) if _mostly_figures(row)), len(rows))
    for k in range(1, len(rows)):
        last, row = bands[-1], rows[k]
        if parted[k - 1]:
            bands.append(_Band([row]))
        elif (ruled and not _independent(last, row)) or _wraps(last, row, columns, header=k < first_figures):
            last.rows.append(row)
        else:
            bands.append(_Band([row]))
    return bands


def _mostly_figures(row: Row) -> bool:
    rest = [piece for piece in row.pieces if piece.first > 0]
    return bool(rest) and sum(is_numeric(piece.text) for piece in rest) >= 0.5 * len(rest)


def _independent(band: _Band, row: Row) -> bool:
    """Both have figures in the same column: two rows, whatever the rules say."""
    figures = {piece.first for piece in row.pieces if is_numeric(piece.text)}
    return any(is_numeric(piece.text) and piece.first in figures for each in band.rows for piece in each.pieces)


def _wraps(band: _Band, row: Row, columns: int, *, header: bool) -> bool:
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


def _cells(b: Boxes, bands: list[_Band], bounds: list[tuple[float, float]]) -> Grid:
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


def _spans(band: _Band, columns: int) -> list[tuple[int, int]]:
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
