"""Forecasts of whole series: better than naive, honest about how far off they may be, never broken by odd ones."""

from __future__ import annotations

import datetime as dt
import math
import subprocess
import sys
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docfleet.fleet.forecast.base import Calendar, Forecast, Series
from docfleet.fleet.forecast.choosing import forecast_series, train
from docfleet.fleet.forecast.record import LEVELS

HOUR = 3600.0
MONDAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC).timestamp()
NO_TREES = 0.0
MEDIAN = LEVELS.index(0.5)


def office(weeks: int, seed: int = 0, noise: float = 0.1, start: float = MONDAY) -> list[float]:
    """Full by day, hardly anything at night, a tenth at weekends, growing; what is over the usual lasts some hours."""
    rng = np.random.default_rng(seed)
    odd, values = 0.0, []
    for at in range(weeks * 168):
        hour, day = at % 24, at // 24 % 7
        odd = 0.8 * odd + rng.normal(0, noise)
        usual = (5 + 100 * math.exp(-(((hour - 13) / 4) ** 2))) * (0.1 if day >= 5 else 1.0) * (1 + at / 4000)
        values.append(float(rng.poisson(usual * math.exp(odd))))
    return values


def hourly(values: list[float | None] | list[float], timezone: str = "UTC", start: float = MONDAY) -> Series:
    return Series(start, HOUR, tuple(values), timezone)


def assert_sound(forecast: Forecast, horizon: int) -> None:
    table = np.array(forecast.values)
    assert table.shape == (len(forecast.levels), horizon)
    assert np.isfinite(table).all()
    assert (table >= 0).all()
    assert (np.diff(table, axis=0) >= 0).all(), "quantiles cross"


def wape(said: np.ndarray, came: np.ndarray) -> float:
    return float(np.abs(said - came).sum() / came.sum())


def test_an_office_week_is_forecast_better_than_by_naive_rules_and_within_its_interval() -> None:
    values = office(8)
    begin = 6 * 168
    trained = train(hourly(values[:begin]), 24, effort_seconds=NO_TREES)
    assert trained.scores[0].model.startswith("combination: ")
    came = np.array(values)
    inside = []
    for horizon, least in ((1, 0.3), (24, 0.1)):
        origins = np.arange(begin - 1, len(values) - horizon)
        rolled = trained.rolling(hourly(values), origins, horizon)
        targets = origins + horizon
        naive = min(wape(came[targets - 168], came[targets]), wape(came[origins], came[targets]))
        assert wape(rolled.values[MEDIAN], came[targets]) < (1 - least) * naive
        inside += ((rolled.values[0] <= came[targets]) & (came[targets] <= rolled.values[-2])).tolist()
    assert 0.85 <= np.mean(inside) <= 0.96
    forecast = trained.forecast(hourly(values), 24)
    assert forecast.trust.trusted, forecast.trust.reason


def test_trees_find_what_lines_cannot() -> None:
    rng = np.random.default_rng(2)
    values = [40.0]
    for at in range(1, 6 * 168):
        swing = 1.8 if values[-1] < 40 else 0.5  # it jumps between a low and a high state, more strongly by day
        values.append(
            float(np.clip(values[-1] * swing * (1.2 if 8 <= at % 24 < 20 else 1.0) + rng.normal(0, 2), 5, 120))
        )
    with_trees = train(hourly(values), 1, effort_seconds=600)
    errors = {score.model: score.wape for score in with_trees.scores}
    assert errors["boosted"] < 0.8 * min(errors["linear"], errors["linear_log"])
    assert with_trees.scores[0].model.startswith("combination: boosted")
    without = {score.model: score.wape for score in train(hourly(values), 1, effort_seconds=NO_TREES).scores}
    assert math.isnan(without["boosted"]), "no time, no trees"


