"""When a forecast is relied on, how its quantiles are found and read."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.fleet.forecast.base import Forecast, Score, Series, Trust
from docfleet.fleet.forecast.choosing import forecast_series
from docfleet.fleet.forecast.reading import upper
from docfleet.fleet.forecast.record import LEVELS, Record, best_power, combine, echo, quantiles, shares
from docfleet.fleet.forecast.trusting import trust

HOUR = 3600.0
GOOD = (Score("combination: linear 100%", 0.1), Score("linear", 0.1), Score("last_value", 0.2))
NONE_MISSED = np.zeros(24)


def series(hours: int, last: float | None = 10.0) -> Series:
    return Series(0.0, HOUR, (*[10.0] * (hours - 1), last))


def said(start_hour: int, hours: int, low: float, high: float) -> Forecast:
    rows = tuple(tuple([low + (high - low) * level] * hours) for level in (0.0, 0.5, 1.0))
    return Forecast("linear", start_hour * HOUR, HOUR, (0.05, 0.5, 0.95), rows, GOOD, Trust(True, ""))


def test_two_weeks_are_needed() -> None:
    assert trust(series(13 * 24), GOOD, (), NONE_MISSED).reason.startswith("too little history: 13.0 days")
    assert trust(series(14 * 24), GOOD, (), NONE_MISSED) == Trust(True, "error 10% in the backtest, 20% by last_value")


def test_half_of_them_may_be_unknown() -> None:
    gaps = Series(0.0, HOUR, tuple(None if at % 3 else 1.0 for at in range(15 * 24)))
    assert not trust(gaps, GOOD, (), NONE_MISSED).trusted


def test_silence_since_hours_is_no_ground() -> None:
    quiet = msgspec.structs.replace(series(500), values=(*[10.0] * 494, *[None] * 6))
    assert trust(quiet, GOOD, (), NONE_MISSED) == Trust(False, "nothing is known of the last 6 hours")


def test_a_backtest_worse_than_naive_is_none() -> None:
    scores = (Score("combination: linear 100%", 0.3), *GOOD[1:])
    found = trust(series(500), scores, (), NONE_MISSED)
    assert found == Trust(False, "no better than last_value in the backtest: error 30% against 20%")


def test_misses_cost_trust_and_hits_give_it_back() -> None:
    wrong = [said(476, 24, 20.0, 30.0)]
    found = trust(series(500), GOOD, wrong, NONE_MISSED)
    assert found == Trust(False, "24 of the last 24 outcomes were outside of the 5-95 % interval")
    for right_since, trusted in ((490, False), (484, True)):
        corrected = [*wrong, said(right_since, 24, 5.0, 15.0)]
        assert trust(series(500), GOOD, corrected, NONE_MISSED).trusted is trusted
    assert trust(series(600), GOOD, wrong, NONE_MISSED).trusted, "misses of last week are forgotten"


def test_without_past_forecasts_the_newest_outcomes_of_the_record_decide() -> None:
    assert not trust(series(500), GOOD, (), np.array([1.0] * 10 + [0.0] * 14)).trusted
    assert trust(series(500), GOOD, (), np.array([1.0] * 8 + [0.0] * 16)).trusted


def test_a_sudden_change_costs_trust_end_to_end() -> None:
    rng = np.random.default_rng(4)
    values = [100 + 50 * math.sin(at / 24 * 2 * math.pi) + rng.normal(0, 3) for at in range(5 * 168)]
    calm = forecast_series(Series(0.0, HOUR, tuple(values)), 24, effort_seconds=0.0)
    assert calm.trust.trusted, calm.trust.reason
    changed = (*values, *(abs(rng.normal(0, 300)) for _ in range(24)))
    after = forecast_series(Series(0.0, HOUR, changed), 24, past=[calm], effort_seconds=0.0)
    assert "outside of the 5-95 % interval" in after.trust.reason
    recovered = (*values, *changed[-24:], *(values[at] for at in range(-168, 0)))
    assert forecast_series(Series(0.0, HOUR, recovered), 24, past=[calm], effort_seconds=0.0).trust.trusted


def record(said_: list[list[float]], came: list[float]) -> Record:
    return Record(np.arange(len(came)), np.array(said_), np.array(came))


def test_the_better_model_has_the_greater_share_and_the_prior_counts() -> None:
    came = [10.0] * 50
    one = record([[11.0, 12.0, 30.0, math.nan]] * 50, came)
    parts = shares(one, np.ones(50), np.ones(4))
    assert parts.sum() == pytest.approx(1.0)
    assert parts[0] > 7 * parts[1] > 0
    assert parts[2] == parts[3] == 0.0
    assert shares(one, np.ones(50), np.array([0.1, 1.0, 1.0, 1.0]))[0] < parts[0]


def test_a_model_that_cannot_tell_leaves_its_part_to_the_others() -> None:
    table = np.array([[10.0, math.nan], [10.0, 20.0], [math.nan, math.nan]])
    mean = combine(table, np.array([0.5, 0.5]))
    assert mean[:2].tolist() == [10.0, 15.0]
    assert math.isnan(mean[2])


def test_a_record_shows_only_what_was_known() -> None:
    one = record([[1.0]] * 10, list(map(float, range(10))))
    assert one.until(4, 3).came.tolist() == [2.0, 3.0, 4.0]
    more = one.more(np.array([9, 10, 11]), np.ones((3, 1)), np.array([1.0, math.nan, 7.0]))
    assert more.at[-2:].tolist() == [9, 11]


@given(st.lists(st.floats(-1e6, 1e6), max_size=60), st.floats(0.1, 20))
def test_quantiles_rise(errors: list[float], more: float) -> None:
    found = quantiles(np.array(errors), np.ones(len(errors)), more)
    assert found.shape == (len(LEVELS),)
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("count", [19, 39, 200])
def test_intervals_hold_what_they_promise_for_errors_of_one_kind(count: int) -> None:
    rng = np.random.default_rng(8)
    inside = 0
    for _ in range(2000):
        errors = rng.exponential(size=count + 1)
        found = quantiles(errors[:-1], np.ones(count), 1.0)
        inside += found[0] <= errors[-1] <= found[LEVELS.index(0.95)]
    assert 0.88 <= inside / 2000 <= 0.945


def test_errors_that_follow_each_other_count_for_fewer() -> None:
    rng = np.random.default_rng(9)
    alone = rng.normal(size=2000)
    follow = np.zeros(2000)
    for at in range(1, 2000):
        follow[at] = 0.8 * follow[at - 1] + alone[at]
    assert echo(alone) == pytest.approx(1.0, abs=0.2)
    assert echo(follow) == pytest.approx(9.0, rel=0.25)
    assert echo(np.zeros(100)) == echo(np.empty(0)) == 1.0


def test_errors_that_grow_with_demand_are_seen_to() -> None:
    rng = np.random.default_rng(10)
    expected = rng.uniform(1, 100, 4000)
    assert best_power(expected, expected * rng.uniform(0.5, 1.5, 4000), 50.0) == 1.0
    assert best_power(expected, expected + rng.normal(0, 5, 4000), 50.0) == 0.0


def test_the_upper_quantile_of_a_span() -> None:
    one = Forecast("x", 1000.0, 10.0, (0.5, 0.9), ((1.0, 2.0, 3.0), (2.0, 6.0, 4.0)), (), Trust(True, ""))
    assert upper(one, 0.9, 1000.0, 1029.0) == 6.0
    assert upper(one, 0.7, 1010.0, 1015.0) == pytest.approx(4.0)
    assert upper(one, 0.99, 1025.0, 2000.0) == 4.0
    assert upper(one, 0.1, 0.0, 1005.0) == 1.0
    assert upper(one, 0.9, 1030.0, 2000.0) == upper(one, 0.9, 0.0, 999.0) == upper(one, 0.9, 1020.0, 1010.0) == 0.0
