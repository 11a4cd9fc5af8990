"""document.md: what it says reads back as what was on the page."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laid_out import Grid, Text, lay_out
from markdown_it import MarkdownIt

from docfleet.domain.document import Page, Role, Table, TableCell
from docfleet.exports.markdown import write_markdown
from docfleet.exports.markdown_escape import comment, escape_cell, escape_heading, escape_inline, escape_line, plain

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
AWKWARD = st.lists(
    st.sampled_from([*"#*_`~[]()<>!|\\&;-+=.:\"' \t1a9b/0é漢$\x00\xa0", "&amp;", "1.", "---", "<b>", "&#35;", "  \n"]),
    min_size=1,
    max_size=14,
).map("".join)


class _Read(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def read(markdown: str) -> tuple[str, list[str]]:
    """(text, elements) that a Markdown reader makes of it."""
    reader = _Read()
    reader.feed(MARKDOWN.render(markdown))
    return "".join(reader.text).strip(), reader.tags


def written(tmp_path: Path, *pages: tuple[str, Page], keep_furniture: bool = False) -> str:
    path = tmp_path / "document.md"
    write_markdown(pages, path, keep_furniture=keep_furniture)
    return path.read_text(encoding="utf-8")


@given(AWKWARD)
def test_any_text_reads_back_as_itself_in_every_kind_of_block(text: str) -> None:
    expected = plain(text)
    if not expected:
        return
    assert read(escape_line(text)) == (expected, ["p"])
    assert read("# " + escape_heading(text)) == (expected, ["h1"])
    assert read("> " + escape_line(text)) == (expected, ["blockquote", "p"])
    assert read("- " + escape_line(text)) == (expected, ["ul", "li"])
    assert read("*" + escape_inline(expected) + "*") == (expected, ["p", "em"])


@given(AWKWARD)
def test_any_text_reads_back_from_a_table_cell(text: str) -> None:
    content, tags = read(f"| {escape_cell(text)} | x |\n| --- | --- |\n| y | z |")
    assert [part.strip() for part in content.split("\n") if part.strip()] == [
        part for part in (plain(text), "x", "y", "z") if part
    ]
    assert tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]


@given(AWKWARD)
def test_a_comment_shows_nothing_and_ends_where_it_ends(text: str) -> None:
    content, _ = read(f"{comment(text)}\n\nafter")
    assert content == "after"


def test_words_with_underscores_stay_readable() -> None:
    assert escape_line("snake_case_name and _this_") == r"snake_case_name and \_this\_"


def test_body_text_that_looks_like_a_list_or_heading_stays_body_text(tmp_path: Path) -> None:
    page = lay_out("1. foo", "# bar", "- baz", "> quoted", "+ plus", "a | b")
    assert read(written(tmp_path, page))[1] == ["p"] * 6


def test_lines_are_joined_and_hyphenated_words_made_whole(tmp_path: Path) -> None:
    lines = ["The quick brown fox runs over the docu-|", "ment that is lying there in the warm", "sun-dried grass."]
    assert written(tmp_path, lay_out(Text(lines))) == (
        "The quick brown fox runs over the document that is lying there in the warm sun-dried grass.\n"
    )


def test_a_hyphen_that_belongs_to_the_word_stays(tmp_path: Path) -> None:
    for expected, lines in (
        ("well-known", ["The law is a rather well-", "known one among all of us"]),
        ("Vor- und", ["Das hat nun einmal alle seine Vor-", "und Nachteile, sagt man"]),
        ("a - b", ["what is the difference of a -", "b when b is what was taken"]),
    ):
        assert expected in written(tmp_path, lay_out(Text(lines)))


def test_lines_ended_on_purpose_stay_ended(tmp_path: Path) -> None:
    address = ["Northwind Paper Limited", "1 Mill Lane", "Riverton", "United Kingdom"]
    text, tags = read(written(tmp_path, lay_out(Text(address))))
    assert text.split("\n") == address
    assert tags == ["p", "br", "br", "br"]


def test_headings_of_title_and_levels(tmp_path: Path) -> None:
    page = lay_out(
        Text(["Annual", "Report #"], Role.TITLE),
        Text(["First"], Role.HEADING, 1),
        Text(["Deep"], Role.HEADING, 9),
    )
    assert written(tmp_path, page) == "# Annual Report \\#\n\n## First\n\n### Deep\n"


def test_bold_headings_of_a_contract_start_below_the_title_and_their_numbers_count(tmp_path: Path) -> None:
    page = lay_out(
        Text(["1. Definitions"], Role.HEADING, 4),
        Text(["2. Delivery"], Role.HEADING, 4),
        Text(["2.1 Place"], Role.HEADING, 4),
    )
    assert written(tmp_path, page) == "## 1. Definitions\n\n## 2. Delivery\n\n### 2.1 Place\n"


def test_levels_agree_over_all_pages(tmp_path: Path) -> None:
    first = lay_out(Text(["Part"], Role.HEADING, 2))
    second = lay_out(Text(["Clause"], Role.HEADING, 4), number=2)
    path = tmp_path / "document.md"
    write_markdown([second, first], path)
    assert path.read_text() == "### Clause\n\n<!-- page 1 -->\n\n## Part\n"


def test_short_lines_without_a_small_letter_keep_their_breaks(tmp_path: Path) -> None:
    _, tags = read(written(tmp_path, lay_out(Text(["7 Kettle Row", "Alder Bay AB1 4TT", "post@pendragon.example"]))))
    assert tags == ["p", "br", "br"]


def test_lists_keep_their_markers_depth_and_numbers(tmp_path: Path) -> None:
    items = [("• apples", 0), ("– red", 1), ("– green", 1), ("• pears", 0)]
    page = lay_out(*(Text([text], Role.LIST_ITEM, level) for text, level in items))
    assert written(tmp_path, page) == "- apples\n  - red\n  - green\n- pears\n"

    page = lay_out(*(Text([text], Role.LIST_ITEM, 0) for text in ("3. three", "4. four", "7. seven", "a) letter")))
    markdown = written(tmp_path, page)
    html = MARKDOWN.render(markdown)
    assert 'start="3"' in html
    assert 'start="7"' in html
    assert "a) letter" in html


def test_a_list_item_of_several_lines_stays_one_item(tmp_path: Path) -> None:
    page = lay_out(
        Text(["1. The supplier delivers the goods to the", "customer within thirty days."], Role.LIST_ITEM),
        Text(["2. Short", "- not a list, but a line of its own on purpose"], Role.LIST_ITEM),
    )
    text, tags = read(written(tmp_path, page))
    assert tags == ["ol", "li", "li", "br"]
    assert "goods to the customer within" in text
    assert "- not a list" in text


def test_tables_stand_where_their_text_stood_and_only_once(tmp_path: Path) -> None:
    page = lay_out(
        "before",
        Grid([["Item", "Price | net"], ["Paper", "1*2"], ["two\nlines", ""]], heads=1),
        "after",
    )
    assert written(tmp_path, page) == (
        "before\n\n| Item | Price &#124; net |\n| --- | --- |\n| Paper | 1\\*2 |\n| two lines |  |\n\nafter\n"
    )


def test_spans_leave_covered_cells_blank_and_several_header_rows_become_one(tmp_path: Path) -> None:
    page = lay_out(Grid([[("Year", 2, 1), ("Sales", 1, 2)], ["North", "South"], ["2024", "1", "2"]], heads=2))
    assert written(tmp_path, page) == "| Year | Sales North | South |\n| --- | --- | --- |\n| 2024 | 1 | 2 |\n"


def test_a_table_without_header_gets_a_blank_one(tmp_path: Path) -> None:
    assert written(tmp_path, lay_out(Grid([["a", "b"]]))) == "|  |  |\n| --- | --- |\n| a | b |\n"


def test_a_table_without_text_of_its_own_comes_last(tmp_path: Path) -> None:
    text, page = lay_out("only")
    empty = Table(page.paragraphs[0].layout.__class__(), (), ((TableCell(page.tokens[0].layout),),))
    page = Page(**{name: getattr(page, name) for name in page.__struct_fields__ if name != "tables"}, tables=(empty,))
    assert "only" in written(tmp_path, (text, page))


def test_furniture_is_left_out_or_put_in_comments(tmp_path: Path) -> None:
    page = lay_out(Text(["Page -- 1 -->"], Role.HEADER), "body", Text(["confidential"], Role.FOOTER))
    assert written(tmp_path, page) == "body\n"
    kept = written(tmp_path, page, keep_furniture=True)
    assert read(kept)[0] == "body"
    assert "confidential" in kept


def test_side_notes_and_captions(tmp_path: Path) -> None:
    page = lay_out(Text(["see over"], Role.SIDE_NOTE), Text(["Figure 1: *plan*"], Role.CAPTION))
    assert written(tmp_path, page) == "> see over\n\n*Figure 1: \\*plan\\**\n"


def test_pages_are_marked_also_empty_ones(tmp_path: Path) -> None:
    pages = [lay_out("one"), lay_out(number=2), lay_out("three", number=3)]
    assert written(tmp_path, *pages) == "one\n\n<!-- page 2 -->\n\n<!-- page 3 -->\n\nthree\n"


def test_a_page_of_another_maker_without_paragraphs_is_not_lost(tmp_path: Path) -> None:
    text, page = lay_out("first", "second")
    bare = Page(number=1, lines=page.lines)
    assert written(tmp_path, (text, bare)) == "first\n\nsecond\n"


@pytest.mark.parametrize("unit", ["pt", "pixels"])
def test_reflow_works_on_turned_pages(tmp_path: Path, unit: str) -> None:
    lines = ["The quick brown fox runs over the lazy", "dog that is lying there in the warmth"]
    page = lay_out(Text(lines), unit=unit, orientation=180, skew=2.0)
    assert written(tmp_path, page) == " ".join(lines) + "\n"
