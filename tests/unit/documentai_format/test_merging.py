"""Shards and page ranges put together, and documents packed."""

from __future__ import annotations

import random
from itertools import accumulate, pairwise

import msgspec
import pytest
from drawn_documents import documents
from hypothesis import given, settings
from hypothesis import strategies as st

from docfleet.documentai_format import Straddle, cut, merge, packed
from docfleet.domain.anchors import Span, TextAnchor
from docfleet.domain.chunks import Chunk, ChunkedDocument, DocumentLayout, LayoutNode, PageSpan
from docfleet.domain.document import Break, Document, Layout, Page, Reading, ShardInfo, Token
from docfleet.domain.entities import Entity, EntityRelation, PageRef
from docfleet.domain.styles import TextStyle
from docfleet.errors import PartsMismatch

replace = msgspec.structs.replace


def word(start: int, end: int) -> Token:
    return Token(Layout((Span(start, end),)), Break.SPACE)


def part(text: str, first: int, *, pages: int = 0, entities: tuple[Entity, ...] = ()) -> Document:
    """One page for each word of `text`, numbered from `first` on."""
    ends = list(accumulate((len(one) + 1 for one in text.split()), initial=0))
    found = tuple(
        Page(first + n, layout=Layout((Span(start, end),)), tokens=(word(start, end),))
        for n, (start, end) in enumerate(pairwise(ends))
    )
    return Document(" ".join(text.split()) + " ", found, entities=entities)


def entity(name: str, start: int, end: int, *refs: int, properties: tuple[Entity, ...] = ()) -> Entity:
    return Entity(
        TextAnchor((Span(start, end),)), "x", page_refs=tuple(map(PageRef, refs)), id=name, properties=properties
    )


def shards(document: Document, parts: list[int]) -> list[Document]:
    """As batch output has them: pages keep their numbers, everything else counts from the shard's own start."""

    def ignore(_: Straddle) -> None:
        pass

    found = []
    page, offset = 0, 0
    for index, one in enumerate(cut(document, parts, ignore)):
        numbered = tuple(replace(p, number=page + n) for n, p in enumerate(one.pages, 1))
        found.append(replace(one, pages=numbered, shard_info=ShardInfo(index, len(parts), offset)))
        page += len(numbered)
        offset += len(one.text)
    return found


@settings(max_examples=60)
@given(documents(least_pages=2), st.data())
def test_merge_undoes_cutting_into_shards(document: Document, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, len(document.pages) - 1))
    parts = shards(document, [first, len(document.pages) - first])
    expected = [replace(one, shard_info=None) for one in parts]
    data.draw(st.randoms()).shuffle(parts)
    merged = merge(parts)
    assert (merged.text, merged.pages) == (document.text, document.pages)

    def ignore(_: Straddle) -> None:
        pass

    again = cut(merged, [first, len(document.pages) - first], ignore)
    for one, wanted in zip(again, expected, strict=True):
        pages = tuple(replace(page, number=n) for n, page in enumerate(wanted.pages, 1))
        assert (one.text, one.pages) == (wanted.text, pages)
        assert [e.text_anchor for e in one.entities] == [e.text_anchor for e in wanted.entities]
        assert [e.page_refs for e in one.entities] == [e.page_refs for e in wanted.entities]


@settings(max_examples=60)
@given(st.lists(documents(), min_size=1, max_size=4))
def test_packed_documents_are_one_after_the_other(sources: list[Document]) -> None:
    whole = packed(sources)
    assert whole.text == "".join(one.text for one in sources)
    assert [page.number for page in whole.pages] == list(range(1, sum(len(one.pages) for one in sources) + 1))
    ids = [one.id for one in whole.entities]
    assert len(set(ids)) == len(ids)
    for one, before in zip(sources, accumulate((len(s.entities) for s in sources), initial=0), strict=False):
        for old, new in zip(one.entities, whole.entities[before:], strict=False):
            assert (old.text_anchor is None) == (new.text_anchor is None)
            if old.text_anchor is not None and new.text_anchor is not None:
                texts = [one.text[s.start : s.end] for s in old.text_anchor.spans]
                assert texts == [whole.text[s.start : s.end] for s in new.text_anchor.spans]


