"""Boxes and coordinate frames.

Two frames matter. The *page frame* is the page as it was submitted (a PDF page with its /Rotate applied, an image with
its EXIF orientation applied): origin top left, y down, in page units (points for PDF pages, pixels for images). The
*upright frame* is the same page turned so that its text reads left to right and level; words are laid out in it. A
`Frame` maps upright coordinates to page coordinates.
"""

from __future__ import annotations

import math

import msgspec

Point = tuple[float, float]
Rect = tuple[float, float, float, float]
"""x0, y0, x1, y1 with x0 <= x1 and y0 <= y1."""


class BoundingBox(msgspec.Struct, frozen=True, gc=False):
    """Corners in page coordinates normalised to 0..1, clockwise from the top left of the text *as it is read*.

    Upside-down text therefore starts with the corner that is at the bottom right of the page. Four corners, except in
    documents of other makers, which may give any number.
    """

    corners: tuple[Point, ...]
    pixels: tuple[tuple[int, int], ...] = ()
    """The same corners in pixels of the maker's own page image, where it gives them; `corners` may then be empty."""

    @classmethod
    def of_rect(cls, x0: float, y0: float, x1: float, y1: float) -> BoundingBox:
        return cls(((x0, y0), (x1, y0), (x1, y1), (x0, y1)))

    @property
    def rect(self) -> Rect:
        """The axis-parallel rectangle around all corners, normalised; all zeros where there are no corners."""
        if not self.corners:
            return (0.0, 0.0, 0.0, 0.0)
        xs = [x for x, _ in self.corners]
        ys = [y for _, y in self.corners]
        return (min(xs), min(ys), max(xs), max(ys))


class Frame(msgspec.Struct, frozen=True):
    """An upright frame of `width` x `height` page units, and the way from it to the page frame.

    `to_page` is the affine map (a, b, c, d, e, f): page_x = a*x + b*y + c, page_y = d*x + e*y + f.
    """

    width: float
    height: float
    to_page: tuple[float, float, float, float, float, float] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    @property
    def is_identity(self) -> bool:
        return self.to_page == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    @classmethod
    def turned(cls, page_width: float, page_height: float, orientation: int, skew_degrees: float = 0.0) -> Frame:
        """The upright frame of a page whose text is turned clockwise by `orientation` (0, 90, 180 or 270) plus
        `skew_degrees` (positive: text lines run downhill to the right once the orientation is undone)."""
        a, b, c, d, e, f = {
            0: (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            90: (0.0, -1.0, page_width, 1.0, 0.0, 0.0),
            180: (-1.0, 0.0, page_width, 0.0, -1.0, page_height),
            270: (0.0, 1.0, 0.0, -1.0, 0.0, page_height),
        }[orientation]
        width, height = (page_width, page_height) if orientation in (0, 180) else (page_height, page_width)
        if skew_degrees:
            t = math.radians(skew_degrees)
            cos, sin = math.cos(t), math.sin(t)
            mx, my = width / 2, height / 2
            # upright -> skewed, about the middle of the page
            ra, rb, rc = cos, -sin, mx - cos * mx + sin * my
            rd, re, rf = sin, cos, my - sin * mx - cos * my
            a, b, c, d, e, f = (
                a * ra + b * rd,
                a * rb + b * re,
                a * rc + b * rf + c,
                d * ra + e * rd,
                d * rb + e * re,
                d * rc + e * rf + f,
            )
        return cls(width, height, (a, b, c, d, e, f))

    def point(self, x: float, y: float) -> Point:
        a, b, c, d, e, f = self.to_page
        return (a * x + b * y + c, d * x + e * y + f)

    def corners(self, rect: Rect, angle: int = 0) -> tuple[Point, Point, Point, Point]:
        """The corners of an upright-frame rectangle in the page frame, clockwise from the top left of text that is
        read at `angle` degrees clockwise (0, 90, 180, 270) within the upright frame."""
        x0, y0, x1, y1 = rect
        ring = (self.point(x0, y0), self.point(x1, y0), self.point(x1, y1), self.point(x0, y1))
        k = (angle // 90) % 4
        return ring[k:] + ring[:k]  # type: ignore[return-value]
