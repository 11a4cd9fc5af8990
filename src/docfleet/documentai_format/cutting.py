"""One response that answers for several documents, cut apart."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec

from docfleet.documentai_format.anchoring import (
    Move,
    MoveRefs,
    moved_anchor,
    moved_entity,
    moved_page,
    with_descendants,
)
from docfleet.documentai_format.naming import rebased, renamed, renamed_relations
from docfleet.documentai_format.paging import page_cuts
from docfleet.documentai_format.trees import cut_chunks, cut_layout
from docfleet.domain.anchors import Span
from docfleet.domain.document import Document, Page, Reading
from docfleet.domain.entities import EntitiesRevision, Entity, PageRef
from docfleet.errors import PartsMismatch

_replace = msgspec.structs.replace


class Straddle(msgspec.Struct, frozen=True):
    """Something that stands in more than one of the parts; each keeps what lies in it."""

    part: int
    """0-based; the part that lost something of it."""
    what: str
    """"page 3" (1-based, of the response; one of its elements), "entity 7" (its id), "style" or "change"."""
    span: Span | None
    """The lost or clipped stretch of the response's text; None for a reference to a page of another part."""


class StraddleWarning(UserWarning):
    """An element of a response stands in more than one of its parts."""

    def __init__(self, straddle: Straddle) -> None:
        super().__init__(f"{straddle.what} stands in more than one part: {straddle.span}")
        self.straddle = straddle


def _warn(straddle: Straddle) -> None:
    warnings.warn(StraddleWarning(straddle), stacklevel=4)


def cut(document: Document, parts: Sequence[int], straddles: Callable[[Straddle], None] = _warn) -> list[Document]:
    """`document`, whose pages are those of several sources after each other, as one document for each source.

    `parts` says how many pages each source has. Every part has its own text, and everything anchored in it or on its
    pages: page numbers from 1, page references from 0, entity ids from where a document of its own has them (see
    `naming.rebased`). What refers to no place (a class of the whole document, a fault) is said of every part. `uri`,
    `docid`, `content`, `shard_info` and `unread` belong to the whole and are left behind.

    `straddles` is told of each element that stands in more than one part, such as a token or an entity over a seam; by
    default it is a `StraddleWarning`. Raises `PartsMismatch` when `parts` are not the document's pages.
    """
    if sum(parts) != len(document.pages) or min(parts, default=0) < 0:
        raise PartsMismatch(f"The response has {len(document.pages)} pages; the parts have {list(parts)}.")
    starts = list(accumulate(parts, initial=0))
    cuts = page_cuts(document)
    ends = [0, *(cuts[page] for page in starts[1:-1]), len(document.text)]
    places = [_Part(n, starts[n], starts[n + 1], ends[n], ends[n + 1]) for n in range(len(parts))]
    return [_cut_out(document, _Knife(part, places, straddles)) for part in places]


class _Part(NamedTuple):
    number: int
    first: int
    """Pages `first` to `last`, 0-based, the last excluded."""
    last: int
    start: int
    """Code points of the whole text."""
    end: int


