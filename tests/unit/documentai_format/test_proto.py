"""Our model to and from Document AI's protobuf."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from drawn import page_of
from drawn_documents import documents, narrowed
from google.cloud import documentai_v1, documentai_v1beta3
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from docfleet.documentai_format import from_json, from_proto, join, pages_from_proto, split, to_json, to_proto
from docfleet.documentai_format.floats import all_shortest, shortest
from docfleet.documentai_format.proto_elements import read_elements
from docfleet.documentai_format.proto_reading import _read_struct
from docfleet.documentai_format.proto_writing import _write
from docfleet.domain.anchors import Span
from docfleet.domain.chunks import Chunk, ChunkedDocument, DocumentLayout, LayoutNode, PageSpan, TextNode
from docfleet.domain.document import (
    Block,
    Break,
    Document,
    Fault,
    Layout,
    Line,
    Matrix,
    Orientation,
    Page,
    Paragraph,
    ShardInfo,
    Symbol,
    Token,
)
from docfleet.domain.geometry import BoundingBox
from docfleet.errors import FormatError

MESSAGE = documentai_v1.Document.pb()
ELEMENTS = {"blocks": Block, "paragraphs": Paragraph, "lines": Line, "tokens": Token, "symbols": Symbol}


def as_message(document: Document) -> Any:
    """By way of JSON and Google's own reader."""
    return json_format.Parse(to_json(document), MESSAGE())


@settings(max_examples=30)
@given(documents(least_pages=0))
def test_there_and_back(document: Document) -> None:
    assert from_proto(to_proto(document)) == narrowed(document)


@settings(max_examples=30)
@given(documents(least_pages=0))
def test_writes_what_google_reads_in_our_json(document: Document) -> None:
    assert to_proto(document) == as_message(document)


@settings(max_examples=30)
@given(documents())
def test_reads_what_google_writes_in_json(document: Document) -> None:
    message = to_proto(document)
    written = json_format.MessageToJson(message, preserving_proto_field_name=False).encode()
    assert from_proto(message) == narrowed(from_json(written, lossless=False))


@settings(max_examples=20)
@given(st.lists(page_of(), max_size=4))
def test_light_way_reads_the_same_pages(pages: list[tuple[str, Page]]) -> None:
    message = to_proto(join(pages))
    assert pages_from_proto(message) == list(split(from_proto(message)))


@settings(max_examples=30)
@given(documents())
def test_light_way_reads_pages_without_layouts(document: Document) -> None:
    message = to_proto(document)
    for page in message.pages:
        page.ClearField("layout")
    assert pages_from_proto(message) == list(split(from_proto(message)))


@settings(max_examples=30)
@given(page_of())
def test_short_cut_reads_what_the_general_reader_reads(drawn: tuple[str, Page]) -> None:
    message = to_proto(Document(drawn[0], (drawn[1],))).pages[0]
    for name, kind in ELEMENTS.items():
        items = getattr(message, name)
        general = tuple(_read_struct(kind, item, 7) for item in items)
        assert read_elements(kind, items, 7, lambda item, offset: _read_struct(kind, item, offset)) == general  # noqa: B023


@settings(max_examples=30)
@given(page_of())
def test_short_cut_writes_what_the_general_writer_writes(drawn: tuple[str, Page]) -> None:
    message = to_proto(Document(drawn[0], (drawn[1],))).pages[0]
    for name in ELEMENTS:
        written = getattr(message, name)
        for element, item in zip(getattr(drawn[1], name), written, strict=True):
            alone = type(item)()
            _write(alone, element)
            assert item == alone


