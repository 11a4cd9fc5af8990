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
_WIDTH_STEP = 64
"""Batches come in widths that are multiples of this: each new shape costs the runtime some set-up."""
_MOST_WIDTH = 3200
_BATCH_PIXELS = 8 * 640
"""Summed width of a batch."""


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


def cut_strip(image: Pixels, strip: Floats) -> Pixels:
    """The strip, upright and scaled to LINE_HEIGHT: (48, width, 3), width following the strip's proportions."""
    o, u, v = strip[0:2], strip[2:4], strip[4:6]
    length, height = max(1.0, float(np.hypot(*u))), max(1.0, float(np.hypot(*v)))
    width = min(_MOST_WIDTH, max(8, math.ceil(length * LINE_HEIGHT / height)))
    if abs(u[1]) < 0.01 * length and u[0] > 0:
        x0, y0 = max(0, round(float(o[0]))), max(0, round(float(o[1])))
        x1, y1 = round(float(o[0] + length)), round(float(o[1] + height))
        window = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        if window.size:
            return scaled(window, width, LINE_HEIGHT)
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
    """Lines of similar width together: (indices, width of the batch) for each batch."""
    batches: list[tuple[list[int], int]] = []
    members: list[int] = []
    room = 0
    for index in sorted(range(len(widths)), key=lambda i: widths[i]):
        padded = math.ceil(widths[index] / _WIDTH_STEP) * _WIDTH_STEP
        if members and (padded != room or (len(members) + 1) * padded > _BATCH_PIXELS):
            batches.append((members, room))
            members = []
        room = padded
        members.append(index)
    if members:
        batches.append((members, room))
    return batches


def read_lines(recogniser: Recogniser, cuts: Sequence[Pixels], latin_only: bool = False) -> list[LineReading]:
    """One reading a cut, in order."""
    readings: list[LineReading | None] = [None] * len(cuts)
    for members, width in plan_batches([cut.shape[1] for cut in cuts]):
        batch = np.full((len(members), LINE_HEIGHT, width, 3), 127, np.uint8)
        for row, index in enumerate(members):
            batch[row, :, : cuts[index].shape[1]] = cuts[index]
        for row, (best, sure) in enumerate(recogniser.best_symbols(batch, latin_only)):
            index = members[row]
            readings[index] = _decoded(best, sure, recogniser.symbols, cuts[index].shape[1] / width)
    return [reading for reading in readings if reading is not None]


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
