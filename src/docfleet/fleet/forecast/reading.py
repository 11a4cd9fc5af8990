"""Reading a forecast: no library is needed for it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from docfleet.fleet.forecast.base import Forecast


def upper(forecast: Forecast, level: float, from_at: float, to_at: float) -> float:
    """The greatest value of a quantile in a span of time (seconds since 1970); demand in one step of the forecast.

    Levels between those of the forecast are interpolated; those beyond take its outermost. What of the span lies
    outside of the forecast is left out; 0.0 if that is all of it, or if there is no forecast.
    """
    if not forecast.values or to_at < from_at:
        return 0.0
    first = max(0, math.floor((from_at - forecast.start) / forecast.step_seconds))
    last = math.floor((to_at - forecast.start) / forecast.step_seconds)
    columns = list(zip(*forecast.values, strict=True))[first : last + 1]
    return max((at_level(forecast.levels, column, level) for column in columns), default=0.0)


class Said(msgspec.Struct, frozen=True):
    """What was forecast of one step."""

    at: float
    low: float
    likely: float
    high: float


def said_before(past: Sequence[Forecast], until: float) -> list[Said]:
    """Of each step before `until`, what the newest forecast said that was made before it. `past`: the newest last."""
    found: dict[float, Said] = {}
    for one in past:
        for number, column in enumerate(zip(*one.values, strict=True)):
            at = one.start + number * one.step_seconds
            if at >= until:
                break
            found[at] = Said(at, *(at_level(one.levels, column, level) for level in (0.05, 0.5, 0.95)))
    return [found[at] for at in sorted(found)]


def at_level(levels: tuple[float, ...], column: tuple[float, ...], level: float) -> float:
    """One step's value at a level, between the two that are known."""
    above = bisect_right(levels, level)
    if above == 0:
        return column[0]
    if above == len(levels):
        return column[-1]
    low, high = levels[above - 1], levels[above]
    return column[above - 1] + (column[above] - column[above - 1]) * (level - low) / (high - low)
