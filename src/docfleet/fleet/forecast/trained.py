"""A trained forecaster: forecasts from any later state of its series, and learns how far off it is on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from docfleet.fleet.forecast.base import Calendar, Forecast, Score, Series
from docfleet.fleet.forecast.boosted import one_thread
from docfleet.fleet.forecast.models import Fitted, History
from docfleet.fleet.forecast.panel import Floats, Ints
from docfleet.fleet.forecast.record import LEVELS, Record, ages, best_power, combine, echo, quantiles, shares, size
from docfleet.fleet.forecast.trusting import trust
from docfleet.fleet.forecast.within_hour import at_steps, flattened

_WEEKS_SEEN = 10
_AN_HOUR = 2
"""Outcomes recorded in an hour, of finer steps: those beside each other tell nothing new."""
_RECORDED = 400
"""Newest outcomes that shares and quantiles are computed from."""
_ECHOED = 0.75
"""Between 0, as if errors did not follow each other, and 1, which makes intervals wider than they need be."""
_CAUGHT_UP_WEEKS = 2


@dataclass(frozen=True)
class Rolled:
    """Forecasts of one horizon from several origins."""

    levels: tuple[float, ...]
    values: Floats
    """Row for each level, column for each origin."""
    came: Floats
    """NaN: not known."""


@dataclass(frozen=True)
class Trained:
    """Made by `choosing.train`."""

    names: tuple[str, ...]
    fitted: tuple[Fitted, ...]
    priors: Floats
    records: dict[int, Record]
    """By horizon in steps: the backtest."""
    scores: tuple[Score, ...]
    """Of each model and of the combination, which is the first."""
    profile: Floats
    """Of the steps within an hour; `records` are without it."""
    scale: float
    calendar: Calendar
    until: int
    """The step after the last one it learned from, in steps since 1970."""

    def forecast(self, series: Series, horizon: int, *, past: Sequence[Forecast] = ()) -> Forecast:
        """The `horizon` steps after `series`, which goes on from the one learned from; nothing is chosen anew."""
        with one_thread():
            return self._forecast(series, horizon, past)

    def _forecast(self, series: Series, horizon: int, past: Sequence[Forecast]) -> Forecast:
        history = self._history(series, horizon)
        first = _first(history)
        now = first + history.length - 1
        origin = np.array([history.length - 1])
        kept = {anchor: self._caught_up(history, anchor).until(now, _RECORDED) for anchor in self.records}
        steps = _computed(horizon, history.plain.per_hour)
        rows = np.empty((len(LEVELS), len(steps)))
        for column, step in enumerate(steps.tolist()):
            anchor = nearest(step, self.records)
            said = self._said(history, origin, step)
            rows[:, column] = self._quantiles(kept[anchor], said, now, history.plain.per_week)[:, 0]
        every = np.arange(1, horizon + 1)
        factors = at_steps(series, self.profile, len(series.values) - 1 + every)
        values = np.array([np.interp(every, steps, row) for row in rows]) * factors
        return Forecast(
            model=self.scores[0].model,
            start=series.start + len(series.values) * series.step_seconds,
            step_seconds=series.step_seconds,
            levels=LEVELS,
            values=tuple(tuple(row) for row in values.tolist()),
            scores=self.scores,
            trust=trust(series, self.scores, past, self._missed(kept, history)),
        )

    def rolling(self, series: Series, origins: Ints, horizon: int) -> Rolled:
        """What `forecast` would have said of the step `horizon` ahead of each origin (index of the last known step),
        for one of the horizons in `records`, without computing the others."""
        with one_thread():
            return self._rolling(series, origins, horizon)

    def _rolling(self, series: Series, origins: Ints, horizon: int) -> Rolled:
        history = self._history(series, horizon, since=int(origins[0]))
        shift = len(series.values) - history.length
        local = origins - shift
        record = self._caught_up(history, horizon)
        said = self._said(history, local, horizon)
        values = np.empty((len(LEVELS), len(origins)))
        first = _first(history)
        for column, origin in enumerate(local.tolist()):
            now = first + origin
            known = record.until(now, _RECORDED)
            values[:, column] = self._quantiles(known, said[column : column + 1], now, history.plain.per_week)[:, 0]
        factors = at_steps(series, self.profile, origins + horizon)
        return Rolled(LEVELS, values * factors, history.outcomes(local, horizon) * factors)

    def _history(self, series: Series, horizon: int, since: int | None = None) -> History:
        """Its newest weeks, and those before `since`."""
        extra = 0 if since is None else len(series.values) - since
        week = 7 * 86_400 / series.step_seconds
        behind = max(0, round(series.start / series.step_seconds) + len(series.values) - self.until)
        extra = max(extra, min(behind, round(_CAUGHT_UP_WEEKS * week)))
        kept = flattened(newest(series, round(_WEEKS_SEEN * week) + extra), self.profile)
        return History(kept, self.calendar, horizon, self.scale)

    def _said(self, history: History, origins: Ints, horizon: int) -> Floats:
        return np.column_stack([model.predict(history, origins, horizon) for model in self.fitted])

    def _caught_up(self, history: History, anchor: int) -> Record:
        """The record with the outcomes since the training, at most those of the last weeks."""
        first = _first(history)
        begin = max(self.until - 1 - first, history.length - round(_CAUGHT_UP_WEEKS * history.plain.per_week), 0)
        origins = np.arange(begin, history.length - anchor, max(1, history.plain.per_hour // _AN_HOUR))
        if not len(origins):
            return self.records[anchor]
        said = self._said(history, origins, anchor)
        return self.records[anchor].more(first + origins + anchor, said, history.outcomes(origins, anchor))

    def _quantiles(self, known: Record, said: Floats, now: int, per_week: int) -> Floats:
        weights = ages(known, now, per_week)
        parts = shares(known, weights, self.priors)
        middle = combine(said, parts)
        if np.isnan(middle).any():
            middle = np.where(np.isnan(middle), np.nanmean(said, axis=1), middle)
        expected = combine(known.said, parts)
        good = ~np.isnan(expected)
        power = best_power(expected[good], known.came[good], self.scale)
        errors = (known.came[good] - expected[good]) / size(expected[good], self.scale, power)
        found = quantiles(errors, weights[good], echo(errors) ** _ECHOED)
        found[: LEVELS.index(0.5)] = np.minimum(found[: LEVELS.index(0.5)], 0.0)
        found[LEVELS.index(0.5)] = 0.0
        found[LEVELS.index(0.5) + 1 :] = np.maximum(found[LEVELS.index(0.5) + 1 :], 0.0)
        rows: Floats = np.maximum(middle + found[:, None] * size(middle, self.scale, power), 0.0)
        return rows

    def _missed(self, kept: dict[int, Record], history: History) -> Floats:
        """1.0 for each outcome of the last day outside of the interval that was due an hour before, else 0.0."""
        record = kept[nearest(history.plain.per_hour, kept)]
        if not len(record.at):
            return np.empty(0)
        day_ago = int(record.at[-1]) - history.plain.per_day
        begin = int(np.searchsorted(record.at, day_ago, side="right"))
        before = record.until(day_ago, _RECORDED)
        if not len(before.at):
            return np.empty(0)
        rows = self._quantiles(before, record.said[begin:], day_ago, history.plain.per_week)
        came = record.came[begin:]
        outside: Floats = ((came < rows[LEVELS.index(0.05)]) | (came > rows[LEVELS.index(0.95)])).astype(np.float64)
        return outside


def newest(series: Series, steps: int) -> Series:
    """Its last steps, without unknown ones at the beginning."""
    values = series.values or (None,)
    begin = max(0, len(values) - steps)
    while begin < len(values) - 1 and values[begin] is None:
        begin += 1
    return msgspec.structs.replace(series, start=series.start + begin * series.step_seconds, values=values[begin:])


def nearest(step: int, anchors: dict[int, Record]) -> int:
    """The first anchor that is not before the step, else the last."""
    return min((anchor for anchor in anchors if anchor >= step), default=max(anchors))


def _first(history: History) -> int:
    return round(history.plain.start / history.plain.step)


def _computed(horizon: int, per_hour: int) -> Ints:
    """The steps that are computed: each of the first hour and day by quarters, then each hour; others lie between."""
    quarter = max(1, per_hour // 4)
    steps: Ints = np.arange(1, horizon + 1)
    fine = (steps <= per_hour) | (steps % quarter == 0) & (steps <= 24 * per_hour) | (steps % per_hour == 0)
    fine[-1:] = True
    computed: Ints = steps[fine]
    return computed
