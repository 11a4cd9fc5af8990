"""Made-up demand to plan with: an ordinary week, and the days that break things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import cos, pi

import msgspec
import numpy as np

from docfleet.errors import UsageError
from docfleet.fleet.forecast.base import Series
from docfleet.fleet.simulate.demand import Demand
from docfleet.fleet.simulate.world import Trouble

STEP = 300.0
"""Seconds of a step of the demand; the history before it has hours."""
HISTORY_HOURS = 28 * 24
START = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
"""A Monday, 0:00 UTC."""
WEEKEND = 0.3
"""Of a weekday's demand."""
PEAK_FACTOR = 10.0


class Scenario(msgspec.Struct, frozen=True):
    about: str
    hours: int
    factor: Callable[[float], float]
    """Demand at an hour of the run, over that of an ordinary hour of the same name."""
    flat: bool = False
    """No days and weeks: what is ordinary is always the same."""
    sudden: bool = False
    first_hour: int = 0
    """Of the week (0: Monday, midnight) in which it begins."""
    troubles: tuple[Trouble, ...] = ()


def _shape(hour: float) -> float:
    """Office hours, a quiet night, a quieter weekend."""
    of_day = hour % 24
    bump = 1.5 * max(0.0, cos((of_day - 13.5) / 11 * pi / 1.2)) if 4 < of_day < 23 else 0.0
    return (0.25 + bump) * (WEEKEND if (hour // 24) % 7 >= 5 else 1.0)


_MEAN = sum(_shape(hour + 0.5) for hour in range(168)) / 168


def weekly(hour: float) -> float:
    """Demand at an hour of the week (0: Monday, midnight) over its mean."""
    return _shape(hour) / _MEAN


def _between(low: float, first: float, after: float, high: float) -> Callable[[float], float]:
    return lambda hour: high if first <= hour < after else low


def _black_friday(hour: float) -> float:
    """From midnight of the Friday on; what people had in mind all week is missing before, and gone after it."""
    if hour < 24:
        return 0.8
    return 6.0 * max(0.35, cos((hour % 24 - 12) / 24 * pi)) if hour < 48 else 1.5


SCENARIOS: Mapping[str, Scenario] = {
    "day": Scenario("an ordinary weekday", 24, lambda hour: 1.0),
    "week": Scenario("an ordinary week: office hours, quiet nights, a quieter weekend", 168, lambda hour: 1.0),
    "peak": Scenario(
        "ten times the ordinary from one second to the next, for an hour",
        6,
        _between(1.0, 2, 3, PEAK_FACTOR),
        flat=True,
        sudden=True,
    ),
    "month-end": Scenario(
        "three days of which the last is the month's: three times the ordinary",
        72,
        lambda hour: 1.0 if hour < 48 else 3.0,
    ),
    "black-friday": Scenario(
        "Thursday to Saturday, six times the ordinary from midnight", 72, _black_friday, first_hour=72
    ),
    "region-gone": Scenario(
        "at noon another region of the same size fails: its documents come here, for four hours",
        24,
        _between(1.0, 12, 16, 2.0),
        sudden=True,
    ),
    "half-the-nodes": Scenario(
        "half of the nodes die at two in the afternoon",
        24,
        lambda hour: 1.0,
        troubles=(Trouble(at_seconds=14 * 3600.0, share_dies=0.5),),
    ),
    "night": Scenario("nothing at all but for office hours", 48, lambda hour: 1.0 if 8 <= hour % 24 < 18 else 0.0),
}


def scenario(name: str, documents_per_hour: float, seed: int) -> Demand:
    """A scenario whose ordinary mean is `documents_per_hour`, with four ordinary weeks before it.

    Raises UsageError for a name there is not.
    """
    found = SCENARIOS.get(name)
    if found is None:
        raise UsageError(f"There is no scenario {name}: take one of {', '.join(SCENARIOS)}.")
    random = np.random.default_rng(seed)

    def ordinary(hour: float) -> float:
        return documents_per_hour * (1.0 if found.flat else weekly(hour))

    first = found.first_hour
    steps = round(found.hours * 3600 / STEP)
    hours = [(number + 0.5) * STEP / 3600 for number in range(steps)]
    rates = tuple(ordinary(first + hour) * found.factor(hour) / 3600 for hour in hours)
    noise = random.lognormal(0.0, 0.1, HISTORY_HOURS)
    before = tuple(
        float(ordinary(first - HISTORY_HOURS + number + 0.5) * noise[number]) for number in range(HISTORY_HOURS)
    )
    start = START + first * 3600
    history = Series(start - HISTORY_HOURS * 3600, 3600.0, before)
    return Demand(name, start, STEP, rates, history, sudden=found.sudden)
