"""One page of a long document.json, found without reading the others, and what the viewer is told of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docfleet.console.page_index import PagedJson, write_index
from docfleet.console.page_view import page_view
from docfleet.console.problems import ApiProblem
from docfleet.documentai_format import DocumentWriter
from docfleet.domain.document import Dimension, FormField, Layout, Page, Span, Table, TableCell, Token
from docfleet.domain.geometry import BoundingBox

BOX = BoundingBox.of_rect(0.25, 0.5, 0.75, 0.625)


def page_of(number: int, text: str) -> Page:
    layout = Layout((Span(0, len(text)),), BOX, 0.5)
    return Page(number, Dimension(600, 800, "pt"), layout, tokens=(Token(layout),))


def written(folder: Path, texts: dict[int, str]) -> PagedJson:
    with DocumentWriter(folder / "document.json", "application/pdf", 'a"}],"text":".pdf') as writer:
        for number, text in texts.items():
            writer.page(text, page_of(number, text))
    write_index(folder / "document.json", folder / "index")
    return PagedJson(folder / "document.json", folder / "index")


def test_each_page_is_found_by_its_number(tmp_path: Path) -> None:
    texts = {1: 'first "{"pageNumber":9', 3: "zweite Seite 😀 ", 7: '],"text":"', 8: "x"}
    paged = written(tmp_path, texts)
    assert list(paged.index.ranges) == [1, 3, 7, 8]
    for number, text in texts.items():
        view = page_view(paged.page(number), paged.text)
        assert (view["number"], view["text"]) == (number, text)
        assert view["tokens"] == [[[0.25, 0.5, 0.75, 0.5, 0.75, 0.625, 0.25, 0.625], 0.5, 0, len(text)]]
    with pytest.raises(KeyError):
        paged.page(2)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), max_size=6))
def test_whatever_the_text_is(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    paged = written(tmp_path_factory.mktemp("any"), dict(enumerate(texts, 1)))
    assert [page_view(paged.page(number), paged.text)["text"] for number in paged.index.ranges] == texts


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"text":"a"}', b'{"pages":[{"x":1}],"text":"a"}', b'{"pages":[{"pageNumber":1}']
)
def test_what_somebody_else_wrote_is_not_taken_apart(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "document.json").write_bytes(content)
    with pytest.raises(ApiProblem, match="page by page"):
        write_index(tmp_path / "document.json", tmp_path / "index")


def test_tables_and_fields_have_their_text_and_place(tmp_path: Path) -> None:
    text = "Head Cell Name: Value"
    cells = [Layout((Span(0, 5),), BOX), Layout((Span(5, 10),), BOX, 0.25)]
    table = Table(
        Layout((), BOX), ((TableCell(cells[0], column_span=2),),), ((TableCell(cells[1]), TableCell(cells[1])),)
    )
    field = FormField(Layout((Span(10, 15),), BOX), Layout((Span(16, 21),), BOX, 0.75))
    with DocumentWriter(tmp_path / "document.json") as writer:
        writer.page("before", page_of(1, "before"))
        writer.page(text, Page(2, tables=(table,), form_fields=(field,), tokens=(Token(Layout((Span(0, 21),))),)))
    write_index(tmp_path / "document.json", tmp_path / "index")
    paged = PagedJson(tmp_path / "document.json", tmp_path / "index")
    view = page_view(paged.page(2), paged.text)
    assert [[cell["text"] for cell in row] for row in view["tables"][0]["rows"]] == [["Head"], ["Cell", "Cell"]]
    assert view["tables"][0]["rows"][0][0]["columns"] == 2
    [shown] = view["fields"]
    assert (shown["name"], shown["value"], shown["confidence"]) == ("Name:", "Value", 0.75)
    assert json.loads(paged.page(2))["pageNumber"] == 2
