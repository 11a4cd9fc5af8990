"""How good a page's image is, by Document AI's names for what can be wrong with it.

Each defect gets a confidence from one cheap measurement on a small copy (a few milliseconds a page). The thresholds
are set on pages drawn and then damaged on purpose (see the tests), not on any one collection.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from docfleet.domain.document import ImageQuality
from docfleet.engines.local.pixels import Pixels, scaled
from docfleet.engines.local.scale import TextScale, measure_text

_MEASURED_PIXELS = 600_000
_REPORTED = 0.05
"""Defects less likely than this are left out."""
_COST = {
    "quality/defect_blurry": 0.8,
    "quality/defect_noisy": 0.5,
    "quality/defect_dark": 0.5,
    "quality/defect_faint": 0.6,
    "quality/defect_text_too_small": 0.7,
    "quality/defect_document_cutoff": 0.3,
    "quality/defect_text_cutoff": 0.4,
    "quality/defect_glare": 0.5,
}
"""How much of the score a certain defect takes away."""

Grey = npt.NDArray[np.uint8]


def image_quality(pixels: Pixels) -> ImageQuality:
    """Score and defects of a (height, width) grey or (height, width, 3) RGB page; a blank page is perfect."""
    height, width = pixels.shape[:2]
    factor = min(1.0, math.sqrt(_MEASURED_PIXELS / max(1, height * width)))
    small = scaled(np.ascontiguousarray(pixels), max(1, round(width * factor)), max(1, round(height * factor)))
    grey: Grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small, np.uint8)
    text = measure_text(grey)
    paper, ink = _tones(grey)
    chances = {
        "quality/defect_dark": _ramp(max(paper, ink), 120, 60),
        "quality/defect_glare": _glare(grey, paper),
        "quality/defect_noisy": _ramp(_noise(grey), 6, 15),
    }
    if text.glyph_height > 0:
        chances["quality/defect_faint"] = _ramp(abs(paper - ink), 80, 30)
        chances["quality/defect_blurry"] = _blur(grey, paper, ink, text)
        chances["quality/defect_text_too_small"] = _ramp(text.glyph_height / factor, 8, 4)
        chances["quality/defect_text_cutoff"] = _text_at_edge(grey, paper, ink, text)
    chances["quality/defect_document_cutoff"] = 0.0 if height < 64 or width < 64 else _cut_off(grey, paper)
    defects = tuple(
        (name, round(chance, 3))
        for name, chance in sorted(chances.items(), key=lambda pair: -pair[1])
        if chance >= _REPORTED
    )
    score = math.prod(1 - _COST[name] * chance for name, chance in defects)
    return ImageQuality(round(score, 3), defects)


def _ramp(value: float, none: float, certain: float) -> float:
    """0 at `none`, 1 at `certain`, linear between; either may be the larger."""
    return float(min(1.0, max(0.0, (value - none) / (certain - none))))


def _tones(grey: Grey) -> tuple[float, float]:
    """Grey levels of paper (the median) and of ink (the extreme hundredth on the side further from the paper)."""
    paper = float(np.median(grey))
    dark, light = (float(value) for value in np.percentile(grey[::2, ::2], [1, 99]))
    return paper, dark if paper - dark >= light - paper else light


def _noise(grey: Grey) -> float:
    """Standard deviation of the noise, grey levels (Immerkaer, "Fast noise variance estimation", 1996), the median
    over blocks, so that blocks with text do not count."""
    if min(grey.shape) < 32:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(cv2.filter2D(grey, cv2.CV_32F, kernel))
    rows, columns = grey.shape[0] // 16, grey.shape[1] // 16
    blocks = response[: rows * 16, : columns * 16].reshape(rows, 16, columns, 16).mean(axis=(1, 3))
    return float(np.median(blocks)) * math.sqrt(math.pi / 2) / 6


def _blur(grey: Grey, paper: float, ink: float, text: TextScale) -> float:
    """From the width of edges: contrast over the steepest slopes, against the size of the letters."""
    contrast = abs(paper - ink)
    if contrast < 10:
        return 0.0
    slope_x = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1)
    slope_y = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=1)
    slope = cv2.magnitude(slope_x, slope_y)
    strong = slope[slope > 0.1 * contrast]
    if strong.size < 200:
        return 0.0
    width = 2 * contrast / max(1.0, float(np.percentile(strong, 90)))
    return _ramp(width / max(text.glyph_height, 6.0), 0.30, 0.65)


def _glare(grey: Grey, paper: float) -> float:
    """Share of the page burnt out, on paper that is itself neither white nor dark by design."""
    if not 90 <= paper <= 225:
        return 0.0
    burnt = cv2.erode((grey >= 252).astype(np.uint8), np.ones((9, 9), np.uint8))
    return _ramp(float(burnt.mean()), 0.005, 0.04)


def _text_at_edge(grey: Grey, paper: float, ink: float, text: TextScale) -> float:
    """Whether letters run into the left or right border of the image."""
    height = max(4.0, text.glyph_height)
    crossing = []
    for edge in (grey[:, :2], grey[:, -2:]):
        near_ink = np.abs(edge.astype(np.float32).mean(axis=1) - ink) < 0.4 * abs(paper - ink)
        steps = np.flatnonzero(np.diff(np.concatenate([[0], near_ink.astype(np.int8), [0]])))
        runs = steps[1::2] - steps[::2]
        crossing.append(int(((runs >= 2) & (runs <= height)).sum()))
    return _ramp(max(crossing), 3, 12)


def _cut_off(grey: Grey, paper: float) -> float:
    """Whether the sheet, lying on a darker ground, leaves the picture: ground on some sides, paper on others."""
    band = max(3, min(grey.shape) // 60)
    sides = (grey[:band], grey[-band:], grey[:, :band], grey[:, -band:])
    grounds = [float((np.abs(side.astype(np.int16) - paper) > 60).mean()) for side in sides]
    dark = sum(share > 0.8 for share in grounds)
    open_sides = sum(share < 0.2 for share in grounds)
    return 0.6 if dark >= 2 and open_sides >= 1 else 0.0
