"""How well something was read: error rates, word and box matches, tables, reading order.

Pure functions over text, words and cells; they know neither docfleet nor its file formats. All comparisons are made on
text after `normalise`.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item", bound=Hashable)
Rect = tuple[float, float, float, float]
"""x0, y0, x1, y1."""
PlacedWord = tuple[str, Rect]
Grid = Sequence[Sequence[str]]
"""Rows of cells; a cell that is blank or covered by a span is an empty string."""

_FOLDED = str.maketrans(
    {"‚": ","}
    | dict.fromkeys("’‘", "'")
    | dict.fromkeys("“”„«»", '"')
    | dict.fromkeys("–—‐‑−\xad", "-")
    | dict.fromkeys("·∙●▪◦‣", "•")
)


class Match(NamedTuple):
    """Precision, recall and their harmonic mean, each 0..1."""

    precision: float
    recall: float
    f1: float


def normalise(text: str) -> str:
    """Unicode NFKC, typographic quotes, dashes and bullets made plain, runs of white space made one space.

    Case, punctuation and accents count.
    """
    return " ".join(unicodedata.normalize("NFKC", text).translate(_FOLDED).split())


def words_of(text: str) -> list[str]:
    return normalise(text).split()


def edit_distance(truth: Sequence[Hashable], read: Sequence[Hashable]) -> int:
    """Levenshtein: the fewest insertions, deletions and replacements of items that make `read` out of `truth`."""
    left, right = _numbered(truth, read)
    steps = np.arange(len(right) + 1)
    row = steps.copy()
    for number, item in enumerate(left, start=1):
        best = np.empty_like(row)
        best[0] = number
        best[1:] = np.minimum(row[1:] + 1, row[:-1] + (right != item))
        # insertions: row[j] = min over k <= j of best[k] + (j - k)
        row = np.minimum.accumulate(best - steps) + steps
    return int(row[-1])


def common_subsequence(truth: Sequence[Hashable], read: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence."""
    left, right = _numbered(truth, read)
    row = np.zeros(len(right) + 1, dtype=np.int64)
    for item in left:
        row[1:] = np.maximum.accumulate(np.maximum(row[1:], row[:-1] + (right == item)))
    return int(row[-1])


def _numbered(
    left: Sequence[Hashable], right: Sequence[Hashable]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    numbers: dict[Hashable, int] = {}
    for item in (*left, *right):
        numbers.setdefault(item, len(numbers))
    return (
        np.array([numbers[item] for item in left], dtype=np.int64),
        np.array([numbers[item] for item in right], dtype=np.int64),
    )


def character_error_rate(truth: str, read: str) -> float:
    """Edits per character of the truth, in reading order; above 1 is possible."""
    expected = normalise(truth)
    return edit_distance(expected, normalise(read)) / max(1, len(expected))


def word_error_rate(truth: str, read: str) -> float:
    """Edits per word of the truth, in reading order."""
    expected = words_of(truth)
    return edit_distance(expected, words_of(read)) / max(1, len(expected))


def word_match(truth: str, read: str) -> Match:
    """Words found, whatever their order: multisets compared."""
    return _multiset_match(Counter(words_of(truth)), Counter(words_of(read)))


def reading_order(truth: str, read: str) -> float:
    """Share of the words common to both that stand in the same order: longest common subsequence over common words.

    1 is the same order, about 0.5 is two columns read across; misread words do not count either way.
    """
    expected, found = words_of(truth), words_of(read)
    common = sum((Counter(expected) & Counter(found)).values())
    return common_subsequence(expected, found) / common if common else 1.0


def overlap(a: Rect, b: Rect) -> float:
    """Intersection over union of two rectangles."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def box_match_rate(truth: Sequence[PlacedWord], read: Sequence[PlacedWord], threshold: float = 0.5) -> float:
    """Of the words read right, the share that stands in the right place: overlap of at least `threshold`.

    Each word pairs with at most one of the same text, best overlap first. 1 when no word is common.
    """
    expected = [(normalise(text), box) for text, box in truth]
    found = [(normalise(text), box) for text, box in read]
    common = sum((Counter(text for text, _ in expected) & Counter(text for text, _ in found)).values())
    places: dict[str, list[int]] = {}
    for index, (text, _) in enumerate(found):
        places.setdefault(text, []).append(index)
    pairs = sorted(
        (
            (overlap(box, found[other][1]), index, other)
            for index, (text, box) in enumerate(expected)
            for other in places.get(text, ())
        ),
        key=lambda pair: -pair[0],
    )
    used: set[int] = set()
    placed: set[int] = set()
    for value, index, other in pairs:
        if value < threshold:
            break
        if index not in placed and other not in used:
            placed.add(index)
            used.add(other)
    return len(placed) / common if common else 1.0


def table_match(truth: Sequence[Grid], read: Sequence[Grid]) -> Match:
    """Adjacency relations of the tables of a page (Göbel et al., ICDAR 2013 table competition).

    Each filled cell is related to the next filled cell to its right and below it; relations are compared by the cells'
    text without white space, whatever the tables' order.
    """
    return _multiset_match(_relations(truth), _relations(read))


def _relations(tables: Sequence[Grid]) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for table in tables:
        rows = [["".join(normalise(cell).split()) for cell in row] for row in table]
        width = max((len(row) for row in rows), default=0)
        columns = [[row[index] if index < len(row) else "" for row in rows] for index in range(width)]
        for direction, runs in (("right", rows), ("below", columns)):
            for run in runs:
                filled = [cell for cell in run if cell]
                found.update((direction, cell, following) for cell, following in pairwise(filled))
    return found


def _multiset_match(truth: Counter[Item], read: Counter[Item]) -> Match:
    common = sum((truth & read).values())
    expected, found = sum(truth.values()), sum(read.values())
    precision = common / found if found else float(not expected)
    recall = common / expected if expected else 1.0
    return Match(precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0)
