"""Reading order: cut the page along its gutters.

A recursive XY-cut (Nagy and Seth 1984) whose vertical cuts are empty strips beside left edges that several segments
share (after Breuel's whitespace columns, 2002). A strip ends where a segment crosses it (a spanning title, a wide
table) or where both columns pause together, so what spans is read before and after the columns and not in their
midst. Islands, such as a picture's caption with the text of both columns flowing around it, end no strip: the columns
are cut without them and they follow as blocks of their own.
"""

from __future__ import annotations

import msgspec
import numpy as np

from docfleet.engines.local.layout.boxes import Bools, Floats, Ints, median, run_lengths, steps

GUTTER_EM = 0.7
WIDE_GUTTER_EM = 2.5
"""Least gutter between short texts whose rows are level, where they are blocks side by side and not common rows."""
LEAST_GUTTER_EM = 1.2
"""The same for blocks whose rows are not level, and in running headers and footers, which hold no tables."""
PROSE_EM = 9.0
"""Lines of running text are at least this wide."""
PAUSE_EM = 3.2
"""White space right across both columns that ends them."""
LARGE_RATIO = 1.25
"""Type this much larger than what stands beside it is a name or title, read before it."""
LARGE_MOST, LARGE_REACH = 12, 12
"""Pieces of large type looked at, and how far each may move."""
ISLAND_SHARE = 0.25
"""Islands are at most this share of what stands in and beside the strip."""
FLOWING_EM = 6.0
"""Lines that flow around an island are mostly this wide; they are shorter than the column's."""
ISLAND_ROWS = 6
"""Rows that each column around an island has at least."""
FEW = 60
CANDIDATES = 24
WORK = 6_000_000
"""Segments times candidates looked at before the rest of a page is read row by row."""
NOTHING: Ints = np.zeros(0, dtype=np.int64)


class Strips(msgspec.Struct, frozen=True):
    """What is put in order: m rectangles with their font sizes and number of words."""

    x0: Floats
    y0: Floats
    x1: Floats
    y1: Floats
    em: Floats
    words: Ints
    figures: Bools
    """It begins with a digit, a sign or a currency's mark."""
    solid: Bools
    """Tables and the like: never cut, never evidence for a column."""


class Gutter(msgspec.Struct, frozen=True):
    """An empty strip left of `x`, from `top` to `bottom`: what lies between is read left side first."""

    x: float
    top: float
    bottom: float
    score: float
    islands: Ints = NOTHING
    """What stands in the strip without ending it."""


def reading_order(s: Strips, *, furniture: bool = False) -> list[Ints]:
    """Columns in reading order, each as indices into `s` sorted from top to bottom, left to right within a row.

    `furniture`: a running header or footer, whose rows are blocks side by side and no table.
    """
    return _Cutter(s, furniture).cut(np.arange(len(s.x0)), 0)


