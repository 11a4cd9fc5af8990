"""What the text says: strips of a page image in, characters with places and confidences out.

Lines are scaled to the recogniser's 48 pixels of height, put into batches of similar width, and its answer (one
distribution over symbols each 8 pixels) is decoded greedily (Graves et al., "Connectionist Temporal Classification",
ICML 2006).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.engines.local.model import Recogniser
from docfleet.engines.local.pixels import Floats, Pixels, scaled

LINE_HEIGHT = 48
"""Pixels the recogniser wants."""
_NARROW = 192
"""Lines up to this width keep their proportions; they are padded to multiples of 32 and read four at once."""
_NARROW_STEP = 32
_NARROW_BATCH = 4
_LADDER = (160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3200)
"""Wider lines are scaled to exactly one of these widths and read one at a time: a new shape costs the runtime some
80 ms of set-up, padding costs like text, and the recogniser does not mind letters made a quarter narrower."""
_LETTER_WIDTH = 13.0
"""Mean width of letters, in pixels, at which lines are read well."""
NARROWED = 0.77
"""Width wanted of wide lines, as a share of their natural one."""


class LineReading(msgspec.Struct, frozen=True):
    """The characters of one strip, left to right as read."""

    text: str
    places: Floats
    """Centre of each character along the strip, 0..1."""
    confidences: Floats
    """0..1, of each character."""

    @property
    def confidence(self) -> float:
        """Mean over the characters; 0 without any."""
        return float(self.confidences.mean()) if len(self.confidences) else 0.0


def line_width(natural: float, share: float = NARROWED) -> int:
    """The width at which a line of this natural width (at LINE_HEIGHT) is read."""
    if natural <= _NARROW:
        return max(8, math.ceil(natural))
    return min(_LADDER, key=lambda width: abs(math.log(width / (natural * share))))


def page_share(readings: Sequence[LineReading], widths: Sequence[int], naturals: Sequence[float]) -> float:
    """The share of their natural width at which a page's lines are best read, from samples of them.

    The recogniser answers each 8 pixels and needs more than one answer a letter, so condensed type must stay wide.
    `widths` are those the samples were read at, `naturals` those they have by nature.
    """
    letters = [
        natural / len(reading.text)
        for reading, width, natural in zip(readings, widths, naturals, strict=True)
        if len(reading.text) >= 6 and width > _NARROW
    ]
    if not letters:
        return NARROWED
    return min(1.2, max(0.7, _LETTER_WIDTH / float(np.median(letters))))


def natural_width(strip: Floats) -> float:
    """The strip's width at LINE_HEIGHT, proportions kept."""
    return float(np.hypot(*strip[2:4])) * LINE_HEIGHT / max(1.0, float(np.hypot(*strip[4:6])))


def cut_strip(image: Pixels, strip: Floats, share: float = NARROWED) -> Pixels:
    """The strip, upright and scaled for the recogniser: (48, width, 3), width as `line_width` says."""
    o, u, v = strip[0:2], strip[2:4], strip[4:6]
    length, height = max(1.0, float(np.hypot(*u))), max(1.0, float(np.hypot(*v)))
    width = line_width(length * LINE_HEIGHT / height, share)
    x0, y0, x1, y1 = round(float(o[0])), round(float(o[1])), round(float(o[0] + length)), round(float(o[1] + height))
    inside = x0 >= 0 and y0 >= 0 and x1 <= image.shape[1] and y1 <= image.shape[0] and x1 > x0 and y1 > y0
    if inside and u[0] > 0 and abs(u[1]) < 0.005 * length:
        return scaled(image[y0:y1, x0:x1], width, LINE_HEIGHT)
    zoom = max(1, math.floor(height / LINE_HEIGHT))
    size = (width * zoom, LINE_HEIGHT * zoom)
    # the map from cut pixels to image pixels, pixel centres on pixel centres
    step_u, step_v = u / size[0], v / size[1]
    shift = o + (step_u + step_v) / 2 - 0.5
    matrix = np.array([[step_u[0], step_v[0], shift[0]], [step_u[1], step_v[1], shift[1]]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: Pixels = cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return scaled(warped, width, LINE_HEIGHT)


def plan_batches(widths: Sequence[int]) -> list[tuple[list[int], int]]:
    """Which lines are read together: (indices, width of the batch) for each batch."""
    narrow: dict[int, list[int]] = {}
    batches: list[tuple[list[int], int]] = []
    for index, width in enumerate(widths):
        if width > _NARROW:
            batches.append(([index], width))
        else:
            narrow.setdefault(math.ceil(width / _NARROW_STEP) * _NARROW_STEP, []).append(index)
    for width, members in narrow.items():
        whole = len(members) - len(members) % _NARROW_BATCH
        batches.extend((members[at : at + _NARROW_BATCH], width) for at in range(0, whole, _NARROW_BATCH))
        batches.extend(([index], width) for index in members[whole:])
    return batches


def read_lines(recogniser: Recogniser, cuts: Sequence[Pixels], latin_only: bool = False) -> list[LineReading]:
    """One reading a cut, in order."""
    readings: dict[int, LineReading] = {}
    for members, width in plan_batches([cut.shape[1] for cut in cuts]):
        batch = np.full((len(members), LINE_HEIGHT, width, 3), 127, np.uint8)
        for row, index in enumerate(members):
            batch[row, :, : cuts[index].shape[1]] = cuts[index]
        for index, (best, sure) in zip(members, recogniser.best_symbols(batch, latin_only), strict=True):
            readings[index] = _decoded(best, sure, recogniser.symbols, cuts[index].shape[1] / width)
    return [readings[index] for index in range(len(cuts))]


def _decoded(best: npt.NDArray[np.intp], sure: Floats, symbols: Sequence[str], used: float) -> LineReading:
    """Greedy CTC: runs of one symbol are one character, blanks (index 0) none. `used` is the unpadded share."""
    starts = np.flatnonzero(np.concatenate([[True], best[1:] != best[:-1]]))
    ends = np.append(starts[1:], len(best))
    kept = best[starts] != 0
    starts, ends = starts[kept], ends[kept]
    text = "".join(symbols[best[start]] for start in starts)
    places = np.minimum(1.0, (starts + ends) / 2 / len(best) / used).astype(np.float32)
    peaks = [float(sure[start:end].max()) for start, end in zip(starts, ends, strict=True)]
    return LineReading(text, places, np.array(peaks, np.float32))
