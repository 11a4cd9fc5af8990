"""Joining pages into one document and taking them out again."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from drawn import page_of
from hypothesis import given
from hypothesis import strategies as st

from docfleet.documentai_format import from_json, join, shift, split, to_json
from docfleet.documentai_format.paging import anchored
from docfleet.domain.anchors import Span
from docfleet.domain.document import Layout, Page, Token


def spans_of(value: object) -> Iterator[Span]:
    """Every span anywhere inside, found by walking the structs: no list of fields to forget one in."""
    if isinstance(value, Span):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from spans_of(item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from spans_of(getattr(value, name))


@given(st.lists(page_of(), max_size=4))
def test_anchors_stay_in_bounds_and_on_their_characters(pages: list[tuple[str, Page]]) -> None:
    document = join(pages)
    assert document.text == "".join(text for text, _ in pages)
    for (text, page), joined in zip(pages, document.pages, strict=True):
        before, after = list(spans_of(anchored(text, page))), list(spans_of(joined))
        assert all(0 <= span.start <= span.end <= len(document.text) for span in after)
        assert [text[s.start : s.end] for s in before] == [document.text[s.start : s.end] for s in after]


@given(st.lists(page_of(), max_size=4))
def test_split_undoes_join(pages: list[tuple[str, Page]]) -> None:
    assert list(split(join(pages))) == [(text, anchored(text, page)) for text, page in pages]


@given(page_of(), st.integers(0, 1000))
def test_shift_there_and_back(drawn: tuple[str, Page], offset: int) -> None:
    _, page = drawn
    assert shift(shift(page, offset), -offset) == page


@given(st.lists(page_of(), max_size=3))
def test_survives_json(pages: list[tuple[str, Page]]) -> None:
    document = join(pages)
    back = from_json(to_json(document))
    assert back.unread == ()
    assert back.text == document.text
    assert back.pages == document.pages


def test_characters_beyond_the_bmp_count_as_one() -> None:
    text = "𝒳 😀\n"
    first, second = Token(Layout((Span(0, 2),))), Token(Layout((Span(2, 4),)))
    document = join([(text, Page(1, tokens=(first, second))), (text, Page(2, tokens=(first, second)))])
    assert [document.text_of(token.layout) for page in document.pages for token in page.tokens] == ["𝒳 ", "😀\n"] * 2
    assert document.pages[1].tokens[1].layout.spans == (Span(6, 8),)


def test_a_page_without_elements_keeps_its_text() -> None:
    document = join([("only text\n", Page(1)), ("", Page(2)), ("more\n", Page(3))])
    assert [text for text, _ in split(document)] == ["only text\n", "", "more\n"]
