"""Which places of a PDF page already hold text."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from docfleet.domain.geometry import Rect
from docfleet.domain.searchable import LayerWord
from docfleet.sandbox.page_space import PageSpace

_COVERED = 0.5
_Boxes = npt.NDArray[np.float64]


class PresentText:
    """Asks a PDF's own text; the file is opened on first use and needs `close`."""

    def __init__(self, source: str, password: str | None) -> None:
        self._source = source
        self._password = password
        self._document: pdfium.PdfDocument | None = None

    def missing(self, number: int, words: Sequence[LayerWord], space: PageSpace) -> list[LayerWord]:
        """The words of page `number` (1-based) at whose place the page has no text of its own.

        A place is taken when the middles of characters in it are half as many as the word's. All words are missing
        where PDFium cannot open the page.
        """
        centres = self._centres(number)
        if len(centres) == 0:
            return list(words)
        return [word for word in words if _count(centres, _rect(word, space)) < max(1, _COVERED * len(word.text))]

    def _centres(self, number: int) -> _Boxes:
        """(n, 2) middles of the page's visible-width characters in user space."""
        try:
            if self._document is None:
                self._document = pdfium.PdfDocument(self._source, password=self._password)
            page = self._document[number - 1]
        except (pdfium.PdfiumError, IndexError):
            return np.empty((0, 2))
        try:
            text = page.get_textpage()
        except pdfium.PdfiumError:
            page.close()
            return np.empty((0, 2))
        found = []
        left, right, bottom, top = (ctypes.c_double() for _ in range(4))
        for index in range(text.count_chars()):
            code = pdfium_c.FPDFText_GetUnicode(text.raw, index)
            if chr(code if code < 0x110000 else 0).isspace():
                continue
            if pdfium_c.FPDFText_GetCharBox(text.raw, index, left, right, bottom, top):
                found.append(((left.value + right.value) / 2, (bottom.value + top.value) / 2))
        text.close()
        page.close()
        return np.array(found, dtype=np.float64).reshape(-1, 2)

    def close(self) -> None:
        if self._document is not None:
            self._document.close()
            self._document = None


def _rect(word: LayerWord, space: PageSpace) -> Rect:
    points = [space.point(x, y) for x, y in word.quad]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return (min(xs), min(ys), max(xs), max(ys))


def _count(centres: _Boxes, rect: Rect) -> int:
    x, y = centres[:, 0], centres[:, 1]
    return int(np.count_nonzero((x >= rect[0]) & (x <= rect[2]) & (y >= rect[1]) & (y <= rect[3])))
