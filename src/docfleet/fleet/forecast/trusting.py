"""Whether a forecast may be relied on, and why not."""

from __future__ import annotations

from collections.abc import Sequence

from docfleet.fleet.forecast.base import Forecast, Score, Series, Trust
from docfleet.fleet.forecast.panel import Floats

_LEAST_DAYS = 14.0
_LEAST_KNOWN = 0.5
_SILENT_HOURS = 6.0
_WINDOW_HOURS = 24.0
_LEAST_OUTCOMES = 6
_MOST_MISSED = 0.35
_TIE = 1e-6
_LOW, _HIGH = 0.05, 0.95
NAIVE = ("last_value", "same_hour_last_week")


def trust(series: Series, scores: Sequence[Score], past: Sequence[Forecast], recent: Floats) -> Trust:
    """`recent`: 1.0 for each outcome of the last day that lay outside of the interval said before, else 0.0; used where
    there are no past forecasts to compare."""
    reason = _too_little(series) or _worse_than_naive(scores) or _missed(series, past, recent)
    if reason:
        return Trust(False, reason)
    return Trust(True, _praise(scores))


def _too_little(series: Series) -> str:
    known = [value is not None for value in series.values]
    days = sum(known) * series.step_seconds / 86_400
    span = len(known) * series.step_seconds / 86_400
    if days < _LEAST_DAYS * _LEAST_KNOWN or span < _LEAST_DAYS:
        return f"too little history: {days:.1f} days are known, two weeks are needed"
    silent = next((at for at, there in enumerate(reversed(known)) if there), len(known)) * series.step_seconds / 3600
    if silent >= _SILENT_HOURS:
        return f"nothing is known of the last {silent:.0f} hours"
    return ""


def _worse_than_naive(scores: Sequence[Score]) -> str:
    naive = min((score for score in scores if score.model in NAIVE), key=lambda score: score.wape, default=None)
    if naive is None or not scores or not scores[0].wape > naive.wape + _TIE:
        return ""
    return f"no better than {naive.model} in the backtest: error {scores[0].wape:.0%} against {naive.wape:.0%}"


def _missed(series: Series, past: Sequence[Forecast], recent: Floats) -> str:
    outside = _outside(series, past)
    if len(outside) < _LEAST_OUTCOMES:
        outside = [value > 0 for value in recent.tolist()]
    if len(outside) < _LEAST_OUTCOMES or sum(outside) <= _MOST_MISSED * len(outside):
        return ""
    return f"{sum(outside)} of the last {len(outside)} outcomes were outside of the 5-95 % interval"


def _outside(series: Series, past: Sequence[Forecast]) -> list[bool]:
    """For each step of the last day that a past forecast covers: whether it was outside of the newest of them."""
    window = int(_WINDOW_HOURS * 3600 / series.step_seconds)
    ordered = sorted(past, key=lambda one: one.start, reverse=True)
    outside = []
    for at in range(max(0, len(series.values) - window), len(series.values)):
        value = series.values[at]
        moment = series.start + at * series.step_seconds
        if value is None:
            continue
        for one in ordered:
            column = round((moment - one.start) / one.step_seconds)
            if one.step_seconds == series.step_seconds and one.values and 0 <= column < len(one.values[0]):
                low, high = (one.values[_row(one, level)][column] for level in (_LOW, _HIGH))
                outside.append(not low <= value <= high)
                break
    return outside


def _row(forecast: Forecast, level: float) -> int:
    return min(range(len(forecast.levels)), key=lambda row: abs(forecast.levels[row] - level))


def _praise(scores: Sequence[Score]) -> str:
    naive = min((score for score in scores if score.model in NAIVE), key=lambda score: score.wape, default=None)
    if not scores or naive is None or not naive.wape > 0:
        return "in the backtest nothing was missed"
    return f"error {scores[0].wape:.0%} in the backtest, {naive.wape:.0%} by {naive.model}"