def test_ranges_in_any_order() -> None:
    parts = [
        part("seven eight", 7),
        part("one two three", 1, entities=(entity("0", 4, 7, 1),)),
        part("four five six", 4, entities=(entity("0", 10, 13, 2),)),
    ]
    for seed in range(4):
        random.Random(seed).shuffle(parts)
        merged = merge(parts)
        assert merged.text == "one two three four five six seven eight "
        assert [page.number for page in merged.pages] == list(range(1, 9))
        assert [merged.text_of(page.tokens[0].layout) for page in merged.pages] == [
            w + " " for w in merged.text.split()
        ]
        anchors = [e.text_anchor for e in merged.entities]
        assert [merged.text[a.spans[0].start : a.spans[0].end] for a in anchors if a] == ["two", "six"]
        assert [e.page_refs[0].page for e in merged.entities] == [1, 5]
        assert len({e.id for e in merged.entities}) == 2


def test_ranges_whose_references_count_from_the_whole() -> None:
    merged = merge([part("one two", 1), part("three four", 3, entities=(entity("0", 6, 10, 3),))])
    assert merged.entities[0].page_refs[0].page == 3
    assert merged.entities[0].text_anchor == TextAnchor((Span(14, 18),))


def test_interleaved_pages_are_put_in_order() -> None:
    odd = replace(part("one three", 1, entities=(entity("0", 4, 9, 1),)))
    odd = replace(odd, pages=(odd.pages[0], replace(odd.pages[1], number=3)))
    even = part("two four", 2)
    even = replace(even, pages=(even.pages[0], replace(even.pages[1], number=4)))
    merged = merge([even, odd])
    assert merged.text == "one two three four "
    assert merged.entities[0].page_refs[0].page == 2
    assert merged.entities[0].text_anchor == TextAnchor((Span(8, 13),))
    assert merged.text_of(merged.pages[3].tokens[0].layout) == "four "


def test_pages_that_overlap_are_kept_once() -> None:
    first = part("one two three", 1, entities=(entity("0", 8, 13, 2),))
    again = entity("0", 0, 5, 0)
    over = Entity(
        TextAnchor((Span(0, 5), Span(6, 10))), "over", page_refs=(PageRef(0), PageRef(1)), id="1", properties=(again,)
    )
    second = replace(
        part("three four", 3, entities=(again, over)),
        text_styles=(TextStyle(TextAnchor((Span(0, 5),))), TextStyle(TextAnchor((Span(6, 10),)))),
        readings=(Reading(3, "b", "r"), Reading(4, "b", "r")),
    )
    first = replace(first, readings=(Reading(3, "a", "r"),))
    merged = merge([second, first])
    assert merged.text == "one two three four "
    assert [page.number for page in merged.pages] == [1, 2, 3, 4]
    assert [e.type for e in merged.entities] == ["x", "over"]
    assert merged.entities[1].text_anchor == TextAnchor((Span(8, 13), Span(14, 18)))
    assert [ref.page for ref in merged.entities[1].page_refs] == [2, 3]
    assert merged.entities[1].properties == ()
    assert merged.text_styles == (TextStyle(TextAnchor((Span(14, 18),))),)
    assert [(r.page, r.engine) for r in merged.readings] == [(3, "a"), (4, "b")]


def test_overlapping_pages_read_differently() -> None:
    over = Entity(TextAnchor((Span(0, 5), Span(6, 10))), page_refs=(PageRef(0), PageRef(1)), id="1")
    merged = merge([part("one two", 1), part("tvvo! four", 2, entities=(over,))])
    assert merged.text == "one two four "
    assert merged.entities[0].text_anchor == TextAnchor((Span(8, 12),))
    assert [ref.page for ref in merged.entities[0].page_refs] == [1, 2]


@pytest.mark.parametrize(
    ("infos", "said"),
    [
        ([(0, 3), (2, 3)], r"missing .*\[1\]"),
        ([(1, 2)], r"missing .*\[0\]"),
        ([(0, 2), (0, 2), (1, 2)], "twice"),
        ([(0, 2), None], "Not every part"),
        ([(0, 2), (1, 3)], "Not every part"),
    ],
)
def test_shards_that_do_not_fit(infos: list[tuple[int, int] | None], said: str) -> None:
    parts = [
        replace(part("a", n), shard_info=ShardInfo(*info) if info is not None else None)
        for n, info in enumerate(infos, 1)
    ]
    with pytest.raises(PartsMismatch, match=said):
        merge(parts)


