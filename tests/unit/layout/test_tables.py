"""Ruled and plain tables become tables; prose, forms, lists and tables of contents do not."""

from __future__ import annotations

import itertools

import pytest
from bench.tables import cells_of, relations
from tests.unit.layout.setting import check_partitions, page_of, paragraph_texts, set_column, set_line

from docfleet.domain.document import Page, Role, Table
from docfleet.domain.words import Ruling, Word
from docfleet.engines.local.layout import lay_out

FRUIT = [
    ["Fruit", "Weight", "Price"],
    ["Apples", "120", "3.50"],
    ["Pears", "80", "2.75"],
    ["Quinces", "15", "4.10"],
    ["Medlars", "7", "6.00"],
]


def set_table(rows: list[list[str]], x: float = 60, y: float = 200, wide: float = 120, high: float = 20) -> list[Word]:
    return [
        word
        for (r, row), c in itertools.product(enumerate(rows), range(len(rows[0])))
        for word in set_line(row[c], x + 4 + c * wide, y + 4 + r * high)
        if row[c]
    ]


def frame(rows: int, columns: int, x: float = 60, y: float = 200, wide: float = 120, high: float = 20) -> list[Ruling]:
    lines = [Ruling(x, y + r * high, x + columns * wide, y + r * high) for r in range(rows + 1)]
    return lines + [Ruling(x + c * wide, y, x + c * wide, y + rows * high) for c in range(columns + 1)]


def rows_of(table: Table, text: str) -> list[list[str]]:
    return [
        ["".join(text[s.start : s.end] for s in cell.layout.spans).strip() for cell in row]
        for row in (*table.header_rows, *table.body_rows)
    ]


def only_table(text: str, page: Page) -> Table:
    check_partitions(text, page)
    (table,) = page.tables
    return table


@pytest.mark.parametrize("ruled", [True, False])
def test_a_table_is_read_with_its_header(ruled: bool) -> None:
    words = set_line("Stock of the cellar in autumn, as counted by the keeper", 60, 150) + set_table(FRUIT)
    text, page = lay_out(page_of(words, frame(5, 3) if ruled else []), 1)
    table = only_table(text, page)
    assert rows_of(table, text) == FRUIT
    assert len(table.header_rows) == 1
    assert "Apples\n120\n3.50\nPears" in text
    assert sum(p.role is Role.TABLE for p in page.paragraphs) == 15


def test_spans_and_empty_cells_of_a_ruled_table() -> None:
    rulings = frame(4, 3)
    rulings = [r for r in rulings if not (r.x0 == r.x1 == 300)] + [Ruling(300, 220, 300, 280)]
    rows = [["Item", "", ""], ["", "Min", "Max"], ["Salt", "1", ""], ["Pepper", "2", "9"]]
    words = set_table(rows) + set_line("Amount in grams altogether", 210, 204)
    text, page = lay_out(page_of(words, rulings), 1)
    table = only_table(text, page)
    assert rows_of(table, text)[0] == ["Item", "Amount in grams altogether"]
    assert [cell.column_span for cell in (*table.header_rows, *table.body_rows)[0]] == [1, 2]
    assert rows_of(table, text)[2] == ["Salt", "1", ""]


def test_wrapped_cells_stay_one_cell() -> None:
    rows = [["Name", "Count", "Share"], ["Compounds of", "17", "4.2"], ["Bismuth", "9", "1.1"], ["Tin", "5", "0.6"]]
    words = set_table(rows, high=30) + set_line("of chlorine", 64, 246)
    text, page = lay_out(page_of(words), 1)
    assert ["Compounds of\nof chlorine", "17", "4.2"] in rows_of(only_table(text, page), text)


def test_a_table_inside_a_column_is_read_in_its_place() -> None:
    words = set_column("a", 50, 80, 235, 8) + set_table(FRUIT, x=50, y=200, wide=75) + set_column("c", 50, 320, 235, 20)
    words += set_column("b", 310, 80, 235, 40)
    text, page = lay_out(page_of(words, frame(5, 3, 50, 200, 75)), 2)
    only_table(text, page)
    places = [text.find(mark) for mark in ("a0 ", "a7 ", "Apples", "Medlars", "c0 ", "c19 ", "b0 ", "b39 ")]
    assert places == sorted(places)


@pytest.mark.parametrize("angle", [90, 270])
def test_a_turned_table_is_found(angle: int) -> None:
    def turn(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        return (600 - y1, x0, 600 - y0, x1) if angle == 90 else (y0, 800 - x1, y1, 800 - x0)

    words = [Word(w.text, turn(*w.box), size=w.size, angle=angle) for w in set_table(FRUIT)]
    rulings = [Ruling(*turn(r.x0, r.y0, r.x1, r.y1)) for r in frame(5, 3)]
    text, page = lay_out(page_of(words, rulings, 600, 800), 1)
    table = only_table(text, page)
    assert rows_of(table, text) == FRUIT
    assert table.layout.box is not None
    x0, y0, x1, y1 = table.layout.box.rect
    expected = turn(60, 200, 420, 300)
    assert (x0 * 600, y0 * 800, x1 * 600, y1 * 800) == pytest.approx(expected, abs=3)


CONTENTS = [["Introduction", "1"], ["Methods", "4"], ["Results", "9"], ["Discussion", "15"], ["Thanks", "22"]]
FORM = [["Name:", "Ada Lovelace"], ["Born:", "1815"], ["Died:", "1852"], ["Height:", "165"], ["Weight:", "60"]]
ITEMS = [["1.", "Wash the apples"], ["2.", "Peel the apples"], ["3.", "Cut the apples"], ["4.", "Eat the apples"]]


@pytest.mark.parametrize("rows", [CONTENTS, FORM, ITEMS], ids=["contents", "form", "list"])
def test_what_only_looks_like_a_table_is_none(rows: list[list[str]]) -> None:
    _, page = lay_out(page_of(set_table(rows, wide=300 if rows is CONTENTS else 60)), 1)
    assert page.tables == ()


@pytest.mark.parametrize("columns", [2, 3])
def test_prose_in_columns_is_no_table(columns: int) -> None:
    width = (495 - 18 * (columns - 1)) / columns
    words = [w for c in range(columns) for w in set_column("abc"[c], 50 + c * (width + 18), 80, width, 40)]
    _, page = lay_out(page_of(words), 1)
    assert page.tables == ()


def test_a_frame_around_text_is_no_table() -> None:
    words = set_column("a", 70, 110, 400, 5)
    text, page = lay_out(page_of(words, frame(1, 1, 60, 100, 420, 90)), 1)
    assert page.tables == ()
    assert len(paragraph_texts(text, page)) >= 1


def test_the_measure_falls_when_a_cell_is_lost() -> None:
    whole, lost = set_table(FRUIT), set_table([row if row[0] != "Pears" else ["Pears", "80", ""] for row in FRUIT])
    scored = []
    for words in (whole, lost):
        text, page = lay_out(page_of(words, frame(5, 3)), 1)
        scored.append(relations(cells_of(page.tables[0], text)))
    assert scored[0].total() == 22
    assert (scored[0] & scored[1]).total() == 19


@pytest.mark.parametrize("rulings", [[], frame(5, 3)], ids=["plain", "ruled"])
def test_tables_nobody_asked_for_are_text(rulings: list[Ruling]) -> None:
    words = page_of(set_table(FRUIT), rulings)
    text, page = lay_out(words, 1, features=[])
    assert lay_out(words, 1)[1].tables
    assert page.tables == ()
    assert sorted(text.split()) == sorted(cell for row in FRUIT for cell in row)
    check_partitions(text, page)
