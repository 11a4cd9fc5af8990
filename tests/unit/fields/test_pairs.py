"""Names and values on forms: beside each other, ticked; on turned pages; and what is none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.fields.pages import document_of

from docfleet.documentai_format import as_google, to_proto
from docfleet.domain.document import Document, Layout
from docfleet.engines.local.fields import entities_of, form_fields, with_form_fields


def pairs_of(document: Document) -> list[tuple[str, str]]:
    def shown(layout: Layout | None) -> str:
        assert layout is not None
        assert layout.content == document.text_of(layout)
        return layout.content.strip()

    found = form_fields(document.text, document.pages[0])
    return [(shown(one.field_name), shown(one.field_value)) for one in found]


def test_a_value_behind_its_name_and_right_of_it_but_not_what_stands_under() -> None:
    document = document_of(
        (60, (50, "Name: Jane Doe")),
        (90, (50, "City:"), (160, "Lausanne")),
        (120, (50, "Remarks:")),
        (133, (50, "none whatsoever")),
        (180, (50, "Call her back at 12:30 or see http://example.com/help")),
    )
    assert pairs_of(document) == [("Name:", "Jane Doe"), ("City:", "Lausanne")]


def test_several_names_on_one_row() -> None:
    document = document_of((60, (50, "First Name: Jane"), (200, "Last Name: Doe"), (330, "DOB:"), (370, "09/04/1986")))
    assert pairs_of(document) == [("First Name:", "Jane"), ("Last Name:", "Doe"), ("DOB:", "09/04/1986")]


def test_a_value_goes_on_under_itself_but_not_into_the_next_field() -> None:
    document = document_of(
        (60, (50, "Address:"), (120, "24 Barney Lane")),
        (73, (120, "Towaco NJ 07082")),
        (86, (50, "Phone:"), (120, "906 917 3486")),
    )
    assert pairs_of(document) == [("Address:", "24 Barney Lane\nTowaco NJ 07082"), ("Phone:", "906 917 3486")]


def test_figures_need_no_colon_and_blanks_are_no_values() -> None:
    document = document_of(
        (60, (50, "Subtotal"), (300, "$2,000.00")),
        (90, (50, "Signature:"), (120, "__________")),
        (120, (50, "a word"), (300, "another word")),
    )
    assert pairs_of(document) == [("Subtotal", "$2,000.00")]


def test_boxes_that_are_ticked_or_not() -> None:
    document = document_of((60, (50, "☑ Yes")), (90, (50, "☐ No")), (120, (50, "[X] Maybe")))
    found = form_fields(document.text, document.pages[0])
    kinds = [(one.value_type, one.field_name and one.field_name.content.strip()) for one in found]
    assert kinds == [("filled_checkbox", "Yes"), ("unfilled_checkbox", "No"), ("filled_checkbox", "Maybe")]


@pytest.mark.parametrize("orientation", [0, 90, 180, 270])
def test_turned_pages_have_the_same_fields(orientation: int) -> None:
    document = document_of((60, (50, "City:"), (160, "Lausanne")), (90, (50, "Zip: 1003")), orientation=orientation)
    assert pairs_of(document) == [("City:", "Lausanne"), ("Zip:", "1003")]
    page = with_form_fields(document.text, document.pages[0])
    token, name = page.tokens[0].layout, page.form_fields[0].field_name
    assert name is not None
    assert name.box is not None
    assert token.box is not None
    assert name.orientation is token.orientation
    assert name.box.corners[0] == pytest.approx(token.box.corners[0])


def test_fields_are_anchored_in_what_is_sent() -> None:
    document = as_google(document_of((60, (50, "Name: Jane Doe")), (90, (50, "City:"), (160, "Lausanne"))), "v2")
    page = with_form_fields(document.text, document.pages[0])
    message = to_proto(Document(text=document.text, pages=(page,)))
    for field in message.pages[0].form_fields:
        for layout in (field.field_name, field.field_value):
            (segment,) = layout.text_anchor.text_segments
            assert document.text[segment.start_index : segment.end_index] == layout.text_anchor.content
            assert len(layout.bounding_poly.normalized_vertices) == 4
            assert 0 < layout.confidence < 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 800), st.floats(0, 500), st.text("ab :[]x_1.,$☐/\u0301Ж", min_size=1, max_size=12)),
        max_size=12,
    )
)
def test_any_words_give_sound_fields(words: list[tuple[float, float, str]]) -> None:
    document = document_of(*[(y, (x, text)) for y, x, text in words])
    for field in form_fields(document.text, document.pages[0]):
        for layout in (field.field_name, field.field_value):
            assert layout is not None
            assert layout.spans
            assert layout.content == document.text_of(layout)


def test_a_page_full_of_names_takes_no_time() -> None:
    rows = [(y * 8.0, *[(x * 30.0, "a:") for x in range(18)]) for y in range(100)]
    document = document_of(*rows)
    started = time.process_time()
    form_fields(document.text, document.pages[0])
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "line",
    [
        "1 " + "111 " * 98,
        "a: " + "yes  " * 70 + "z",
        "rechnung " * 43,
        "A" * 390,
        "Ab " * 130 + ":",
        "1." * 190,
        "(" * 399,
    ],
)
def test_no_line_keeps_the_rules_busy(line: str) -> None:
    document = document_of(*[(y * 15.0, (0.0, line)) for y in range(50)])
    started = time.process_time()
    form_fields(document.text, document.pages[0])
    entities_of(document, "invoice")
    assert time.process_time() - started < 5
