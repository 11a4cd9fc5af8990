"""What a forecast may look at: local time, gaps, days of a kind, and never the future."""

from __future__ import annotations

import datetime as dt
import math
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docfleet.fleet.forecast.base import Calendar, Series
from docfleet.fleet.forecast.features import features
from docfleet.fleet.forecast.panel import Panel, as_floats, local_seconds
from docfleet.fleet.forecast.within_hour import flattened, profile_of

HOUR = 3600.0
MONDAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC).timestamp()


def hourly(values: list[float | None], start: float = MONDAY, timezone: str = "UTC") -> Series:
    return Series(start, HOUR, tuple(values), timezone)


def panel(series: Series, calendar: Calendar | None = None, ahead: int = 200, curve: float = 0.0) -> Panel:
    return Panel(series, calendar or Calendar(), ahead, 1.0, curve)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_the_local_clock_is_that_of_the_zone_through_a_whole_year(zone: str) -> None:
    series = hourly([0.0] * 8784, timezone=zone)
    expected = [
        dt.datetime.fromtimestamp(MONDAY + at * HOUR, ZoneInfo(zone)).replace(tzinfo=dt.UTC).timestamp()
        for at in range(8784)
    ]
    assert local_seconds(series, 8784).tolist() == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_a_day_before_is_the_same_hour_on_the_wall(zone: str) -> None:
    one = panel(hourly([0.0] * 8784, timezone=zone))
    lag = one.lag(1)
    steps = np.arange(30, 8784)
    apart = one.local[steps] - one.local[lag[steps]]
    skipped = apart != 86_400
    assert skipped.sum() <= 1, "only the hour that was skipped has none"
    assert set((steps - lag[steps])[~skipped].tolist()) == {23, 24, 25}


def test_demand_that_follows_the_wall_clock_is_seen_so_over_the_change() -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = dt.datetime(2024, 3, 4, tzinfo=dt.UTC).timestamp()
    hours = [dt.datetime.fromtimestamp(start + at * HOUR, zone).hour for at in range(6 * 168)]
    one = panel(hourly([100.0 if hour == 9 else 1.0 for hour in hours], start, "Europe/Berlin"))
    after = np.arange(28 * 24 + 3, 33 * 24)  # the clocks went forward on 31 March
    assert one.weekly(1)[after].tolist() == [100.0 if hours[at] == 9 else 1.0 for at in after]


def test_gaps_take_the_week_before_and_stay_unknown_as_outcomes() -> None:
    values: list[float | None] = [float(at % 168) for at in range(400)]
    values[200:230] = [None] * 30
    one = panel(hourly(values))
    assert one.filled[200:230].tolist() == [float(at % 168) for at in range(200, 230)]
    assert np.isnan(one.known[200:230]).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0, None])
def test_what_cannot_be_demand_is_unknown(bad: float | None) -> None:
    assert np.isnan(as_floats(hourly([1.0, bad]))).tolist() == [False, True]


def test_a_holiday_is_compared_with_sundays_and_does_not_spoil_the_next_weeks() -> None:
    values = [10.0 if (at // 24) % 7 == 6 else 100.0 for at in range(9 * 168)]
    for at in range(4 * 168 + 48, 4 * 168 + 72):  # Wednesday of the fifth week
        values[at] = 10.0
    calendar = Calendar(holidays=frozenset({"2024-01-31"}))
    one = panel(hourly(values), calendar)
    wednesday = slice(4 * 168 + 48, 4 * 168 + 72)
    assert set(one.weekly(1)[wednesday].tolist()) == {10.0}
    following = slice(5 * 168 + 48, 5 * 168 + 72)
    assert set(one.weekly(1)[following].tolist()) == {100.0}
    assert set(panel(hourly(values)).weekly(1)[wednesday].tolist()) == {100.0}


def test_a_special_day_is_compared_with_the_last_ones() -> None:
    values = [100.0] * (9 * 168)
    for day in (20, 40):
        values[day * 24 : day * 24 + 24] = [400.0] * 24
    special = frozenset(str(dt.date(2024, 1, 1) + dt.timedelta(days=day)) for day in (20, 40, 60))
    one = panel(hourly(values), Calendar(special=special))
    assert set(one.weekly(1)[60 * 24 : 61 * 24].tolist()) == {400.0}
    assert set(one.weekly(1)[59 * 24 : 60 * 24].tolist()) == {100.0}


def test_one_day_out_of_line_is_not_usual_a_week_later() -> None:
    rng = np.random.default_rng(1)
    values = (100 + rng.normal(0, 5, 5 * 168)).tolist()
    values[3 * 168 + 48 : 3 * 168 + 72] = [1000.0] * 24
    one = panel(hourly(values))
    assert one.weekly(1)[4 * 168 + 48 : 4 * 168 + 72].max() < 150, "a mean with it would be above 300"


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    horizon=st.sampled_from([1, 5, 23, 24, 25, 48, 167, 168]),
    origin=st.integers(400, 700),
    step=st.sampled_from([300.0, 900.0, HOUR]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
)
def test_no_column_knows_what_came_after_its_origin(
    seed: int, horizon: int, origin: int, step: float, zone: str
) -> None:
    rng = np.random.default_rng(seed)
    start = dt.datetime(2024, 3, 10, tzinfo=dt.UTC).timestamp()
    values = rng.uniform(1, 100, 900)
    other = values.copy()
    other[origin + 1 :] = rng.uniform(1000, 2000, 900 - origin - 1)
    calendar = Calendar(
        holidays=frozenset({"2024-03-18", "2024-03-29"}), special=frozenset({"2024-03-12", "2024-04-02"})
    )
    columns = [
        features(panel(Series(start, step, tuple(one.tolist()), zone), calendar, 400), np.array([origin]), horizon)
        for one in (values, other, values[: origin + 1])
    ]
    for name, column in columns[0].items():
        assert column[0] == columns[1][name][0] == columns[2][name][0], name


def test_what_recurs_within_the_hour_is_found_and_taken_away() -> None:
    rng = np.random.default_rng(3)
    shape = np.ones(12)
    shape[0] = 5.0
    values = rng.poisson(20 * np.tile(shape, 24 * 14)).astype(float)
    series = Series(MONDAY, 300.0, tuple(values.tolist()))
    profile = profile_of(series)
    assert profile[0] == pytest.approx(5 / (16 / 12), rel=0.05)
    flat = as_floats(flattened(series, profile)).reshape(-1, 12).mean(axis=0)
    assert flat.max() / flat.min() < 1.1


def test_an_even_hour_has_no_profile() -> None:
    rng = np.random.default_rng(3)
    series = Series(MONDAY, 300.0, tuple(rng.poisson(20, 12 * 24 * 14).astype(float).tolist()))
    assert (profile_of(series) == 1.0).all()
    assert flattened(series, profile_of(series)) is series
