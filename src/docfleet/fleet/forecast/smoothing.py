"""Exponential smoothing with a daily and a weekly season.

The additive method of Taylor (2003), "Short-term electricity demand forecasting using double seasonal exponential
smoothing", Journal of the Operational Research Society 54, with its correction for errors that follow each other, and
with innovations cut off as by Gelper, Fried and Croux (2010), "Robust forecasting with exponential and Holt-Winters
smoothing", so that one outlier does not shift the level.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from docfleet.fleet.forecast.models import Bands, Fitted, History
from docfleet.fleet.forecast.panel import Floats, Ints, Panel

_WEEKS_TUNED = 6
_CUT = 3.0
"""Innovations count for at most so many times their usual size."""
_LEVELS = (0.01, 0.05, 0.2)
_DAYS = (0.05, 0.15)
_WEEKS = (0.05, 0.2)
_ECHOES = (0.5, 0.8, 0.95)


@dataclass(frozen=True)
class Parameters:
    level: float
    day: float
    week: float
    echo: float
    """How much of an error is left in the next step."""


@dataclass(frozen=True)
class DoubleSeason:
    """Level, time of day and time of week, each smoothed; parameters chosen from a grid."""

    curve: float
    name: str = "double_season"
    prior: float = 1.0

    def fit(self, history: History, bands: Bands, until: int) -> Fitted:
        panel = history.panels[self.curve]
        if until < 2 * panel.per_week:
            return FittedSeasons(self.curve, None)
        begin = max(0, until - (_WEEKS_TUNED + 2) * panel.per_week)
        best, least = None, np.inf
        for level, day, week in itertools.product(_LEVELS, _DAYS, _WEEKS):
            for echo in _ECHOES if best is None else (best.echo,):
                tried = Parameters(level, day, week, echo)
                states = _Run(panel, tried, begin, until)
                missed = states.mean_miss()
                if missed < least:
                    best, least = tried, missed
        return FittedSeasons(self.curve, best)


@dataclass(frozen=True)
class FittedSeasons:
    curve: float
    parameters: Parameters | None
    """None: less than two weeks to learn from."""

    def predict(self, history: History, origins: Ints, horizon: int) -> Floats:
        panel = history.panels[self.curve]
        if self.parameters is None or panel.length < panel.per_week:
            return np.full(len(origins), np.nan)
        begin = max(0, int(origins[0]) - (_WEEKS_TUNED + 2) * panel.per_week) // panel.per_week * panel.per_week
        kept = history.runs.get((self, begin))
        run = kept if isinstance(kept, _Run) else _Run(panel, self.parameters, begin, panel.length)
        history.runs[self, begin] = run
        return panel.stretch(run.expect(origins, horizon))


class _Run:
    """The states at each step from `begin` on."""

    def __init__(self, panel: Panel, parameters: Parameters, begin: int, until: int) -> None:
        self._panel, self._parameters, self._begin = panel, parameters, begin
        values = panel.known[begin:until].tolist()
        steps_day, steps_week = panel.per_day, panel.per_week
        self._until = until
        first = panel.filled[begin : begin + steps_week]
        mean = float(first.mean())
        of_day = np.array([first[at::steps_day].mean() for at in range(steps_day)]) - mean
        day = of_day[np.arange(steps_week) % steps_day].tolist()
        week = (first - mean - np.array(day)).tolist()
        level, error, usual = [mean] * steps_week, [0.0] * steps_week, float(np.abs(week).mean()) + 1e-6
        day += [0.0] * (len(values) - steps_week)
        week += [0.0] * (len(values) - steps_week)
        alpha, delta, omega, echo = parameters.level, parameters.day, parameters.week, parameters.echo
        now, last = mean, 0.0
        for at in range(steps_week, len(values)):
            value, by_day, by_week = values[at], day[at - steps_day], week[at - steps_week]
            if value != value:
                last *= echo
                day[at], week[at] = by_day, by_week
            else:
                left = value - (now + by_day + by_week)
                new = left - echo * last
                size = new if new >= 0 else -new
                if size > _CUT * usual:
                    new = _CUT * usual if new > 0 else -_CUT * usual
                    size = 1.5 * usual
                usual += 0.02 * (size - usual)
                now += alpha * new
                day[at] = by_day + delta * new
                week[at] = by_week + omega * new
                last = echo * last + new
            level.append(now)
            error.append(last)
        self._level, self._error = np.array(level), np.array(error)
        self._day, self._week = np.array(day), np.array(week)

    def expect(self, origins: Ints, horizon: int) -> Floats:
        """In the panel's units, `horizon` steps after each of the origins."""
        at = origins - self._begin
        per_day, per_week = self._panel.per_day, self._panel.per_week
        by_day = self._day[at + horizon - -(-horizon // per_day) * per_day]
        by_week = self._week[at + horizon - -(-horizon // per_week) * per_week]
        echoed = self._parameters.echo**horizon * self._error[at]
        expected: Floats = self._level[at] + by_day + by_week + echoed
        return expected

    def mean_miss(self) -> float:
        """Mean absolute error, an hour and a day ahead, after the first two weeks."""
        first = self._begin + self._panel.per_week
        total, count = 0.0, 0
        for horizon in (self._panel.per_hour, self._panel.per_day):
            origins = np.arange(first, self._until - horizon)
            missed = np.abs(self._panel.known[origins + horizon] - self.expect(origins, horizon))
            total += float(np.nansum(missed))
            count += int(np.sum(~np.isnan(missed)))
        return total / count if count else np.inf
