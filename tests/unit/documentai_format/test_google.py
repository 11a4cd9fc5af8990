"""Our own documents by Document AI's conventions."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from drawn_documents import documents
from hypothesis import given, settings
from hypothesis import strategies as st

from docfleet.documentai_format import Version, as_google, from_proto, to_proto
from docfleet.documentai_format.paging import page_cuts
from docfleet.domain.anchors import Span, TextAnchor
from docfleet.domain.document import (
    Block,
    Break,
    Dimension,
    Document,
    Layout,
    Line,
    Orientation,
    Page,
    Paragraph,
    Token,
)
from docfleet.domain.entities import Entity
from docfleet.domain.geometry import BoundingBox

LEVELS = ("tokens", "lines", "paragraphs", "blocks")
versions = st.sampled_from(["v1", "v2"])


def of(kind: Any, *ends: int, start: int = 0, breaks: Break = Break.NONE) -> tuple[Any, ...]:
    spans = zip([start, *ends], ends, strict=False)
    made = [kind(Layout((Span(*span),))) for span in spans]
    return tuple(msgspec.structs.replace(one, break_after=breaks) if kind is Token else one for one in made)


def texts(document: Document, elements: tuple[Any, ...]) -> list[str]:
    return [document.text_of(element.layout) for element in elements]


def check_partitions(document: Document) -> None:
    cuts = page_cuts(document)
    for page, start, end in zip(document.pages, cuts, cuts[1:], strict=False):
        for name in LEVELS:
            at = start
            for element in getattr(page, name):
                (span,) = element.layout.spans
                assert span.start == at < span.end
                at = span.end
            assert at == end or not getattr(page, name)
        assert start == end or document.text[end - 1] == "\n"
        assert page.layout is not None
        assert page.layout.spans == ((Span(start, end),) if start < end else ())


@settings(max_examples=80)
@given(documents(least_pages=0), versions)
def test_everything_partitions_the_text(document: Document, version: Version) -> None:
    made = as_google(document, version)
    check_partitions(made)
    assert "".join(made.text.split()) == "".join(document.text.split())
    for page, old in zip(made.pages, document.pages, strict=True):
        for line in page.lines:
            assert made.text_of(line.layout).endswith("\n")
        for name in LEVELS:
            spans = [s for one in getattr(old, name) for s in one.layout.spans if s.start < s.end]
            assert bool(getattr(page, name)) == bool(spans)
        for token in page.tokens:
            last = made.text_of(token.layout)[-1]
            assert (token.break_after is Break.NONE) == (not last.isspace() or (last == "\n" and version == "v1")) or (
                token.break_after is Break.HYPHEN and last == "\n"
            )
        for layout in [one.layout for one in page.tokens] + [one.layout for one in page.symbols]:
            box = layout.box
            if box is not None and box.corners and page.dimension is not None:
                assert bool(box.pixels) == (version == "v1")
    # it is a fixed point
    assert as_google(made, version) == made


@settings(max_examples=30)
@given(documents(), versions)
def test_goes_through_protobuf(document: Document, version: Version) -> None:
    check_partitions(from_proto(to_proto(document, version)))


def test_lines_without_newlines_get_them() -> None:
    document = Document(
        "one two three four",
        (
            Page(
                1,
                tokens=of(Token, 4, 8, 14, 18),
                lines=of(Line, 8, 18),
                paragraphs=of(Paragraph, 18),
                blocks=of(Block, 18),
            ),
        ),
        entities=(Entity(TextAnchor((Span(14, 18),), "four")),),
    )
    made = as_google(document, "v2")
    page = made.pages[0]
    assert made.text == "one two\nthree four\n"
    assert texts(made, page.tokens) == ["one ", "two\n", "three ", "four\n"]
    assert [t.break_after for t in page.tokens] == [Break.SPACE, Break.WIDE_SPACE, Break.SPACE, Break.WIDE_SPACE]
    assert texts(made, page.lines) == ["one two\n", "three four\n"]
    assert texts(made, page.blocks) == [made.text]
    assert made.entities[0].text_anchor == TextAnchor((Span(14, 19),), "four")
    assert [t.break_after for t in as_google(document, "v1").pages[0].tokens] == [Break.SPACE, Break.NONE] * 2


def test_a_newline_is_put_in_between_pages_and_words() -> None:
    document = Document(
        "onetwo",
        (Page(1, tokens=of(Token, 3), lines=of(Line, 3)), Page(2, tokens=of(Token, 6, start=3))),
    )
    made = as_google(document, "v2")
    assert made.text == "one\ntwo\n"
    assert [texts(made, page.tokens) for page in made.pages] == [["one\n"], ["two\n"]]
    assert texts(made, made.pages[0].lines) == ["one\n"]


def test_hyphens_at_the_end_of_a_line_stay() -> None:
    document = Document("dis-\nmay\n", (Page(1, tokens=of(Token, 5, 9, breaks=Break.HYPHEN), lines=of(Line, 5, 9)),))
    for version in ("v1", "v2"):
        assert as_google(document, version).pages[0].tokens[0].break_after is Break.HYPHEN
    document = Document("dis-\nmay ", (Page(1, tokens=of(Token, 5, 9, breaks=Break.WIDE_SPACE), lines=of(Line, 9)),))
    assert as_google(document, "v2").pages[0].tokens[1].break_after is Break.WIDE_SPACE


def test_gaps_overlaps_and_stretches() -> None:
    two = Block(Layout((Span(0, 2), Span(6, 8))))
    between = Block(Layout((Span(2, 5),)))
    nothing = Block(Layout())
    document = Document("a b c d ", (Page(1, blocks=(two, nothing, between), tokens=of(Token, 2, 6, start=1)),))
    made = as_google(document, "v2")
    assert texts(made, made.pages[0].blocks) == ["a ", "b c ", "d\n"]
    assert texts(made, made.pages[0].tokens) == ["a ", "b c d\n"]
    assert made.pages[0].lines == ()


def test_pages_are_measured_in_pixels() -> None:
    box = BoundingBox.of_rect(0.1, 0.2, 0.5, 0.25)
    token = Token(Layout((Span(0, 1),), box, 0.5))
    document = Document("a", (Page(1, Dimension(612.0, 792.0, "pt"), tokens=(token,)),))
    v2, v1 = as_google(document, "v2").pages[0], as_google(document, "v1").pages[0]
    # Document AI's own figures for US letter
    assert v1.dimension == v2.dimension == Dimension(1758.0, 2275.0, "pixels")
    assert v2.tokens[0].layout.box == box
    assert v1.tokens[0].layout.box == BoundingBox(box.corners, ((176, 455), (879, 455), (879, 569), (176, 569)))
    assert v2.layout is not None
    assert v2.layout.box == BoundingBox(
        BoundingBox.of_rect(0, 0, 1, 1).corners, ((0, 0), (1758, 0), (1758, 2275), (0, 2275))
    )
    assert v2.layout.orientation is Orientation.UP
    image = Document("a", (Page(1, Dimension(640.0, 480.0, "pixels"), tokens=(token,)),))
    assert as_google(image, "v2").pages[0].dimension == Dimension(640.0, 480.0, "pixels")


def test_refuses_other_versions() -> None:
    with pytest.raises(ValueError, match="v3"):
        as_google(Document(), "v3")  # type: ignore[arg-type]


def test_any_order_of_elements_is_put_in_order() -> None:
    tokens = list(of(Token, 2, 4, 6, 8))
    random.Random(1).shuffle(tokens)
    made = as_google(Document("a b c d ", (Page(1, tokens=tuple(tokens)),)), "v2")
    assert texts(made, made.pages[0].tokens) == ["a ", "b ", "c ", "d\n"]
