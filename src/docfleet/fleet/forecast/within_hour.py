"""What recurs within each hour: jobs that start on the full hour, a poll every quarter."""

from __future__ import annotations

import msgspec
import numpy as np

from docfleet.fleet.forecast.base import Series
from docfleet.fleet.forecast.panel import Floats, as_floats

_SURE = 4.0
"""Standard errors by which a step must stand out."""
_LEAST_HOURS = 72
_LEAST, _GREATEST = 0.05, 20.0


def profile_of(series: Series) -> Floats:
    """Of each step of the hour its share over an even one; all 1.0 where steps are hours, or none stands out."""
    per_hour = _per_hour(series)
    even = np.ones(per_hour)
    values = as_floats(series)[-_first(series) % per_hour :]
    hours = values[: len(values) // per_hour * per_hour].reshape(-1, per_hour)
    hours = hours[~np.isnan(hours).any(axis=1)]
    hours = hours[hours.sum(axis=1) > 0]
    if per_hour == 1 or len(hours) < _LEAST_HOURS:
        return even
    parts = hours / hours.mean(axis=1, keepdims=True)
    errors = parts.std(axis=0) / np.sqrt(len(hours)) + 1e-9
    if (np.abs(parts.mean(axis=0) - 1.0) < _SURE * errors).all():
        return even
    found: Floats = np.clip(hours.sum(axis=0) / hours.sum() * per_hour, _LEAST, _GREATEST)
    return found


def flattened(series: Series, profile: Floats) -> Series:
    """Without what recurs within the hour."""
    if (profile == 1.0).all():
        return series
    factors = at_steps(series, profile, np.arange(len(series.values))).tolist()
    values = tuple(None if one is None else one / factor for one, factor in zip(series.values, factors, strict=True))
    return msgspec.structs.replace(series, values=values)


def at_steps(series: Series, profile: Floats, steps: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    """The profile at steps counted from the start of the series."""
    return profile[(_first(series) + steps) % len(profile)]


def _per_hour(series: Series) -> int:
    per_hour = round(3600 / series.step_seconds)
    return per_hour if per_hour > 1 and per_hour * series.step_seconds == 3600 else 1


def _first(series: Series) -> int:
    return round(series.start / series.step_seconds)
