"""Paragraphs out of lines: which line breaks were only there because the page ended."""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import pairwise

import msgspec

from docfleet.domain.document import Break, Layout, Page
from docfleet.exports.page_words import Corners, direction, line_spans, page_words, span_of

_COMPOUND = re.compile(r"[^\W\d_]-$")
_CONJUNCTIONS = frozenset("and or to und oder bzw. bis et ou y o e u en of och eller og".split())
_SHORT = 36
"""Characters in a line of an address at most; columns of running text are seldom so narrow."""
_PARTED = 2.0
"""Word gap, in line heights, wider than any that justified text has."""
_HYPHENS = "-\u2010\u00ad"


class _LineEnd(msgspec.Struct, frozen=True):
    """What decides whether a line was ended on purpose; page units along the reading direction."""

    start: float
    end: float
    height: float
    first_word: float
    """Width of the line's first word."""
    parted: bool
    """It falls into texts far apart, such as a key and its value: such a row is a line of its own."""


class Reflow:
    """The paragraphs of one page as lines that are meant."""

    def __init__(self, text: str, page: Page) -> None:
        self._text = text
        self._page = page
        self._words = list(page_words(text, page))
        self._starts = [word.start for word in self._words]
        self._lines = sorted(page.lines, key=lambda line: span_of(line.layout)[0])
        self._line_starts = [span_of(line.layout)[0] for line in self._lines]
        self._hyphenated = {span_of(t.layout)[1] for t in page.tokens if t.break_after is Break.HYPHEN}

    def lines(self, layout: Layout) -> list[str]:
        """The element's text, lines joined except where a line was ended on purpose; no empty lines."""
        start, end = span_of(layout)
        at = max(0, bisect_left(self._line_starts, start) - 1)
        until = bisect_left(self._line_starts, end)
        spans = line_spans(self._lines[at:until], start, end)
        if is_stack([self._text[a:b].strip() for a, b in spans]):
            stays = [True] * len(spans)
        else:
            stays = self._staying_breaks([self._line_end(a, b) for a, b in spans])
        meant: list[str] = []
        glue = False
        for index, (a, b) in enumerate(spans):
            content = self._text[a:b]
            broken = self._is_hyphenated(a, b)
            content = content.rstrip().rstrip(_HYPHENS) if broken else content
            # A span without `Page.lines` may hold several lines: those breaks are joined too.
            content = " ".join(content.split())
            if content:
                joins = meant and (glue or not stays[index])
                if joins:
                    meant[-1] += ("" if glue or _goes_on(meant[-1], content) else " ") + content
                else:
                    meant.append(content)
            glue = broken
        return meant

    @staticmethod
    def _staying_breaks(ends: list[_LineEnd | None]) -> list[bool]:
        """For each line whether the break before it was meant. An address has a longest line too, after which nothing
        could have fitted: where half of the breaks are meant, all are."""
        right = max((line.end for line in ends if line), default=0.0)
        stays = [is_meant(line, following, right) for line, following in pairwise(ends)]
        if stays and 2 * sum(stays) >= len(stays):
            stays = [True] * len(stays)
        return [False, *stays]

    def _is_hyphenated(self, start: int, end: int) -> bool:
        tail = end
        while tail > start and self._text[tail - 1].isspace():
            tail -= 1
        return any(position in self._hyphenated for position in range(tail, end + 1))

    def _line_end(self, start: int, end: int) -> _LineEnd | None:
        at = bisect_left(self._starts, start)
        until = bisect_left(self._starts, end)
        boxes = [word.corners for word in self._words[at:until] if word.corners is not None]
        if not boxes:
            return None
        ux, uy = direction(boxes[0])

        def extent(corners: Corners) -> tuple[float, float]:
            along = [x * ux + y * uy for x, y in corners]
            return min(along), max(along)

        extents = [extent(box) for box in boxes]
        height = max(abs((y3 - y0) * ux - (x3 - x0) * uy) for (x0, y0), _, _, (x3, y3) in boxes)
        first = extents[0][1] - extents[0][0]
        parted = any(b[0] - a[1] > _PARTED * height for a, b in pairwise(extents))
        return _LineEnd(min(a for a, _ in extents), max(b for _, b in extents), height, first, parted)


def _goes_on(before: str, after: str) -> bool:
    """Whether a compound was broken after a hyphen of its own ("well-" "known"), not "pre- and post-war"."""
    return _COMPOUND.search(before) is not None and after[0].islower() and after.split()[0] not in _CONJUNCTIONS


def is_stack(lines: list[str]) -> bool:
    """Short lines none of which goes on with a small letter: an address, a signature, a list without marks."""
    if not 2 <= len(lines) <= 8 or any(len(line) > _SHORT or line.endswith(tuple(_HYPHENS)) for line in lines):
        return False
    return not any(line[:1].islower() and "@" not in line and "." not in line.split()[0] for line in lines)


def is_meant(line: _LineEnd | None, following: _LineEnd | None, right: float) -> bool:
    """Whether a line was ended on purpose: the next line's first word, with a space, would have fitted after it.

    A row of texts far apart is a line of its own too.

    `right` is the right end of the paragraph's longest line, which the column reaches at least; so a break that is
    taken for a meant one is one indeed wherever lines are filled greedily, as all word processors do.
    """
    if line is None or following is None:
        return False
    if line.parted or following.parted:
        return True
    space = 0.35 * line.height
    return right - line.end > following.first_word + space
