"""What a month will have cost at its end, from what its days have cost so far. Pure.

The days that are left are taken to be like those before: their mean, with a band that holds four times out of five if
days differ by chance. Weekends, holidays and growth are not modelled; the last four weeks hold as many weekends as
the days to come, roughly.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import msgspec

BAND = 1.2816
"""Standard deviations of a normal distribution between which four fifths lie."""


class Forecast(msgspec.Struct, frozen=True):
    """Micro-dollars at the end of the month."""

    low_micros: int
    expected_micros: int
    high_micros: int
    days_seen: int
    """Full days it rests on; 0: only on what today has brought so far."""


def forecast(
    spent_micros: int, full_days: Sequence[int], today_micros: int, today: float, days_left: float
) -> Forecast:
    """`full_days`: micro-dollars of each of the last full days, those of nothing included. `today`: how much of today
    is over, 0 to 1. `days_left`: days until the end of the month, with the rest of today.

    Never below what is spent. Without a full day there is no telling how days differ: the band is from what is spent to
    twice the rest.
    """
    left = max(0.0, days_left)
    if not full_days:
        rest = today_micros / max(today, 1 / 24) * left
        return Forecast(spent_micros, spent_micros + round(rest), spent_micros + round(2 * rest), 0)
    count = len(full_days)
    mean = sum(full_days) / count
    variance = sum((day - mean) ** 2 for day in full_days) / (count - 1) if count > 1 else mean**2
    # chance of the days to come, and that of the days the mean comes from
    spread = BAND * sqrt(variance * left + variance / count * left**2)
    rest = mean * left
    return Forecast(
        spent_micros + max(0, round(rest - spread)),
        spent_micros + round(rest),
        spent_micros + round(rest + spread),
        count,
    )