def test_rolling_says_what_forecasts_made_one_by_one_say() -> None:
    values = office(7)
    trained = train(hourly(values[: 6 * 168]), 24, effort_seconds=NO_TREES)
    origins = np.arange(6 * 168 + 20, 6 * 168 + 60)
    rolled = {horizon: trained.rolling(hourly(values), origins, horizon).values for horizon in (1, 24)}
    for at in (0, 17, 39):
        forecast = trained.forecast(hourly(values[: int(origins[at]) + 1]), 24)
        for horizon, table in rolled.items():
            one_by_one = [row[horizon - 1] for row in forecast.values]
            assert one_by_one == pytest.approx(table[:, at].tolist(), rel=0.02, abs=0.5)


def test_the_future_in_a_series_changes_nothing_before_it() -> None:
    values = office(6)
    trained = train(hourly(values[: 5 * 168]), 24, effort_seconds=NO_TREES)
    origins = np.arange(5 * 168, 5 * 168 + 30)
    other = [*values[: 5 * 168 + 30], *(9000.0 for _ in range(138))]
    for horizon in (1, 24):
        seen = trained.rolling(hourly(values), origins, horizon).values
        assert np.array_equal(seen, trained.rolling(hourly(other), origins, horizon).values)


def test_the_busy_hour_stays_on_the_wall_clock_when_the_clocks_change() -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = dt.datetime(2024, 2, 19, tzinfo=dt.UTC).timestamp()
    end = dt.datetime(2024, 3, 30, 12, tzinfo=dt.UTC).timestamp()
    hours = [dt.datetime.fromtimestamp(start + at * HOUR, zone).hour for at in range(int((end - start) / HOUR))]
    values = [200.0 if hour == 9 else 10.0 for hour in hours]
    forecast = forecast_series(hourly(values, "Europe/Berlin", start), 72, effort_seconds=NO_TREES)
    median = forecast.values[MEDIAN]
    busy = [at for at, value in enumerate(median) if value > 100]
    local = [dt.datetime.fromtimestamp(forecast.start + at * HOUR, zone).hour for at in busy]
    assert local == [9, 9, 9]


def test_a_holiday_is_forecast_as_one() -> None:
    values = office(10, noise=0.02)
    for day in (23, 44):
        values[day * 24 : day * 24 + 24] = [one * 0.1 for one in values[day * 24 : day * 24 + 24]]
    days = frozenset(str(dt.date(2024, 1, 1) + dt.timedelta(days=day)) for day in (23, 44, 70))
    ordinary = forecast_series(hourly(values), 24, effort_seconds=NO_TREES)
    holiday = forecast_series(hourly(values), 24, Calendar(holidays=days), effort_seconds=NO_TREES)
    assert sum(holiday.values[MEDIAN]) < 0.4 * sum(ordinary.values[MEDIAN])


def test_jobs_on_the_full_hour_are_forecast_on_the_full_hour() -> None:
    rng = np.random.default_rng(5)
    shape = np.array([60.0, *[6.0] * 11])
    values = rng.poisson(np.tile(shape, 24 * 15)).astype(float)
    forecast = forecast_series(Series(MONDAY, 300.0, tuple(values.tolist())), 36, effort_seconds=NO_TREES)
    median = np.array(forecast.values[MEDIAN]).reshape(3, 12)
    assert (median[:, 0] > 45).all()
    assert (median[:, 1:] < 10).all()
    assert_sound(forecast, 36)


@pytest.mark.slow
def test_a_week_of_five_minutes_is_forecast_in_every_step() -> None:
    values = np.repeat(office(3), 12) / 12
    forecast = forecast_series(Series(MONDAY, 300.0, tuple(values.tolist())), 2016, effort_seconds=NO_TREES)
    assert_sound(forecast, 2016)
    came = np.repeat(office(4)[-168:], 12) / 12
    assert wape(np.array(forecast.values[MEDIAN]), came) < 0.5


