"""What people file: letterheads, keys with values, receipts, statements, depositions."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.layout.setting import check_partitions, line_texts, page_of, paragraph_texts, positions, set_line

from docfleet.domain.document import Role
from docfleet.domain.words import Word
from docfleet.engines.local.layout import lay_out
from docfleet.engines.local.layout.columns import _with_row_mates

ADDRESS = ("7 Kettle Row, Alder Bay", "post@pendragon.example", "+44 20 7946 0018")


def flush_right(text: str, right: float, y: float, em: float = 10.0, *, ocr: bool = False) -> list[Word]:
    words = set_line(text, 0, y, em, ocr=ocr)
    shift = right - words[-1].box[2]
    return [Word(w.text, (w.box[0] + shift, y, w.box[2] + shift, w.box[3]), size=w.size, ocr=ocr) for w in words]


def letter_body(y: float = 300) -> list[Word]:
    line = "we thank you for your letter and are glad to tell you that all the books were sent on Friday and"
    return [word for n in range(8) for word in set_line(f"b{n} {line}", 50, y + 12.5 * n)]


@pytest.mark.parametrize("flush", ["left", "right"])
def test_a_letterhead_is_read_name_first(flush: str) -> None:
    words = set_line("Pendragon Books", 50, 52, em=20)
    for n, text in enumerate(ADDRESS):
        y = 44 + 12.5 * n
        words += set_line(text, 420, y, em=8) if flush == "left" else flush_right(text, 545, y, em=8)
    text, page = lay_out(page_of(words + letter_body()), 1)
    check_partitions(text, page)
    assert line_texts(text, page)[:4] == ["Pendragon Books", *ADDRESS]
    assert paragraph_texts(text, page)[1] == "\n".join(ADDRESS)


def test_two_columns_of_a_footer_flush_right_are_read_one_by_one() -> None:
    words = letter_body(100)
    for n, (left, middle, right) in enumerate((("Pendragon Ltd", "Company 88431", "Bank of Alder, code 77"),
                                               ("7 Kettle Row", "Tax XA 6510", "Account 4411"))):  # fmt: skip
        y = 805 + 10 * n
        words += set_line(left, 50, y, em=8) + set_line(middle, 250, y, em=8) + flush_right(right, 545, y, em=8)
    text, _ = lay_out(page_of(words), 1)
    assert positions(text, "7", "Company", "Tax", "Bank", "Account") == sorted(
        positions(text, "7", "Company", "Tax", "Bank", "Account")
    )


def test_keys_and_values_share_their_lines_and_are_no_side_notes() -> None:
    pairs = [("Invoice number", "PB-771"), ("Invoice date", "4 May 2027"), ("Payment due", "3 June 2027")]
    words = letter_body(400)
    for n, (key, value) in enumerate(pairs):
        words += set_line(key, 300, 150 + 14 * n) + flush_right(value, 545, 150 + 14 * n)
    text, page = lay_out(page_of(words), 1)
    assert line_texts(text, page)[:3] == [f"{key} {value}" for key, value in pairs]
    assert not [p for p in page.paragraphs if p.role is Role.SIDE_NOTE]


def test_a_receipt_is_lines_and_no_table() -> None:
    items = [("Oat bread 500 g", "2.40"), ("Pears, 0.930 kg", "3.12"), ("Olive oil", "7.95"), ("Paper bag", "0.10"),
             ("Subtotal", "13.57"), ("TOTAL", "13.57"), ("Cash", "20.00"), ("Change", "6.43")]  # fmt: skip
    words = set_line("LITTLE HARBOUR SHOP", 60, 20, em=12, ocr=True)
    for n, (item, price) in enumerate(items):
        words += set_line(item, 30, 60 + 15 * n, ocr=True)
        words += flush_right(price, 270, 60 + 15 * n + n % 3 - 1, ocr=True)
    text, page = lay_out(page_of(words, width=300, height=400), 1)
    assert not page.tables
    assert line_texts(text, page) == ["LITTLE HARBOUR SHOP", *(f"{item} {price}" for item, price in items)]


@pytest.mark.parametrize("ocr", [False, True])
def test_a_statement_with_dates_and_sparse_columns_is_a_table(ocr: bool) -> None:
    words = []
    for x, name in ((50, "Date"), (130, "Description"), (340, "Out"), (420, "In"), (500, "Balance")):
        words += set_line(name, x, 100, ocr=ocr)
    for n in range(8):
        y = 115 + 14 * n
        words += set_line(f"{n + 1:02} Mar 2027", 50, y, ocr=ocr)
        words += set_line("Direct debit, Alder Water Company", 130, y, ocr=ocr)
        words += flush_right(f"{17 * n + 3}.50", 360 if n % 2 else 440, y, ocr=ocr)
        words += flush_right(f"{900 + n}.00", 540, y, ocr=ocr)
    _, page = lay_out(page_of(words), 1)
    (table,) = page.tables
    assert [len(row) for row in (*table.header_rows, *table.body_rows)] == [5] * 9


def test_a_dash_read_from_pixels_stays_in_its_line() -> None:
    words = set_line("There was an area", 100, 100, ocr=True)
    end = words[-1].box[2]
    words.append(Word("--", (end + 4, 105, end + 14, 107), ocr=True))
    words += set_line("so I went", end + 18, 100, ocr=True) + set_line("and looked", 100, 116, ocr=True)
    text, page = lay_out(page_of(words), 1)
    assert line_texts(text, page) == ["There was an area -- so I went", "and looked"]


def test_a_line_that_happens_to_begin_with_a_number_is_no_list_item() -> None:
    words = set_line("a. Engage in any act that would be similar to what I did within the last three", 50, 100)
    words += set_line("(3) years of my time at the firm, be it here or in another place of the", 50, 112.5)
    words += set_line("country, or own such a firm, or", 50, 125)
    words += set_line("b. Advise one.", 50, 137.5)
    text, page = lay_out(page_of(words), 1)
    assert [p.role for p in page.paragraphs] == [Role.LIST_ITEM, Role.LIST_ITEM]
    assert len(paragraph_texts(text, page)[0].split("\n")) == 3


def test_items_of_one_list_have_one_level_however_their_lines_wrap() -> None:
    words: list[Word] = []
    for n, rest in enumerate(("one line.", "long\nthat goes on left of its mark.", "one line.")):
        first, _, second = rest.partition("\n")
        words += set_line(f"{'abc'[n]}. An item of {first}", 80, 100 + 30 * n)
        words += set_line(second, 50, 112.5 + 30 * n) if second else []
    _, page = lay_out(page_of(words), 1)
    items = [p for p in page.paragraphs if p.role is Role.LIST_ITEM]
    assert [p.level for p in items] == [0, 0, 0]


def test_a_row_with_a_piece_across_a_gutter_stays_whole() -> None:
    crossing = np.array([False, False, False, True, False, False])
    heights = np.array([60.0, 80.0, 176.0, 176.5, 177.0, 190.0])
    assert _with_row_mates(crossing, heights, 3.0).tolist() == [False, False, True, True, True, False]


def test_an_amount_is_no_list_marker() -> None:
    words = set_line("1.00 litre of oil", 50, 100) + set_line("4.2 Delivery", 50, 130)
    _, page = lay_out(page_of(words), 1)
    assert [p.role for p in page.paragraphs] == [Role.BODY, Role.LIST_ITEM]
