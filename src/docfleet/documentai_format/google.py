"""Our own engines' documents by the conventions of Document AI's own responses.

Measured on 26 published responses (OCR, form, invoice and expense processors): every line ends with a newline; tokens,
lines, paragraphs and blocks each partition the text of their page, in order and one segment each; pages follow each
other with no separator; a PDF's page is measured in pixels of an image of about four megapixels.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Any, Literal

import msgspec

from docfleet.documentai_format.anchoring import moved_anchor, moved_entity, moved_page
from docfleet.documentai_format.paging import WHOLE_PAGE, page_cuts
from docfleet.domain.anchors import Span
from docfleet.domain.document import Break, Dimension, Document, Layout, Orientation, Page, Token
from docfleet.domain.geometry import BoundingBox

Version = Literal["v1", "v2"]
"""Of the processor: v2 responses have normalized vertices alone and say WIDE_SPACE at the end of a line; v1 responses
have both kinds of vertices and no break there."""

PIXELS = 4.0e6
"""Of the image that a PDF's page is measured in."""

_replace = msgspec.structs.replace


def as_google(document: Document, version: Version) -> Document:
    """`document` of our own engines, spelled as Document AI spells its responses of `version`.

    The text of every line and page ends with a newline: white space at its end becomes one, else one is put in. On each
    page tokens, lines, paragraphs and blocks partition the text: an element in several stretches stands once for each,
    one without text goes, and what none held belongs to the one before it; a page without lines has none afterwards.
    Everything else that is anchored moves with its text. `unread` goes.
    """
    if version not in ("v1", "v2"):
        raise ValueError(f"no version of Document AI's conventions: {version!r}")
    cuts = page_cuts(document)
    text, inserted = _with_newlines(document, cuts)

    def move(spans: tuple[Span, ...]) -> tuple[Span, ...]:
        return tuple([_widened(span, inserted) for span in spans])

    def each(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple([_replace(one, text_anchor=moved_anchor(one.text_anchor, move)) for one in items])

    ends = [cut + bisect_right(inserted, cut) for cut in cuts]
    pages = [moved_page(page, move) for page in document.pages] if inserted else document.pages
    return _replace(
        document,
        text=text,
        pages=tuple([_page(text, ends[number], ends[number + 1], page, version) for number, page in enumerate(pages)]),
        entities=tuple([moved_entity(one, move, tuple, lambda _: True) for one in document.entities]),
        text_styles=each(document.text_styles),
        text_changes=each(document.text_changes),
        unread=(),
    )


def _page(text: str, start: int, end: int, page: Page, version: Version) -> Page:
    """`page`, whose text is that from `start` to `end`."""
    dimension = _in_pixels(page.dimension)
    sizes = dimension if version == "v1" else None
    layout = page.layout if page.layout is not None else Layout(box=WHOLE_PAGE)
    changed = {
        name: _with_vertices(_partition(getattr(page, name), start, end), sizes)
        for name in ("blocks", "paragraphs", "lines", "tokens")
    }
    tokens = tuple([_broken(token, text, version) for token in changed.pop("tokens")])
    return _replace(
        page,
        dimension=dimension,
        layout=_replace(
            layout,
            spans=(Span(start, end),) if start < end else (),
            box=_both(layout.box, dimension),
            orientation=layout.orientation if layout.orientation is not Orientation.UNKNOWN else Orientation.UP,
        ),
        tokens=tokens,
        symbols=_with_vertices(page.symbols, sizes),
        visual_elements=_with_vertices(page.visual_elements, sizes),
        **changed,
    )


def _with_newlines(document: Document, cuts: list[int]) -> tuple[str, list[int]]:
    """The text with a newline at the end of each line and page, and where one was put in rather than in the place of
    white space. A line ends before the next one starts."""
    text = document.text
    starts = {span.start for page in document.pages for line in page.lines for span in line.layout.spans}
    ends = sorted(end for end in {*starts, *cuts} if 0 < end <= len(text) and text[end - 1] != "\n")
    parts: list[str] = []
    inserted: list[int] = []
    before = 0
    for end in ends:
        white = text[end - 1].isspace()
        parts += (text[before : end - white], "\n")
        if not white:
            inserted.append(end)
        before = end
    return "".join([*parts, text[before:]]), inserted


def _widened(span: Span, inserted: list[int]) -> Span:
    """`span` after newlines were put in at these positions: what ended at one has it, what began there does not."""
    return Span(span.start + bisect_right(inserted, span.start), span.end + bisect_right(inserted, span.end))


def _partition(elements: tuple[Any, ...], first: int, last: int) -> tuple[Any, ...]:
    """`elements` so that each starts where the one before it ends, the first at `first`, and the last ends at `last`.

    Of two that start at the same place the first in the list stays.
    """
    starts: dict[int, int] = {}
    for position, element in enumerate(elements):
        for span in element.layout.spans:
            start = max(span.start, first)
            if start < min(span.end, last):
                starts.setdefault(start, position)
    bounds = [*sorted(starts), last]
    partitioned = []
    begin = first
    for start, end in pairwise(bounds):
        element = elements[starts[start]]
        spans = (Span(begin, end),)
        if element.layout.spans != spans:
            element = _replace(element, layout=_replace(element.layout, spans=spans))
        partitioned.append(element)
        begin = end
    return tuple(partitioned)


def _broken(token: Token, text: str, version: Version) -> Token:
    found = _break(token, text, version)
    return token if found is token.break_after else _replace(token, break_after=found)


def _break(token: Token, text: str, version: Version) -> Break:
    """The break after a token, by the white space it ends with."""
    end = token.layout.spans[0].end
    last = text[end - 1]
    if last == "\n":
        if token.break_after is Break.HYPHEN:
            return Break.HYPHEN
        return Break.WIDE_SPACE if version == "v2" else Break.NONE
    if not last.isspace():
        return Break.NONE
    return token.break_after if token.break_after is Break.WIDE_SPACE else Break.SPACE


def _in_pixels(dimension: Dimension | None) -> Dimension | None:
    """A PDF page's size in pixels of an image of four megapixels; that of an image as it is."""
    if dimension is None or dimension.unit == "pixels" or min(dimension.width, dimension.height) <= 0:
        return dimension
    scale = (PIXELS / (dimension.width * dimension.height)) ** 0.5
    width, height = round(dimension.width * scale), round(dimension.height * scale)
    return Dimension(float(max(1, width)), float(max(1, height)), "pixels")


def _with_vertices(elements: tuple[Any, ...], dimension: Dimension | None) -> tuple[Any, ...]:
    """`elements` with pixels where `dimension` is given, without where not."""
    if dimension is None and not any(one.layout.box is not None and one.layout.box.pixels for one in elements):
        return elements
    return tuple(
        [_replace(one, layout=_replace(one.layout, box=_boxed(one.layout.box, dimension))) for one in elements]
    )


def _boxed(box: BoundingBox | None, dimension: Dimension | None) -> BoundingBox | None:
    if box is None or (dimension is None and not box.pixels):
        return box
    return BoundingBox(box.corners) if dimension is None else _both(box, dimension)


def _both(box: BoundingBox | None, dimension: Dimension | None) -> BoundingBox | None:
    if box is None or dimension is None or not box.corners:
        return box
    width, height = dimension.width, dimension.height
    return BoundingBox(box.corners, tuple([(_pixel(x * width), _pixel(y * height)) for x, y in box.corners]))


def _pixel(value: float) -> int:
    """Rounded, and within the 32 bits of a vertex whatever a damaged box says."""
    return round(min(max(value, -(2.0**31)), 2.0**31 - 1)) if value == value else 0
