"""document.hocr: hOCR 1.2 (http://kba.github.io/hocr-spec/1.2/) as valid XHTML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape, quoteattr

import msgspec

from docfleet.domain.document import Block, DetectedLanguage, Layout, Line, Page, Paragraph
from docfleet.exports.base import ExportJob, PageSource, open_text
from docfleet.exports.page_words import Corners, Owners, PageWord, corners_of, direction, page_words, union

FILE_NAME = "document.hocr"
PDF_DPI = 300
"""Resolution hOCR's pixels have for pages measured in points, which have no pixels of their own."""
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LEVEL_DEGREES = 10.0
_CAPABILITIES = "ocr_page ocr_carea ocr_par ocr_line ocrx_word ocrp_lang ocrp_wconf ocrp_textangle"


class _Place(msgspec.Struct, frozen=True):
    """A word and the elements it belongs to: indices into the page's lists, -1 for none."""

    block: int
    paragraph: int
    line: int
    word: PageWord


class _Writer:
    """Elements of one page, numbered through."""

    def __init__(self, text: str, page: Page, file: IO[str]) -> None:
        self._text = text
        self._page = page
        self._file = file
        self._scale = PDF_DPI / 72 if page.dimension and page.dimension.unit == "pt" else 1.0
        self._width, self._height = _pixel_size(page, self._scale)
        self._counts = {"carea": 0, "par": 0, "line": 0, "word": 0}

    def write(self) -> None:
        number = self._page.number
        resolution = f"; scan_res {PDF_DPI} {PDF_DPI}" if self._scale != 1.0 else ""
        title = f'image ""; bbox 0 0 {self._width} {self._height}; ppageno {number - 1}{resolution}'
        opening = f'<div class="ocr_page" id="page_{number}"{_lang(self._page.languages)} title={quoteattr(title)}>\n'
        self._file.write(opening)
        places = list(_places(self._text, self._page))
        for block, members in groupby(places, key=lambda place: place.block):
            self._carea(_layout(self._page.blocks, block), list(members))
        self._file.write("</div>\n")

    def _carea(self, layout: Layout | None, places: Sequence[_Place]) -> None:
        self._file.write(f' <div class="ocr_carea" {self._head("carea", layout, places)}>\n')
        for paragraph, members in groupby(places, key=lambda place: place.paragraph):
            self._par(paragraph, list(members))
        self._file.write(" </div>\n")

    def _par(self, index: int, places: Sequence[_Place]) -> None:
        layout = _layout(self._page.paragraphs, index)
        lang = _lang(self._page.paragraphs[index].languages) if index >= 0 else ""
        self._file.write(f'  <p class="ocr_par"{lang} {self._head("par", layout, places)}>\n')
        for line, members in groupby(places, key=lambda place: place.line):
            self._line(_layout(self._page.lines, line), list(members))
        self._file.write("  </p>\n")

    def _line(self, layout: Layout | None, places: Sequence[_Place]) -> None:
        corners = self._corners(layout, places)
        turn = _turn(corners, self._scale) if corners else ""
        self._file.write(f'   <span class="ocr_line" {self._head("line", layout, places, turn)}>\n')
        for place in places:
            confidence = f"; x_wconf {min(100, max(0, round(place.word.confidence * 100)))}"
            head = self._head("word", None, (place,), confidence)
            content = escape(_NOT_XML.sub("\ufffd", place.word.text))
            self._file.write(f'    <span class="ocrx_word" {head}>{content}</span>\n')
        self._file.write("   </span>\n")

    def _head(self, kind: str, layout: Layout | None, places: Sequence[_Place], more: str = "") -> str:
        self._counts[kind] += 1
        corners = self._corners(layout, places)
        x0, y0, x1, y1 = self._bbox(corners, places)
        title = f"bbox {x0} {y0} {x1} {y1}{more}"
        return f'id="{kind}_{self._page.number}_{self._counts[kind]}" title={quoteattr(title)}'

    def _corners(self, layout: Layout | None, places: Sequence[_Place]) -> Corners | None:
        own = corners_of(layout, self._page) if layout else None
        return own or union([place.word.corners for place in places if place.word.corners is not None])

    def _bbox(self, corners: Corners | None, places: Sequence[_Place]) -> tuple[int, int, int, int]:
        """Whole pixels around the element and all of its words, within the page."""
        points = [*(corners or ()), *(point for place in places for point in place.word.corners or ())]
        if not points:
            return (0, 0, 0, 0)
        xs = [x * self._scale for x, _ in points]
        ys = [y * self._scale for _, y in points]
        return (
            _clip(math.floor(min(xs) + 1e-6), self._width),
            _clip(math.floor(min(ys) + 1e-6), self._height),
            _clip(math.ceil(max(xs) - 1e-6), self._width),
            _clip(math.ceil(max(ys) - 1e-6), self._height),
        )