class _Cutter:
    def __init__(self, s: Strips, furniture: bool) -> None:
        self.s = s
        self.furniture = furniture
        self.work = WORK

    def cut(self, at: Ints, depth: int) -> list[Ints]:
        if not len(at):
            return []
        self.work -= len(at) * CANDIDATES
        gutter = self.best_gutter(at) if len(at) > 2 and depth < 16 and self.work > 0 else None
        if gutter is None:
            return [rows_in_order(self.s, at)]
        s = self.s
        if len(gutter.islands):
            at = at[~np.isin(at, gutter.islands)]
        yc = (s.y0[at] + s.y1[at]) / 2
        above, below = yc < gutter.top, yc > gutter.bottom
        left = ~above & ~below & (s.x0[at] < gutter.x)
        right = ~above & ~below & ~left
        sides = (at[above], at[left], at[right], gutter.islands, at[below])
        return [part for side in sides for part in self.cut(side, depth + 1)]

    def best_gutter(self, at: Ints) -> Gutter | None:
        s = self.s
        yc = (s.y0[at] + s.y1[at]) / 2
        order = np.argsort(yc, kind="stable")
        at, yc = at[order], yc[order]
        em = median(s.em[at])
        best: Gutter | None = None
        edges = [(x, True) for x in _left_edges(s.x0[at], em) + self.edges_beside_large(at, em)]
        edges += [(x, self.furniture) for x in self.flush_right_edges(at, em)]
        for x, level in edges:
            found = self.gutter_at(at, yc, x, em, level)
            if found is not None and (best is None or found.score > best.score):
                best = found
        return best

    def edges_beside_large(self, at: Ints, em: float) -> list[float]:
        """Left edge of what stands to the right of each large line, for blocks that are set flush right."""
        s = self.s
        found = []
        for k in at[_largest(s.em[at])].tolist():
            beside = (s.x0[at] > s.x1[k]) & (s.y1[at] > s.y0[k] - em) & (s.y0[at] < s.y1[k] + em)
            beside &= s.em[at] * LARGE_RATIO < s.em[k]
            if beside.sum() >= 2:
                found.append(float(s.x0[at][beside].min()))
        return found

    def flush_right_edges(self, at: Ints, em: float) -> list[float]:
        """Left edges of blocks whose lines share their right edge, on pages or parts with few pieces of text."""
        if len(at) > FEW:
            return []
        order = np.argsort(self.s.x1[at], kind="stable")
        right, left = self.s.x1[at][order], self.s.x0[at][order]
        first = np.concatenate(([0], np.flatnonzero(steps(right) > 0.3 * em) + 1))
        counts = run_lengths(first, len(right))
        edges: list[float] = np.minimum.reduceat(left, first)[counts >= 2].tolist()
        return edges[-CANDIDATES:]

    def gutter_at(self, at: Ints, yc: Floats, x: float, em: float, level: bool) -> Gutter | None:
        """The best stretch of the strip left of `x`. `level`: blocks with rows at the same heights may be columns; not
        what is set flush right, which are values beside their keys."""
        s = self.s
        slack = 0.35 * em
        right = s.x0[at] >= x - slack
        left = s.x1[at] <= x + 0.1 * em
        if right.sum() < 2 or not left.any():
            return None
        crossing = ~right & ~left
        islands = find_islands(s, at, left & ~right, right, em)
        best = self.best_stretch(at, yc, right, crossing, x, em, level)
        if not islands.any():
            return best
        around = ~islands
        found = self.best_stretch(at[around], yc[around], right[around], crossing[around], x, em, level)
        if found is None or (best is not None and best.score >= found.score):
            return best
        inside = at[islands & (yc >= found.top) & (yc <= found.bottom)]
        return msgspec.structs.replace(found, islands=inside)

    def best_stretch(
        self, at: Ints, yc: Floats, right: Bools, crossing: Bools, x: float, em: float, level: bool
    ) -> Gutter | None:
        """The best of the stretches that end where something crosses the strip or both sides pause."""
        s = self.s
        crossing = _with_row_mates(crossing, yc, 0.3 * em)
        pause = np.concatenate(([False], s.y0[at][1:] - np.maximum.accumulate(s.y1[at])[:-1] > PAUSE_EM * em))
        run = np.cumsum(crossing | pause) * 2 + crossing
        best: Gutter | None = None
        sides = np.flatnonzero(~crossing)
        groups = np.split(sides, np.flatnonzero(steps(run[sides])) + 1)
        for group in groups:
            if len(group) < 3:
                continue
            found = self.weigh(at[group], yc[group], right[group], x, em, level)
            if found is not None and (best is None or found.score > best.score):
                best = found
        return best

    def stands_beside(self, one: int, right: Ints) -> bool:
        """A single large line, such as a letterhead's name, beside a block of smaller ones (not a row of figures)."""
        s = self.s
        smaller = bool((s.em[right] * LARGE_RATIO < s.em[one]).all())
        return smaller and not s.solid[one] and _count_rows(s, right) == len(right)

    def weigh(self, at: Ints, yc: Floats, right: Bools, x: float, em: float, level: bool) -> Gutter | None:
        """The gutter if what stands on its two sides reads as columns and not as rows."""
        s = self.s
        r, q = at[right], at[~right]
        if len(r) < 2 or not len(q) or (len(q) == 1 and not self.stands_beside(int(q[0]), r)):
            return None
        gap = float(s.x0[r].min() - s.x1[q].max()) / em
        top, bottom = max(s.y0[r].min(), s.y0[q].min()), min(s.y1[r].max(), s.y1[q].max())
        if gap < GUTTER_EM or bottom - top < (1.5 if len(q) > 1 else 1.0) * em:
            return None
        if len(q) == 1:
            return Gutter(x - 0.3 * em, float(yc[0]), float(yc[-1]), float(bottom - top))
        if not reads_as_columns(s, q, r, gap, em, level=level, furniture=self.furniture):
            return None
        return Gutter(x - 0.3 * em, float(yc[0]), float(yc[-1]), float(bottom - top) * (1 + min(gap, 4.0) / 8))