ODD: dict[str, tuple[float | None, ...]] = {
    "none": (),
    "unknown": (None,) * 60,
    "one": (5.0,),
    "three": (1.0, 2.0, None),
    "nothing ever came": (0.0,) * 600,
    "always the same": (7.0,) * 600,
    "huge": tuple(1e300 * (1 + at % 24) for at in range(500)),
    "tiny": tuple(1e-300 * (1 + at % 24) for at in range(500)),
    "no numbers": (math.nan, math.inf, -1.0) * 100,
    "one peak": (*[0.0] * 400, 1e9, *[0.0] * 100),
    "only the last": (*[None] * 700, 3.0),
    "silent at the end": (*(5.0 + at % 24 for at in range(500)), *[None] * 200),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("step", [300.0, 420.0, HOUR, 86_400.0])
def test_odd_series_give_a_sound_forecast(name: str, step: float) -> None:
    series = Series(1_600_000_007.0, step, ODD[name], "America/New_York")
    forecast = forecast_series(series, 30, effort_seconds=NO_TREES)
    assert_sound(forecast, 30)
    assert forecast.start == series.start + len(series.values) * step


@settings(max_examples=15, deadline=None)
@given(
    values=st.lists(st.none() | st.floats() | st.floats(0, 1000), max_size=80),
    repeat=st.integers(1, 6),
    step=st.sampled_from([300.0, 1800.0, HOUR, 7200.0]),
)
def test_any_series_gives_a_sound_forecast(values: list[float | None], repeat: int, step: float) -> None:
    forecast = forecast_series(Series(MONDAY, step, tuple(values * repeat)), 26, effort_seconds=NO_TREES)
    assert_sound(forecast, 26)


def test_a_trained_forecaster_makes_do_with_less_than_it_was_trained_on() -> None:
    values = office(3)
    trained = train(hourly(values), 24, effort_seconds=NO_TREES)
    for hours in (1, 30, 200):
        assert_sound(trained.forecast(hourly(values[-hours:], start=MONDAY + (504 - hours) * HOUR), 24), 24)


def test_always_the_same_is_forecast_and_trusted() -> None:
    forecast = forecast_series(hourly([7.0] * 600), 24, effort_seconds=NO_TREES)
    assert np.array(forecast.values) == pytest.approx(7.0)
    assert forecast.trust.trusted


def test_a_gap_of_three_days_is_no_reason_to_forecast_nothing() -> None:
    values: list[float | None] = list(office(6, noise=0.05))
    values[4 * 168 : 4 * 168 + 72] = [None] * 72
    whole = forecast_series(hourly(office(6, noise=0.05)), 48, effort_seconds=NO_TREES)
    gap = forecast_series(hourly(values), 48, effort_seconds=NO_TREES)
    assert wape(np.array(gap.values[MEDIAN]), np.array(whole.values[MEDIAN])) < 0.15


def test_one_value_out_of_line_hardly_moves_the_forecast() -> None:
    values = office(6, noise=0.05)
    plain = forecast_series(hourly(values), 24, effort_seconds=NO_TREES)
    values[-30] *= 50
    after = forecast_series(hourly(values), 24, effort_seconds=NO_TREES)
    assert wape(np.array(after.values[MEDIAN]), np.array(plain.values[MEDIAN])) < 0.25


def test_a_new_level_is_followed_within_days_and_doubted_until_then() -> None:
    values = np.array(office(9, noise=0.05))
    values[7 * 168 :] *= 4
    trained = train(hourly(values[: 7 * 168].tolist()), 24, effort_seconds=NO_TREES)
    day = trained.rolling(hourly(values.tolist()), np.arange(7 * 168 - 1, 7 * 168 + 23), 24)
    later = trained.rolling(hourly(values.tolist()), np.arange(8 * 168 + 71, 8 * 168 + 95), 24)
    late = wape(later.values[MEDIAN], later.came)
    assert late < 0.3
    assert late < 0.6 * wape(day.values[MEDIAN], day.came)


def test_nothing_heavy_is_loaded_to_read_a_forecast_and_no_trees_to_offer_one() -> None:
    code = (
        "import sys; import docfleet.fleet.forecast.reading; a = 'numpy' in sys.modules;"
        "import docfleet.fleet.forecast.choosing; b = 'sklearn' in sys.modules; print(a, b)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
