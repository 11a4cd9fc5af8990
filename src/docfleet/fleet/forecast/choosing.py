"""Training on a series: which models count how much at which horizon, by a rolling-origin backtest."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence

import numpy as np

from docfleet.fleet.forecast.base import Calendar, Forecast, Score, Series
from docfleet.fleet.forecast.boosted import INSTALLED, Boosted, one_thread
from docfleet.fleet.forecast.lines import Lines
from docfleet.fleet.forecast.models import CURVES, Bands, Fitted, History, Model
from docfleet.fleet.forecast.panel import Floats, Ints, as_floats
from docfleet.fleet.forecast.plain import LastValue, LastWeek, Usual
from docfleet.fleet.forecast.record import Record, ages, combine, shares
from docfleet.fleet.forecast.smoothing import DoubleSeason
from docfleet.fleet.forecast.trained import Trained, newest
from docfleet.fleet.forecast.within_hour import flattened, profile_of

_HOURS = (1, 2, 3, 4, 6, 9, 12, 18, 24, 36, 48, 72, 96, 120, 144, 168)
_PARTS_OF_AN_HOUR = (12, 4, 2)
_BANDS_HOURS = (1.0, 6.0, 24.0, math.inf)
_KEPT_STEPS = 10_000
_KEPT_WEEKS = 10
_TESTED_WEEKS = 6
_TESTED_ORIGINS = 800
ORDINARY = Calendar()
_NAMED = 3
"""Models named in a forecast."""


def forecast_series(
    series: Series,
    horizon: int,
    calendar: Calendar = ORDINARY,
    *,
    past: Sequence[Forecast] = (),
    effort_seconds: float = 20.0,
) -> Forecast:
    """Train, and forecast the `horizon` steps after the series.

    `past`: forecasts made of this series before; outcomes beyond their quantiles cost it its trust. Never raises
    because of values: of a series that says nothing comes a forecast that is not trusted.
    """
    return train(series, horizon, calendar, effort_seconds=effort_seconds).forecast(series, horizon, past=past)


def train(series: Series, horizon: int, calendar: Calendar = ORDINARY, *, effort_seconds: float = 20.0) -> Trained:
    """What is needed to forecast up to `horizon` steps, from this series and its continuations.

    After `effort_seconds` no more trees are grown; the cheaper models are finished in any case.
    """
    with one_thread():
        return _train(series, horizon, calendar, time.monotonic(), effort_seconds)


def _train(series: Series, horizon: int, calendar: Calendar, began: float, effort_seconds: float) -> Trained:
    kept = newest(series, max(_KEPT_STEPS, round(_KEPT_WEEKS * 7 * 86_400 / series.step_seconds)))
    profile = profile_of(kept)
    kept = flattened(kept, profile)
    values = as_floats(kept)
    mean = float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
    scale = mean if mean > 1e-9 else 1.0
    history = History(kept, calendar, max(horizon, 1), scale)
    bands = _bands(history, horizon)
    tested = _tested(history)
    cuts = [history.length - tested, history.length - tested // 2]
    models: list[Model] = [LastValue(), LastWeek(), Usual("usual"), Usual("similar"), *map(Lines, CURVES)]
    models.append(DoubleSeason(CURVES[-1]))
    records = {anchor: _empty(len(models)) for band in bands for anchor in band}
    if tested:
        records = _backtest(history, models, bands, cuts)
    if tested and INSTALLED:
        boosted = Boosted(_better_curve(records, models), began + 0.5 * effort_seconds)
        trees = _backtest(history, [boosted], bands, cuts)
        models.append(Boosted(boosted.curve, began + effort_seconds))
        records = {anchor: _beside(records[anchor], trees[anchor]) for anchor in records}
    fitted = [model.fit(history, bands, history.length) for model in models]
    return Trained(
        names=tuple(model.name for model in models),
        fitted=tuple(fitted),
        priors=_priors(models),
        records=records,
        scores=_scores(records, models, history),
        profile=profile,
        scale=scale,
        calendar=calendar,
        until=round(kept.start / kept.step_seconds) + history.length,
    )


def _bands(history: History, horizon: int) -> Bands:
    """Horizons that are tested, in groups: within the hour, six hours, the day, and beyond."""
    hour = 3600.0 / history.plain.step
    steps = {max(1, round(hours * hour)) for hours in _HOURS}
    steps |= {max(1, round(hour / part)) for part in _PARTS_OF_AN_HOUR}
    longest = max(1, min(horizon, history.length // 3))
    within = sorted(step for step in steps if step <= longest)
    if longest not in within and (not within or longest > 1.2 * within[-1]):
        within.append(longest)
    bands = []
    begin = 0.0
    for end in _BANDS_HOURS:
        bands.append(tuple(step for step in within if begin < step / hour <= end))
        begin = end
    return tuple(band for band in bands if band)


def _tested(history: History) -> int:
    """How many of the last steps are forecast as a test: a third, at most six weeks; none of a very short series."""
    if history.length < 2 * history.plain.per_day or history.length < 12:
        return 0
    return min(history.length // 3, _TESTED_WEEKS * history.plain.per_week)


def _backtest(history: History, models: Sequence[Model], bands: Bands, cuts: Sequence[int]) -> dict[int, Record]:
    """By horizon: forecasts from origins after each cut, by models that learned from what was before it."""
    records = {anchor: _empty(len(models)) for band in bands for anchor in band}
    ends = [*cuts[1:], history.length]
    for cut, end in zip(cuts, ends, strict=True):
        fitted = [model.fit(history, bands, cut) for model in models]
        for anchor, record in records.items():
            origins = np.arange(cut - 1, end - 1)
            origins = origins[origins + anchor < history.length]
            most = _TESTED_ORIGINS // len(cuts)
            if len(origins) > most:
                origins = origins[np.unique(np.linspace(0, len(origins) - 1, most).astype(np.int64))]
            if len(origins):
                records[anchor] = record.more(*outcomes(history, fitted, origins, anchor))
    return records


def outcomes(history: History, fitted: Sequence[Fitted], origins: Ints, horizon: int) -> tuple[Ints, Floats, Floats]:
    """What a `Record` takes: when, what each model said, what came."""
    first = round(history.plain.start / history.plain.step)
    said = np.column_stack([model.predict(history, origins, horizon) for model in fitted])
    return first + origins + horizon, said, history.outcomes(origins, horizon)


def _empty(models: int) -> Record:
    return Record(np.empty(0, dtype=np.int64), np.empty((0, models)), np.empty(0))


def _beside(one: Record, other: Record) -> Record:
    return Record(one.at, np.column_stack([one.said, other.said]), one.came)


def _better_curve(records: dict[int, Record], models: Sequence[Model]) -> float:
    """Of the two linear models: whether effects add or multiply."""
    errors = [_wape(records.values(), at) for at, model in enumerate(models) if isinstance(model, Lines)]
    return CURVES[int(np.nanargmin(errors))] if np.isfinite(errors).any() else CURVES[0]


def _wape(records: Iterable[Record], column: int) -> float:
    return wape((record.said[:, column], record.came) for record in records)


def wape(pairs: Iterable[tuple[Floats, Floats]]) -> float:
    """Of forecasts and outcomes; NaN where a forecast or all demand is missing."""
    missed = came = 0.0
    for said, outcome in pairs:
        missed += float(np.abs(said - outcome).sum())
        came += float(outcome.sum())
    return missed / came if came > 0 else math.nan


def _scores(records: dict[int, Record], models: Sequence[Model], history: History) -> tuple[Score, ...]:
    """Over the horizons up to a day; the combination's by shares that were known at the time."""
    day = {anchor: record for anchor, record in records.items() if anchor <= history.plain.per_day} or records
    singles = [Score(model.name, _wape(day.values(), at)) for at, model in enumerate(models)]
    blended = []
    parts = np.zeros(len(models))
    for record in day.values():
        said, part = _as_it_would_have_been(record, _priors(models), history.plain.per_week)
        good = ~np.isnan(said)
        blended.append((said[good], record.came[good]))
        parts += part / len(day)
    name = ", ".join(f"{models[at].name} {parts[at]:.0%}" for at in np.argsort(-parts)[:_NAMED] if parts[at] >= 0.05)
    return (
        Score(f"combination: {name}", wape(blended)),
        *sorted(singles, key=lambda one: (one.wape != one.wape, one.wape)),
    )


def _priors(models: Sequence[Model]) -> Floats:
    return np.array([model.prior for model in models])


def _as_it_would_have_been(record: Record, priors: Floats, per_week: int) -> tuple[Floats, Floats]:
    """The combination of a record's forecasts by the shares of their time, taken anew twenty times; the last shares."""
    said = np.full(len(record.at), math.nan)
    parts = priors / priors.sum()
    stride = max(1, len(record.at) // 20)
    for begin in range(0, len(record.at), stride):
        rows = slice(begin, begin + stride)
        known = Record(record.at[:begin], record.said[:begin], record.came[:begin])
        parts = shares(known, ages(known, int(record.at[begin]), per_week), priors)
        said[rows] = combine(record.said[rows], parts)
    return said, parts
