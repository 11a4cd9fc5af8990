"""The short cut for element lists against the general writer."""

from __future__ import annotations

import json
import math

import msgspec
import numpy as np
from drawn import page_of
from hypothesis import given
from hypothesis import strategies as st

from docfleet.documentai_format import page_json
from docfleet.documentai_format.form import Form, json_number
from docfleet.documentai_format.writing import _write_struct
from docfleet.domain.anchors import Span
from docfleet.domain.document import Layout, Page, Token
from docfleet.domain.geometry import BoundingBox

ELEMENTS = ("blocks", "paragraphs", "lines", "tokens", "symbols")


@given(page_of(), st.integers(0, 5), st.sampled_from([None, 6, 3]))
def test_writes_what_the_general_writer_writes(drawn: tuple[str, Page], offset: int, digits: int | None) -> None:
    _, page = drawn
    written = json.loads(page_json(page, offset, digits))
    form = Form(offset, digits)
    for name in ELEMENTS:
        general = [json.loads(msgspec.json.encode(_write_struct(element, form))) for element in getattr(page, name)]
        assert written.get(name, []) == general


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([None, 3, 6]))
def test_numbers_are_as_near_as_their_decimals_allow(value: float, digits: int | None) -> None:
    written = json_number(value, digits)
    assert isinstance(written, (int, float))
    assert (
        written == value if digits is None else math.isclose(written, value, rel_tol=1e-15, abs_tol=0.51 / 10**digits)
    )


def test_numbers_of_numpy_are_numbers() -> None:
    for kind in (np.float32, np.float64):
        box = BoundingBox(
            tuple((kind(x), kind(y)) for x, y in ((0.25, 0.5), (0.75, 0.5), (0.75, 0.625), (0.25, 0.625)))
        )
        page = Page(1, tokens=(Token(Layout((Span(1, 2),), box, kind(0.5))),))
        plain = BoundingBox.of_rect(0.25, 0.5, 0.75, 0.625)
        expected = Page(1, tokens=(Token(Layout((Span(1, 2),), plain, 0.5)),))
        assert page_json(page) == page_json(expected)
        assert page_json(page, digits=6) == page_json(expected, digits=6)


def test_what_is_no_number_stays_legal_json() -> None:
    odd = Token(Layout(box=BoundingBox.of_rect(math.nan, math.inf, 0.5, -math.inf), confidence=0.5))
    vertices = json.loads(page_json(Page(1, tokens=(odd,))))["tokens"][0]["layout"]["boundingPoly"][
        "normalizedVertices"
    ]
    assert vertices[0] == {"x": "NaN", "y": "Infinity"}