def _odd_tokens() -> list[Any]:
    """Tokens a response of tomorrow, or a broken one, could hold."""
    plain = Token(Layout((Span(3, 200),), BoundingBox.of_rect(0.1, 0.2, 0.3, 0.4), 0.5, Orientation.UP), Break.SPACE)
    (token,) = to_proto(Document(pages=(Page(1, tokens=(plain,)),))).pages[0].tokens
    whole = token.SerializeToString()
    layout = token.layout.SerializeToString()
    anchor = token.layout.text_anchor.SerializeToString()
    poly = token.layout.bounding_poly.SerializeToString()

    def field(number: int, data: bytes) -> bytes:
        return bytes((number << 3 | 2, len(data))) + data

    sure, turn = b"\x15" + struct.pack("<f", 0.5), b"\x20\x01"
    more_in_poly = field(1, anchor) + sure + field(3, poly + b"\x20\x02") + turn
    more_in_anchor = field(1, anchor + b"\x20\x02") + sure + field(3, poly) + turn
    two_layouts = whole + field(1, b"\x20\x03")
    return [
        whole,
        whole + b"\x78\x05",
        field(1, layout + b"\x78\x05"),
        field(1, more_in_poly),
        field(1, more_in_anchor),
        field(1, layout + b"\x20\x63"),  # an orientation nobody knows
        field(1, layout) + b"\x12\x02\x08\x63",  # and such a break
        two_layouts,
        field(1, field(1, field(1, b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")) + sure + field(3, poly)),
        field(1, sure),
        b"",
    ]


def test_short_cut_sees_what_it_does_not_know() -> None:
    page = MESSAGE().pages.add()
    kind = type(page.tokens.add())
    del page.tokens[:]
    page.tokens.extend([kind.FromString(data) for data in _odd_tokens()])
    general = tuple(_read_struct(Token, item, 0) for item in page.tokens)
    assert read_elements(Token, page.tokens, 0, lambda item, offset: _read_struct(Token, item, offset)) == general
    assert [token.layout.orientation for token in general].count(Orientation.LEFT) == 0
    assert general[5].layout.orientation is Orientation.UNKNOWN
    assert general[6].break_after is Break.NONE
    assert general[8].layout.spans == (Span(0, -1),)


def test_what_no_page_holds() -> None:
    node = LayoutNode("1", PageSpan(1, 2), text_block=TextNode("a", "heading-1", (LayoutNode("2"),)))
    document = Document(
        uri="gs://a/b.pdf",
        docid="d",
        shard_info=ShardInfo(1, 3, 2**40),
        error=Fault(
            3,
            "no",
            (
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "R", "domain": "d"},
                {"@type": "type.googleapis.com/nobody.knows", "value": "AAE="},
            ),
        ),
        document_layout=DocumentLayout((node,)),
        chunked_document=ChunkedDocument((Chunk("c1", ("1", "2"), "a", PageSpan(1, 2)),)),
        pages=(Page(1, transforms=(Matrix(2, 3, 6, b"\x00\xff"),)),),
    )
    from google.rpc import error_details_pb2

    assert error_details_pb2.ErrorInfo  # known to the process from here on
    message = to_proto(document)
    assert from_proto(message) == document
    assert message.error.details[1].value == b"\x00\x01"
    content = to_proto(Document(content=b"%PDF"))
    assert content.WhichOneof("source") == "content"
    assert from_proto(content).content == b"%PDF"


def test_dropped_on_reading() -> None:
    message = to_proto(Document(text="a", pages=(Page(1, tokens=(Token(Layout((Span(0, 1),))),)),)))
    plain = from_proto(message)
    message.pages[0].image.content = b"png"
    message.revisions.add(id="1")
    message.pages[0].tokens[0].provenance.id = 1
    message.pages[0].layout.text_anchor.SetInParent()
    message.pages[0].layout.Clear()
    assert from_proto(message) == msgspec.structs.replace(
        plain, pages=(msgspec.structs.replace(plain.pages[0], layout=Layout()),)
    )


def test_reads_v1beta3_too() -> None:
    document = Document("a", (Page(1, tokens=(Token(Layout((Span(0, 1),)), Break.SPACE),)),))
    other = documentai_v1beta3.Document.pb().FromString(to_proto(document).SerializeToString())
    assert from_proto(other) == document


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(FormatError, match="number"):
        to_proto(Document(pages=(Page(2**40),)))
    with pytest.raises(FormatError, match="start"):
        to_proto(Document(pages=(Page(1, tokens=(Token(Layout((Span(2**70, 2**70),))),)),)))
    with pytest.raises(FormatError, match="no Document AI message"):
        from_proto(b"bytes")
    with pytest.raises(FormatError, match="no Document AI message"):
        pages_from_proto(b"bytes")


def test_surrogates_become_replacement_characters() -> None:
    assert to_proto(Document(text="a\ud800b")).text == "a\ufffdb"


def test_numbers_beyond_32_bits_are_infinite() -> None:
    box = BoundingBox(((1e300, 0.5), (0.5, -1e300), (math.inf, 0.5), (0.5, 0.5)))
    page = from_proto(to_proto(Document(pages=(Page(1, tokens=(Token(Layout((Span(0, 1),), box, 0.5)),)),))))
    read = page.pages[0].tokens[0].layout.box
    assert read is not None
    assert read.corners == ((math.inf, 0.5), (0.5, -math.inf), (math.inf, 0.5), (0.5, 0.5))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_subnormal=False), min_size=30, max_size=60))
def test_shortest_decimals(values: list[float]) -> None:
    found = all_shortest(values)
    assert found == [shortest(value) for value in values]
    for value, short in zip(values, found, strict=True):
        assert np.float32(short) == np.float32(value)
        assert repr(short) == repr(float(str(np.float32(value))))


def test_shortest_decimals_of_many() -> None:
    rng = random.Random(1)
    values = np.array([rng.random() * 10.0 ** rng.randint(-7, 7) for _ in range(5000)], dtype=np.float32)
    assert all_shortest(values.astype(np.float64).tolist()) == [float(str(value)) for value in values]
