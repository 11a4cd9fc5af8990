"""Forecasts are made anew from time to time, each in a process of its own that may take seconds and ends by itself.

The models and their libraries never enter the dispatcher: its threads have leases to expire meanwhile.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
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
_PR_SET_PDEATHSIG = 1


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
    Resolution(FIVE_MINUTES, 1800.0, 48, 28 * 288, 8),
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
    """Makes the forecasts of a region that are due, one at a time; never waits for one. Close it to end what runs."""

    def __init__(self, book: FleetBook, pools: Sequence[Pool], options: TrainingOptions) -> None:
        self._book, self._pools, self._options = book, tuple(pools), options
        self._running: _Running | None = None

    def look(self, now: float) -> None:
        """Starts what is due, or keeps what has come of it; call it every second or so. `now`: seconds since 1970.

        Raises `ForecastFailed` when nothing came of it, `LedgerError`.
        """
        if self._running is not None:
            self._look_after(self._running)
            return
        at = self._book.now()
        for resolution in RESOLUTIONS:
            for pool in self._pools:
                kept = self._book.forecast(pool, resolution.seconds)
                if kept is not None and at - kept[0] < resolution.every_seconds:
                    continue
                series = self.series(pool, resolution, at)
                if series is not None:
                    self._start(pool, resolution, series, kept and kept[1], now)
                    return

    def close(self) -> None:
        """Ends what is under way."""
        if self._running is not None:
            self._running.child.end()
            self._running = None

    def series(self, pool: Pool, resolution: Resolution, at: float) -> Series | None:
        """What arrived in every full step until `at`; None where nothing ever did.

        Steps that nobody counted are unknown: the service was down. Before anybody did they are taken for empty.
        """
        first = self._book.first_step(pool, resolution.seconds)
        # what happened a moment ago is not counted yet
        end = int((at - 60.0) // resolution.seconds) * resolution.seconds
        if first is None or end - first < resolution.seconds:
            return None
        start = max(first, end - resolution.most_steps * resolution.seconds)
        counts = {step.bucket: float(step.arrived) for step in self._book.history(pool, resolution.seconds, start, end)}
        since = self._book.counted_since() or at
        values = tuple(
            counts.get(bucket, 0.0 if bucket < since else None) for bucket in range(start, end, resolution.seconds)
        )
        return Series(float(start), float(resolution.seconds), values, self._options.timezone)

    def _start(self, pool: Pool, resolution: Resolution, series: Series, before: str | None, now: float) -> None:
        options = self._options
        holidays = public_holidays(options.country, now) | options.holidays
        kept = msgspec.json.decode(before, type=Kept) if before else None
        past = (*kept.past, kept.forecast)[-resolution.past :] if kept else ()
        task = Task(series, resolution.horizon, Calendar(holidays, options.special), past)
        self._running = _Running(pool, resolution, past, ForecastChild(task))

    def _look_after(self, running: _Running) -> None:
        try:
            forecast = running.child.answer()
        except ForecastFailed:
            self._running = None
            raise
        if forecast is None:
            return
        self._running = None
        kept = msgspec.json.encode(Kept(forecast, running.past)).decode()
        self._book.keep_forecast(running.pool, running.resolution.seconds, kept)
        _log.info(
            "forecast_made", pool=str(running.pool), step_seconds=running.resolution.seconds, model=forecast.model,
            trusted=forecast.trust.trusted, reason=forecast.trust.reason,
        )  # fmt: skip


class ForecastChild:
    """The process that makes one forecast. Its files are gone from the disk's folders before it starts."""

    def __init__(self, task: Task) -> None:
        self._deadline = time.monotonic() + MOST_SECONDS
        with tempfile.TemporaryFile() as given:
            given.write(msgspec.json.encode(task))
            given.seek(0)
            self._said, self._complained = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
            self._process = subprocess.Popen(
                [sys.executable, "-m", CHILD], stdin=given, stdout=self._said, stderr=self._complained,
                preexec_fn=_be_nice, env={**os.environ, **_ONE_THREAD},
            )  # fmt: skip

    def answer(self) -> Forecast | None:
        """None while it is at work. Raises `ForecastFailed` when it took too long or has no answer."""
        if self._process.poll() is None:
            if time.monotonic() < self._deadline:
                return None
            self.end()
            raise ForecastFailed(f"The forecast was not made within {MOST_SECONDS:.0f} s.")
        with self._said, self._complained:
            self._said.seek(0)
            self._complained.seek(0)
            try:
                return msgspec.json.decode(self._said.read(), type=Forecast)
            except msgspec.MsgspecError as error:
                said = self._complained.read().decode(errors="replace").strip().splitlines()
                why = said[-1] if said else f"{error}, exit code {self._process.returncode}"
                raise ForecastFailed(f"The forecast was not made: {why}") from error

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._said.close()
        self._complained.close()


class _Running(msgspec.Struct, frozen=True):
    pool: Pool
    resolution: Resolution
    past: tuple[Forecast, ...]
    child: ForecastChild


_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _be_nice() -> None:
    """In the child: others go first, and it ends with the process that wants its answer."""
    os.nice(_NICE)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
