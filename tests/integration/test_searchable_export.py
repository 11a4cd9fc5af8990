"""From laid-out pages to searchable.pdf, through the sandbox child."""

from __future__ import annotations

from pathlib import Path

import pikepdf
import pytest
from searchable_pages import boxes_of, check, pdftotext

from docfleet.domain.document import (
    Break,
    Dimension,
    Layout,
    Line,
    Page,
    Span,
    Token,
)
from docfleet.domain.geometry import BoundingBox, Frame
from docfleet.domain.searchable import LayerMode
from docfleet.domain.words import Word, WordPage
from docfleet.errors import PasswordRequired, UsageError
from docfleet.exports.base import ExportJob
from docfleet.exports.registry import EXPORTS
from docfleet.exports.searchable_layer import layer_of_page, layer_of_words, write_layers
from docfleet.sandbox import Sandbox
from docfleet.sandbox.searchable import read_layers

WIDTH, HEIGHT = 200.0, 300.0
TEXT = "Total: 12.50\nend\n"


def a_page(frame: Frame) -> Page:
    """ "Total", ":", "12.50" on one line, "end" on the next; upright 60-point words."""

    def token(start: int, end: int, x0: float, x1: float, y: float, after: Break) -> Token:
        points = frame.corners((x0, y, x1, y + 12))
        width, height = (WIDTH, HEIGHT) if frame.width == WIDTH else (HEIGHT, WIDTH)
        box = BoundingBox(tuple((x / width, y / height) for x, y in points))
        return Token(Layout((Span(start, end),), box, 0.9), after)

    tokens = (
        token(0, 5, 20, 70, 40, Break.NONE),
        token(5, 7, 70, 74, 40, Break.SPACE),
        token(7, 13, 80, 130, 40, Break.WIDE_SPACE),
        token(13, 17, 20, 60, 60, Break.WIDE_SPACE),
    )
    lines = (Line(Layout((Span(0, 13),))), Line(Layout((Span(13, 17),))))
    return Page(number=1, dimension=Dimension(WIDTH, HEIGHT, "pt"), lines=lines, tokens=tokens)


def blank(path: Path, password: str = "") -> Path:
    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(WIDTH, HEIGHT))
        pdf.save(path, encryption=pikepdf.Encryption(owner=password, user=password) if password else False)
    return path


def test_a_layer_joins_tokens_into_words_and_survives_its_file(tmp_path: Path) -> None:
    layer = layer_of_page(TEXT, a_page(Frame(WIDTH, HEIGHT)), LayerMode.ADD)
    assert [(word.text, word.line) for word in layer.words] == [("Total:", 0), ("12.50", 0), ("end", 1)]
    assert layer.words[0].quad[0] == pytest.approx((0.1, 40 / 300), abs=1e-5)
    assert layer.words[0].quad[2] == pytest.approx((0.37, 52 / 300), abs=1e-5)
    path = tmp_path / "layers"
    assert write_layers([layer, layer_of_page("", Page(number=2))], path) == 1
    assert list(read_layers(str(path))) == [layer]


def test_words_of_a_turned_page_are_given_on_the_page_as_shown() -> None:
    frame = Frame.turned(WIDTH, HEIGHT, 180)
    words = WordPage(WIDTH, HEIGHT, frame, [Word("down", (20, 40, 70, 52), line=3), Word("loose", (0, 0, 9, 9))])
    first, second = layer_of_words(4, words).words
    assert first.quad[0] == pytest.approx((0.9, 260 / 300), abs=1e-5)
    assert (first.line, second.line < 0) == (3, True)


def test_the_export_writes_through_the_sandbox(tmp_path: Path) -> None:
    source = blank(tmp_path / "in.pdf")
    folder = tmp_path / "result"
    folder.mkdir()
    page = a_page(Frame(WIDTH, HEIGHT))
    with Sandbox() as sandbox:
        job = ExportJob(
            pages=[(TEXT, page)],
            folder=folder,
            mime_type="application/pdf",
            source=source,
            layers=[layer_of_page(TEXT, page)],
            sandbox=sandbox.call,
            page_count=1,
        )
        assert EXPORTS["pdf"].write(job) == [folder / "searchable.pdf"]
    assert list(folder.iterdir()) == [folder / "searchable.pdf"]
    check(folder / "searchable.pdf")
    assert pdftotext(folder / "searchable.pdf") == ["Total:", "12.50", "end"]
    box = boxes_of(folder / "searchable.pdf", "12.50")
    assert box == pytest.approx((0.4, 40 / 300, 0.65, 52 / 300), abs=0.005)


def test_errors_of_the_child_keep_their_class_and_leave_nothing(tmp_path: Path) -> None:
    source = blank(tmp_path / "in.pdf", "secret")
    with Sandbox() as sandbox:
        job = ExportJob([], tmp_path, "application/pdf", source=source, sandbox=sandbox.call)
        with pytest.raises(PasswordRequired):
            EXPORTS["pdf"].write(job)
    assert list(tmp_path.iterdir()) == [source]
    with pytest.raises(UsageError):
        EXPORTS["pdf"].write(ExportJob([], tmp_path))
