"""A demand series, and what is forecast of it."""

from __future__ import annotations

import msgspec


class Series(msgspec.Struct, frozen=True):
    """What arrived in equal steps of time, without overlap."""

    start: float
    """Of the first step; seconds since 1970, UTC."""
    step_seconds: float
    values: tuple[float | None, ...]
    """None: not known (the service was down, or was not there yet)."""
    timezone: str = "UTC"
    """Whose days and weeks the demand follows."""


class Calendar(msgspec.Struct, frozen=True):
    """Days that are not like others; dates as "2026-12-25"."""

    holidays: frozenset[str] = frozenset()
    special: frozenset[str] = frozenset()
    """Month end, a campaign, Black Friday: days known to be fuller."""


class Score(msgspec.Struct, frozen=True):
    """How a model did in the backtest: it forecast parts of the history from what came before them."""

    model: str
    wape: float
    """Sum of absolute errors over sum of outcomes."""


class Trust(msgspec.Struct, frozen=True):
    """Whether the fleet may be sized by the forecast."""

    trusted: bool
    reason: str


class Forecast(msgspec.Struct, frozen=True):
    """Quantiles of each of the coming steps."""

    model: str
    start: float
    """Of the first forecast step."""
    step_seconds: float
    levels: tuple[float, ...]
    """Rising, in 0..1; 0.5 is among them."""
    values: tuple[tuple[float, ...], ...]
    """One row for each level, one value for each step; rising from row to row."""
    scores: tuple[Score, ...]
    """Of every model that was tried, the chosen one first."""
    trust: Trust