def find_islands(s: Strips, at: Ints, left: Bools, right: Bools, em: float) -> Bools:
    """Which of `at` (sorted from top to bottom) stand between two columns of prose that flow around them.

    They are few, several lines under one another, narrower than either column, in no larger type, and beside most of
    them stands a line of prose on both sides: a heading across the page stands alone, and a table has cells there.
    """
    found = np.zeros(len(at), dtype=bool)
    crossing = ~(left | right | s.solid[at])
    if np.count_nonzero(crossing) < 2:
        return found
    within = _shared_height(s, at, left, right)
    crossing &= within
    if not 2 <= crossing.sum() <= ISLAND_SHARE * within.sum():
        return found
    sides = [at[left & within], at[right & within]]
    if any(len(side) < ISLAND_ROWS or _count_rows(s, side) < ISLAND_ROWS for side in sides):
        return found
    room = min(_line_width(s, side) for side in sides)
    if room < PROSE_EM * em or any(_mostly_figures(s, side) for side in sides):
        return found
    slim = np.flatnonzero(crossing & (s.x1[at] - s.x0[at] < room) & (s.em[at] < LARGE_RATIO * em))
    if len(slim) < 2:
        return found
    yc = (s.y0[at] + s.y1[at]) / 2
    for group in np.split(slim, np.flatnonzero(steps(yc[slim]) > PAUSE_EM * em) + 1):
        if len(group) > 1 and all(_flows_beside(s, at[group], side, em) for side in sides):
            found[group] = True
    return found


def _shared_height(s: Strips, at: Ints, left: Bools, right: Bools) -> Bools:
    """What stands no higher and no lower than both sides reach."""
    q, r = at[left], at[right]
    if not len(q) or not len(r):
        return np.zeros(len(at), dtype=bool)
    top, bottom = max(s.y0[q].min(), s.y0[r].min()), min(s.y1[q].max(), s.y1[r].max())
    yc = (s.y0[at] + s.y1[at]) / 2
    within: Bools = (yc > top) & (yc < bottom)
    return within


def _flows_beside(s: Strips, island: Ints, side: Ints, em: float) -> bool:
    """Lines of prose, clear of the island, stand at its height on this side."""
    yc = (s.y0[side] + s.y1[side]) / 2
    beside = side[(yc > s.y0[island].min() - 0.5 * em) & (yc < s.y1[island].max() + 0.5 * em)]
    if 2 * len(beside) < len(island) or len(beside) < 2 or len(beside) > 1.5 * _count_rows(s, beside):
        return False
    wide = s.x1[beside] - s.x0[beside] >= FLOWING_EM * em
    clear = (s.x1[beside] < s.x0[island].min()) | (s.x0[beside] > s.x1[island].max())
    return float(wide.mean()) > 0.6 and bool(clear.all()) and float(s.words[beside].mean()) >= 3


def _with_row_mates(crossing: Bools, yc: Floats, reach: float) -> Bools:
    """What shares its row with something that crosses the strip belongs to that row, not to a column."""
    if not crossing.any():
        return crossing
    rows = yc[crossing]
    after = np.searchsorted(rows, yc).clip(0, len(rows) - 1)
    off = np.minimum(np.abs(rows[after] - yc), np.abs(rows[np.maximum(after - 1, 0)] - yc))
    whole: Bools = crossing | (off < reach)
    return whole


def reads_as_columns(
    s: Strips, left: Ints, right: Ints, gap: float, em: float, *, level: bool = True, furniture: bool = False
) -> bool:
    """Columns of prose, or independent blocks side by side; not the keys and values, or cells, of common rows."""
    if s.solid[left].all() or s.solid[right].all():
        return len(left) > 1 and len(right) > 1
    wide_left, wide_right = _line_width(s, left) / em, _line_width(s, right) / em
    figures = any(_mostly_figures(s, at) for at in (left, right))
    if wide_left >= PROSE_EM and wide_right >= PROSE_EM and not figures:
        return True
    few, many = (left, right) if len(left) <= len(right) else (right, left)
    few_y, many_y = (s.y0[few] + s.y1[few]) / 2, np.sort((s.y0[many] + s.y1[many]) / 2)
    spot = np.searchsorted(many_y, few_y).clip(1, len(many_y) - 1)
    off = np.minimum(np.abs(many_y[spot] - few_y), np.abs(many_y[spot - 1] - few_y))
    aligned = float((off < 0.3 * em).mean())
    if aligned < 0.5:
        prose = any(w >= PROSE_EM and s.words[at].mean() >= 5 for w, at in ((wide_left, left), (wide_right, right)))
        return gap >= LEAST_GUTTER_EM and (prose or furniture or not _in_pieces(s, left, right))
    if not level or (not furniture and (figures or _in_pieces(s, left, right))):
        return False
    talkative = min(float(s.words[left].mean()), float(s.words[right].mean())) >= 1.8
    return gap >= (LEAST_GUTTER_EM if furniture else WIDE_GUTTER_EM) and talkative and min(wide_left, wide_right) > 4.5


