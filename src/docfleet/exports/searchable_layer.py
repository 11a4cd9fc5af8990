"""The words read from pixels, on their way to the searchable PDF: one JSON object a line, one line a page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from docfleet.domain.document import Page
from docfleet.domain.searchable import LayerMode, LayerPage, LayerWord, Quad
from docfleet.domain.words import WordPage
from docfleet.errors import UsageError
from docfleet.exports.base import ExportJob
from docfleet.exports.page_words import Corners, page_words

FILE_NAME = "searchable.pdf"
JOB = "docfleet.sandbox.searchable:write_searchable"
BASE_SECONDS = 60.0
SECONDS_PER_PAGE = 5.0


def layer_of_page(text: str, page: Page, mode: LayerMode = LayerMode.REPLACE) -> LayerPage:
    """All words of a page that was read from pixels as a whole. Words without a box are left out."""
    if page.dimension is None:
        return LayerPage(page.number, (), mode)
    width, height = page.dimension.width, page.dimension.height
    words = []
    loose = -1
    for word in page_words(text, page):
        if word.corners is None:
            continue
        if word.line < 0:
            loose -= 1
        line = word.line if word.line >= 0 else loose
        words.append(LayerWord(word.text, _normalised(word.corners, width, height), line, word.glued))
    return LayerPage(page.number, tuple(words), mode)


def layer_of_words(number: int, words: WordPage) -> LayerPage:
    """Words to add to a page whose own text stays (a digital page with scanned regions)."""
    found = []
    for index, word in enumerate(words.words):
        corners = words.frame.corners(word.box, word.angle)
        line = word.line if word.line >= 0 else -2 - index
        found.append(LayerWord(word.text, _normalised(corners, words.width, words.height), line, word.glued))
    return LayerPage(number, tuple(found), LayerMode.ADD)


def _normalised(corners: Corners, width: float, height: float) -> Quad:
    a, b, c, d = ((round(x / width, 6), round(y / height, 6)) for x, y in corners)
    return (a, b, c, d)


def write_layers(layers: Iterable[LayerPage], path: Path) -> int:
    """Writes JSON lines; returns how many pages have words."""
    encoder = msgspec.json.Encoder()
    count = 0
    with path.open("wb") as file:
        for layer in layers:
            if layer.words:
                file.write(encoder.encode(layer) + b"\n")
                count += 1
    return count


def export_searchable_pdf(job: ExportJob) -> list[Path]:
    """Writes searchable.pdf in the sandbox child, because that parses the submitted file."""
    if job.source is None or job.sandbox is None:
        raise UsageError("The searchable PDF needs the submitted file and a sandbox.")
    path = job.folder / FILE_NAME
    layers = job.folder / f".{FILE_NAME}.layers"
    try:
        write_layers(job.layers, layers)
        job.sandbox(
            JOB,
            BASE_SECONDS + SECONDS_PER_PAGE * job.page_count,
            source=job.source,
            out=str(path),
            layers=str(layers),
            password=job.password,
            mime_type=job.mime_type,
            max_page_pixels=job.max_page_pixels,
        )
    finally:
        layers.unlink(missing_ok=True)
    return [path]
