"""Pages anchored in their own text, joined into one document and taken out of it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from docfleet.documentai_format.anchoring import by, moved_page
from docfleet.domain.anchors import Span
from docfleet.domain.document import Document, Layout, Page
from docfleet.domain.geometry import BoundingBox

WHOLE_PAGE = BoundingBox.of_rect(0.0, 0.0, 1.0, 1.0)


def join(pages: Iterable[tuple[str, Page]]) -> Document:
    """One document of `pages`, each given with the text it is anchored in; texts follow each other with no separator.

    A page without a layout gets one that covers all of it, as in Document AI's own responses.
    """
    texts: list[str] = []
    joined: list[Page] = []
    offset = 0
    for text, page in pages:
        joined.append(shift(anchored(text, page), offset))
        texts.append(text)
        offset += len(text)
    return Document(text="".join(texts), pages=tuple(joined))


def split(document: Document) -> Iterator[tuple[str, Page]]:
    """Each page of `document` with its own text, anchored in that; the inverse of `join`.

    A page's text runs from the first to the last code point that the page or one of its elements is anchored to.
    Entities and everything else that belongs to the whole document are left behind.
    """
    end = 0
    for page in document.pages:
        start, end = bounds(page, end)
        yield document.text[start:end], shift(page, -start)


def anchored(text: str, page: Page) -> Page:
    """`page` with a layout: its own, or one that spans all of `text` and all of the page."""
    if page.layout is not None:
        return page
    spans = (Span(0, len(text)),) if text else ()
    return msgspec.structs.replace(page, layout=Layout(spans=spans, box=WHOLE_PAGE))


def shift(page: Page, offset: int) -> Page:
    """`page` with every anchor moved by `offset` code points; the page itself where that is 0."""
    if offset == 0:
        return page
    return moved_page(page, by(offset))


def bounds(page: Page, otherwise: int) -> tuple[int, int]:
    """Where the page's text starts and ends: the first and the last code point that its layout, or one of its outermost
    elements in case that has none or too few, is anchored to; `otherwise` twice when nothing is."""
    spans = list(page.layout.spans) if page.layout is not None else []
    for elements in (page.blocks, page.paragraphs, page.lines, page.tokens):
        spans += [span for element in elements for span in element.layout.spans]
    if not spans:
        return otherwise, otherwise
    return min([span.start for span in spans]), max([span.end for span in spans])


def page_cuts(document: Document) -> list[int]:
    """Where the text of each page begins, and the text's end: every code point belongs to exactly one page.

    A page begins where its layout does (where that is not anchored: its first element), a blank page where the next one
    begins; what stands between two pages belongs to the earlier one.
    """
    end = len(document.text)
    cuts = [end]
    for page in reversed(document.pages):
        spans = page.layout.spans if page.layout is not None else ()
        start = min([span.start for span in spans]) if spans else bounds(page, cuts[-1])[0]
        cuts.append(min(max(start, 0), cuts[-1]))
    cuts.reverse()
    cuts[0] = 0
    return cuts
