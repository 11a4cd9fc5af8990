"""Where a grey picture of a page shows what could be writing.

Writing at low resolution is dense, sharp and lies on a plain ground: within a cell about as high as a line of text,
many columns and rows have steep edges, and the bright ground between the strokes is even. Rules have edges in one
direction only, photographs and gradients lack the even ground, and blank paper lacks the edges.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from docfleet.domain.geometry import Rect

CELL = 8
"""Side of a cell in pixels; pages are measured at about 72 pixels an inch, where a line of 10 point text is as high."""
_EDGE = 45
"""Grey levels between neighbours that make an edge."""
_MIN_EDGE_COLUMNS = 3
_MIN_EDGE_ROWS = 3
_GROUND = 40
"""Grey levels from a cell's brightest that still count as its ground."""
_MIN_GROUND_SHARE = 0.3

Grey = npt.NDArray[np.uint8]
Cells = npt.NDArray[np.bool_]


def find_writing(grey: Grey) -> Cells:
    """(rows, columns) of cells of CELL pixels: True where there could be writing. Works on either polarity."""
    rows, columns = grey.shape[0] // CELL, grey.shape[1] // CELL
    if rows == 0 or columns == 0:
        return np.zeros((rows, columns), np.bool_)
    cut = grey[: rows * CELL, : columns * CELL]
    edges = np.zeros(cut.shape, np.bool_)
    one, other = cut[:, 1:], cut[:, :-1]
    edges[:, 1:] = np.maximum(one, other) - np.minimum(one, other) >= _EDGE
    # a cell's row of eight booleans is one 64-bit number
    blocks = edges.view(np.uint64).reshape(rows, CELL, columns)
    edge_rows = (blocks != 0).sum(axis=1)
    edge_columns = np.bitwise_or.reduce(blocks, axis=1).view(np.bool_).reshape(rows, columns, CELL).sum(axis=2)
    busy: Cells = (edge_columns >= _MIN_EDGE_COLUMNS) & (edge_rows >= _MIN_EDGE_ROWS)
    if not busy.any():
        return busy
    at_row, at_column = np.nonzero(busy)
    pixels = cut.reshape(rows, CELL, columns, CELL).transpose(0, 2, 1, 3)[at_row, at_column].reshape(-1, CELL * CELL)
    pixels = pixels.astype(np.int16)
    bright = pixels >= pixels.max(axis=1, keepdims=True) - _GROUND
    dark = pixels <= pixels.min(axis=1, keepdims=True) + _GROUND
    plain = np.maximum(bright.mean(axis=1), dark.mean(axis=1)) >= _MIN_GROUND_SHARE
    busy[at_row[~plain], at_column[~plain]] = False
    return busy


def cover_cells(shape: tuple[int, int], rects: npt.NDArray[np.float32], scale: float, margin: float = 0.0) -> Cells:
    """Cells of which `rects` ((n, 4), page units; `scale` pixels each) cover the middle, grown by `margin` units."""
    covered = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)
    if len(rects):
        grown = (rects + np.array((-margin, -margin, margin, margin), np.float32)) * (scale / CELL)
        x0 = np.clip(np.round(grown[:, 0]), 0, shape[1]).astype(np.intp)
        y0 = np.clip(np.round(grown[:, 1]), 0, shape[0]).astype(np.intp)
        x1 = np.clip(np.round(grown[:, 2]), 0, shape[1]).astype(np.intp)
        y1 = np.clip(np.round(grown[:, 3]), 0, shape[0]).astype(np.intp)
        # Corners of a summed-area table: one pass for any number of rectangles.
        np.add.at(covered, (y0, x0), 1)
        np.add.at(covered, (y0, x1), -1)
        np.add.at(covered, (y1, x0), -1)
        np.add.at(covered, (y1, x1), 1)
    counts = covered.cumsum(axis=0).cumsum(axis=1)
    return np.asarray(counts[:-1, :-1] > 0)


def is_plain(grey: Grey, rect: Rect, scale: float) -> bool:
    """Whether the picture within `rect` (page units) is of one shade."""
    x0, y0, x1, y1 = (round(side * scale) for side in rect)
    part = grey[max(0, y0) : y1, max(0, x0) : x1]
    return part.size == 0 or int(part.max()) - int(part.min()) < _EDGE
