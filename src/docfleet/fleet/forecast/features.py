"""What a regression may know about a step when it stands so many steps before it."""

from __future__ import annotations

import math

import numpy as np

from docfleet.fleet.forecast.panel import Flags, Floats, Ints, Panel, otherwise, trailing

LINES = (
    "last_week", "yesterday", "usual_day", "similar", "usual_next", "usual_before", "now", "hour_mean",
    "odd_now", "odd_1", "odd_2", "odd_hour", "odd_hours_3", "odd_hours_6", "odd_day", "odd_week",
    "odd_yesterday", "odd_last_week", "odd_day_now", "odd_similar_now",
    "holiday", "special", "after_holiday", "before_holiday", "now_holiday", "weekend", "friday", "monday",
)  # fmt: skip
"""The columns of a linear model: demand less what is usual at the target's time, and "odd": demand less what was
usual at its own time, averaged over the time named. None tells the level, so nothing is extrapolated when it moves."""

TREES = (*LINES, "usual", "usual_slope", "week_mean", "hour", "weekday", "ahead", "sin_1", "cos_1")


def features(panel: Panel, origins: Ints, horizon: int) -> dict[str, Floats]:
    """Each column for the step `horizon` after each of the origins, from what was known at the origin.

    NaN: the series had not begun by the time asked for.
    """
    targets = origins + horizon
    weeks = max(1, math.ceil(horizon / panel.per_week))
    days = max(1, math.ceil(horizon / panel.per_day))
    usual_weeks = max(1, math.ceil((horizon + panel.margin) / panel.per_week))
    usual_days = max(1, math.ceil((horizon + panel.margin) / panel.per_day))
    levels = _levels(panel, origins)

    def then(lag_days: int, fresh: Floats, older: Floats) -> Floats:
        """Where clocks were put forward, the same time so many days before may lie after the origin still."""
        return np.where(panel.lag(lag_days)[targets] <= origins, fresh[targets], older[targets])

    usual_day = otherwise(then(usual_days, panel.daily(usual_days), panel.daily(usual_days + 1)), levels["week_mean"])
    similar = otherwise(then(usual_days, panel.similar(usual_days), panel.similar(usual_days + 1)), usual_day)
    usual = otherwise(then(7 * usual_weeks, panel.weekly(usual_weeks), panel.weekly(usual_weeks + 1)), similar)
    weekly = panel.weekly(usual_weeks + 1)
    earlier = {
        "last_week": then(7 * weeks, panel.at(7 * weeks), panel.at(7 * weeks + 7)),
        "yesterday": then(days, panel.at(days), panel.at(days + 1)),
        "usual_day": usual_day,
        "similar": similar,
        "usual_next": weekly[np.minimum(targets + panel.per_hour, len(panel.local) - 1)],
        "usual_before": weekly[np.maximum(targets - panel.per_hour, 0)],
        "now": levels["now"],
        "hour_mean": levels["hour_mean"],
    }
    columns = levels | {name: np.nan_to_num(column - usual) for name, column in earlier.items()}
    columns["odd_yesterday"] = then(days, panel.odd_before(days), panel.odd_before(days + 1))
    columns["odd_last_week"] = then(7 * weeks, panel.odd_before(7 * weeks), panel.odd_before(7 * weeks + 7))
    columns |= _days(panel, origins, targets)
    columns["usual"] = usual
    columns["usual_slope"] = usual - panel.usual_now[origins]
    columns["ahead"] = np.full(len(origins), math.log(horizon))
    return columns


def matrix(columns: dict[str, Floats], names: tuple[str, ...]) -> Floats:
    return np.column_stack([columns[name] for name in names])


def _levels(panel: Panel, origins: Ints) -> dict[str, Floats]:
    hour, day = panel.per_hour, panel.per_day
    odd = panel.odd
    return {
        "now": panel.filled[origins],
        "hour_mean": trailing(panel.filled, hour)[origins],
        "week_mean": trailing(panel.filled, panel.per_week)[origins],
        "odd_now": odd[origins],
        "odd_1": odd[np.maximum(origins - 1, 0)],
        "odd_2": odd[np.maximum(origins - 2, 0)],
        "odd_hour": trailing(odd, hour)[origins],
        "odd_hours_3": trailing(odd, 3 * hour)[origins],
        "odd_hours_6": trailing(odd, 6 * hour)[origins],
        "odd_day": trailing(odd, day)[origins],
        "odd_week": trailing(odd, panel.per_week)[origins],
        "odd_day_now": (panel.filled - panel.usual_day_now)[origins],
        "odd_similar_now": (panel.filled - panel.similar_now)[origins],
    }


def _days(panel: Panel, origins: Ints, targets: Ints) -> dict[str, Floats]:
    weekday, hour = panel.weekday[targets], panel.hour[targets]
    angle = 2 * math.pi * hour / 24
    return {
        "holiday": _as_numbers(panel.is_holiday[targets]),
        "special": _as_numbers(panel.is_special[targets]),
        "after_holiday": _as_numbers(panel.beside(-1)[targets]),
        "before_holiday": _as_numbers(panel.beside(1)[targets]),
        "now_holiday": _as_numbers(panel.is_holiday[origins]),
        "weekend": _as_numbers(weekday >= 5),
        "monday": _as_numbers(weekday == 0),
        "friday": _as_numbers(weekday == 4),
        "sin_1": np.sin(angle),
        "cos_1": np.cos(angle),
        "hour": hour,
        "weekday": weekday.astype(np.float64),
    }


def _as_numbers(flags: Flags) -> Floats:
    return flags.astype(np.float64)
