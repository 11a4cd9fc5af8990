"""Rows of a column cut into pieces, the raw material of plain tables."""

from __future__ import annotations

import msgspec
import numpy as np

from docfleet.engines.local.layout.boxes import Boxes, Ints, steps
from docfleet.engines.local.layout.cells import is_numeric
from docfleet.engines.local.layout.grids import Rules
from docfleet.engines.local.layout.segments import Segments

PIECE_EM = 0.55
"""Gap beside a figure that parts two cells."""


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


def cut_rows(b: Boxes, s: Segments, column: Ints) -> tuple[list[Row], list[int]]:
    """The rows of a column, and where in `column` each begins."""
    yc = s.yc[column]
    em = s.em[column]
    new = np.abs(steps(yc)) > 0.5 * np.minimum(em[1:], em[:-1])
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


def rules_between(h: Rules, top: float, bottom: float, x0: float, x1: float) -> int:
    """Horizontal rules between two heights that cover most of a width."""
    if not len(h.at):
        return 0
    cover = np.minimum(h.high, x1) - np.maximum(h.low, x0)
    return int(((h.at > top) & (h.at < bottom) & (cover > 0.5 * (x1 - x0))).sum())
