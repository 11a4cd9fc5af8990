"""Documents written page by page."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest
from drawn import page_of
from hypothesis import given
from hypothesis import strategies as st

from docfleet.documentai_format import DocumentWriter, from_json, join, to_json
from docfleet.domain.anchors import Span
from docfleet.domain.document import Break, Document, Layout, Page, Token
from docfleet.domain.geometry import BoundingBox


def page_of_words(number: int, words: int) -> tuple[str, Page]:
    box = BoundingBox.of_rect(0.1234567, 0.2, 0.3, 0.4)
    tokens = [Token(Layout((Span(6 * i, 6 * i + 6),), box, 0.9), Break.SPACE) for i in range(words)]
    return "words " * words, Page(number, tokens=tuple(tokens))


@given(st.lists(page_of(), max_size=4))
def test_equals_the_document_written_at_once(pages: list[tuple[str, Page]]) -> None:
    file = io.BytesIO()
    with DocumentWriter(file, mime_type="application/pdf", uri='a "name"') as writer:
        for text, page in pages:
            writer.page(text, page)
    at_once = join(pages)
    whole = Document(text=at_once.text, pages=at_once.pages, mime_type="application/pdf", uri='a "name"')
    read = from_json(file.getvalue(), lossless=False)
    assert read == from_json(to_json(whole, digits=6), lossless=False)


def test_appears_only_when_closed(tmp_path: Path) -> None:
    target = tmp_path / "document.json"
    writer = DocumentWriter(target)
    writer.page(*page_of_words(1, 3))
    assert not target.exists()
    writer.close()
    assert from_json(target.read_bytes()).text == "words words words "
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(ValueError, match="closed"):
        writer.page(*page_of_words(2, 3))


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "document.json"
    target.write_bytes(b"the result of an earlier run")

    def fail_after_a_page() -> None:
        with DocumentWriter(target) as writer:
            writer.page(*page_of_words(1, 3))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_a_page()
    assert target.read_bytes() == b"the result of an earlier run"
    assert list(tmp_path.iterdir()) == [target]


def test_a_document_of_no_pages_is_legal() -> None:
    file = io.BytesIO()
    DocumentWriter(file).close()
    assert from_json(file.getvalue()).pages == ()


def test_unpaired_surrogates_cost_one_character_each() -> None:
    file = io.BytesIO()
    with DocumentWriter(file, uri="name-\udcff.pdf") as writer:
        writer.page("a\ud800b", Page(1, tokens=(Token(Layout((Span(2, 3),))),)))
        writer.page("c", Page(2))
    document = from_json(file.getvalue())
    assert document.text == "a\ufffdbc"
    assert document.uri == "name-\ufffd.pdf"
    assert document.text_of(document.pages[0].tokens[0].layout) == "b"
    assert from_json(to_json(join([("x\udfff", Page(1))]))).text == "x\ufffd"


def test_memory_does_not_grow_with_pages(tmp_path: Path) -> None:
    def peak(pages: int) -> int:
        tracemalloc.start()
        with DocumentWriter(tmp_path / "document.json") as writer:
            for number in range(pages):
                writer.page(*page_of_words(number + 1, 100))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(1)
    assert peak(120) < peak(20) + 100_000
