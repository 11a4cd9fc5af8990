"""Documents put together: the parts of one, or several in one as a packed request answers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from docfleet.documentai_format.anchoring import Move, MoveRefs, moved_anchor, moved_entity, moved_page
from docfleet.documentai_format.naming import distinct, renamed, renamed_relations
from docfleet.documentai_format.paging import page_cuts
from docfleet.documentai_format.trees import joined_chunks, joined_layouts, last_page
from docfleet.domain.anchors import Span
from docfleet.domain.document import Document, Page, Reading
from docfleet.domain.entities import EntitiesRevision, Entity, EntityValidation
from docfleet.errors import PartsMismatch

_replace = msgspec.structs.replace


def packed(documents: Sequence[Document]) -> Document:
    """Several documents in one, as Document AI answers a request whose file holds them one after the other.

    Texts follow each other with no separator, pages are numbered from 1 on, page references and positions move with
    them, and entity ids that two documents share are numbered on. `cut` undoes it.
    """
    pieces = [_Piece(d, p, start, end, page) for d, one in enumerate(documents) for p, start, end, page in _pages(one)]
    pages = [0]
    for one in documents:
        pages.append(pages[-1] + (len(one.pages) or last_page(one.document_layout)))
    whole = _joined(documents, pieces, [], pages[:-1])
    numbers: dict[int, Page] = dict(enumerate(whole.pages, 1))
    return _replace(
        whole,
        pages=tuple([_replace(page, number=number) for number, page in numbers.items()]),
        readings=tuple(
            _replace(reading, page=before + position)
            for one, before in zip(documents, pages, strict=False)
            for reading, position in _positions(one)
        ),
        **{name: _common(documents, name) for name in ("uri", "docid", "mime_type", "content", "entities_revision_id")},
    )


def merge(documents: Sequence[Document]) -> Document:
    """One document of its parts: the shards of a batch's output, or the answers to page ranges; in any order.

    Shards are put in the order of their `shard_info`, ranges in that of their first page's number. Page numbers are
    those of the whole document already and stay; positions and page references move. A page that an earlier part has
    too (shards that overlap) is left out, with the entities that stand on it alone; what refers to its text and to
    other pages then refers to the page that is kept, where both have the same text. Shards that number their pages from
    1 each, though their `text_offset` says that they do not overlap, are numbered on. References of a part may count
    from its own first page, as in Document AI's shards, or from the document's.

    Raises `PartsMismatch` when a shard is missing or comes twice.
    """
    parts = _numbered_on(_in_order(documents))
    seen: set[int] = set()
    pieces: list[_Piece] = []
    doubles: list[_Piece] = []
    for position, one in enumerate(parts):
        found = [_Piece(position, *rest) for rest in _pages(one)]
        own = {piece.page.number for piece in found if piece.page is not None and piece.page.number > 0}
        for piece in found:
            known = piece.page is not None and piece.page.number in seen
            (doubles if known else pieces).append(piece)
        seen |= own
    numbers = [piece.page.number if piece.page is not None else 0 for piece in pieces]
    if 0 not in numbers and numbers != sorted(numbers):
        pieces.sort(key=lambda piece: piece.page.number if piece.page is not None else 0)
    first = parts[0] if parts else Document()
    kept: dict[int, Reading] = {}
    for one in parts:
        for reading in one.readings:
            kept.setdefault(reading.page, reading)
    return _replace(
        _joined(parts, pieces, doubles, [0] * len(parts)),
        readings=tuple(kept[page] for page in sorted(kept)),
        uri=first.uri,
        docid=first.docid,
        mime_type=first.mime_type,
        content=next((one.content for one in parts if one.content is not None), None),
        entities_revision_id=first.entities_revision_id,
    )


def _in_order(documents: Sequence[Document]) -> list[Document]:
    infos = [one.shard_info for one in documents]
    count = max((info.shard_count for info in infos if info is not None), default=0)
    if count <= 1:
        return sorted(documents, key=lambda one: min((page.number for page in one.pages), default=0))
    indices = [info.shard_index if info is not None and info.shard_count == count else None for info in infos]
    if None in indices:
        raise PartsMismatch(f"Not every part is a shard of the same document of {count}.")
    missing = sorted(set(range(count)) - set(indices))
    if missing:
        raise PartsMismatch(f"Of {count} shards these are missing (counted from 0): {missing}.")
    if len(indices) != count:
        raise PartsMismatch(f"Of {count} shards some come twice: {sorted(i for i in indices if i is not None)}.")
    return [documents[indices.index(index)] for index in range(count)]


def _numbered_on(parts: list[Document]) -> list[Document]:
    """`parts` with other page numbers for those that stand behind all text before them and yet repeat its numbers."""
    numbered: list[Document] = []
    seen: set[int] = set()
    length = 0
    for part in parts:
        info = part.shard_info
        apart = info is not None and info.shard_count > 1 and info.text_offset >= length > 0
        if apart and seen & {page.number for page in part.pages}:
            last = max(seen)
            pages = tuple([_replace(page, number=last + n) for n, page in enumerate(part.pages, 1)])
            part = _replace(part, pages=pages)
        numbered.append(part)
        seen |= {page.number for page in part.pages}
        length += len(part.text)
    return numbered


class _Piece(NamedTuple):
    """The text of one page, in its part."""

    part: int
    position: int
    """0-based place of the page in its part."""
    start: int
    end: int
    page: Page | None
    """None: a text without pages."""


def _pages(document: Document) -> list[tuple[int, int, int, Page | None]]:
    if not document.pages:
        return [(0, 0, len(document.text), None)]
    cuts = page_cuts(document)
    return [(n, cuts[n], cuts[n + 1], page) for n, page in enumerate(document.pages)]


def _joined(parts: Sequence[Document], pieces: list[_Piece], doubles: list[_Piece], further: list[int]) -> Document:
    """`pieces` in their order, and all that is anchored in them. `doubles` are left out; `further` is how many pages
    each part's own layout tree moves."""
    places = _Places(parts, pieces, doubles)
    entities = [places.entities(n, one.entities) for n, one in enumerate(parts)]
    names = distinct(entities)
    revisions = [
        EntitiesRevision(
            one.revision_id, renamed(places.entities(n, one.entities), names[n]), one.entity_validation_output
        )
        for n, part in enumerate(parts)
        for one in part.entities_revisions
    ]
    layouts = [part.document_layout for part in parts]
    each = list(enumerate(parts))
    return Document(
        text=places.text,
        pages=tuple([moved_page(p.page, places.move(p.part)) for p in pieces if p.page is not None]),
        text_styles=tuple([one for n, part in each for one in places.anchored(n, part.text_styles)]),
        entities=tuple([one for n, found in enumerate(entities) for one in renamed(found, names[n])]),
        entity_relations=tuple([one for n, part in each for one in renamed_relations(part.entity_relations, names[n])]),
        text_changes=tuple([one for n, part in each for one in places.anchored(n, part.text_changes)]),
        error=next((part.error for part in parts if part.error is not None), None),
        document_layout=joined_layouts(layouts, further),
        chunked_document=joined_chunks([part.chunked_document for part in parts], layouts, further),
        blob_assets=tuple(dict.fromkeys(one for part in parts for one in part.blob_assets)),
        entity_validation_output=_validation([part.entity_validation_output for part in parts]),
        entities_revisions=tuple(revisions),
    )


