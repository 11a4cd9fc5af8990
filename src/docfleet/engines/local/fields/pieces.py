"""A page as pieces of lines: what stands beside, below and in what, before anything is made of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from docfleet.domain.anchors import Span
from docfleet.domain.document import Layout, Orientation, Page, Token
from docfleet.domain.geometry import BoundingBox, Rect

_GAP = 1.1
"""Widest word space, in heights of the line: what is further apart are two pieces."""
_NEIGHBOURS = 48
"""A piece is compared with at most so many others, so that hostile pages stay linear."""
_LONGEST = 400
"""Characters of a piece; longer ones are prose or hostile, and left out."""
_SAME_ROW = 0.45
"""Share of the lower piece's height that overlaps on one row."""


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Words of one line with nothing but word spaces between them."""

    text: str
    """Without white space at its end."""
    start: int
    """In the document's text."""
    rect: Rect
    """Upright, in units of the page; text reads to the right and down."""
    table: int = -1
    """Which of the page's tables it stands in; -1: none."""

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def height(self) -> float:
        return self.rect[3] - self.rect[1]

    @property
    def middle(self) -> float:
        return (self.rect[1] + self.rect[3]) / 2


class PagePieces:
    """The pieces of one page in the order of reading, and their neighbours."""

    def __init__(self, text: str, page: Page) -> None:
        """`text` is what `page` is anchored in."""
        self.text = text
        self._tokens = [token for token in page.tokens if token.layout.spans]
        self._starts = [token.layout.spans[0].start for token in self._tokens]
        self._turn = _turn_of(self._tokens)
        size = page.dimension
        self._size = (size.width, size.height) if size and min(size.width, size.height) > 0 else (1.0, 1.414)
        if self._turn in (Orientation.LEFT, Orientation.RIGHT):
            self._size = self._size[::-1]
        self.width = self._size[0]
        self._tables = [self._upright(table.layout.box) for table in page.tables if table.layout.box]
        self._rects = [self._upright(token.layout.box) for token in self._tokens]
        self.pieces = list(self._cut(page))
        self._rows = sorted(range(len(self.pieces)), key=lambda k: self.pieces[k].middle)
        self._middles = [self.pieces[k].middle for k in self._rows]

    def right_of(self, piece: Piece) -> list[Piece]:
        """Pieces on the same row that begin where it ends or later, the nearest first."""
        x1 = piece.rect[2]
        found = [
            other
            for other in self._between(piece.middle - piece.height, piece.middle + piece.height)
            if other.rect[0] >= x1 - 0.3 * piece.height and other is not piece and on_one_row(piece, other)
        ]
        return sorted(found, key=lambda other: other.rect[0])

    def left_of(self, piece: Piece) -> list[Piece]:
        """Pieces on the same row that end where it begins or earlier, the nearest first."""
        x0 = piece.rect[0]
        found = [
            other
            for other in self._between(piece.middle - piece.height, piece.middle + piece.height)
            if other.rect[2] <= x0 + 0.3 * piece.height and other is not piece and on_one_row(piece, other)
        ]
        return sorted(found, key=lambda other: -other.rect[2])

    def below(self, piece: Piece, reach: float = 1.5) -> list[Piece]:
        """Pieces under it, whose gap to it is at most `reach` of its heights, the nearest first."""
        x0, _, x1, y1 = piece.rect
        low = y1 + (reach + 1.2) * piece.height
        found = []
        for other in self._between(piece.middle + 0.5 * piece.height, low):
            overlap = min(x1, other.rect[2]) - max(x0, other.rect[0])
            aligned = abs(other.rect[0] - x0) < piece.height
            if other is piece or other.rect[1] - y1 > reach * piece.height or on_one_row(piece, other):
                continue
            if aligned or overlap > 0.3 * min(x1 - x0, other.rect[2] - other.rect[0]):
                found.append(other)
        return sorted(found, key=lambda other: (other.rect[1], other.rect[0]))

    def layout(self, parts: Sequence[tuple[int, int]]) -> Layout:
        """Where these parts of the text stand: whole tokens with the white space behind them, one span each where they
        do not touch, the rectangle around them in the direction of their text, and the mean of their confidence."""
        spans: list[Span] = []
        tokens: list[Token] = []
        for start, end in parts:
            while start < end and self.text[start].isspace():
                start += 1
            first = max(bisect_right(self._starts, start) - 1, 0)
            last = bisect_left(self._starts, end, lo=first)
            chosen = self._tokens[first:last]
            if not chosen:
                continue
            tokens += chosen
            span = Span(chosen[0].layout.spans[0].start, chosen[-1].layout.spans[-1].end)
            if spans and spans[-1].end == span.start:
                span = Span(spans.pop().start, span.end)
            spans.append(span)
        sure = sum(token.layout.confidence for token in tokens) / len(tokens) if tokens else 0.0
        content = "".join(self.text[span.start : span.end] for span in spans)
        return Layout(tuple(spans), self._around(tokens), sure, self._turn, content)

    def rect(self, start: int, end: int) -> Rect:
        """Around the tokens of this part of the text, upright."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        chosen = self._rects[first : max(bisect_left(self._starts, end), first + 1)]
        return _union(chosen) if chosen else (0.0, 0.0, 0.0, 0.0)

    def _cut(self, page: Page) -> Iterator[Piece]:
        for line in page.lines:
            for span in line.layout.spans:
                first, last = bisect_left(self._starts, span.start), bisect_left(self._starts, span.end)
                if first < last:
                    yield from self._cut_line(first, last)

    def _cut_line(self, first: int, last: int) -> Iterator[Piece]:
        rects = self._rects
        heights = sorted(rect[3] - rect[1] for rect in rects[first:last])
        widest = _GAP * heights[len(heights) // 2]
        cuts = [
            later
            for at, later in pairwise(range(first, last))
            if not -3 * widest < rects[later][0] - rects[at][2] < widest
        ]
        for start, stop in pairwise([first, *cuts, last]):
            begin = self._starts[start]
            text = self.text[begin : self._tokens[stop - 1].layout.spans[0].end].rstrip()
            rect = _union(rects[start:stop])
            if 0 < len(text) <= _LONGEST:
                yield Piece(text, begin, rect, self._table_at(rect))

    def _between(self, low: float, high: float) -> Iterator[Piece]:
        first, last = bisect_left(self._middles, low), bisect_right(self._middles, high)
        for k in self._rows[first : min(last, first + _NEIGHBOURS)]:
            yield self.pieces[k]

    def _table_at(self, rect: Rect) -> int:
        x, y = (rect[0] + rect[2]) / 2, (rect[1] + rect[3]) / 2
        for number, table in enumerate(self._tables):
            if table[0] <= x <= table[2] and table[1] <= y <= table[3]:
                return number
        return -1

    def _upright(self, box: BoundingBox | None) -> Rect:
        if box is None:
            return (0.0, 0.0, 0.0, 0.0)
        x0, y0, x1, y1 = box.rect
        width, height = self._size
        match self._turn:
            case Orientation.DOWN:
                x0, y0, x1, y1 = 1 - x1, 1 - y1, 1 - x0, 1 - y0
            case Orientation.RIGHT:
                x0, y0, x1, y1 = y0, 1 - x1, y1, 1 - x0
            case Orientation.LEFT:
                x0, y0, x1, y1 = 1 - y1, x0, 1 - y0, x1
        return (x0 * width, y0 * height, x1 * width, y1 * height)

    def _around(self, tokens: Sequence[Token]) -> BoundingBox | None:
        rects = [token.layout.box.rect for token in tokens if token.layout.box is not None]
        if not rects:
            return None
        ring = BoundingBox.of_rect(*_union(rects)).corners
        turns = {Orientation.RIGHT: 1, Orientation.DOWN: 2, Orientation.LEFT: 3}.get(self._turn, 0)
        return BoundingBox(ring[turns:] + ring[:turns])


def on_one_row(one: Piece, other: Piece) -> bool:
    overlap = min(one.rect[3], other.rect[3]) - max(one.rect[1], other.rect[1])
    return overlap > _SAME_ROW * min(one.height, other.height)


def _turn_of(tokens: Sequence[Token]) -> Orientation:
    """The direction of most of the page's text."""
    turns = Counter(token.layout.orientation for token in tokens)
    return turns.most_common(1)[0][0] if turns else Orientation.UP


def _union(rects: Sequence[Rect]) -> Rect:
    return (
        min(rect[0] for rect in rects),
        min(rect[1] for rect in rects),
        max(rect[2] for rect in rects),
        max(rect[3] for rect in rects),
    )
