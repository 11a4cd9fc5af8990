"""What we write, read by Google's own client and toolbox."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.cloud import documentai
from google.cloud.documentai_toolbox import document as toolbox

from docfleet.documentai_format import DocumentWriter, join, to_json
from docfleet.domain.anchors import Span
from docfleet.domain.document import (
    Block,
    Break,
    DetectedLanguage,
    Dimension,
    ImageQuality,
    Layout,
    Line,
    Orientation,
    Page,
    Paragraph,
    Role,
    Table,
    TableCell,
    Token,
)
from docfleet.domain.geometry import BoundingBox

LINES = ["Invoice 𝒳-17", "Item Price", "Tea <black> & milk 4.50", "Total 4.50"]
ENGLISH = (DetectedLanguage("en", 0.93),)


def layout(start: int, end: int, row: int, column: int = 0) -> Layout:
    box = BoundingBox.of_rect(0.1 * column, 0.1 * row + 0.0123456789, 0.1 * column + 0.09, 0.1 * row + 0.05)
    return Layout((Span(start, end),), box, 0.987654321, Orientation.UP)


def laid_out(number: int) -> tuple[str, Page]:
    """A page of `LINES`, with a table of two columns and a row that spans both."""
    text = "".join(line + "\n" for line in LINES)
    lines, tokens, start = [], [], 0
    for row, line in enumerate(LINES, 1):
        for column, word in enumerate(re.finditer(r"\S+\s", line + "\n")):
            gap = Break.WIDE_SPACE if word[0].endswith("\n") else Break.SPACE
            tokens.append(Token(layout(start + word.start(), start + word.end(), row, column), gap, ENGLISH))
        lines.append(Line(layout(start, start + len(line) + 1, row), ENGLISH))
        start += len(line) + 1
    item, price = text.index("Item"), text.index("Price")
    tea, cost, total = text.index("Tea"), text.index("4.50"), text.index("Total")
    table = Table(
        layout(item, total, 2),
        header_rows=((TableCell(layout(item, price, 2)), TableCell(layout(price, tea, 2, 1))),),
        body_rows=(
            (TableCell(layout(tea, cost, 3)), TableCell(layout(cost, total, 3, 1))),
            (TableCell(layout(total, len(text), 4), column_span=2),),
        ),
    )
    page = Page(
        number=number,
        dimension=Dimension(595.25, 842.0, "pt"),
        layout=Layout((Span(0, len(text)),), BoundingBox.of_rect(0, 0, 1, 1), 0.98, Orientation.UP),
        languages=ENGLISH,
        blocks=(Block(layout(0, len(text), 1)),),
        paragraphs=(
            Paragraph(layout(0, item, 1), role=Role.TITLE, level=1),
            Paragraph(layout(item, len(text), 2), role=Role.TABLE),
        ),
        lines=tuple(lines),
        tokens=tuple(tokens),
        tables=(table,),
        quality=ImageQuality(0.91, (("quality/defect_blurry", 0.25),)),
    )
    return text, page


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "document.json"
    with DocumentWriter(path, mime_type="application/pdf", uri="invoice.pdf") as writer:
        for number in (1, 2):
            writer.page(*laid_out(number))
    return path


def test_the_client_loads_it(written: Path) -> None:
    document = documentai.Document.from_json(written.read_bytes())
    text, _ = laid_out(1)
    assert document.text == text * 2
    assert (document.mime_type, document.uri) == ("application/pdf", "invoice.pdf")
    page = document.pages[1]
    assert page.page_number == 2
    assert (page.dimension.width, page.dimension.height, page.dimension.unit) == (595.25, 842.0, "pt")
    assert page.layout.orientation == documentai.Document.Page.Layout.Orientation.PAGE_UP
    assert page.detected_languages[0].language_code == "en"
    assert page.image_quality_scores.detected_defects[0].type_ == "quality/defect_blurry"
    assert page.tokens[0].detected_break.type_ == documentai.Document.Page.Token.DetectedBreak.Type.SPACE
    assert page.tables[0].body_rows[1].cells[0].col_span == 2
    vertices = page.tokens[1].layout.bounding_poly.normalized_vertices
    corners = [(0.1, 0.1123), (0.19, 0.1123), (0.19, 0.15), (0.1, 0.15)]
    assert [(round(v.x, 4), round(v.y, 4)) for v in vertices] == corners


def test_to_json_says_the_same_to_the_client(written: Path) -> None:
    at_once = documentai.Document.from_json(to_json(join([laid_out(1), laid_out(2)]), digits=6))
    streamed = documentai.Document.from_json(written.read_bytes())
    assert at_once.pages == streamed.pages
    assert at_once.text == streamed.text


@pytest.mark.parametrize("element", ["blocks", "paragraphs", "lines", "tokens"])
def test_elements_partition_the_text(written: Path, element: str) -> None:
    document = documentai.Document.from_json(written.read_bytes())
    segments = [
        segment
        for page in document.pages
        for item in getattr(page, element)
        for segment in item.layout.text_anchor.text_segments
    ]
    end = 0
    for segment in segments:
        assert segment.start_index == end
        end = segment.end_index
    assert end == len(document.text)


def test_the_toolbox_wraps_it(written: Path) -> None:
    client_document = documentai.Document.from_json(written.read_bytes())
    for wrapped in (
        toolbox.Document.from_document_path(document_path=str(written)),
        toolbox.Document.from_documentai_document(documentai_document=client_document),
    ):
        text, _ = laid_out(1)
        assert wrapped.text == text * 2
        assert [page.text for page in wrapped.pages] == [text, text]
        page = wrapped.pages[1]
        assert [line.text for line in page.lines] == [line + "\n" for line in LINES]
        assert [token.text.strip() for token in page.tokens] == " ".join(LINES).split()
        assert [paragraph.text for paragraph in page.paragraphs] == [LINES[0] + "\n", text[len(LINES[0]) + 1 :]]
        assert [block.text for block in page.blocks] == [text]


def test_the_toolbox_reads_its_tables(written: Path) -> None:
    page = toolbox.Document.from_document_path(document_path=str(written)).pages[1]
    frame = page.tables[0].to_dataframe()
    assert [str(name).strip() for name in frame.columns.get_level_values(0)] == ["Item", "Price"]
    assert [str(cell).strip() for cell in frame.iloc[0]] == ["Tea <black> & milk", "4.50"]
    assert [str(cell).strip() for cell in frame.iloc[1]] == ["Total 4.50", ""]


def test_the_toolbox_writes_its_hocr(written: Path) -> None:
    hocr = toolbox.Document.from_document_path(document_path=str(written)).export_hocr_str(title="invoice")
    assert hocr.count("ocr_page") >= 2
    assert "&lt;black&gt;" in hocr
    assert "𝒳-17" in hocr