class _Places:
    """Where each stretch of text and each page of each part is in the whole."""

    def __init__(self, parts: Sequence[Document], pieces: list[_Piece], doubles: list[_Piece]) -> None:
        self._stretches: list[list[tuple[int, int, int]]] = [[] for _ in parts]
        """For each part (start, end, offset), in order, those with the same offset as one."""
        self._new: list[dict[int, int]] = [{} for _ in parts]
        """For each part old page index -> new one."""
        self._left_out: list[set[int]] = [set() for _ in parts]
        self._global = [_counts_from_whole(part) for part in parts]
        self._parts = parts
        texts: list[str] = []
        kept: dict[int, tuple[int, int, str]] = {}
        offset = 0
        for index, piece in enumerate(pieces):
            text = parts[piece.part].text[piece.start : piece.end]
            self._add(piece, offset, index)
            if piece.page is not None:
                kept.setdefault(piece.page.number, (index, offset, text))
            texts.append(text)
            offset += len(text)
        self.text = "".join(texts)
        for piece in doubles:
            assert piece.page is not None
            index, at, text = kept[piece.page.number]
            same = text == parts[piece.part].text[piece.start : piece.end]
            self._add(piece, at if same else None, index)
            self._left_out[piece.part].add(piece.position)
        for part, stretches in enumerate(self._stretches):
            self._stretches[part] = _coalesced(stretches)

    def _add(self, piece: _Piece, at: int | None, index: int) -> None:
        self._new[piece.part][piece.position] = index
        if at is not None:
            self._stretches[piece.part].append((piece.start, piece.end, at - piece.start))

    def move(self, part: int) -> Move:
        stretches = self._stretches[part]
        first, last, offset = stretches[0] if len(stretches) == 1 else (0, -1, 0)

        def move(spans: tuple[Span, ...]) -> tuple[Span, ...]:
            if len(spans) == 1 and first <= spans[0].start <= spans[0].end <= last:  # nearly all there are
                return (Span(spans[0].start + offset, spans[0].end + offset),)
            return _moved(spans, stretches)

        return move

    def refs(self, part: int) -> MoveRefs:
        new, pages = self._new[part], self._parts[part].pages
        if self._global[part]:
            new = {page.number - 1: new[position] for position, page in enumerate(pages)}
        return lambda refs: tuple([_replace(ref, page=new[ref.page]) for ref in refs if ref.page in new])

    def entities(self, part: int, entities: tuple[Entity, ...]) -> tuple[Entity, ...]:
        keep: Callable[[Entity], bool] = lambda entity: not self._doubled(part, entity)  # noqa: E731
        move, refs = self.move(part), self.refs(part)
        return tuple([moved_entity(one, move, refs, keep) for one in entities if keep(one)])

    def _doubled(self, part: int, entity: Entity) -> bool:
        """Whether it stands on pages alone that are left out."""
        on = _pages_of(entity)
        left_out = self._left_out[part]
        if self._global[part]:
            left_out = {self._parts[part].pages[position].number - 1 for position in left_out}
        return bool(on) and on <= left_out

    def anchored(self, part: int, items: tuple[Any, ...]) -> list[Any]:
        """Styles and changes; those of text that is left out stand in the part that keeps it."""
        cuts = [(p.start, p.end) for p in self._dropped(part)]
        move = self.move(part)
        found = []
        for one in items:
            spans = one.text_anchor.spans if one.text_anchor is not None else ()
            inside = [any(start <= span.start and span.end <= end for start, end in cuts) for span in spans]
            if not (inside and all(inside)):
                found.append(_replace(one, text_anchor=moved_anchor(one.text_anchor, move)))
        return found

    def _dropped(self, part: int) -> list[_Piece]:
        found = [_Piece(part, *rest) for rest in _pages(self._parts[part])]
        return [piece for piece in found if piece.position in self._left_out[part]]