def _pixel_size(page: Page, scale: float) -> tuple[int, int]:
    if page.dimension is None:
        return (0, 0)
    return (math.ceil(page.dimension.width * scale - 1e-6), math.ceil(page.dimension.height * scale - 1e-6))


def _clip(value: int, limit: int) -> int:
    return min(max(value, 0), limit)


def _places(text: str, page: Page) -> Iterator[_Place]:
    blocks = Owners([block.layout for block in page.blocks])
    paragraphs = Owners([paragraph.layout for paragraph in page.paragraphs])
    for word in page_words(text, page):
        yield _Place(blocks.of(word.start), paragraphs.of(word.start), word.line, word)


def _layout(elements: Sequence[Block] | Sequence[Paragraph] | Sequence[Line], index: int) -> Layout | None:
    return elements[index].layout if index >= 0 else None


def _turn(corners: Corners, scale: float) -> str:
    """How a line stands: `textangle` (degrees counter-clockwise) when it is turned, else its `baseline` when that
    slopes (offset from the bottom left of the line's box, y down)."""
    ux, uy = direction(corners)
    angle = math.degrees(math.atan2(-uy, ux))
    if abs(angle) > _LEVEL_DEGREES:
        return f"; textangle {round(angle % 360, 1):g}"
    slope = uy / ux
    if abs(slope) < 0.001:
        return ""
    bottom = max(y for _, y in corners)
    left = min(x for x, _ in corners)
    (x3, y3) = corners[3]
    offset = (y3 + (left - x3) * slope - bottom) * scale
    return f"; baseline {slope:.4f} {offset:.1f}"


def _lang(languages: Sequence[DetectedLanguage]) -> str:
    if not languages:
        return ""
    code = quoteattr(languages[0].code)
    return f" lang={code} xml:lang={code}"


def write_hocr(pages: PageSource, path: Path, title: str = "") -> None:
    """Writes hOCR page by page.

    Boxes are whole pixels, origin top left: those of the image for image pages; for PDF pages, which are measured in
    points, pixels at 300 dpi as `scan_res` says. Confidence is `x_wconf`, 0..100. White space between words is the
    line break between their elements; words of scripts without spaces stand as single elements all the same.
    """
    with open_text(path) as file:
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"'
            ' "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
            '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n<head>\n'
            f"<title>{escape(_NOT_XML.sub('', title))}</title>\n"
            '<meta http-equiv="Content-Type" content="text/html;charset=utf-8" />\n'
            f'<meta name="ocr-system" content="docfleet {version("docfleet")}" />\n'
            f'<meta name="ocr-capabilities" content="{_CAPABILITIES}" />\n'
            "</head>\n<body>\n"
        )
        for text, page in pages:
            _Writer(text, page, file).write()
        file.write("</body>\n</html>\n")


def export_hocr(job: ExportJob) -> list[Path]:
    path = job.folder / FILE_NAME
    write_hocr(job.pages, path, job.title)
    return [path]
