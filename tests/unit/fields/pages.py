"""Pages of a form or an invoice, laid out from words."""

from __future__ import annotations

from tests.unit.layout.setting import set_line

from docfleet.documentai_format import join
from docfleet.domain.document import Document
from docfleet.domain.geometry import Frame
from docfleet.domain.words import Word, WordPage
from docfleet.engines.local.layout import lay_out

Row = tuple[float, *tuple[tuple[float, str], ...]]
"""y, then (x, text) of each piece."""


def document_of(*rows: Row, orientation: int = 0) -> Document:
    """A page of 595 x 842 with these rows; `orientation`: turned clockwise by so much."""
    words: list[Word] = []
    for y, *parts in rows:
        for x, text in parts:
            words += set_line(text, x, y)
    size = (595.0, 842.0) if orientation in (0, 180) else (842.0, 595.0)
    page = WordPage(*size, Frame.turned(*size, orientation), words, [], orientation)
    return join([lay_out(page, 1)])
