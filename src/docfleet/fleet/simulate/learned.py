"""The forecaster that the service trains, within the simulator: trained on the history, and again every week."""

from __future__ import annotations

from docfleet.fleet.forecast.base import Calendar, Forecast, Series
from docfleet.fleet.forecast.choosing import train
from docfleet.fleet.forecast.reading import at_level
from docfleet.fleet.forecast.trained import Trained
from docfleet.fleet.simulate.forecasters import Bands, Rolling
from docfleet.fleet.simulate.scalers import Forecaster

AHEAD = 2
"""Steps that are forecast each time: those that a start-up may fall into."""
TRAIN_AGAIN_SECONDS = 7 * 86_400.0
KEPT_FORECASTS = 48
"""Of the newest: misses beyond their quantiles cost the forecast its trust."""
EFFORT_SECONDS = 10.0


class Learned:
    """Forecasts the coming steps of a series that grows; see `Rolling`."""

    def __init__(self, level: float, calendar: Calendar) -> None:
        self._level, self._calendar = level, calendar
        self._trained: Trained | None = None
        self._trained_steps = 0
        self._past: list[Forecast] = []

    def __call__(self, series: Series) -> tuple[Bands, str] | None:
        steps = len(series.values)
        if steps < 2:
            return None
        is_old = (steps - self._trained_steps) * series.step_seconds >= TRAIN_AGAIN_SECONDS
        if self._trained is None or is_old:
            self._trained = train(series, AHEAD, self._calendar, effort_seconds=EFFORT_SECONDS)
            self._trained_steps = steps
        found = self._trained.forecast(series, AHEAD, past=self._past)
        self._past = [*self._past[1 - KEPT_FORECASTS :], found]
        if not found.trust.trusted:
            return None
        columns = list(zip(*found.values, strict=True))
        bands = [(at_level(found.levels, one, 0.5), at_level(found.levels, one, self._level)) for one in columns]
        return bands, found.trust.reason


def learned(history: Series, start: float, seconds_per_document: float, quantile: float) -> Forecaster:
    """A forecaster for `compare`. Needs scikit-learn."""
    return Rolling(history, start, seconds_per_document, Learned(quantile, Calendar()), history.timezone)