def _mostly_figures(s: Strips, at: Ints) -> bool:
    """Several rows of figures: cells of rows that go on across the gutter."""
    return float(s.figures[at].mean()) > 0.55 and _count_rows(s, at) > 2


def _in_pieces(s: Strips, left: Ints, right: Ints) -> bool:
    """The rows fall into more pieces than blocks side by side have."""
    rows = [_count_rows(s, at) for at in (left, right)]
    if len(left) + len(right) >= 3.5 * max(rows):
        return True
    return any(n > 2 and len(at) >= 2.5 * n for n, at in zip(rows, (left, right), strict=True))


def _count_rows(s: Strips, at: Ints) -> int:
    middles = np.sort((s.y0[at] + s.y1[at]) / 2)
    return 1 + int((steps(middles) > 0.5 * float(s.em[at].min())).sum())


def _line_width(s: Strips, at: Ints) -> float:
    """Median width of the rows of one side, where their words fill them; else of the pieces the rows fall into."""
    at = at[np.argsort((s.y0[at] + s.y1[at]) / 2, kind="stable")]
    yc = (s.y0[at] + s.y1[at]) / 2
    first = np.concatenate(([0], np.flatnonzero(steps(yc) > 0.5 * np.minimum(s.em[at][1:], s.em[at][:-1])) + 1))
    extent = np.maximum.reduceat(s.x1[at], first) - np.minimum.reduceat(s.x0[at], first)
    filled = np.add.reduceat(s.x1[at] - s.x0[at], first)
    if median(filled / np.maximum(extent, 1e-6)) > 0.8:
        return median(extent)
    return median(s.x1[at] - s.x0[at])


def _left_edges(x0: Floats, em: float) -> list[float]:
    """Left edges that two or more rectangles share (within half a character), leftmost excluded, commonest first."""
    edges = np.sort(x0)
    begins = np.concatenate(([0], np.flatnonzero(steps(edges) > 0.3 * em) + 1))
    counts = run_lengths(begins, len(edges))
    fine = np.flatnonzero(counts >= 2)
    fine = fine[fine > 0]
    if len(fine) > CANDIDATES:
        fine = fine[np.argsort(-counts[fine], kind="stable")[:CANDIDATES]]
    found: list[float] = edges[begins[fine]].tolist()
    return found


def rows_in_order(s: Strips, at: Ints) -> Ints:
    """Top to bottom; rectangles that share a row from left to right."""
    yc = (s.y0[at] + s.y1[at]) / 2
    order = np.argsort(yc, kind="stable")
    at, yc = at[order], yc[order]
    step = steps(yc)
    reach = 0.5 * np.minimum(s.em[at][1:], s.em[at][:-1])
    row = np.concatenate(([0], np.cumsum(step > reach)))
    return _large_first(s, at[np.lexsort((s.x0[at], row))])


def _largest(em: Floats) -> Ints:
    """Positions of the largest type, a dozen at most, in order; none where all is of one size."""
    if len(em) < 2:
        return np.zeros(0, dtype=np.int64)
    large = np.flatnonzero((em > LARGE_RATIO * em.min()) & (em >= median(em)))
    if len(large) > LARGE_MOST:
        large = np.sort(large[np.argsort(-em[large], kind="stable")[:LARGE_MOST]])
    return large


def _large_first(s: Strips, at: Ints) -> Ints:
    """Moves large type before the small lines that stand to its right at its height: a name and its address lines."""
    large = _largest(s.em[at])
    if not len(large):
        return at
    order = at.tolist()
    for k in at[large].tolist():
        place = order.index(k)
        before = np.array(order[max(0, place - LARGE_REACH) : place], dtype=np.int64)
        beside = np.minimum(s.y1[before], s.y1[k]) - np.maximum(s.y0[before], s.y0[k])
        beside = beside > 0.4 * (s.y1[before] - s.y0[before])
        beside &= (s.x0[before] >= s.x1[k]) & (s.em[before] * LARGE_RATIO < s.em[k])
        if beside.any():
            order.remove(k)
            order.insert(place - len(before) + int(np.flatnonzero(beside)[0]), k)
    return np.array(order, dtype=np.int64)
