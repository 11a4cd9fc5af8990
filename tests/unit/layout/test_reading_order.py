"""Columns, spanning titles, notes and running headers are read in the order a person reads them."""

from __future__ import annotations

import itertools
import random

import pytest
from tests.unit.layout.setting import (
    WORD,
    check_partitions,
    line_texts,
    page_of,
    paragraph_texts,
    positions,
    set_column,
    set_line,
)

from docfleet.domain.document import Role
from docfleet.domain.words import Word
from docfleet.engines.local.layout import lay_out


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("offset", [0.0, 4.0])
@pytest.mark.parametrize("shuffled", [False, True])
def test_columns_are_read_one_after_the_other(columns: int, offset: float, shuffled: bool) -> None:
    width = (495 - 18 * (columns - 1)) / columns
    words = [
        word for c in range(columns) for word in set_column("abc"[c], 50 + c * (width + 18), 80 + c * offset, width, 40)
    ]
    if shuffled:
        random.Random(7).shuffle(words)
    text, page = lay_out(page_of(words), 2)
    check_partitions(text, page)
    marks = [f"{'abc'[c]}{n}" for c in range(columns) for n in range(40)]
    order = positions(text, *marks)
    assert order == sorted(order)


def test_a_spanning_title_comes_first_and_a_spanning_note_last() -> None:
    words = set_column("a", 50, 140, 235, 30) + set_column("b", 305, 140, 235, 30)
    words += set_line("A title that spans both columns of the page", 90, 60, 20)
    words += set_column("n", 50, 600, 490, 3, 8)
    text, page = lay_out(page_of(words), 1)
    order = positions(text, "title", "a0", "a29", "b0", "b29", "n0", "n2")
    assert order == sorted(order)
    assert page.paragraphs[0].role is Role.TITLE


def test_a_heading_across_the_middle_parts_upper_from_lower_columns() -> None:
    words = set_column("a", 50, 80, 235, 12) + set_column("b", 305, 80, 235, 12)
    words += set_line("Results across both of the columns of this page here", 50, 250, 16)
    words += set_column("c", 50, 290, 235, 12) + set_column("d", 305, 290, 235, 12)
    text, _ = lay_out(page_of(words), 2)
    order = positions(text, "a0", "a11", "b0", "b11", "Results", "c0", "c11", "d0", "d11")
    assert order == sorted(order)


def test_a_side_note_is_kept_out_of_the_text_and_named() -> None:
    words = set_column("a", 170, 80, 370, 40)
    words += (
        set_line("See also", 50, 180, 8) + set_line("chapter nine", 50, 190, 8) + set_line("of part two", 50, 200, 8)
    )
    text, page = lay_out(page_of(words), 2)
    lines = line_texts(text, page)
    main = [n for n, line in enumerate(lines) if line.startswith("a")]
    assert main == list(range(main[0], main[0] + 40))
    notes = [p for p, t in zip(page.paragraphs, paragraph_texts(text, page), strict=True) if t.startswith("See also")]
    assert [p.role for p in notes] == [Role.SIDE_NOTE]


def test_running_header_and_page_number_are_named_and_stand_outside_the_columns() -> None:
    words = set_column("a", 50, 90, 235, 50) + set_column("b", 305, 90, 235, 50)
    words += set_line("Annual report", 50, 30, 9) + set_line("Chapter 4", 480, 30, 9) + set_line("17", 290, 800, 9)
    text, page = lay_out(page_of(words), 17)
    roles = dict(zip(paragraph_texts(text, page), page.paragraphs, strict=True))
    assert roles["Annual report"].role is Role.HEADER
    assert roles["17"].role is Role.FOOTER
    order = positions(text, "Annual", "a0", "a49", "b0", "b49", "17")
    assert order == sorted(order)


def test_rows_of_a_form_are_read_row_by_row() -> None:
    rows = [
        ("Name:", "Ada Lovelace"),
        ("Born:", "1815"),
        ("City:", "London"),
        ("Phone:", "555 0100"),
        ("Tax id:", "X9"),
    ]
    words = []
    for n, (key, value) in enumerate(rows):
        words += set_line(key, 60, 100 + 22 * n) + set_line(value, 220, 100 + 22 * n)
    text, page = lay_out(page_of(words), 1)
    flat = " ".join(text.split())
    places = [flat.find(part) for row in rows for part in row]
    assert -1 not in places
    assert places == sorted(places)
    assert page.tables == ()


def test_a_close_key_and_value_share_a_line() -> None:
    text, page = lay_out(page_of(set_line("Total: 12.50", 60, 100)), 1)
    assert line_texts(text, page) == ["Total: 12.50"]


