"""Forecasts are made from the history in the ledger, by a process of its own, and nobody waits for it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from docfleet.domain.urgency import Pool
from docfleet.errors import ForecastFailed
from docfleet.fleet.forecast.base import Calendar, Series
from docfleet.fleet.outlook import Forecasts, Kept
from docfleet.fleet.training import RESOLUTIONS, ForecastChild, Task, Trainer, TrainingOptions
from docfleet.ledger import Ledger
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.fleet_history import HOUR
from new_ledger import new_ledger
from running import wait_for

WEEKS = 3


def remember(ledger: Ledger, weeks: int) -> None:
    """A pool with a plain daily shape, known by the hour."""
    end = int(time.time() // HOUR) * HOUR
    rows = [
        {"bucket": bucket, "arrived": round(100 + 80 * math.sin(bucket % 86400 / 86400 * 2 * math.pi))}
        for bucket in range(end - weeks * 7 * 86400, end, HOUR)
    ]
    with ledger.unit_of_work() as session:
        session.execute(
            text(
                "INSERT INTO fleet_history (region, pool, resolution, bucket, urgency, arrived, done, slices_done, "
                "pages_done, seconds_done) VALUES ('local', 'pdf', 3600, :bucket, '', :arrived, 0, 0, 0, 0)"
            ),
            rows,
        )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(new_ledger(tmp_path / "ledger.db")) as opened:
        yield opened


def test_a_forecast_comes_of_the_history(ledger: Ledger) -> None:
    remember(ledger, WEEKS)
    book = FleetBook(ledger, "local")
    trainer = Trainer(book, [Pool.PDF], TrainingOptions())
    begun = time.monotonic()
    trainer.look(time.time())
    assert time.monotonic() - begun < 10, "nobody waits"

    def made() -> bool:
        trainer.look(time.time())
        return book.forecast("pdf", HOUR) is not None

    wait_for(made, 110)
    row = book.forecast("pdf", HOUR)
    assert row is not None
    forecast = msgspec.json.decode(row[1], type=Kept).forecast
    assert forecast.step_seconds == HOUR
    assert len(forecast.values[0]) == RESOLUTIONS[0].horizon
    middle = forecast.values[forecast.levels.index(0.5)][:24]
    truth = [100 + 80 * math.sin((forecast.start + step * HOUR) % 86400 / 86400 * 2 * math.pi) for step in range(24)]
    assert sum(abs(a - b) for a, b in zip(middle, truth, strict=True)) / sum(truth) < 0.1
    outlook = Forecasts(book, 0.9, True).outlook(Pool.PDF, book.now(), 60.0, 2.0)
    assert outlook is not None
    assert outlook.upper >= outlook.expected > 0
    before = row[0]
    trainer.look(time.time())
    assert book.forecast("pdf", HOUR) == (before, row[1]), "it is not due again"


def test_a_service_that_was_down_is_no_demand_of_zero(ledger: Ledger) -> None:
    """Hours that nobody counted are unknown, but for those before anybody did."""
    book = FleetBook(ledger, "local")
    book.count_events()
    remember(ledger, 1)
    now = book.now()
    hour = int(now // HOUR) * HOUR
    with ledger.unit_of_work() as session:
        gone = {"a": hour - 100 * HOUR, "b": hour - 3 * HOUR}
        session.execute(text("DELETE FROM fleet_history WHERE resolution = 3600 AND bucket IN (:a, :b)"), gone)
        session.execute(text("UPDATE fleet_mark SET since = :since"), {"since": hour - 50 * HOUR})
    series = Trainer(book, [Pool.PDF], TrainingOptions()).series(Pool.PDF, RESOLUTIONS[0], now + 120)
    assert series is not None
    by_hour = {series.start + step * HOUR: value for step, value in enumerate(series.values)}
    assert by_hour[hour - 100 * HOUR] == 0.0
    assert by_hour[hour - 3 * HOUR] is None
    assert sum(value is None for value in series.values) == 1


def test_an_hour_in_which_nothing_came_is_known(ledger: Ledger) -> None:
    book = FleetBook(ledger, "local")
    for _ in range(3):
        book.count_events()
    [step] = book.history("pdf", HOUR, 0, book.now() + 1)
    assert (step.arrived, step.done) == (0, 0)
    assert book.counted_since() is not None


def test_a_pool_without_history_is_left_alone(ledger: Ledger) -> None:
    trainer = Trainer(FleetBook(ledger, "local"), [Pool.PDF, Pool.IMAGE], TrainingOptions())
    trainer.look(time.time())
    assert trainer._running is None


def test_a_process_that_dies_is_told_and_one_that_is_not_wanted_ends() -> None:
    task = Task(Series(0.0, 3600.0, (1.0,) * 50), 24, Calendar())
    child = ForecastChild(task)
    child._process.kill()
    child._process.wait()
    with pytest.raises(ForecastFailed, match="exit code -9"):
        child.answer()
    other = ForecastChild(task)
    other.end()
    assert other._process.returncode == -9
