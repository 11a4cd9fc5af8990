"""Which way up a page is, decided from the shapes of its lines and from how well samples of them read.

Pure decisions over measurements. Turning a page that was upright is far worse than leaving one turned, so that every
turn needs clear evidence: lines that stand, or samples that read badly as they are and well the other way.
"""

from __future__ import annotations

import msgspec
import numpy as np

from docfleet.engines.local.detection import strip_sizes
from docfleet.engines.local.pixels import Floats

_SURE = 0.88
"""Samples that read this well are upright, without trying the other way."""
_MARGIN = 0.12
"""The other way must read better by this much."""
_READABLE = 0.7
"""The other way must read at least this well."""


class Turn(msgspec.Struct, frozen=True):
    degrees: int
    """How far the text is turned clockwise: 0, 90, 180, 270."""
    reason: str


def standing_share(strips: Floats) -> float:
    """Share (0..1, by length) of strips that are clearly taller than wide, among those with a clear direction."""
    lengths, heights = strip_sizes(strips)
    lying = lengths[lengths > 1.8 * heights].sum()
    standing = heights[heights > 1.8 * lengths].sum()
    return float(standing / (lying + standing)) if lying + standing else 0.0


def sample_strips(strips: Floats, count: int, standing: bool) -> list[int]:
    """Indices of the strips that tell most about orientation: clear lines, not too long, from all over the page."""
    lengths, heights = strip_sizes(strips)
    if standing:
        lengths, heights = heights, lengths
    aspect = lengths / np.maximum(heights, 1)
    worth = np.where(aspect < 2, aspect, np.minimum(aspect, 10))
    best = np.argsort(-worth, kind="stable")[: 3 * count]
    spread = np.sort(best)
    step = max(1, len(spread) // count)
    return [int(index) for index in spread[::step][:count]]


def choose_upside(as_it_is: float, other_way: float | None) -> Turn:
    """0 or 180 from the mean confidence of samples read both ways; `other_way` is None where it was not needed."""
    if other_way is None:
        return Turn(0, "lines lie and read well")
    if other_way >= _READABLE and other_way >= as_it_is + _MARGIN:
        return Turn(180, "lines read better upside down")
    return Turn(0, "lines read no better upside down")


def needs_other_way(as_it_is: float) -> bool:
    return as_it_is < _SURE


def choose_standing(turned_90: float, turned_270: float, as_it_is: float) -> Turn:
    """90 or 270 for a page most of whose lines stand; 0 when neither reads well (as in vertical writing)."""
    degrees, best = (90, turned_90) if turned_90 >= turned_270 else (270, turned_270)
    if best >= _READABLE and best >= as_it_is + _MARGIN:
        return Turn(degrees, "lines stand and read well turned")
    return Turn(0, "lines stand but read no better turned")
