"""What is forecast for the time until a worker that is asked for now is at work, from the forecasts in the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from docfleet.domain.load import Outlook
from docfleet.domain.urgency import Pool
from docfleet.fleet.forecast.base import Forecast
from docfleet.fleet.forecast.reading import upper
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.fleet_history import FIVE_MINUTES, HOUR

READ_SECONDS = 30.0
"""Forecasts are read from the ledger this often."""
BEYOND_SECONDS = 300.0
"""A worker that comes is of use for some minutes at least: provided for is the most until then."""


class Kept(msgspec.Struct, frozen=True):
    """A forecast as it lies in the ledger, with earlier ones of the same pool, the newest last."""

    forecast: Forecast
    past: tuple[Forecast, ...] = ()


class Forecasts:
    """The forecasts of a region; threads may share one."""

    def __init__(
        self, book: FleetBook, level: float, enabled: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`level`: the quantile that is provided for."""
        self._book, self._level, self._enabled, self._clock = book, level, enabled, clock
        self._read: dict[tuple[Pool, int], tuple[float, Kept | None]] = {}

    def kept(self, pool: Pool, resolution: int) -> Kept | None:
        now = self._clock()
        read_at, found = self._read.get((pool, resolution), (float("-inf"), None))
        if now - read_at >= READ_SECONDS:
            row = self._book.forecast(pool, resolution)
            found = msgspec.json.decode(row[1], type=Kept) if row else None
            self._read[pool, resolution] = (now, found)
        return found

    def outlook(self, pool: Pool, at: float, start_seconds: float, unit_seconds: float) -> Outlook | None:
        """From the forecast by five minutes where it can be trusted, else from that by the hour; None: there is none.

        `at`: seconds since 1970; `unit_seconds`: slot-seconds of what the forecast counts.
        """
        if not self._enabled:
            return None
        last: Outlook | None = None
        for resolution in (FIVE_MINUTES, HOUR):
            kept = self.kept(pool, resolution)
            if kept is None:
                continue
            found = outlook_of(kept.forecast, at, at + start_seconds + BEYOND_SECONDS, self._level, unit_seconds)
            if found.trusted:
                return found
            last = last or found
        return last


def outlook_of(forecast: Forecast, since: float, until: float, level: float, unit_seconds: float) -> Outlook:
    """The fullest moment of a span of time. Not trusted where the forecast does not reach to its end. Pure."""
    steps = len(forecast.values[0]) if forecast.values else 0
    if since < forecast.start or until >= forecast.start + steps * forecast.step_seconds:
        return Outlook(0.0, 0.0, False, f"the forecast of {forecast.model} is too old")
    per_second = unit_seconds / forecast.step_seconds
    expected, most = (upper(forecast, quantile, since, until) for quantile in (0.5, level))
    return Outlook(
        expected * per_second, max(most, expected) * per_second, forecast.trust.trusted,
        f"{forecast.model}: {forecast.trust.reason}",
    )  # fmt: skip