def _coalesced(stretches: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    whole: list[tuple[int, int, int]] = []
    for start, end, offset in sorted(stretches):
        if whole and whole[-1][1] == start and whole[-1][2] == offset:
            whole[-1] = (whole[-1][0], end, offset)
        else:
            whole.append((start, end, offset))
    return whole


def _moved(spans: tuple[Span, ...], stretches: list[tuple[int, int, int]]) -> tuple[Span, ...]:
    """Each span as what is left of it in each stretch."""
    moved = []
    for span in spans:
        for start, end, offset in stretches:
            low, high = max(span.start, start), min(span.end, end)
            if low < high or (low == high and span.start == span.end):
                moved.append(Span(low + offset, high + offset))
                if span.start == span.end:
                    break
    return tuple(moved)


def _counts_from_whole(part: Document) -> bool:
    """Whether its page references are page numbers of the whole, less one, because they cannot be its own pages."""
    pages = {ref for entity in part.entities for ref in _pages_of(entity)}
    numbers = {page.number - 1 for page in part.pages}
    return bool(pages) and not pages <= set(range(len(part.pages))) and pages <= numbers


def _pages_of(entity: Entity) -> set[int]:
    return {ref.page for ref in entity.page_refs}.union(*(_pages_of(one) for one in entity.properties))


def _positions(document: Document) -> list[tuple[Reading, int]]:
    """Each reading with its page's place, from 1."""
    places = {page.number: place for place, page in enumerate(document.pages, 1)}
    return [(reading, places[reading.page]) for reading in document.readings if reading.page in places]


def _common(documents: Sequence[Document], name: str) -> Any:
    """What all documents say; the default where they differ."""
    default = getattr(Document(), name)
    values = [getattr(one, name) for one in documents]
    return values[0] if values and all(value == values[0] for value in values) else default


def _validation(outputs: list[EntityValidation | None]) -> EntityValidation | None:
    present = [one for one in outputs if one is not None]
    if len(present) <= 1:
        return present[0] if present else None
    results = tuple([result for one in present for result in one.validation_results])
    return EntityValidation(results, all(one.pass_all_rules for one in present))
