"""Forecast error on recorded demand: `python -m bench.forecast`.

The last fifth of each series is forecast, every step of it, an hour and a day ahead, by a model that was trained on
what came before, and is trained again a few times on the way. It stands against the better of "same hour last week" and
"last value". Nothing was chosen by looking at that fifth: what was tried was tried with `--development`, which does
the same to the last quarter of the first four fifths.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np

from bench.corpora import CORPORA
from bench.table import Row, as_markdown
from docfleet.fleet.forecast.base import Calendar, Series
from docfleet.fleet.forecast.choosing import train
from docfleet.fleet.forecast.panel import Floats, Ints, as_floats
from docfleet.fleet.forecast.record import LEVELS

HOURS = (1, 24)
SHARE = 0.2
_DEVELOPMENT_SHARE = 0.25
_TRAININGS = 4
"""At most, on the way through a series."""
_EFFORT_SECONDS = 600.0
"""More than it takes on a free machine, so that a busy one gives the same figures."""
_COUNTRIES = {"nab_nyc_taxi": "US", "uci_bike": "US", "nasa_http": "US"}
"""By the beginning of a file's name: whose holidays are known."""


@dataclass(frozen=True)
class Result:
    series: str
    hours: int
    outcomes: int
    naive: str
    naive_wape: float
    wape: float
    inside: int
    seconds: float

    @property
    def saved(self) -> float:
        """Share of the naive error that is avoided."""
        return 1 - self.wape / self.naive_wape


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.forecast", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=CORPORA / "load", help="folder of CSV files: timestamp,value")
    parser.add_argument("--only", nargs="*", help="beginnings of file names")
    parser.add_argument(
        "--country", help="whose holidays all series follow (default: by name, for those of the corpora)"
    )
    parser.add_argument("--no-holidays", action="store_true")
    parser.add_argument("--development", action="store_true", help="the last quarter of the first four fifths instead")
    chosen = parser.parse_args(arguments)
    files = [
        path
        for path in sorted(chosen.data.glob("*.csv"))
        if not chosen.only or path.name.startswith(tuple(chosen.only))
    ]
    if not files:
        print(f"no CSV files in {chosen.data}", file=sys.stderr)
        return 2
    results = []
    for path in files:
        series = read_series(path)
        country = None if chosen.no_holidays else chosen.country or _country(path)
        if chosen.development:
            series = Series(series.start, series.step_seconds, series.values[: int(len(series.values) * (1 - SHARE))])
        share = _DEVELOPMENT_SHARE if chosen.development else SHARE
        results += measure(path.stem, series, calendar_of(series, country), share)
        for result in results[-len(HOURS) :]:
            print(f"{result}", file=sys.stderr, flush=True)
    rows = targets(results)
    print(_table(results) + "\n\n" + as_markdown(rows))
    return 0 if all(row.holds for row in rows) else 1


