"""A series as arrays, and what was known of it at each moment.

Everything here looks back only: what stands at step `i` was computed from steps up to `i`. So one panel serves all
origins of a backtest, and none of them sees its future.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from docfleet.fleet.forecast.base import Calendar, Series

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_DAY = 86_400.0
_WEEKS_COMPARED = 4
_DAYS_COMPARED = 5
_DAYS_SEARCHED = 9
_FAR = 3.0
_NEAR = 0.1
"""Of the mean demand: what is never far."""
_LEAST, _MOST = 1e-12, 1e15
"""A value below is taken for nothing, one above for that."""
_EPOCH_WEEKDAY = 3
"""1 January 1970 was a Thursday; Monday is 0."""


class Panel:
    """A series on its grid, extended by `ahead` steps of which only the calendar is known.

    `known` has NaN where there is no value; `filled` has none: gaps take the value of a week before, else of a day
    before, else the last one. Both are demand over `scale`, drawn together by `squeeze`.
    """

    def __init__(self, series: Series, calendar: Calendar, ahead: int, scale: float, curve: float) -> None:
        self.step = series.step_seconds
        self.start = series.start
        self.scale = scale
        self.curve = curve
        self.length = len(series.values)
        self.per_day = max(1, round(_DAY / self.step))
        self.per_week = max(1, round(7 * _DAY / self.step))
        self.per_hour = max(1, round(3600 / self.step))
        self.raw = as_floats(series)
        self.known = self.squeeze(self.raw)
        self.filled = _fill(self.known, self.per_day, self.per_week)
        _, self._hourly = within_hour(self.filled, self.per_hour)
        self.margin = self.per_hour // 2
        self.local = local_seconds(series, self.length + ahead)
        self._calendar = calendar
        self._lags: dict[int, Ints] = {}
        self._weekly: dict[int, Floats] = {}
        self._daily: dict[int, Floats] = {}
        self._similar: dict[int, Floats] = {}

    def squeeze(self, values: Floats) -> Floats:
        """Demand to the scale that models work on: nearly its logarithm, or with `curve` 0 as it is."""
        if self.curve == 0:
            return values / self.scale
        return np.log1p(self.curve * values / self.scale) / self.curve

    def stretch(self, values: Floats) -> Floats:
        """Back from there to demand; never negative."""
        if self.curve == 0:
            return np.maximum(values, 0.0) * self.scale
        return np.maximum(np.expm1(np.clip(self.curve * values, 0.0, 50.0)), 0.0) * self.scale / self.curve

    @cached_property
    def days(self) -> Ints:
        """Local days since 1970, for each step."""
        return (self.local // _DAY).astype(np.int64)

    @cached_property
    def weekday(self) -> Ints:
        """Monday is 0."""
        weekday: Ints = (self.days + _EPOCH_WEEKDAY) % 7
        return weekday

    @cached_property
    def hour(self) -> Floats:
        """Local hour of the day, with its fraction."""
        return (self.local % _DAY) / 3600.0

    @cached_property
    def is_holiday(self) -> Flags:
        return np.isin(self.days, _ordinals(self._calendar.holidays))

    @cached_property
    def is_special(self) -> Flags:
        return np.isin(self.days, _ordinals(self._calendar.special))

    def beside(self, days: int) -> Flags:
        """Whether the day so many days later is a holiday."""
        return np.isin(self.days + days, _ordinals(self._calendar.holidays))

    @cached_property
    def _slots(self) -> Ints:
        slots: Ints = np.floor((self.local - self.local[0]) / self.step + 0.5).astype(np.int64)
        return slots

    @cached_property
    def _step_of_slot(self) -> Ints:
        """The step at each slot of the local clock: of an hour that is skipped the step before it, of one that comes
        twice the second."""
        slots = self._slots
        size = int(slots.max()) + 1
        found = np.full(size, -1, dtype=np.int64)
        found[np.maximum(slots, 0)] = np.arange(len(slots))
        steps: Ints = np.maximum.accumulate(found)
        return steps

    def lag(self, days: int) -> Ints:
        """For each step the step at the same local time so many days before; -1: before the series."""
        if days not in self._lags:
            slots = self._slots - round(days * _DAY / self.step)
            inside = slots >= 0
            self._lags[days] = np.where(inside, self._step_of_slot[np.maximum(slots, 0)], -1)
        return self._lags[days]

    @cached_property
    def usual_day_now(self) -> Floats:
        week = trailing(self.filled, self.per_week)
        return otherwise(self.daily(1)[: self.length], np.concatenate([week[:1], week[:-1]]))

    @cached_property
    def similar_now(self) -> Floats:
        return otherwise(self.similar(1)[: self.length], self.usual_day_now)

    @cached_property
    def usual_now(self) -> Floats:
        """What was usual at each step of the series, by what stood before it."""
        return otherwise(self.weekly(1)[: self.length], self.similar_now)

    @cached_property
    def odd(self) -> Floats:
        """Demand less what was usual."""
        return self.filled - self.usual_now

    def odd_before(self, days: int) -> Floats:
        """For each step what was odd at the same local time so many days before."""
        return self.odd[np.clip(self.lag(days), 0, self.length - 1)]

    def at(self, days: int) -> Floats:
        """Demand at the same local time so many days before, over the hour that ended then; NaN outside the series."""
        return self._take(self._hourly, days)

    def around(self, days: int) -> Floats:
        """The same over the hour around that time: known `margin` steps after it."""
        return self._take(self._steady, days)

    @cached_property
    def _steady(self) -> Floats:
        """Means over the hour around each step; what was far both from the last days of its kind and from a week before
        is drawn nearer to them: one day out of line must not be what is usual a week later. A new level is followed, as
        those days follow it."""
        around, _ = within_hour(self.filled, self.per_hour)
        alike = [
            np.where(self._is_alike(back), self._take(around, back), np.nan) for back in range(1, 1 + _DAYS_SEARCHED)
        ]
        expected = _median_of(alike)[: self.length]
        week = otherwise(self._take(around, 7)[: self.length], expected)
        low, high = np.minimum(expected, week), np.maximum(expected, week)
        far = np.nan_to_num(np.maximum(low - around, 0.0) + np.maximum(around - high, 0.0))
        allowed = _FAR * trailing(np.minimum(far, 3 * trailing(far, self.per_week)), self.per_week) + _NEAR
        close = np.clip(around, low - allowed, high + allowed)
        young = np.arange(self.length) < self.per_week
        return np.where(np.isnan(expected) | self.is_special[: self.length] | young, around, close)

    def _is_alike(self, back: int) -> Flags:
        """Whether the day so many days before is a work day, or free, as this one is."""
        alike: Flags = self.is_free[np.maximum(self.lag(back), 0)] == self.is_free
        return alike

    @cached_property
    def is_free(self) -> Flags:
        """Weekends and holidays."""
        return (self.weekday >= 5) | self.is_holiday

    def _take(self, values: Floats, days: int) -> Floats:
        steps = self.lag(days)
        good = (steps >= 0) & (steps < self.length)
        return np.where(good, values[np.clip(steps, 0, self.length - 1)], np.nan)

    def weekly(self, weeks: int) -> Floats:
        """What is usual at this time of the week: mean over the `weeks`-th week before and three more.

        A holiday is compared with Sundays, a special day with the last such days, and other days not with them.
        """
        if weeks not in self._weekly:
            self._weekly[weeks] = self._usual(weeks)
        return self._weekly[weeks]

    def daily(self, days: int) -> Floats:
        """Mean of this time of day over the `days`-th day before and four more."""
        if days not in self._daily:
            self._daily[days] = _mean_of([self.around(days + more) for more in range(_DAYS_COMPARED)])
        return self._daily[days]

    def similar(self, days: int) -> Floats:
        """Mean over those of nine days, from the `days`-th day before, that are work days, or free, as this one is."""
        if days not in self._similar:
            several = range(days, days + _DAYS_SEARCHED)
            self._similar[days] = _mean_of(
                [np.where(self._is_alike(back), self.around(back), np.nan) for back in several]
            )
        return self._similar[days]

    def _usual(self, weeks: int) -> Floats:
        lagged = [7 * (weeks + more) for more in range(_WEEKS_COMPARED)]
        usual = _mean_of([self._unless_other(days) for days in lagged])
        usual = np.where(np.isnan(usual), _mean_of([self.around(days) for days in lagged]), usual)
        if self._calendar.holidays:
            usual = self._like_sunday(usual, weeks)
        if self._calendar.special:
            usual = self._like_special(usual, weeks)
        return usual

    def _unless_other(self, days: int) -> Floats:
        steps = np.maximum(self.lag(days), 0)
        other = self.is_holiday[steps] | self.is_special[steps]
        return np.where(other, np.nan, self.around(days))

    def _like_sunday(self, usual: Floats, weeks: int) -> Floats:
        sundays = np.full((_WEEKS_COMPARED, len(usual)), np.nan)
        for weekday in range(7):
            rows = self.is_holiday & (self.weekday == weekday)
            if rows.any():
                back = (weekday - 6) % 7
                for more in range(_WEEKS_COMPARED):
                    sundays[more, rows] = self.around(back + 7 * (weeks + more))[rows]
        means = _mean_of(list(sundays))
        return np.where(np.isnan(means), usual, means)

    def _like_special(self, usual: Floats, weeks: int) -> Floats:
        result = usual.copy()
        per_day: dict[int, Ints] = {
            int(day): np.flatnonzero(self.days == day) for day in np.unique(self.days[self.is_special])
        }
        horizon = weeks * self.per_week + self.margin
        for day, steps in per_day.items():
            earlier = [day - other for other in per_day if other < day]
            lagged = [self.around(days)[steps] for days in earlier if days * self.per_day >= horizon][-3:]
            if lagged:
                means = _mean_of(lagged)
                result[steps] = np.where(np.isnan(means), usual[steps], means)
        return result


def as_floats(series: Series) -> Floats:
    """Its values; NaN for what is not known, not a number or negative."""
    values = np.array([math.nan if value is None else float(value) for value in series.values], dtype=np.float64)
    values[~np.isfinite(values) | (values < 0)] = math.nan
    return np.where(values < _LEAST, 0.0, np.minimum(values, _MOST))


def local_seconds(series: Series, steps: int) -> Floats:
    """The local clock at each of the steps, as seconds since 1970 of that clock."""
    utc: Floats = series.start + np.arange(steps, dtype=np.float64) * series.step_seconds
    if series.timezone == "UTC" or not steps:
        return utc
    zone = ZoneInfo(series.timezone)

    def offset(at: float) -> float:
        found = dt.datetime.fromtimestamp(at, tz=dt.UTC).astimezone(zone).utcoffset()
        return found.total_seconds() if found else 0.0

    stride = max(1, round(_DAY / series.step_seconds))
    marks = [*range(0, steps, stride), steps - 1]
    offsets = np.empty(steps)
    for first, last in itertools.pairwise(marks):
        before, after = offset(float(utc[first])), offset(float(utc[last]))
        if before == after:
            offsets[first : last + 1] = before
        else:
            offsets[first : last + 1] = [offset(float(at)) for at in utc[first : last + 1]]
    if len(marks) == 2 and steps == 1:
        offsets[0] = offset(float(utc[0]))
    return utc + offsets


def _ordinals(dates: frozenset[str]) -> Ints:
    epoch = dt.date(1970, 1, 1)
    return np.array([(dt.date.fromisoformat(date) - epoch).days for date in sorted(dates)], dtype=np.int64)


def _fill(known: Floats, per_day: int, per_week: int) -> Floats:
    filled = known.copy()
    for at in np.flatnonzero(np.isnan(known)).tolist():
        if at >= per_week:
            filled[at] = filled[at - per_week]
        elif at >= per_day:
            filled[at] = filled[at - per_day]
        else:
            filled[at] = filled[at - 1] if at else 0.0
    return filled


def _median_of(rows: list[Floats]) -> Floats:
    """Of those that are there, for each step; NaN where none is."""
    ordered = np.sort(np.array(rows), axis=0)  # what is not there comes last
    count = (~np.isnan(ordered)).sum(axis=0)
    steps = np.arange(ordered.shape[1])
    median: Floats = (ordered[np.maximum(count - 1, 0) // 2, steps] + ordered[np.maximum(count, 1) // 2, steps]) / 2
    return median


def _mean_of(rows: list[Floats]) -> Floats:
    """Mean of those that are there, for each step; NaN where none is."""
    table = np.array(rows)
    there = ~np.isnan(table)
    count = there.sum(axis=0)
    total = np.where(there, table, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def within_hour(values: Floats, per_hour: int) -> tuple[Floats, Floats]:
    """Means over the hour around each step and over the hour that ends with it; of steps of an hour the values."""
    if per_hour == 1:
        return values, values
    ended = trailing(values, per_hour)
    ahead = per_hour // 2
    return np.concatenate([ended[ahead:], np.full(min(ahead, len(ended)), ended[-1])])[: len(values)], ended


def otherwise(values: Floats, instead: Floats) -> Floats:
    """`instead` where a value is not there."""
    return np.where(np.isnan(values), instead, values)


def trailing(values: Floats, window: int) -> Floats:
    """Mean of the last `window` values at each step, of fewer at the beginning."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - window, 0)
    means: Floats = (sums[ends] - sums[begins]) / (ends - begins)
    return means
