"""How numbers are written."""

from __future__ import annotations

import math
from typing import NamedTuple


class Form(NamedTuple):
    offset: int = 0
    """Added to every position in the text."""
    digits: int | None = None
    """Decimals of coordinates and confidences; None: as many as there are."""


def json_number(value: float, digits: int | None = None) -> int | float | str:
    """`value` as the JSON mapping writes it: 1758 rather than 1758.0, and what is no number as a string."""
    if digits is not None and value.__class__ is float and 0.0 < value < 1.0:  # nearly all there are
        scale = 10.0**digits
        rounded = int(value * scale + 0.5) / scale
        return rounded if 0.0 < rounded < 1.0 else int(rounded)
    value = float(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if digits is not None and abs(value) < 2**53 / 10**digits:
        scale = 10.0**digits
        value = math.copysign(int(abs(value) * scale + 0.5) / scale, value)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