def test_two_address_blocks_side_by_side_are_not_interleaved() -> None:
    left = ["Acme Trading Company", "12 Long Street", "London W1 2AB", "United Kingdom"]
    right = ["Globex Import Export", "Hauptstrasse 5", "10115 Berlin Mitte", "Federal Germany"]
    words = []
    for n, (a, b) in enumerate(zip(left, right, strict=True)):
        words += set_line(a, 60, 100 + 14 * n) + set_line(b, 330, 100 + 14 * n)
    text, page = lay_out(page_of(words), 1)
    assert line_texts(text, page) == left + right


def test_recognised_words_with_jittery_boxes_keep_their_columns() -> None:
    rng = random.Random(3)
    words = []
    for line, ((mark, x), n) in enumerate(itertools.product((("a", 50), ("b", 305)), range(30))):
        for word in set_column(mark, x, 80 + 14 * n, 235, 1):
            x0, y0, x1, y1 = (v + rng.uniform(-1.2, 1.2) for v in word.box)
            text = f"{mark}{n}" if word.text == f"{mark}0" else word.text
            words.append(type(word)(text, (x0, y0, x1, y1), 0.9, line, ocr=True))
    text, page = lay_out(page_of(words), 1)
    check_partitions(text, page)
    order = positions(text, *[f"a{n}" for n in range(30)], *[f"b{n}" for n in range(30)])
    assert order == sorted(order)
    assert abs(page.layout.confidence - 0.9) < 1e-6  # type: ignore[union-attr]


def _columns_around(gap: tuple[float, float], rows: range) -> list[Word]:
    """Two columns of forty ragged lines, 235 wide; in `rows` they leave the strip `gap` free."""
    words = []
    supply = itertools.cycle(WORD.split())
    for n in range(40):
        free = gap if n in rows else (285.0, 305.0)
        for mark, x0, x1 in (("a", 50.0, free[0]), ("b", free[1], 540.0)):
            line = set_line(f"{mark}{n} " + " ".join(itertools.islice(supply, 12)), x0, 80 + 12.5 * n)
            words += [word for word in line if word.box[2] <= x1]
    return words


@pytest.mark.parametrize("lift", [0.0, 3.0, 7.0])
@pytest.mark.parametrize("pitch", [10.0, 12.5])
def test_a_picture_with_its_caption_between_two_columns_does_not_part_them(lift: float, pitch: float) -> None:
    words = _columns_around((215, 375), range(8, 30))
    caption = ["caption0 of the", "old harbour by", "night, seen", "from the hill"]
    for n, part in enumerate(caption):
        words += set_line(part, 265 + 3 * n, 80 + 25 * 12.5 + lift + pitch * n, 8)
    text, page = lay_out(page_of(words), 1)
    check_partitions(text, page)
    marks = [f"a{n}" for n in range(40)] + [f"b{n}" for n in range(40)]
    order = positions(text, *marks, "caption0", "harbour", "night,", "hill")
    assert order == sorted(order)
    assert line_texts(text, page)[-4:] == caption


def test_a_narrow_heading_in_the_middle_with_nothing_beside_it_still_parts_the_columns() -> None:
    words = set_column("a", 50, 80, 235, 15) + set_column("b", 305, 80, 235, 15)
    words += set_line("The second", 270, 269) + set_line("part of it", 272, 282)
    words += set_column("c", 50, 297, 235, 15) + set_column("d", 305, 297, 235, 15)
    text, _ = lay_out(page_of(words), 2)
    order = positions(text, "a0", "a14", "b0", "b14", "second", "part", "c0", "c14", "d0", "d14")
    assert order == sorted(order)


def test_a_table_across_two_columns_is_not_torn() -> None:
    words = set_column("a", 50, 80, 235, 16) + set_column("b", 305, 80, 235, 16)
    rows = [(f"row{n}", f"middle{n} item", f"last{n}") for n in range(5)]
    for n, cells in enumerate(rows):
        for cell, x in zip(cells, (60, 250, 430), strict=True):
            words += set_line(cell, x, 300 + 14 * n)
    words += set_column("c", 50, 390, 235, 16) + set_column("d", 305, 390, 235, 16)
    text, _ = lay_out(page_of(words), 2)
    cells = [part for n in range(5) for part in (f"row{n}", f"middle{n}", f"last{n}")]
    order = positions(text, "a15", "b0", "b15", *cells, "c0", "c15", "d0", "d15")
    assert order == sorted(order)


def test_a_form_with_notes_between_keys_and_values_is_not_torn() -> None:
    words = []
    for n in range(14):
        y = 80 + 14 * n
        noted = n in (5, 6)
        words += set_line(f"Key{n}:", 50, y) + set_line(f"Value{n} as written in the books", 340 if noted else 300, y)
        if noted:
            words += set_line(f"Note{n} here", 255, y)
    text, _ = lay_out(page_of(words), 1)
    order = positions(
        text, "Key4:", "Value4", "Key5:", "Note5", "Value5", "Key6:", "Note6", "Value6", "Key7:", "Value7"
    )
    assert order == sorted(order)
