"""Recorded demand as it is read, forecasts as they are read off, and the autoscaler that docfleet is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from docfleet.domain.load import Caps, ClassLoad, PoolLoad
from docfleet.domain.urgency import Urgency
from docfleet.errors import UsageError
from docfleet.fleet.forecast.base import Series
from docfleet.fleet.simulate.arrivals import draw
from docfleet.fleet.simulate.demand import Demand, read_series, split
from docfleet.fleet.simulate.forecasters import Rolling, Seasonal
from docfleet.fleet.simulate.scalers import QueueLength, QueueRule
from docfleet.fleet.simulate.world import Work


def written(folder: Path, *lines: str) -> Path:
    path = folder / "demand.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_recorded_series_is_read_with_its_gaps(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "timestamp,value",
        "2026-03-01 00:00:00,10",
        "2026-03-01 01:00:00,",
        "2026-03-01 02:00:00,30",
        "2026-03-01 04:00:00,50",
    )
    series = read_series(path)
    assert series.step_seconds == 3600
    assert series.values == (10, None, 30, None, 50)
    demand = split(series, 0.4)
    assert demand.rates == pytest.approx((40 / 3600, 50 / 3600))
    assert demand.history is not None
    assert demand.history.values == (10, None, 30)
    doubled = demand.scaled(90)
    assert sum(doubled.rates) * 3600 == pytest.approx(180)
    assert doubled.history is not None
    assert doubled.history.values == (20, None, 60)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["when,value", "2026-03-01,1", "2026-03-02,1"], "columns timestamp and value"),
        (["timestamp,value", "2026-03-01,1"], "fewer than two steps"),
        (["timestamp,value", "2026-03-01,1", "yesterday,1"], "Line 3"),
        (["timestamp,value", "2026-03-01,1", "2026-03-02,-4"], "no number of documents"),
        (["timestamp,value", "2026-03-01,1", "2026-03-02,nan"], "no number of documents"),
        (["timestamp,value", "2026-03-02,1", "2026-03-01,1"], "do not rise"),
        (["timestamp,value", "2026-03-01T00:00,1", "2026-03-01T01:00,1", "2026-03-01T01:20,1"], "not equally long"),
    ],
)
def test_what_is_no_series_is_refused_in_a_sentence(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_series(written(tmp_path, *lines))


def test_a_demand_of_nothing_is_not_scaled() -> None:
    with pytest.raises(UsageError, match="nothing"):
        Demand("none", 0.0, 60.0, (0.0, 0.0)).scaled(100)


def test_arrivals_follow_the_demand_and_their_batches() -> None:
    demand = Demand("step", 0.0, 3600.0, (1.0, 3.0), sudden=True)
    for batch in (1.0, 5.0):
        work = Work(batch_documents=batch)
        arrivals = draw(demand, work, 10.0, 1)
        first, second = arrivals.documents[0, :360].sum(), arrivals.documents[0, 360:].sum()
        assert first == pytest.approx(3600, rel=0.1)
        assert second == pytest.approx(10_800, rel=0.1)
        assert arrivals.work.sum() == pytest.approx((first + second) * work.mean_seconds, rel=0.06)
    single, batched = (
        draw(demand, Work(batch_documents=batch), 10.0, 1).documents[0, :360].var() for batch in (1.0, 5.0)
    )
    assert batched > 3 * single, "documents that come together come unevenly"


def test_a_forecast_is_read_where_a_new_worker_would_start() -> None:
    hour = 3600.0
    history = Series(0.0, hour, tuple(36.0 for _ in range(10)))
    rolling = Rolling(history, 10 * hour, 10.0, lambda series: ([(72.0, 108.0), (144.0, 216.0)], "told so"))
    # the middle of the coming hour holds 72 documents of 10 s: 0.2 slots
    middle = rolling.outlook(10.5 * hour, 0.0)
    assert middle is not None
    assert middle.expected == pytest.approx(0.2)
    assert middle.upper == pytest.approx(0.3)
    later = rolling.outlook(10.5 * hour, hour)
    assert later is not None
    assert later.expected == pytest.approx(0.4)
    assert later.reason == "told so"


def test_a_forecaster_learns_what_has_arrived() -> None:
    seen: list[Series] = []

    def ahead(series: Series) -> None:
        seen.append(series)

    rolling = Rolling(Series(0.0, 60.0, (5.0,)), 60.0, 1.0, ahead)
    for second in range(60, 180, 15):
        rolling.arrived(second, 15.0, 2.0, 8.0)
    assert [one.values for one in seen] == [(5.0,), (5.0, 8.0), (5.0, 8.0, 8.0)]
    found = rolling.outlook(180.0, 60.0)
    assert found is not None
    assert not found.trusted


def test_the_seasonal_forecast_is_a_week_ago_at_todays_level() -> None:
    week = [10.0 + 5 * np.sin(hour / 24 * 2 * np.pi) for hour in range(168)]
    values = (*week, *week, *(2 * value for value in week[:12]))
    found = Seasonal()(Series(0.0, 3600.0, values))
    assert found is not None
    assert found[0][0][0] == pytest.approx(2 * week[12])
    assert Seasonal()(Series(0.0, 3600.0, values[:30])) is None


def loaded(documents: int) -> PoolLoad:
    return PoolLoad("pdf", 0.0, (ClassLoad(Urgency.NORMAL, 60.0, waiting_documents=documents),))


def test_queue_length_scales_as_the_autoscaler_of_kubernetes_does() -> None:
    scaler = QueueLength(QueueRule(per_worker=10.0, max_workers=50))
    assert scaler.size(loaded(200), Caps(), 5, 0.0) == 10, "at most doubled"
    assert scaler.size(loaded(200), Caps(), 10, 15.0) == 20
    assert scaler.size(loaded(210), Caps(), 20, 30.0) == 20, "within the tolerance"
    assert scaler.size(loaded(0), Caps(), 20, 45.0) == 20, "stabilised"
    assert scaler.size(loaded(0), Caps(), 20, 400.0) == 1
