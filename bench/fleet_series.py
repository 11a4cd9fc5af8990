"""Recorded demand for the fleet's benchmarks, and forecasts of it as they would have been made on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from bench.corpora import CORPORA
from bench.forecast import calendar_of
from docfleet.fleet.forecast.base import Series
from docfleet.fleet.forecast.choosing import train
from docfleet.fleet.forecast.reading import at_level
from docfleet.fleet.simulate.compare import MakeForecaster, Plan
from docfleet.fleet.simulate.demand import Demand, bridged, read_series
from docfleet.fleet.simulate.forecasters import Bands, Rolling
from docfleet.fleet.simulate.scalers import Forecaster
from docfleet.fleet.simulate.world import read_toml

SETTINGS = Path(__file__).with_name("fleet_settings.toml")
HOLIDAYS = {"nab_nyc": "US", "uci_bike": "US", "nasa": "US"}
"""By the beginning of a file's name."""
SHARE = 0.2
"""Of each series: the part that the benchmark runs."""
TRAININGS = 1
"""At most, on the way through a part of a series: those of a service would be newer."""
EFFORT_SECONDS = 30.0


class FleetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `fleet_settings.toml`."""

    busy_slots: float
    p95_seconds: float
    plan: Plan


def fleet_settings() -> FleetSettings:
    return read_toml(SETTINGS, FleetSettings)


def series_files(folder: Path = CORPORA / "load") -> list[Path]:
    return sorted(folder.glob("*.csv"))


@dataclass(frozen=True)
class Part:
    """A part of a series as demand, with the forecasts of each of its steps from those before it."""

    demand: Demand
    factor: float
    """Documents of one unit of the series."""
    said: Mapping[int, tuple[Sequence[float], np.ndarray, str]]
    """Steps known -> (levels, a column of values for each of the next two steps, why it is trusted)"""

    def forecaster(self) -> MakeForecaster:
        def make(history: Series, start: float, seconds_per_document: float, quantile: float) -> Forecaster:
            def ahead(known: Series) -> tuple[Bands, str] | None:
                found = self.said.get(len(known.values))
                if found is None:
                    return None
                levels, columns, reason = found
                return [
                    (
                        at_level(tuple(levels), tuple(column), 0.5) * self.factor,
                        at_level(tuple(levels), tuple(column), quantile) * self.factor,
                    )
                    for column in columns.T
                ], reason

            return Rolling(history, start, seconds_per_document, ahead)

        return make


def part_of(path: Path, settings: FleetSettings, begin: float, end: float) -> Part:
    """The steps between two shares of a series, scaled so that they keep `busy_slots` slots busy on average."""
    series = read_series(path)
    length = len(series.values)
    first, after = round(begin * length), round(end * length)
    known = msgspec.structs.replace(series, values=series.values[:after])
    rates = tuple(value / series.step_seconds for value in bridged(known.values)[first:])
    history = msgspec.structs.replace(series, values=series.values[:first])
    start = series.start + first * series.step_seconds
    raw = Demand(path.stem, start, series.step_seconds, rates, history)
    wanted = settings.busy_slots / settings.plan.world.work.mean_seconds
    factor = wanted / (sum(rates) / len(rates))
    return Part(raw.times(factor), factor, _forecasts(path, known, first))


def _forecasts(path: Path, series: Series, first: int) -> dict[int, tuple[Sequence[float], np.ndarray, str]]:
    """What is said of the next two steps from every step on, trained on what came before, again on the way."""
    country = next((name for start, name in HOLIDAYS.items() if path.name.startswith(start)), None)
    calendar = calendar_of(series, country)
    length = len(series.values)
    week = round(7 * 86_400 / series.step_seconds)
    between = max(week, -(-(length - first) // TRAININGS))
    said = {}
    for begin in range(first, length, between):
        until = min(begin + between, length)
        known = msgspec.structs.replace(series, values=series.values[:begin])
        trained = train(known, 2, calendar, effort_seconds=EFFORT_SECONDS)
        trust = trained.forecast(known, 2).trust
        if not trust.trusted:
            continue
        origins = np.arange(begin - 1, until - 1)
        rolled = [trained.rolling(series, origins, horizon) for horizon in (1, 2)]
        for place, origin in enumerate(origins):
            columns = np.column_stack([one.values[:, place] for one in rolled])
            said[int(origin) + 1] = (rolled[0].levels, columns, trust.reason)
    return said
