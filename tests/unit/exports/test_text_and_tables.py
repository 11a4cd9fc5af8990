"""document.txt and tables/*.csv."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laid_out import Grid, lay_out

from docfleet.domain.document import Layout, Table, TableCell
from docfleet.errors import UsageError
from docfleet.exports.base import replacing
from docfleet.exports.plain_text import write_text
from docfleet.exports.registry import EXPORTS, choose_exports
from docfleet.exports.tables import table_grid, write_tables


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_text_keeps_lines_and_splits_into_pages(tmp_path: Path) -> None:
    path = tmp_path / "document.txt"
    pages = [lay_out("one", "two"), lay_out(number=2), ("form\ffeed", lay_out(number=3)[1])]
    write_text(pages, path)
    assert path.read_bytes() == b"one\ntwo\n\f\fform\nfeed\n"
    assert len(path.read_text().split("\f")) == 3


def test_text_that_utf8_cannot_hold_does_not_stop_the_export(tmp_path: Path) -> None:
    path = tmp_path / "document.txt"
    write_text([("a\ud800b𝔘", lay_out()[1])], path)
    assert path.read_text(encoding="utf-8") == "a?b𝔘\n"


def test_each_table_is_a_file(tmp_path: Path) -> None:
    first = lay_out(Grid([["a", "b"]]), Grid([["c"]]), number=3)
    second = lay_out(Grid([['say "hi", twice\nnow', "ü"]]), number=12)
    files = write_tables([first, lay_out("no table", number=4), second], tmp_path / "tables")
    assert [file.name for file in files] == ["page-003-table-1.csv", "page-003-table-2.csv", "page-012-table-1.csv"]
    assert files[0].read_bytes() == b"a,b\r\n"
    assert rows_of(files[2]) == [['say "hi", twice\nnow', "ü"]]


def test_no_table_no_folder(tmp_path: Path) -> None:
    assert write_tables([lay_out("text")], tmp_path / "tables") == []
    assert not (tmp_path / "tables").exists()


def test_spanned_places_are_blank(tmp_path: Path) -> None:
    page = lay_out(Grid([[("A", 2, 2), "B"], ["C"], ["D", "E", "F"]], heads=1))
    assert rows_of(write_tables([page], tmp_path)[0]) == [["A", "", "B"], ["", "", "C"], ["D", "E", "F"]]


def test_formulas_are_as_read_unless_guarded(tmp_path: Path) -> None:
    page = lay_out(Grid([["=1+1", "-12.50", "-cmd", "@x", "+3,000"]]))
    assert rows_of(write_tables([page], tmp_path)[0]) == [["=1+1", "-12.50", "-cmd", "@x", "+3,000"]]
    guarded = write_tables([page], tmp_path, guard_formulas=True)[0]
    assert rows_of(guarded) == [["'=1+1", "-12.50", "'-cmd", "'@x", "+3,000"]]


CELLS = st.builds(TableCell, st.just(Layout()), st.integers(-1, 6), st.integers(-1, 6))


@given(st.lists(st.lists(CELLS, max_size=5), max_size=6), st.integers(0, 3))
def test_a_grid_is_a_rectangle_that_holds_every_cell_once(rows: list[list[TableCell]], heads: int) -> None:
    table = Table(Layout(), tuple(map(tuple, rows[:heads])), tuple(map(tuple, rows[heads:])))
    grid = table_grid(table)
    assert len(grid) == len(rows)
    assert len({len(row) for row in grid}) <= 1
    held = [id(cell) for row in grid for cell in row if cell is not None]
    assert sorted(held) == sorted(id(cell) for row in rows for cell in row)


def test_absurd_spans_cost_no_memory() -> None:
    table = Table(Layout(), (), ((TableCell(Layout(), 10**9, 10**9), TableCell(Layout(), 1, 10**9)),))
    assert sum(map(len, table_grid(table))) < 3_000_000


def test_formats_are_chosen_by_name() -> None:
    assert list(EXPORTS) == ["json", "md", "txt", "pdf", "csv", "hocr"]
    assert [form.name for form in choose_exports(["TXT", " json", "txt"])] == ["json", "txt"]
    with pytest.raises(UsageError, match="docx"):
        choose_exports(["md", "docx"])


def test_replacing_leaves_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    path.write_text("old")

    def write_and_fail() -> None:
        with replacing(path) as draft:
            draft.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_and_fail()
    assert path.read_text() == "old"
    with replacing(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
