"""Plain and ruled tables with other things close by."""

from __future__ import annotations

from tests.unit.layout.setting import line_texts, page_of, set_line

from docfleet.domain.document import Page, Table
from docfleet.domain.words import Ruling, Word
from docfleet.engines.local.layout import lay_out


def columns(page: Page) -> list[tuple[int, int]]:
    """(rows, columns) of each table."""
    return [(len(rows), max(len(row) for row in rows)) for rows in map(rows_of, page.tables)]


def rows_of(table: Table) -> tuple[tuple[object, ...], ...]:
    return (*table.header_rows, *table.body_rows)


def grid_of(x: float, y: float, rows: list[list[str]], step: float = 14) -> list[Word]:
    return [
        word
        for n, row in enumerate(rows)
        for k, text in enumerate(row)
        for word in set_line(text, x + 120 * k, y + step * n)
    ]


def rulings_of(x: float, y: float, rows: int, columns: int, height: float = 14) -> list[Ruling]:
    wide, high = 120 * columns, height * rows
    lines = [Ruling(x, y + height * n, x + wide, y + height * n) for n in range(rows + 1)]
    return lines + [Ruling(x + 120 * k, y, x + 120 * k, y + high) for k in range(columns + 1)]


def test_lines_just_above_a_table_are_not_in_it() -> None:
    words = set_line("Customer", 50, 72) + set_line("Alder Stationers", 170, 72)
    words += set_line("Delivery", 50, 86) + set_line("Week 11", 170, 86)
    items = ["1001", "1002", "2003", "2004"]
    rows = [["Item", "Description", "Quantity", "Ready"]] + [
        [item, "Writing paper", f"{n} reams", f"{n} May"] for n, item in enumerate(items, 3)
    ]
    text, page = lay_out(page_of(words + grid_of(50, 105, rows)), 1)
    assert columns(page) == [(5, 4)]
    assert line_texts(text, page)[:2] == ["Customer Alder Stationers", "Delivery Week 11"]


def test_units_after_figures_make_no_columns_of_text() -> None:
    rows = [["Paper, white and of the finest make", "", f"{n}00 reams", f"{n} March"] for n in range(2, 8)]
    words = [w for n, row in enumerate(rows) for k, text in enumerate(row) for w in
             set_line(text, (50, 150, 400, 455)[k], 100 + 14 * n)]  # fmt: skip
    text, _ = lay_out(page_of(words), 1)
    assert " ".join(text.split()) == " ".join(" ".join(filter(None, row)) for row in rows)


def test_ruled_tables_that_almost_touch_are_two() -> None:
    first = [["Item", "Amount"], ["Nougat", "81.90"], ["Oil", "495.00"]]
    second = [["Tax", "Base", "Sum"], ["Sales 20 %", "81.90", "16.38"], ["Sales 5 %", "543.00", "29.87"]]
    words = grid_of(52, 101, first) + grid_of(52, 147, second)
    rulings = rulings_of(50, 100, 3, 2) + rulings_of(50, 146, 3, 3)
    _, page = lay_out(page_of(words, rulings), 1)
    assert columns(page) == [(3, 2), (3, 3)]


def test_rows_of_one_make_may_stand_far_apart() -> None:
    rows = [["Kind", "Base", "Rate", "Tax"], ["Sales", "113.03", "7", "7.91"], ["Sales", "64.46", "19", "12.25"]]
    _, page = lay_out(page_of(grid_of(50, 100, rows, step=42)), 1)
    assert columns(page) == [(3, 4)]
