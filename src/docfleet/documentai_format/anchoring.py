"""Moving everything that is anchored in a document's text or pages from one document into another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from docfleet.domain.anchors import Span, TextAnchor
from docfleet.domain.document import FormField, Layout, Page, Table, TableCell, Token
from docfleet.domain.entities import Entity, PageRef

Move = Callable[[tuple[Span, ...]], tuple[Span, ...]]
"""Spans in the old text -> spans in the new."""
MoveRefs = Callable[[tuple[PageRef, ...]], tuple[PageRef, ...]]
"""References to pages of the old document -> to pages of the new."""

_replace = msgspec.structs.replace


def by(offset: int) -> Move:
    """Every span `offset` code points on."""
    return lambda spans: tuple([Span(span.start + offset, span.end + offset) for span in spans])


def moved_page(page: Page, move: Move) -> Page:
    """`page` with every anchor moved."""

    def lay(layout: Layout) -> Layout:
        return Layout(move(layout.spans), layout.box, layout.confidence, layout.orientation, layout.content)

    def each(elements: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple([_replace(element, layout=lay(element.layout)) for element in elements])

    def rows(table_rows: tuple[tuple[TableCell, ...], ...]) -> tuple[tuple[TableCell, ...], ...]:
        return tuple([each(row) for row in table_rows])

    def table(old: Table) -> Table:
        return Table(lay(old.layout), rows(old.header_rows), rows(old.body_rows), old.languages)

    def form_field(old: FormField) -> FormField:
        name, value = old.field_name, old.field_value
        return _replace(
            old,
            field_name=None if name is None else lay(name),
            field_value=None if value is None else lay(value),
        )

    return _replace(
        page,
        layout=None if page.layout is None else lay(page.layout),
        blocks=each(page.blocks),
        paragraphs=each(page.paragraphs),
        lines=each(page.lines),
        tokens=tuple([Token(lay(t.layout), t.break_after, t.languages, t.style) for t in page.tokens]),
        symbols=each(page.symbols),
        visual_elements=each(page.visual_elements),
        barcodes=each(page.barcodes),
        tables=tuple([table(old) for old in page.tables]),
        form_fields=tuple([form_field(old) for old in page.form_fields]),
    )


def moved_anchor(anchor: TextAnchor | None, move: Move) -> TextAnchor | None:
    return None if anchor is None else TextAnchor(move(anchor.spans), anchor.content)


def moved_entity(entity: Entity, move: Move, refs: MoveRefs, keep: Callable[[Entity], bool]) -> Entity:
    """`entity` and those of its properties that `keep` says, moved."""
    return _replace(
        entity,
        text_anchor=moved_anchor(entity.text_anchor, move),
        page_refs=refs(entity.page_refs),
        properties=tuple([moved_entity(one, move, refs, keep) for one in entity.properties if keep(one)]),
    )


def with_descendants(entities: tuple[Entity, ...]) -> Iterator[Entity]:
    """Entities and their properties, depth first: the order in which Document AI numbers them."""
    todo = list(reversed(entities))
    while todo:
        entity = todo.pop()
        yield entity
        todo += reversed(entity.properties)
