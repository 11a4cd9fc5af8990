"""A page that is half digital, half scan: both readings in one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from docfleet.domain.geometry import Rect
from docfleet.domain.words import WordPage
from docfleet.engines.local.layout.boxes import Floats

IN_REGION = 0.5
"""Share of an OCR word's box that must lie inside one image region."""
COVERED = 0.3
"""Share of an OCR word's box that text-layer words may cover."""


def merge(text: WordPage, ocr: WordPage, regions: Sequence[Rect]) -> WordPage:
    """Text-layer words, plus the OCR words that lie in `regions` (page units, upright frame) and do not repeat them.

    Both pages must be of one size; where they are not (pixels against points) the OCR is scaled. Line hints of the OCR
    words stay valid among themselves: text-layer words have none.
    """
    if not ocr.words or not regions:
        return text
    boxes = np.nan_to_num(np.array([w.box for w in ocr.words], dtype=np.float64)).clip(-1e5, 1e5)
    scale_x = text.frame.width / ocr.frame.width if ocr.frame.width > 0 else 1.0
    scale_y = text.frame.height / ocr.frame.height if ocr.frame.height > 0 else 1.0
    scaled = abs(scale_x - 1) > 1e-3 or abs(scale_y - 1) > 1e-3
    if scaled:
        boxes *= np.array([scale_x, scale_y, scale_x, scale_y])
    inside = np.zeros(len(boxes), dtype=bool)
    area = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-6)
    for region in regions:
        inside |= _shared(boxes, np.array(region, dtype=np.float64)) >= IN_REGION * area
    digital = np.nan_to_num(np.array([w.box for w in text.words], dtype=np.float64).reshape(-1, 4)).clip(-1e5, 1e5)
    kept = []
    for i in np.flatnonzero(inside).tolist():
        if len(digital) and _shared(digital, boxes[i]).sum() > COVERED * area[i]:
            continue
        word = ocr.words[i]
        if scaled:
            x0, y0, x1, y1 = boxes[i].tolist()
            word = msgspec.structs.replace(word, box=(x0, y0, x1, y1), size=word.size * scale_y)
        kept.append(word)
    return msgspec.structs.replace(text, words=text.words + kept) if kept else text


def _shared(boxes: Floats, other: Floats) -> Floats:
    """Area each of `boxes` has in common with `other`."""
    wide = np.minimum(boxes[:, 2], other[2]) - np.maximum(boxes[:, 0], other[0])
    high = np.minimum(boxes[:, 3], other[3]) - np.maximum(boxes[:, 1], other[1])
    area: Floats = np.maximum(wide, 0.0) * np.maximum(high, 0.0)
    return area
