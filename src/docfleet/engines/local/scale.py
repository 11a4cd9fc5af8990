"""How large a page's text is, and where its ink stands: what decides how, and where, it is searched.

Searching costs by the pixel, and the detector finds lines whose small letters are some ten pixels tall; scanning a
300 dpi page at full size costs six times as much and finds no more. Heights of connected blobs of ink tell the size.
"""

from __future__ import annotations

import math

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.engines.local.pixels import Pixels, scaled

_MEASURED_PIXELS = 2_000_000
_WINDOW = 31
"""Side of the square around a pixel whose mean is its paper."""
_CONTRAST = 18
"""Grey levels by which ink differs from its paper."""
_FEWEST = 8
"""Fewer blobs than this say nothing."""
_MARGIN = 24
"""Pixels kept around the ink."""


class TextScale(msgspec.Struct, frozen=True):
    glyph_height: float
    """Pixels; most of the ink is in blobs at least this tall. 0: not known."""
    bounds: tuple[int, int, int, int]
    """x0, y0, x1, y1 around all ink, in pixels; empty (0, 0, 0, 0) on a blank page."""


def measure_text(image: Pixels) -> TextScale:
    """Size of the text and place of the ink of a (height, width[, 3]) image."""
    height, width = image.shape[:2]
    factor = min(1.0, math.sqrt(_MEASURED_PIXELS / (height * width)))
    small = scaled(image, max(1, round(width * factor)), max(1, round(height * factor)))
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small
    paper = cv2.boxFilter(grey, -1, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REPLICATE)
    inverted = float(np.median(grey[::4, ::4])) < 100
    depth = cv2.subtract(grey, paper) if inverted else cv2.subtract(paper, grey)
    ink = (depth > _CONTRAST).astype(np.uint8)
    _, _, blobs, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    blobs = blobs[1:]
    seen = blobs[(blobs[:, 4] >= 3) & (blobs[:, 2:4].max(axis=1) >= 3)]
    if not len(seen):
        return TextScale(0.0, (0, 0, 0, 0))
    x0, y0 = seen[:, 0].min() / factor - _MARGIN, seen[:, 1].min() / factor - _MARGIN
    x1 = (seen[:, 0] + seen[:, 2]).max() / factor + _MARGIN
    y1 = (seen[:, 1] + seen[:, 3]).max() / factor + _MARGIN
    bounds = (max(0, int(x0)), max(0, int(y0)), min(width, math.ceil(x1)), min(height, math.ceil(y1)))
    return TextScale(_glyph_height(blobs) / factor, bounds)


def _glyph_height(blobs: npt.NDArray[np.int32]) -> float:
    """The height that four fifths of the letters' ink reaches, so that small print counts and specks do not."""
    width, height, area = blobs[:, 2], blobs[:, 3], blobs[:, 4]
    letters = (height >= 4) & (height <= 160) & (width <= 3.5 * height) & (7 * width >= height)
    letters &= (area >= 0.12 * width * height) & (area < 0.95 * width * height)
    heights = np.sort(height[letters]).astype(np.float64)
    if len(heights) < _FEWEST:
        return 0.0
    weights = np.cumsum(heights)
    return float(heights[np.searchsorted(weights, 0.2 * weights[-1])])


class SearchPlan(msgspec.Struct, frozen=True):
    """At which size the detector looks at a page."""

    scale: float
    """Detector pixels per image pixel."""
    reason: str


def plan_search(
    glyph_height: float, width: int, height: int, wanted: float = 9.0, most_pixels: float = 2_600_000
) -> SearchPlan:
    """The scale that brings letters of `glyph_height` to `wanted` pixels, within bounds of reason.

    Without a known height the long side becomes 1,280 pixels. Never more than `most_pixels` are searched, nor is an
    image enlarged more than twofold.
    """
    if glyph_height > 0:
        scale, reason = min(2.0, wanted / glyph_height), "text height"
        if 0.9 < scale < 1.2:
            scale = min(scale, 1.0)
    else:
        scale, reason = min(1.5, 1280 / max(width, height)), "long side"
    floor = 480 / max(width, height)
    if scale < floor:
        scale, reason = min(1.0, floor), "smallest search"
    if scale * scale * width * height > most_pixels:
        scale, reason = math.sqrt(most_pixels / (width * height)), "largest search"
    return SearchPlan(scale, reason)
