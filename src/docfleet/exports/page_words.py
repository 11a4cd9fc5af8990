"""A page's tokens as words: what stands between white space, with one box, on its line."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width

import msgspec

from docfleet.domain.document import Layout, Line, Page, Token
from docfleet.domain.geometry import Point

Corners = tuple[Point, Point, Point, Point]


class PageWord(msgspec.Struct, frozen=True, gc=False):
    """One or more tokens without white space between them."""

    text: str
    """Without white space."""
    start: int
    """Code point in the page's text."""
    end: int
    """Code point after the word and its white space."""
    corners: Corners | None
    """In page units, clockwise from the top left of the word as read; None when no token has a box."""
    confidence: float
    """Mean over characters, 0..1."""
    line: int
    """Index into `Page.lines`; -1 outside all lines."""
    glued: bool = False
    """No white space stands between it and the next word: scripts that write without spaces."""


def span_of(layout: Layout) -> tuple[int, int]:
    """First and last code point of an element (spans of one element are taken together); (0, 0) without spans."""
    if len(layout.spans) == 1:
        return (layout.spans[0].start, layout.spans[0].end)
    if not layout.spans:
        return (0, 0)
    return (min(span.start for span in layout.spans), max(span.end for span in layout.spans))


def page_words(text: str, page: Page) -> Iterator[PageWord]:
    """The words of a page in text order. A page without tokens has none."""
    owner = Owners([line.layout for line in page.lines])
    group: list[Token] = []
    line = -1
    for token in sorted((t for t in page.tokens if t.layout.spans), key=lambda t: t.layout.spans[0].start):
        start = token.layout.spans[0].start
        own_line = owner.of(start)
        if group and (own_line != line or _parted(text, start) or span_of(group[-1].layout)[1] < start):
            yield from _word(text, page, group, line)
            group = []
        group.append(token)
        line = own_line
    if group:
        yield from _word(text, page, group, line)


def _parted(text: str, at: int) -> bool:
    """Whether a new word begins at `at`: after white space, and between characters of scripts without spaces, whose
    words would otherwise grow to whole lines with one box."""
    before, after = text[at - 1 : at], text[at : at + 1]
    return before.isspace() or (_is_wide(before) and _is_wide(after))


def _is_wide(character: str) -> bool:
    return bool(character) and east_asian_width(character) in "WF"


def _word(text: str, page: Page, tokens: Sequence[Token], line: int) -> Iterator[PageWord]:
    start, end = span_of(tokens[0].layout)[0], span_of(tokens[-1].layout)[1]
    content = "".join(text[start:end].split())
    if not content:
        return
    glued = end < len(text) and not text[end - 1].isspace() and not text[end].isspace()
    if len(tokens) == 1:
        layout = tokens[0].layout
        yield PageWord(content, start, end, corners_of(layout, page), layout.confidence, line, glued)
        return
    weights = [max(1, span_of(t.layout)[1] - span_of(t.layout)[0]) for t in tokens]
    confidence = sum(w * t.layout.confidence for w, t in zip(weights, tokens, strict=True)) / sum(weights)
    boxes = [box for token in tokens if (box := corners_of(token.layout, page)) is not None]
    yield PageWord(content, start, end, union(boxes), confidence, line, glued)


def corners_of(layout: Layout, page: Page) -> Corners | None:
    """An element's corners in page units; None when it has no box of four corners or the page no size."""
    if layout.box is None or page.dimension is None or len(layout.box.corners) != 4:
        return None
    width, height = page.dimension.width, page.dimension.height
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = layout.box.corners
    return ((x0 * width, y0 * height), (x1 * width, y1 * height), (x2 * width, y2 * height), (x3 * width, y3 * height))


def union(boxes: Sequence[Corners]) -> Corners | None:
    """The smallest box around all `boxes` that is turned as the first of them is (y down)."""
    if not boxes:
        return None
    if len(boxes) == 1:
        return boxes[0]
    ux, uy = direction(boxes[0])
    along = [x * ux + y * uy for box in boxes for x, y in box]
    across = [y * ux - x * uy for box in boxes for x, y in box]
    u0, u1, v0, v1 = min(along), max(along), min(across), max(across)

    def point(u: float, v: float) -> Point:
        return (u * ux - v * uy, u * uy + v * ux)

    return (point(u0, v0), point(u1, v0), point(u1, v1), point(u0, v1))


def direction(corners: Corners) -> Point:
    """Unit vector along the text, first corner to second; (1, 0) for a box without width."""
    (x0, y0), (x1, y1) = corners[0], corners[1]
    length = math.hypot(x1 - x0, y1 - y0)
    return ((x1 - x0) / length, (y1 - y0) / length) if length > 0 else (1.0, 0.0)


class Owners:
    """Finds which of some elements a code point belongs to."""

    def __init__(self, layouts: Sequence[Layout]) -> None:
        pieces = sorted((span.start, span.end, i) for i, layout in enumerate(layouts) for span in layout.spans)
        self._starts = [start for start, _, _ in pieces]
        self._pieces = pieces

    def of(self, position: int) -> int:
        """Index of the element whose span holds `position`, -1 when none does."""
        at = bisect_right(self._starts, position) - 1
        return self._pieces[at][2] if at >= 0 and position < self._pieces[at][1] else -1


def line_spans(lines: Sequence[Line], start: int, end: int) -> list[tuple[int, int]]:
    """The parts of lines within [start, end), in order; the whole as one when no line lies there."""
    spans = (span for line in lines for span in line.layout.spans if span.start < end and span.end > start)
    found = [(max(start, span.start), min(end, span.end)) for span in spans]
    return sorted(found) or [(start, end)]