def read_series(path: Path) -> Series:
    """Times are taken as they stand, without a zone; lines that are missing or empty are unknown values."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = [(line["timestamp"], line["value"]) for line in csv.DictReader(file)]
    moments = [dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC).timestamp() for moment, _ in lines]
    step = float(np.median(np.diff(moments)))
    values: list[float | None] = [None] * (round((moments[-1] - moments[0]) / step) + 1)
    for moment, (_, value) in zip(moments, lines, strict=True):
        if value and math.isfinite(float(value)):
            values[round((moment - moments[0]) / step)] = float(value)
    return Series(start=moments[0], step_seconds=step, values=tuple(values))


def calendar_of(series: Series, country: str | None) -> Calendar:
    if country is None:
        return Calendar()
    import holidays

    end = series.start + len(series.values) * series.step_seconds
    years = range(*(dt.datetime.fromtimestamp(at, dt.UTC).year + more for at, more in ((series.start, 0), (end, 2))))
    return Calendar(holidays=frozenset(str(day) for day in holidays.country_holidays(country, years=years)))


def measure(name: str, series: Series, calendar: Calendar, share: float) -> list[Result]:
    """Both horizons. Every origin is used; an origin sees what came up to it."""
    per_hour = max(1, round(3600 / series.step_seconds))
    length, longest = len(series.values), max(HOURS) * per_hour
    begin = length - int(length * share)
    said: dict[int, list[Floats]] = {hours: [] for hours in HOURS}
    targets: dict[int, list[Floats]] = {hours: [] for hours in HOURS}
    began = time.monotonic()
    stride = math.ceil((length - begin + longest) / _TRAININGS)
    for start in range(begin - longest, length - 1, stride):
        trained = train(_first(series, start + 1), longest, calendar, effort_seconds=_EFFORT_SECONDS)
        for hours in HOURS:
            origins = np.arange(start, start + stride)
            ahead = origins + hours * per_hour
            origins = origins[(ahead >= begin) & (ahead < length)]
            if len(origins):
                seen = _first(series, int(origins[-1]) + hours * per_hour + 1)
                said[hours].append(trained.rolling(seen, origins, hours * per_hour).values)
                targets[hours].append(origins + hours * per_hour)
    seconds = time.monotonic() - began
    return [
        _result(name, series, hours, np.concatenate(said[hours], axis=1), np.concatenate(targets[hours]), seconds)
        for hours in HOURS
    ]


def _result(name: str, series: Series, hours: int, said: Floats, targets: Ints, seconds: float) -> Result:
    step = series.step_seconds
    values = as_floats(series)
    last = _last_known(values)[targets - round(hours * 3600 / step)]
    week = values[targets - round(7 * 86_400 / step)]
    came = values[targets]
    known = ~np.isnan(came) & ~np.isnan(week)
    errors = {
        "last value": _wape(last[known], came[known]),
        "same hour last week": _wape(week[known], came[known]),
    }
    naive = min(errors, key=lambda one: errors[one])
    low, middle, high = (said[LEVELS.index(level)][known] for level in (0.05, 0.5, 0.95))
    inside = int(((low <= came[known]) & (came[known] <= high)).sum())
    error = _wape(middle, came[known])
    return Result(name, hours, int(known.sum()), naive, errors[naive], error, inside, seconds)


def _wape(said: Floats, came: Floats) -> float:
    return float(np.abs(said - came).sum() / came.sum())


def _last_known(values: Floats) -> Floats:
    steps = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
    return values[steps]


def _first(series: Series, steps: int) -> Series:
    return Series(series.start, series.step_seconds, series.values[:steps], series.timezone)


def _country(path: Path) -> str | None:
    return next((country for name, country in _COUNTRIES.items() if path.name.startswith(name)), None)


def _table(results: Sequence[Result]) -> str:
    lines = [
        "| series | ahead | outcomes | better naive | its WAPE | docfleet | lower by | inside 5–95 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.series} | {one.hours} h | {one.outcomes} | {one.naive} | {one.naive_wape:.1%} | {one.wape:.1%} "
        f"| {one.saved:.0%} | {one.inside / one.outcomes:.1%} |"
        for one in results
    ]
    return "\n".join(lines)


def targets(results: Sequence[Result]) -> list[Row]:
    """The figures that were promised."""
    rows = []
    for hours, least in zip(HOURS, (0.25, 0.10), strict=True):
        saved = [one.saved for one in results if one.hours == hours]
        rows.append(
            Row(
                f"forecast error {hours} h ahead, mean over {len(saved)} series",
                f"{mean(saved):.0%} lower",
                "better of same hour last week and last value",
                f"at least {least:.0%} lower",
                mean(saved) >= least,
            )
        )
    worst = min(results, key=lambda one: one.saved)
    rows.append(
        Row(
            "the series it does least for",
            f"{worst.series}, {worst.hours} h: {worst.saved:.0%} lower",
            "the same",
            "on none higher",
            worst.saved >= 0,
        )
    )
    for hours in (*HOURS, None):
        of = [one for one in results if hours in (None, one.hours)]
        share = sum(one.inside for one in of) / sum(one.outcomes for one in of)
        what = "both horizons" if hours is None else f"{hours} h ahead"
        rows.append(
            Row(f"outcomes inside 5–95 %, pooled, {what}", f"{share:.1%}", "-", "86–94 %", 0.86 <= share <= 0.94)
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
