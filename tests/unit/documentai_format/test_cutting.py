"""A packed response cut apart again."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from drawn_documents import documents, narrowed
from hypothesis import given, settings
from hypothesis import strategies as st

from docfleet.documentai_format import Straddle, StraddleWarning, cut, from_proto, packed, to_proto
from docfleet.domain.anchors import Span, TextAnchor
from docfleet.domain.chunks import Chunk, ChunkedDocument, DocumentLayout, LayoutNode, PageSpan
from docfleet.domain.document import Break, Document, Layout, Page, Reading, Token
from docfleet.domain.entities import EntitiesRevision, Entity, EntityRelation, PageRef
from docfleet.domain.styles import TextStyle
from docfleet.errors import PartsMismatch

replace = msgspec.structs.replace


def token(start: int, end: int) -> Token:
    return Token(Layout((Span(start, end),)), Break.SPACE)


def page(number: int, start: int, end: int, *tokens: Token) -> Page:
    return Page(number, layout=Layout((Span(start, end),) if start < end else ()), tokens=tokens)


def silent(_: Straddle) -> None:
    pass


def spans_of(value: Any) -> Iterator[Span]:
    if isinstance(value, Span):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from spans_of(item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from spans_of(getattr(value, name))


@settings(max_examples=60)
@given(st.lists(documents(), min_size=1, max_size=4))
def test_cut_undoes_packed(sources: list[Document]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing stands over a seam
        assert cut(packed(sources), [len(one.pages) for one in sources]) == sources


@settings(max_examples=20)
@given(st.lists(documents(), min_size=1, max_size=3))
def test_cut_undoes_packed_by_way_of_protobuf(sources: list[Document]) -> None:
    response = from_proto(to_proto(packed(sources)))
    assert cut(response, [len(one.pages) for one in sources]) == [narrowed(one) for one in sources]


@settings(max_examples=60)
@given(documents(), st.data())
def test_cut_anywhere_loses_no_text_and_stays_in_bounds(document: Document, data: st.DataObject) -> None:
    parts: list[int] = []
    while (left := len(document.pages) - sum(parts)) > 0:
        parts.append(data.draw(st.integers(1, left)))
    found = cut(document, parts, silent)
    assert "".join(one.text for one in found) == document.text
    assert [len(one.pages) for one in found] == parts
    for one in found:
        assert [p.number for p in one.pages] == list(range(1, len(one.pages) + 1))
        assert all(0 <= span.start <= span.end <= len(one.text) for span in spans_of(one))
        assert all(0 <= ref.page < len(one.pages) for e in one.entities for ref in e.page_refs)


def test_parts_must_be_the_pages() -> None:
    document = Document("a", (page(1, 0, 1),))
    for parts in ([], [2], [1, 1], [2, -1]):
        with pytest.raises(PartsMismatch, match="1 pages") as caught:
            cut(document, parts)
        assert caught.value.code == "parts_mismatch"
    assert cut(Document("text"), [0]) == [Document("text")]
    assert cut(Document(), []) == []


def test_a_token_over_a_seam_is_told() -> None:
    document = Document("one two ", (page(1, 0, 4, token(0, 4)), page(2, 4, 8, token(2, 8))))
    told: list[Straddle] = []
    first, second = cut(document, [1, 1], told.append)
    assert told == [Straddle(1, "page 2", Span(2, 8))]
    assert (first.text, second.text) == ("one ", "two ")
    assert second.pages[0].tokens[0].layout.spans == (Span(0, 4),)
    with pytest.warns(StraddleWarning, match="page 2") as caught:
        cut(document, [1, 1])
    warning = caught[0].message
    assert isinstance(warning, StraddleWarning)
    assert warning.straddle == told[0]


def test_an_entity_over_a_seam_stands_in_both_parts() -> None:
    inside = Entity(TextAnchor((Span(5, 7),)), "amount", page_refs=(PageRef(1),), id="1")
    both = Entity(TextAnchor((Span(0, 3), Span(4, 7))), "item", "one two", "", 0.5, (PageRef(0), PageRef(1)), "0")
    both = replace(both, properties=(inside,))
    document = Document("one two ", (page(1, 0, 4), page(2, 4, 8)), entities=(both,))
    told: list[Straddle] = []
    first, second = cut(document, [1, 1], told.append)
    assert {one.what for one in told} == {"entity 0"}
    assert first.entities[0].text_anchor == TextAnchor((Span(0, 3),))
    assert first.entities[0].properties == ()
    assert second.entities[0].page_refs == (PageRef(0),)
    assert second.entities[0].properties[0].text_anchor == TextAnchor((Span(1, 3),))


def test_what_is_said_of_the_whole_is_said_of_every_part() -> None:
    document = Document(
        "a b ",
        (page(1, 0, 2), page(2, 2, 4)),
        mime_type="application/pdf",
        uri="gs://packed",
        content=b"packed",
        readings=(Reading(1, "documentai", "r"), Reading(2, "documentai", "r", confidence=0.5)),
        entities=(Entity(type="invoice", id="0"),),
        text_styles=(TextStyle(font_weight="bold"),),
    )
    first, second = cut(document, [1, 1])
    assert first.entities == second.entities == document.entities
    assert first.text_styles == second.text_styles == document.text_styles
    assert (second.uri, second.content, second.mime_type) == ("", None, "application/pdf")
    assert second.readings == (Reading(1, "documentai", "r", confidence=0.5),)


def test_relations_and_revisions_follow_their_entities() -> None:
    def entity(name: str, start: int, number: int) -> Entity:
        return Entity(TextAnchor((Span(start, start + 1),)), "x", page_refs=(PageRef(number),), id=name)

    entities = (entity("0", 0, 0), entity("1", 1, 0), entity("2", 2, 1), entity("3", 3, 1))
    document = Document(
        "a b ",
        (page(1, 0, 2), page(2, 2, 4)),
        entities=entities,
        entity_relations=(EntityRelation("0", "1", "r"), EntityRelation("2", "3", "s"), EntityRelation("1", "2", "t")),
        entities_revisions=(EntitiesRevision("r1", entities),),
    )
    first, second = cut(document, [1, 1])
    assert first.entity_relations == (EntityRelation("0", "1", "r"),)
    assert second.entity_relations == (EntityRelation("0", "1", "s"),)
    assert [entity.id for entity in second.entities] == ["0", "1"]
    assert second.entities_revisions == (EntitiesRevision("r1", second.entities),)


def test_text_between_pages_belongs_to_the_earlier_one() -> None:
    document = Document("..a??b!!", (page(1, 2, 3), Page(2), page(3, 5, 6)))
    assert [one.text for one in cut(document, [1, 1, 1])] == ["..a??", "", "b!!"]


def test_pages_without_layouts_are_found_by_their_elements() -> None:
    document = Document("one two ", (Page(1, tokens=(token(0, 4),)), Page(2, tokens=(token(4, 8),))))
    first, second = cut(document, [1, 1])
    assert (first.text, second.text) == ("one ", "two ")
    assert second.pages[0].tokens == (token(0, 4),)


@pytest.mark.parametrize("spans", [(Span(-5, 3),), (Span(2, 90),), (Span(7, 2),), (Span(90, 91),), (Span(-2, -1),)])
def test_anchors_out_of_the_text_are_clipped_and_told(spans: tuple[Span, ...]) -> None:
    odd = Token(Layout(spans))
    document = Document("one two ", (page(1, 0, 4, odd), page(2, 4, 8, odd)))
    told: list[Straddle] = []
    for one in cut(document, [1, 1], told.append):
        assert all(0 <= span.start <= span.end <= 4 for span in spans_of(one))
    assert told


def test_layout_trees_and_chunks_are_cut_by_page() -> None:
    def node(name: str, first: int, last: int) -> LayoutNode:
        return LayoutNode(name, PageSpan(first, last))

    document = Document(
        pages=(Page(1), Page(2), Page(3)),
        document_layout=DocumentLayout((node("1", 1, 1), node("2", 1, 2), node("3", 3, 3))),
        chunked_document=ChunkedDocument((Chunk("c1", ("1", "2"), page_span=PageSpan(1, 2)),)),
    )
    first, second = cut(document, [1, 2])
    assert first.document_layout == DocumentLayout((node("1", 1, 1), node("2", 1, 1)))
    assert second.document_layout == DocumentLayout((node("2", 1, 1), node("3", 2, 2)))
    assert second.chunked_document == ChunkedDocument((Chunk("c1", ("1", "2"), page_span=PageSpan(1, 1)),))


@pytest.mark.parametrize("wholes", [((4, 8), (0, 4)), ((0, 6), (2, 8)), ((0, 4), (-3, 99)), ((0, 4), (90, 99))])
def test_pages_that_claim_each_others_text_share_it(wholes: tuple[tuple[int, int], ...]) -> None:
    claims = [page(number, *whole, token(*whole), token(0, 95)) for number, whole in enumerate(wholes, 1)]
    told: list[Straddle] = []
    found = cut(Document("one two ", tuple(claims)), [1, 1], told.append)
    assert "".join(one.text for one in found) == "one two "
    for one in found:
        assert all(0 <= span.start <= span.end <= len(one.text) for span in spans_of(one))
    assert told
