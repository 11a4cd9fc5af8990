"""What `from_json` accepts and refuses."""

from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.documentai_format import from_json, to_json
from docfleet.domain.anchors import Span
from docfleet.domain.document import Break, Document, Orientation
from docfleet.errors import DocfleetError, FormatError

CANONICAL = {
    "mimeType": "application/pdf",
    "text": "Hello\n",
    "pages": [
        {
            "pageNumber": 1,
            "dimension": {"width": 1758, "height": 2275, "unit": "pixels"},
            "tokens": [
                {
                    "layout": {
                        "textAnchor": {"textSegments": [{"endIndex": "6"}]},
                        "orientation": "PAGE_DOWN",
                        "confidence": 0.9,
                        "boundingPoly": {"normalizedVertices": [{"y": 0.5}, {"x": 0.25, "y": 0.5}]},
                    },
                    "detectedBreak": {"type": "WIDE_SPACE"},
                }
            ],
            "transforms": [{"rows": 1, "cols": 1, "type": 6, "data": "++//AA=="}],
        }
    ],
    "shardInfo": {"shardCount": "1", "textOffset": "9007199254740993"},
}


def read(value: object) -> Document:
    return from_json(json.dumps(value).encode())


def test_canonical_json_needs_no_notes() -> None:
    document = read(CANONICAL)
    assert document.unread == ()
    assert json.loads(to_json(document)) == CANONICAL
    assert b'"width":1758,' in to_json(document)


def test_snake_case_numbers_for_enums_and_plain_integers() -> None:
    document = read(
        {
            "mime_type": "application/pdf",
            "text": "Hello\n",
            "pages": [
                {
                    "page_number": 1,
                    "dimension": {"width": 1758.0, "height": "2275", "unit": "pixels"},
                    "tokens": [
                        {
                            "layout": {
                                "text_anchor": {"text_segments": [{"start_index": 0, "end_index": 6}]},
                                "orientation": 3,
                                "confidence": 0.9,
                                "bounding_poly": {
                                    "normalized_vertices": [{"x": None, "y": 0.5}, {"x": 0.25, "y": 0.5}]
                                },
                            },
                            "detected_break": {"type_": "WIDE_SPACE"},
                        }
                    ],
                    "transforms": [{"rows": 1, "cols": 1, "type_": 6, "data": "--__AA"}],
                }
            ],
            "shard_info": {"shard_index": 0, "shard_count": 1, "text_offset": 9007199254740993},
        }
    )
    assert msgspec.structs.replace(document, unread=()) == read(CANONICAL)
    assert json.loads(to_json(msgspec.structs.replace(document, unread=()))) == CANONICAL


@pytest.mark.parametrize("spelling", ["PAGE_LEFT", "page_left", "Orientation.PAGE_LEFT", 4, "4"])
def test_spellings_of_an_enum(spelling: object) -> None:
    document = read({"pages": [{"layout": {"orientation": spelling}}]})
    layout = document.pages[0].layout
    assert layout is not None
    assert layout.orientation is Orientation.LEFT
    assert json.loads(to_json(document)) == {"pages": [{"layout": {"orientation": spelling}}]}


def test_values_newer_than_the_model_are_kept() -> None:
    raw = {"text": "a", "pages": [{"layout": {"orientation": "PAGE_INSIDE_OUT", "depth": [1, {"b": None}]}}], "new": {}}
    document = read(raw)
    assert document.pages[0].layout is not None
    assert document.pages[0].layout.orientation is Orientation.UNKNOWN
    assert json.loads(to_json(document)) == raw


def test_notes_never_overrule_a_changed_value() -> None:
    document = read({"text": "", "uri": "", "pages": [{"layout": {"orientation": 99}}]})
    changed = msgspec.structs.replace(document, text="new", pages=())
    assert json.loads(to_json(changed)) == {"text": "new", "uri": ""}


