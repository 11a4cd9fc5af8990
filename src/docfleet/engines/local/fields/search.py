"""Values by their names: behind them, right of them, under them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from docfleet.domain.document import Document
from docfleet.engines.local.fields.pieces import PagePieces, Piece

NEAR = 25
"""How many characters may stand between a name and its value."""
BEYOND = 3.5
"""How far under its name a value may begin, in heights of the name."""
_WHICH = re.compile(r"^[\s:#.=]*")


class Found(NamedTuple):
    """A value and where it stands."""

    value: object
    page: int
    start: int
    end: int
    rank: int
    """Of the name it was found by: 0 is the surest."""


class Pages:
    """A document's pages as pieces."""

    def __init__(self, document: Document) -> None:
        self.text = document.text
        self.places = [PagePieces(document.text, page) for page in document.pages]

    def __iter__(self) -> Iterator[tuple[int, PagePieces]]:
        return iter(enumerate(self.places))


Values = Callable[[str], Iterator[tuple[object, int, int]]]
"""A text -> the values in it, with their places."""


def beside(place: PagePieces, piece: Piece, name: re.Match[str], values: Values) -> tuple[object, int, int] | None:
    """The value behind a name, right of it, or under it: the value, and its start and end in the document."""
    skipped = _WHICH.match(piece.text[name.end() :])
    begin = name.end() + (skipped.end() if skipped else 0)
    for value, start, end in values(piece.text[begin:]):
        if start < NEAR:
            return value, piece.start + begin + start, piece.start + begin + end
    for other in place.right_of(piece)[:2]:
        for value, start, end in values(other.text):
            if start < NEAR:
                return value, other.start + start, other.start + end
    for other in place.below(piece, BEYOND)[:3]:
        for value, start, end in under(place, piece, name, other, values):
            return value, start, end
    return None


def under(
    place: PagePieces, piece: Piece, name: re.Match[str], other: Piece, values: Values
) -> Iterator[tuple[object, int, int]]:
    """The values in `other` that stand under the name itself, not under what else its piece holds."""
    x0, _, x1, _ = place.rect(piece.start + name.start(), piece.start + name.end())
    at = 0
    while at < len(other.text):
        found = next(values(other.text[at:]), None)
        if found is None:
            return
        value, start, end = found[0], other.start + at + found[1], other.start + at + found[2]
        left, _, right, _ = place.rect(start, end)
        if min(right, x1) > max(left, x0) - 0.3 * piece.height:
            yield value, start, end
        at += max(found[2], 1)
