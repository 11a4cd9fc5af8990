"""Pages anchored in their own text, joined into one document and taken out of it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from docfleet.domain.anchors import Span
from docfleet.domain.document import Document, FormField, Layout, Page, Table, TableCell, Token
from docfleet.domain.geometry import BoundingBox

_WHOLE_PAGE = BoundingBox.of_rect(0.0, 0.0, 1.0, 1.0)


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
        spans = _spans(page)
        start = min((span.start for span in spans), default=end)
        end = max((span.end for span in spans), default=end)
        yield document.text[start:end], shift(page, -start)


def anchored(text: str, page: Page) -> Page:
    """`page` with a layout: its own, or one that spans all of `text` and all of the page."""
    if page.layout is not None:
        return page
    spans = (Span(0, len(text)),) if text else ()
    return msgspec.structs.replace(page, layout=Layout(spans=spans, box=_WHOLE_PAGE))


def shift(page: Page, offset: int) -> Page:
    """`page` with every anchor moved by `offset` code points; the page itself where that is 0."""
    if offset == 0:
        return page
    return msgspec.structs.replace(
        page,
        layout=None if page.layout is None else _moved(page.layout, offset),
        blocks=_each(page.blocks, offset),
        paragraphs=_each(page.paragraphs, offset),
        lines=_each(page.lines, offset),
        tokens=tuple([Token(_moved(t.layout, offset), t.break_after, t.languages, t.style) for t in page.tokens]),
        symbols=_each(page.symbols, offset),
        visual_elements=_each(page.visual_elements, offset),
        barcodes=_each(page.barcodes, offset),
        tables=tuple([_table(table, offset) for table in page.tables]),
        form_fields=tuple([_form_field(form_field, offset) for form_field in page.form_fields]),
    )


def _moved(layout: Layout, offset: int) -> Layout:
    spans = tuple([Span(span.start + offset, span.end + offset) for span in layout.spans])
    return Layout(spans, layout.box, layout.confidence, layout.orientation, layout.content)


def _each(elements: tuple[Any, ...], offset: int) -> tuple[Any, ...]:
    replace = msgspec.structs.replace
    return tuple([replace(element, layout=_moved(element.layout, offset)) for element in elements])


def _table(table: Table, offset: int) -> Table:
    def moved(rows: tuple[tuple[TableCell, ...], ...]) -> tuple[tuple[TableCell, ...], ...]:
        return tuple([_each(row, offset) for row in rows])

    return msgspec.structs.replace(
        table,
        layout=_moved(table.layout, offset),
        header_rows=moved(table.header_rows),
        body_rows=moved(table.body_rows),
    )


def _form_field(field: FormField, offset: int) -> FormField:
    return msgspec.structs.replace(
        field,
        field_name=None if field.field_name is None else _moved(field.field_name, offset),
        field_value=None if field.field_value is None else _moved(field.field_value, offset),
    )


def _spans(page: Page) -> list[Span]:
    """The spans of the page's layout, and of its outermost elements in case that has none or too few."""
    spans = list(page.layout.spans) if page.layout is not None else []
    for elements in (page.blocks, page.paragraphs, page.lines, page.tokens):
        spans += [span for element in elements for span in element.layout.spans]
    return spans