def test_shards_follow_their_index_and_not_their_pages() -> None:
    """Shards of a layout parser have no pages at all."""
    parts = [replace(part(text, 1), pages=(), shard_info=ShardInfo(n, 2)) for n, text in ((1, "two"), (0, "one"))]
    assert merge(parts).text == "one two "


def test_one_document_of_one_shard_is_itself() -> None:
    alone = replace(part("one two", 1, entities=(entity("5", 0, 3, 0),)), shard_info=ShardInfo(0, 1))
    assert merge([alone]) == replace(alone, shard_info=None)
    assert merge([]) == packed([]) == Document()


def test_ids_and_relations() -> None:
    first = replace(part("a", 1, entities=(entity("0", 0, 1, 0), entity("4", 0, 1, 0))))
    first = replace(first, entity_relations=(EntityRelation("0", "4", "r"),))
    second = replace(first, entity_relations=(EntityRelation("4", "0", "s"),))
    custom = part("b", 1, entities=(entity("ef4fd8a921c0ea81", 0, 1, 0),))
    whole = packed([first, second, custom, custom])
    assert [e.id for e in whole.entities] == ["0", "4", "5", "9", "ef4fd8a921c0ea81", "ef4fd8a921c0ea81-3"]
    assert whole.entity_relations == (EntityRelation("0", "4", "r"), EntityRelation("9", "5", "s"))
    assert cut(whole, [1, 1, 1, 1])[:3] == [first, second, custom]


def test_layout_trees_go_on() -> None:
    def tree(first: int, last: int) -> Document:
        nodes = tuple(LayoutNode(str(n), PageSpan(page, page)) for n, page in enumerate(range(first, last + 1), 1))
        chunk = Chunk("c1", ("1", "2"), page_span=PageSpan(first, last))
        return Document(document_layout=DocumentLayout(nodes), chunked_document=ChunkedDocument((chunk,)))

    whole = packed([tree(1, 2), tree(1, 3)])
    assert whole.document_layout is not None
    assert [(n.block_id, n.page_span) for n in whole.document_layout.blocks] == [
        (str(n), PageSpan(n, n)) for n in range(1, 6)
    ]
    assert whole.chunked_document == ChunkedDocument(
        (Chunk("c1", ("1", "2"), page_span=PageSpan(1, 2)), Chunk("c2", ("3", "4"), page_span=PageSpan(3, 5)))
    )
    shards = [replace(tree(1, 2), shard_info=ShardInfo(0, 2)), replace(tree(3, 4), shard_info=ShardInfo(1, 2))]
    merged = merge(shards[::-1])
    assert merged.document_layout is not None
    assert [n.page_span for n in merged.document_layout.blocks] == [PageSpan(n, n) for n in range(1, 5)]


def test_shards_that_number_their_own_pages() -> None:
    first, second = part("one two", 1), part("three four", 1, entities=(entity("0", 6, 10, 1),))
    parts = [
        replace(first, shard_info=ShardInfo(0, 2)),
        replace(second, shard_info=ShardInfo(1, 2, len(first.text))),
    ]
    merged = merge(parts[::-1])
    assert merged.text == "one two three four "
    assert [page.number for page in merged.pages] == [1, 2, 3, 4]
    assert merged.entities[0].page_refs[0].page == 3


def test_shards_that_overlap() -> None:
    parts = [
        replace(part("one two three", 1), shard_info=ShardInfo(0, 2)),
        replace(part("three four", 3), shard_info=ShardInfo(1, 2, 8)),
    ]
    merged = merge(parts)
    assert merged.text == "one two three four "
    assert [page.number for page in merged.pages] == [1, 2, 3, 4]


@pytest.mark.parametrize("spans", [(Span(-5, 3),), (Span(2, 90),), (Span(7, 2),), (Span(90, 91),)])
def test_anchors_out_of_a_part_never_reach_another(spans: tuple[Span, ...]) -> None:
    odd = replace(part("three", 2), text_styles=(TextStyle(TextAnchor(spans)),))
    for whole in (merge([part("one", 1), odd, part("two", 3)]), packed([part("one", 1), odd, part("two", 1)])):
        anchor = whole.text_styles[0].text_anchor
        assert anchor is not None
        assert all(4 <= span.start <= span.end <= 10 for span in anchor.spans)
