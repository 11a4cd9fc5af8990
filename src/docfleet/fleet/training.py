"""Forecasts are made anew from time to time, each in a process of its own that may take seconds and ends by itself.

The models and their libraries never enter the dispatcher: its threads have leases to expire meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import msgspec

from docfleet.domain.urgency import Pool
from docfleet.errors import ForecastFailed
from docfleet.fleet.forecast.base import Calendar, Forecast, Series
from docfleet.fleet.holidays import public_holidays
from docfleet.fleet.outlook import Kept
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.fleet_history import FIVE_MINUTES, HOUR
from docfleet.telemetry import logger

_log = logger(__name__)
CHILD = "docfleet.fleet.forecast.child"
MOST_SECONDS = 120.0
"""A training that takes longer is ended, and the forecast before it stays."""
EFFORT_SECONDS = 15.0
_NICE = 10


class Resolution(msgspec.Struct, frozen=True):
    """One kind of forecast."""

    seconds: int
    """Of a step."""
    every_seconds: float
    """How often it is made anew."""
    horizon: int
    """Steps ahead."""
    most_steps: int
    """Of the past, at most."""
    past: int
    """Earlier forecasts that are kept, to see how often they were wrong."""


RESOLUTIONS = (
    Resolution(HOUR, 3600.0, 7 * 24, 2 * 366 * 24, 12),
    Resolution(FIVE_MINUTES, 600.0, 36, 28 * 288, 12),
)


class TrainingOptions(msgspec.Struct, frozen=True):
    timezone: str = "UTC"
    country: str = ""
    holidays: frozenset[str] = frozenset()
    special: frozenset[str] = frozenset()


class Task(msgspec.Struct, frozen=True):
    """What the process is given on its standard input, as JSON; it answers with a `Forecast`."""

    series: Series
    horizon: int
    calendar: Calendar
    past: tuple[Forecast, ...] = ()
    effort_seconds: float = EFFORT_SECONDS


class Trainer:
    """Makes the forecasts of a region that are due."""

    def __init__(self, book: FleetBook, pools: Sequence[Pool], options: TrainingOptions) -> None:
        self._book, self._pools, self._options = book, tuple(pools), options

    def train_due(self, now: float) -> None:
        """The first that is due, one at a call, so that nothing waits long for this. `now`: seconds since 1970.

        Raises `ForecastFailed` when the process does not answer, `LedgerError`.
        """
        at = self._book.now()
        for resolution in RESOLUTIONS:
            for pool in self._pools:
                kept = self._book.forecast(pool, resolution.seconds)
                if kept is not None and at - kept[0] < resolution.every_seconds:
                    continue
                series = self.series(pool, resolution, at)
                if series is None:
                    continue
                self._train(pool, resolution, series, kept and kept[1], now)
                return

    def series(self, pool: Pool, resolution: Resolution, at: float) -> Series | None:
        """What arrived in every full step until `at`; None where nothing ever did. Steps without arrivals are 0."""
        first = self._book.first_step(pool, resolution.seconds)
        # what happened a moment ago is not counted yet
        end = int((at - 60.0) // resolution.seconds) * resolution.seconds
        if first is None or end - first < resolution.seconds:
            return None
        start = max(first, end - resolution.most_steps * resolution.seconds)
        counts = {step.bucket: float(step.arrived) for step in self._book.history(pool, resolution.seconds, start, end)}
        values = tuple(counts.get(bucket, 0.0) for bucket in range(start, end, resolution.seconds))
        return Series(float(start), float(resolution.seconds), values, self._options.timezone)

    def _train(self, pool: Pool, resolution: Resolution, series: Series, before: str | None, now: float) -> None:
        options = self._options
        holidays = public_holidays(options.country, now) | options.holidays
        kept = msgspec.json.decode(before, type=Kept) if before else None
        past = (*kept.past, kept.forecast)[-resolution.past :] if kept else ()
        forecast = run_task(Task(series, resolution.horizon, Calendar(holidays, options.special), past))
        self._book.keep_forecast(pool, resolution.seconds, msgspec.json.encode(Kept(forecast, past)).decode())
        _log.info(
            "forecast_made", pool=str(pool), step_seconds=resolution.seconds, model=forecast.model,
            trusted=forecast.trust.trusted, reason=forecast.trust.reason,
        )  # fmt: skip


def run_task(task: Task) -> Forecast:
    """The forecast, made in a process of its own. Raises `ForecastFailed`."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", CHILD], input=msgspec.json.encode(task), capture_output=True, timeout=MOST_SECONDS,
            preexec_fn=_be_nice if hasattr(os, "nice") else None, env={**os.environ, **_ONE_THREAD}, check=False,
        )  # fmt: skip
        return msgspec.json.decode(ended.stdout, type=Forecast)
    except subprocess.TimeoutExpired as error:
        raise ForecastFailed(f"The forecast was not made within {MOST_SECONDS:.0f} s.") from error
    except msgspec.MsgspecError as error:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        raise ForecastFailed(f"The forecast was not made: {said[-1] if said else ended.returncode}") from error


_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _be_nice() -> None:
    os.nice(_NICE)