class _Knife:
    """Takes out what belongs to one part."""

    def __init__(self, part: _Part, parts: list[_Part], straddles: Callable[[Straddle], None]) -> None:
        self.part = part
        self._parts = parts
        self._straddles = straddles

    def owns(self, spans: tuple[Span, ...], refs: tuple[PageRef, ...] = ()) -> bool:
        return self._owns(self._touched(spans, refs))

    def owns_entity(self, entity: Entity) -> bool:
        return self._owns(self._touched_by(entity))

    def _owns(self, touched: frozenset[int]) -> bool:
        return not touched or self.part.number in touched

    def _touched_by(self, entity: Entity) -> frozenset[int]:
        spans = entity.text_anchor.spans if entity.text_anchor is not None else ()
        own = self._touched(spans, entity.page_refs)
        return own.union(*(self._touched_by(one) for one in entity.properties))

    def _touched(self, spans: tuple[Span, ...], refs: tuple[PageRef, ...]) -> frozenset[int]:
        """The parts that spans and references lie in; an empty span counts where there is nothing else."""
        on = {p.number for p in self._parts for ref in refs if p.first <= ref.page < p.last}
        on |= {p.number for p in self._parts for span in spans if max(span.start, p.start) < min(span.end, p.end)}
        if not on:
            held = (p.number for p in self._parts for span in spans if p.start <= span.start == span.end <= p.end)
            on |= {number for number in [next(held, None)] if number is not None}
        return frozenset(on)

    def move(self, what: str) -> Move:
        """Spans of `what` clipped to the part and counted from its start."""
        start, end = self.part.start, self.part.end

        def moved(spans: tuple[Span, ...]) -> tuple[Span, ...]:
            if len(spans) == 1 and start <= spans[0].start <= spans[0].end <= end:
                return (Span(spans[0].start - start, spans[0].end - start),)
            kept = []
            for span in spans:
                low, high = max(span.start, start), min(span.end, end)
                if low < high or (low == high and span.start == span.end):
                    kept.append(Span(low - start, high - start))
                if (low, high) != (span.start, span.end) or low > high:
                    self._straddles(Straddle(self.part.number, what, span))
            return tuple(kept)

        return moved

    def refs(self, what: str) -> MoveRefs:
        """References of `what` to pages of the part, counted from its first."""
        first, last = self.part.first, self.part.last

        def moved(refs: tuple[PageRef, ...]) -> tuple[PageRef, ...]:
            kept = tuple([_replace(ref, page=ref.page - first) for ref in refs if first <= ref.page < last])
            if len(kept) < len(refs):
                self._straddles(Straddle(self.part.number, what, None))
            return kept

        return moved

    def entities(self, entities: tuple[Entity, ...]) -> tuple[Entity, ...]:
        return tuple(
            [
                moved_entity(one, self.move(f"entity {one.id}"), self.refs(f"entity {one.id}"), self.owns_entity)
                for one in entities
                if self.owns_entity(one)
            ]
        )

    def anchored(self, items: tuple[Any, ...], what: str) -> tuple[Any, ...]:
        """Styles or changes of the part."""
        move = self.move(what)
        return tuple(
            [
                _replace(one, text_anchor=moved_anchor(one.text_anchor, move))
                for one in items
                if self.owns(one.text_anchor.spans if one.text_anchor is not None else ())
            ]
        )


def _cut_out(document: Document, knife: _Knife) -> Document:
    part = knife.part
    old = document.pages[part.first : part.last]
    entities = knife.entities(document.entities)
    names = rebased(entities) if part.number else {}
    known = {entity.id for entity in with_descendants(entities)}
    relations = tuple([one for one in document.entity_relations if {one.subject_id, one.object_id} <= known])
    return Document(
        text=document.text[part.start : part.end],
        pages=tuple([_page(page, number, knife) for number, page in enumerate(old, 1)]),
        mime_type=document.mime_type,
        readings=_readings(document, old),
        text_styles=knife.anchored(document.text_styles, "style"),
        entities=renamed(entities, names),
        entity_relations=renamed_relations(relations, names),
        text_changes=knife.anchored(document.text_changes, "change"),
        error=document.error,
        document_layout=cut_layout(document.document_layout, part.first + 1, part.last),
        chunked_document=cut_chunks(document.chunked_document, part.first + 1, part.last),
        blob_assets=document.blob_assets,
        entity_validation_output=document.entity_validation_output,
        entities_revisions=tuple(
            [
                EntitiesRevision(
                    one.revision_id, renamed(knife.entities(one.entities), names), one.entity_validation_output
                )
                for one in document.entities_revisions
            ]
        ),
    )


def _page(page: Page, number: int, knife: _Knife) -> Page:
    return _replace(moved_page(page, knife.move(f"page {knife.part.first + number}")), number=number)


def _readings(document: Document, pages: tuple[Page, ...]) -> tuple[Reading, ...]:
    numbers = {page.number: position for position, page in enumerate(pages, 1)}
    return tuple([_replace(one, page=numbers[one.page]) for one in document.readings if one.page in numbers])
