"""Which headings of a document are above which: levels as Markdown wants them, without gaps.

A page tells a heading's level by its type size alone, so that pages agree; a contract whose headings are bold text of
the body's size has only headings of level 4. Seen together, the levels in use close up, and the numbers some headings
bear ("3.1") tell headings of one size apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from docfleet.domain.document import Page, Paragraph, Role
from docfleet.exports.page_words import span_of

DEEPEST = 6
_SECTION = re.compile(r"^\d{1,2}(?:\.\d{1,2})+(?=[.\s])")

Rank = tuple[int, int]
"""Level by size, then dots in the section number."""


class HeadingDepths(msgspec.Struct, frozen=True):
    """Number signs for every kind of heading in use."""

    depths: dict[Rank, int]

    @classmethod
    def of_pages(cls, pages: Iterable[tuple[str, Page]]) -> HeadingDepths:
        """Looks at all headings once; the highest gets two number signs, for one is the title's."""
        ranks = {
            rank_of(text, paragraph)
            for text, page in pages
            for paragraph in page.paragraphs
            if paragraph.role is Role.HEADING
        }
        return cls({rank: min(place + 2, DEEPEST) for place, rank in enumerate(sorted(ranks))})

    def depth(self, text: str, paragraph: Paragraph) -> int:
        return self.depths.get(rank_of(text, paragraph), DEEPEST)


def rank_of(text: str, paragraph: Paragraph) -> Rank:
    start, end = span_of(paragraph.layout)
    found = _SECTION.match(text[start : min(end, start + 20)])
    return (max(paragraph.level, 1), found[0].count(".") if found else 0)
