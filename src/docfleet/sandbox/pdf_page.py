"""One loaded PDF page: its frame, what is drawn on it, its pixels."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2_raw.bindings as raw

from docfleet.domain.geometry import Rect
from docfleet.errors import Damaged, OutOfMemory, PageTooLarge
from docfleet.sandbox import pdfium
from docfleet.sandbox.pdf_open import PdfDocument, open_repaired

MIN_DPI = 20.0
"""Below this nothing on a page can be read: a page that only fits the pixel limit so is too large."""
_QUIET_ANNOTATIONS = frozenset({raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP})
_RENDER_FLAGS: int = raw.FPDF_ANNOT | raw.FPDF_NO_CATCH


class PdfPage:
    """A loaded page, in its page frame: points, origin top left, y down, /Rotate and CropBox applied."""

    def __init__(self, document: PdfDocument, number: int, handle: int, drawn_forms: bool) -> None:
        self.document = document
        self.number = number
        self.handle = handle
        self.drawn_forms = drawn_forms
        """True when the form environment still has to draw its fields over the page."""
        self.width: float = pdfium.page_width(handle)
        self.height: float = pdfium.page_height(handle)
        box = (ctypes.c_float * 4)()
        pdfium.page_bounding_box(handle, ctypes.addressof(box))
        self.to_frame = _frame_matrix(tuple(box), pdfium.page_rotation(handle))

    def rects_to_frame(self, rects: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(n, 4) left, top, right, bottom of PDF user space -> (n, 4) x0, y0, x1, y1 of the page frame."""
        a, b, c, d, e, f = self.to_frame
        x0, y0, x1, y1 = rects[:, 0], rects[:, 1], rects[:, 2], rects[:, 3]
        found = np.empty_like(rects)
        if b == 0:
            u0, u1, v0, v1 = a * x0 + c, a * x1 + c, e * y0 + f, e * y1 + f
        else:
            u0, u1, v0, v1 = b * y0 + c, b * y1 + c, d * x0 + f, d * x1 + f
        np.minimum(u0, u1, out=found[:, 0])
        np.minimum(v0, v1, out=found[:, 1])
        np.maximum(u0, u1, out=found[:, 2])
        np.maximum(v0, v1, out=found[:, 3])
        return found

    def render_size(self, dpi: float, max_pixels: int, region: Rect | None) -> tuple[int, int, float]:
        """(width, height, dpi) in pixels of `region` (or the page), the resolution lowered to stay within `max_pixels`.

        Raises `PageTooLarge` when no readable resolution does.
        """
        wide, high = (region[2] - region[0], region[3] - region[1]) if region else (self.width, self.height)
        wide, high = max(wide, 0.01), max(high, 0.01)
        most = (max_pixels / (wide * high)) ** 0.5 * 72.0
        used = min(dpi, most)
        if used < MIN_DPI and used < dpi:
            raise PageTooLarge(f"Page {self.number} is {wide / 72:.0f} x {high / 72:.0f} inches.")
        scale = used / 72.0
        return max(1, int(wide * scale)), max(1, int(high * scale)), used

    def render_into(self, buffer: Any, size: tuple[int, int], dpi: float, grey: bool, region: Rect | None) -> None:
        """Draws `region` (or the page) into `buffer`: rows of `size[0]` grey or RGB pixels without padding."""
        width, height = size
        depth = 1 if grey else 3
        address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
        form = raw.FPDFBitmap_Gray if grey else raw.FPDFBitmap_BGR
        bitmap = pdfium.create_bitmap(width, height, form, address, width * depth)
        if not bitmap:
            raise OutOfMemory()
        try:
            pdfium.fill_bitmap(bitmap, 0, 0, width, height, 0xFFFFFFFF)
            scale = dpi / 72.0
            left, top = (-round(region[0] * scale), -round(region[1] * scale)) if region else (0, 0)
            full = (
                (max(1, round(self.width * scale)), max(1, round(self.height * scale))) if region else (width, height)
            )
            flags = _RENDER_FLAGS | (raw.FPDF_GRAYSCALE if grey else raw.FPDF_REVERSE_BYTE_ORDER)
            pdfium.render_page(bitmap, self.handle, left, top, full[0], full[1], 0, flags)
            if self.drawn_forms and self.document.form:
                pdfium.draw_forms(
                    self.document.form, bitmap, self.handle, left, top, full[0], full[1], 0, flags & ~raw.FPDF_ANNOT
                )
        finally:
            pdfium.destroy_bitmap(bitmap)


def _frame_matrix(box: tuple[float, ...], quarter_turns: int) -> tuple[float, float, float, float, float, float]:
    """User space -> page frame: x' = a*x + b*y + c, y' = d*x + e*y + f, for a box left, top, right, bottom."""
    left, top, right, bottom = box
    return {
        0: (1.0, 0.0, -left, 0.0, -1.0, top),
        1: (0.0, 1.0, -bottom, 1.0, 0.0, -left),
        2: (-1.0, 0.0, right, 0.0, 1.0, -bottom),
        3: (0.0, -1.0, top, -1.0, 0.0, right),
    }[quarter_turns % 4]


@contextmanager
def load_page(document: PdfDocument, number: int) -> Iterator[PdfPage]:
    """Loads page `number` (from 1) and closes it again.

    Form fields and other annotations that show text are first made part of the page, so that their text is read with
    its place like any other. Raises `Damaged` when the page does not load.
    """
    handle = pdfium.load_page(document.handle, number - 1) if 1 <= number <= document.pages else None
    if not handle:
        handle = _load_from_repaired(document, number)
    drawn_forms = False
    if _has_loud_annotations(handle):
        handle, drawn_forms = _flatten(document, number, handle)
    try:
        yield PdfPage(document, number, handle, drawn_forms)
    finally:
        if drawn_forms and document.form:
            pdfium.before_close_page(handle, document.form)
        pdfium.close_page(handle)


def _load_from_repaired(document: PdfDocument, number: int) -> int:
    """The page in a repaired copy, which then takes the document's place."""
    if document.repaired or not 1 <= number <= document.pages:
        raise Damaged(f"Page {number} cannot be loaded.")
    other = open_repaired(document.path, [document.password] if document.password else [])
    handle = pdfium.load_page(other.handle, number - 1) if number <= other.pages else None
    if not handle:
        other.close()
        raise Damaged(f"Page {number} cannot be loaded.")
    document.replace_by(other)
    return int(handle)


def _has_loud_annotations(handle: int) -> bool:
    """Whether any annotation could show text: links, the most common kind, do not."""
    for index in range(min(pdfium.count_annotations(handle), 10_000)):
        annotation = pdfium.get_annotation(handle, index)
        if annotation:
            subtype = pdfium.annotation_subtype(annotation)
            pdfium.close_annotation(annotation)
            if subtype not in _QUIET_ANNOTATIONS:
                return True
    return False


def _flatten(document: PdfDocument, number: int, handle: int) -> tuple[int, bool]:
    """Merges the annotations' appearances into the page (in memory): the page loaded anew, and whether that failed."""
    form = document.form
    if form:
        pdfium.after_load_page(handle, form)
    if pdfium.flatten_page(handle, raw.FLAT_NORMALDISPLAY) == raw.FLATTEN_FAIL:
        return handle, form is not None
    if form:
        pdfium.before_close_page(handle, form)
    pdfium.close_page(handle)
    handle = pdfium.load_page(document.handle, number - 1)
    if not handle:
        raise Damaged(f"Page {number} cannot be loaded.")
    return handle, False
