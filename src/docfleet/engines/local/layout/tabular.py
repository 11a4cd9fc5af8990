"""Whether rows that line up in columns are a table, or prose, lists, forms, tables of contents."""

from __future__ import annotations

import itertools
import re

import numpy as np

from docfleet.engines.local.layout.aligned_rows import Piece, Row
from docfleet.engines.local.layout.boxes import median
from docfleet.engines.local.layout.cells import is_numeric
from docfleet.engines.local.layout.paragraphs import list_marker

OCR_ROWS = 4
"""Full rows a table read from pixels has at least; without figures half as many again."""
LEADERS = re.compile(r"(\.\s?){4,}|…{2,}|(_\s?){4,}")


def reads_as_table(
    rows: list[Row], full: list[Row], bounds: list[tuple[float, float]], rules: int, em: float, *, ocr: bool = False
) -> bool:
    """Whether the rows, of which the `full` ones show the columns, are a table; `rules` are lines drawn across it.

    `ocr`: read from pixels, where no rules are seen and edges are rough; only what is clearly a table counts. Receipts
    and forms, whose rows are a text and a figure, read better as lines.
    """
    if ocr and (len(bounds) < 3 or len(full) < OCR_ROWS):
        return False
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
    if not rules and len(rows) > 5 and figures < 0.3 and _prose_columns(columns, bounds) > 1:
        return False
    filled = len(pieces) / (len(full) * len(bounds))
    if filled < 0.45 or words > 7:
        return False
    if ocr and (figures < 0.3 and len(full) < 2 * OCR_ROWS - 2):
        return False
    return figures > 0.3 or rules >= 2 or _aligned_share(columns, em) >= 0.7


def _two_columns(
    columns: list[list[Piece]], rows: list[Row], rules: int, figures: float, words: float, em: float
) -> bool:
    """Two columns are a table when the second holds figures, or rules say so; else they may be anything."""
    keys = sum(piece.text.endswith(":") for piece in columns[0])
    if keys > 0.3 * len(columns[0]):
        return False
    if min(median([p.x1 - p.x0 for p in column]) for column in columns) > 12 * em:
        return False
    regular = sum(len(row.pieces) == 2 for row in rows) > 0.6 * len(rows)
    if figures > 0.7 and regular and len(rows) >= 4:
        return True
    return rules >= 3 and regular and words < 8


def _prose_columns(columns: list[list[Piece]], bounds: list[tuple[float, float]]) -> int:
    """Columns whose every line is several words that fill it: running text set in columns."""
    return sum(
        median([len(p.members) for p in column]) >= 3 and median([p.x1 - p.x0 for p in column]) > 0.75 * (high - low)
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
        spread = min(median(np.abs(v - median(v))) for v in (left, right, (left + right) / 2))
        good += int(spread < 0.4 * em)
    return good / len(columns)
