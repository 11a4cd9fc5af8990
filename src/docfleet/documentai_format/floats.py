"""Protobuf's 32-bit floats as the shortest decimals that mean them, which is how Document AI writes them in JSON."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

_SINGLE = struct.Struct("<f")
_LEAST, _MOST = 1e-9, 1e9
"""Within these magnitudes every power of ten below is exact in a double."""
_FEW = 24
"""So few are faster one by one."""


def shortest(value: float) -> float:
    """The double with the fewest decimal digits that is `value` again as a 32-bit float."""
    if value == 0.0 or value - value != 0.0:  # zero, infinite or no number
        return value
    for digits in (6, 7, 8):
        short = float(f"{value:.{digits}g}")
        try:
            if _SINGLE.unpack(_SINGLE.pack(short))[0] == value:
                return short
        except OverflowError:
            continue
    return float(f"{value:.9g}")


def all_shortest(values: list[float]) -> list[float]:
    """`shortest` of each."""
    if len(values) < _FEW:
        return [shortest(value) for value in values]
    shown: list[float] = shortest_of(np.array(values, dtype=np.float64)).tolist()
    return shown


def shortest_of(values: Any) -> Any:
    """`shortest` of each of an array of doubles; another array of the same shape."""
    exact = values.ravel()
    size = np.abs(exact)
    odd = ~((size > _LEAST) & (size < _MOST))
    kept = exact[odd]
    exact = np.where(odd, 1.0, exact)
    wanted = exact.astype(np.float32)
    decimals = 5 - np.floor(np.log10(np.abs(exact))).astype(np.int64)
    found = exact.copy()
    left = np.arange(len(exact))
    for _ in range(4):  # six digits, seven, eight, nine
        scale = _POWERS[np.abs(decimals)]
        short = np.where(decimals < 0, np.rint(exact / scale) * scale, np.rint(exact * scale) / scale)
        hit = short.astype(np.float32) == wanted
        found[left[hit]] = short[hit]
        miss = ~hit
        left, exact, wanted, decimals = left[miss], exact[miss], wanted[miss], decimals[miss] + 1
        if not len(left):
            break
    found[odd] = [shortest(value) for value in kept.tolist()]
    return found.reshape(values.shape)


_POWERS = np.array([float(f"1e{power}") for power in range(20)])