def test_dropped_keys_go_wherever_they_stand() -> None:
    raw = {
        "text": "a",
        "revisions": [{"id": "1"}],
        "pages": [{"image": {"content": "AAAA"}, "blocks": [{"provenance": {}}]}],
    }
    assert json.loads(to_json(read(raw))) == {"text": "a", "pages": [{"blocks": [{}]}]}


def test_absent_is_not_zero() -> None:
    raw = {
        "entities": [
            {"normalizedValue": {"booleanValue": False}},
            {"normalizedValue": {}},
            {"pageAnchor": {"pageRefs": [{}]}},
        ]
    }
    document = read(raw)
    values = [entity.normalized_value for entity in document.entities]
    assert values[0] is not None
    assert values[0].boolean_value is False
    assert values[1] is not None
    assert values[1].boolean_value is None
    assert values[2] is None
    assert document.unread == ()
    assert json.loads(to_json(document)) == raw


def test_a_cell_without_spans_covers_one_cell() -> None:
    raw = {"pages": [{"tables": [{"bodyRows": [{"cells": [{"layout": {"confidence": 0.5}}]}, {}]}]}]}
    document = read(raw)
    cell = document.pages[0].tables[0].body_rows[0][0]
    assert (cell.row_span, cell.column_span) == (1, 1)
    assert json.loads(to_json(document)) == raw


def test_a_process_response_is_unwrapped() -> None:
    document = read({"document": CANONICAL, "humanReviewStatus": {"state": "SKIPPED"}})
    assert document == read(CANONICAL)
    assert document.pages[0].tokens[0].break_after is Break.WIDE_SPACE
    assert document.pages[0].tokens[0].layout.spans == (Span(0, 6),)


def test_an_empty_object_is_an_empty_document() -> None:
    assert from_json(b" {}\n") == Document()
    assert from_json(b'\xef\xbb\xbf{"text": "with a byte order mark"}').text == "with a byte order mark"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"%PDF-1.7", "no JSON"),
        (b'{"text": "\xff"}', "no JSON"),
        (b'{"text": "\\ud800"}', "no JSON"),
        (b"[]", "The document: an object expected"),
        (b'"text"', "The document: an object expected"),
        (b'{"responses": []}', "none of its keys"),
        (b'{"text": 5}', "text: a string expected"),
        (b'{"pages": {}}', "pages: a list expected"),
        (b'{"pages": [null]}', "pages.0: an object expected"),
        (
            b'{"pages": [{"tokens": [{}, {"layout": {"confidence": []}}]}]}',
            "pages.0.tokens.1.layout.confidence: a number",
        ),
        (b'{"pages": [{"tokens": [{"layout": {"textAnchor": 1}}]}]}', "pages.0.tokens.0.layout.textAnchor: an object"),
        (b'{"shardInfo": {"textOffset": "1.5"}}', "shardInfo.textOffset: a whole number"),
        (b'{"shardInfo": {"textOffset": "9223372036854775808"}}', "shardInfo.textOffset: a whole number of at most 64"),
        (b'{"pages": [{"pageNumber": 1e30}]}', "pages.0.pageNumber: a whole number"),
        (b'{"pages": [{"pageNumber": "1_0"}]}', "pages.0.pageNumber: a whole number"),
        (b'{"content": "?"}', "content: base64"),
        (b'{"pages": [{"layout": {"orientation": 1.5}}]}', "pages.0.layout.orientation: an enum"),
        (b'{"entities": ' + b'[{"properties": ' * 3000 + b"[]" + b"}]" * 3000 + b"}", "nested too deeply"),
        (b'{"unknown": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_refuses(data: bytes, said: str) -> None:
    with pytest.raises(FormatError, match=said) as caught:
        from_json(data)
    assert caught.value.code == "format"
    assert isinstance(caught.value, DocfleetError)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["text", "pages", "layout", "tokens", "textAnchor", "tables", "bodyRows", "cells", "x", "type"]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(json_values)
def test_any_json_is_read_or_refused(value: object) -> None:
    try:
        document = from_json(json.dumps(value).encode())
    except FormatError:
        return
    assert json.loads(to_json(document)) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        from_json(data)
