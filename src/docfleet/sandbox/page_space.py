"""Where on a PDF page, as it is shown, a point of its user space lies."""

from __future__ import annotations

from typing import Any

import msgspec
import pikepdf

from docfleet.domain.geometry import Point, Rect

_LETTER: Rect = (0.0, 0.0, 612.0, 792.0)
_MAX_DEPTH = 64


class PageSpace(msgspec.Struct, frozen=True):
    """The way from the page as it is shown (0..1, y down) to PDF user space."""

    box: Rect
    """The visible page in user space."""
    rotation: int
    """/Rotate: 0, 90, 180 or 270."""

    def point(self, x: float, y: float) -> Point:
        x0, y0, x1, y1 = self.box
        width, height = x1 - x0, y1 - y0
        if self.rotation == 90:
            return (x0 + y * width, y0 + x * height)
        if self.rotation == 180:
            return (x1 - x * width, y0 + y * height)
        if self.rotation == 270:
            return (x1 - y * width, y1 - x * height)
        return (x0 + x * width, y1 - y * height)


def page_space(page: pikepdf.Page) -> PageSpace:
    """A page's visible box and rotation, found as PDFium finds them, whose rendering the words were read from.

    The media box (US letter when missing or empty), cut by the crop box; boxes may be given by any two opposite
    corners and may be inherited. /UserUnit scales the page as a whole and so changes no proportion.
    """
    media = _box(inherited(page, "/MediaBox")) or _LETTER
    crop = _box(inherited(page, "/CropBox"))
    box = _intersection(crop, media) if crop else media
    return PageSpace(box, _rotation(inherited(page, "/Rotate")))


def inherited(page: pikepdf.Page, key: str) -> Any:
    """An attribute of a page or of the nearest node above it that has one; None without."""
    node: Any = page.obj
    for _ in range(_MAX_DEPTH):
        value = node.get(key)
        if value is not None:
            return value
        node = node.get("/Parent")
        if not isinstance(node, pikepdf.Dictionary):
            break
    return None


def _box(value: Any) -> Rect | None:
    try:
        x0, y0, x1, y1 = (float(number) for number in list(value)[:4])
    except (TypeError, ValueError, ArithmeticError):
        return None
    rect = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    return rect if rect[0] < rect[2] and rect[1] < rect[3] else None


def _intersection(a: Rect, b: Rect) -> Rect:
    cut = (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    return cut if cut[0] < cut[2] and cut[1] < cut[3] else b


def _rotation(value: Any) -> int:
    try:
        return int(value) // 90 % 4 * 90
    except (TypeError, ValueError, ArithmeticError):
        return 0
