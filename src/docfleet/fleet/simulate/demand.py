"""Demand for the simulator: recorded, or made up; a rate of documents over time."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from math import isfinite
from pathlib import Path
from statistics import median
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.errors import UsageError
from docfleet.fleet.forecast.base import Series

Floats = npt.NDArray[np.float64]

MOST_STEPS = 2_000_000


class Demand(msgspec.Struct, frozen=True):
    """Documents a second, step by step. `history` is what a forecaster may know of the time before."""

    name: str
    start: float
    """Seconds since 1970, UTC."""
    step_seconds: float
    rates: tuple[float, ...]
    """Documents a second on average in each step."""
    history: Series | None = None
    """Documents of each step before `start`, in the same unit."""
    timezone: str = "UTC"
    sudden: bool = False
    """Whether steps are sharp; otherwise the rate runs straight from the middle of one step to that of the next."""

    @property
    def seconds(self) -> float:
        return self.step_seconds * len(self.rates)

    @property
    def documents(self) -> float:
        return sum(self.rates) * self.step_seconds

    def at(self, seconds: Floats) -> Floats:
        """Documents a second at these moments, counted from the start."""
        rates = np.asarray(self.rates)
        if self.sudden:
            index = np.clip((seconds / self.step_seconds).astype(int), 0, len(rates) - 1)
            return cast(Floats, rates[index])
        return cast(Floats, np.interp(seconds, (np.arange(len(rates)) + 0.5) * self.step_seconds, rates))

    def scaled(self, documents_per_hour: float) -> Demand:
        """The same shape with this mean rate. Raises UsageError where there is no demand to scale."""
        mean = sum(self.rates) / len(self.rates)
        if mean <= 0:
            raise UsageError("A demand of nothing cannot be scaled to a rate.")
        return self.times(documents_per_hour / 3600.0 / mean)

    def times(self, factor: float) -> Demand:
        history = self.history
        if history is not None:
            values = tuple(None if value is None else value * factor for value in history.values)
            history = msgspec.structs.replace(history, values=values)
        rates = tuple(rate * factor for rate in self.rates)
        return msgspec.structs.replace(self, rates=rates, history=history)


def read_series(path: Path, timezone: str = "UTC") -> Series:
    """A CSV file with the columns timestamp and value (or documents): documents of equal steps of time.

    Timestamps are ISO 8601, UTC where they name no zone; a step that is missing, or whose value is empty, is not known.
    Raises UsageError for anything else.
    """
    rows = list(_rows(path))
    if len(rows) < 2:
        raise UsageError(f"{path} holds fewer than two steps of demand.")
    step = median(after - before for (before, _), (after, _) in pairwise(rows))
    if step <= 0 or any(after <= before for (before, _), (after, _) in pairwise(rows)):
        raise UsageError(f"The timestamps of {path} do not rise from line to line.")
    start = rows[0][0]
    count = round((rows[-1][0] - start) / step) + 1
    if count > MOST_STEPS:
        raise UsageError(f"{path} spans {count:,} steps; the simulator takes at most {MOST_STEPS:,}.")
    values: list[float | None] = [None] * count
    for when, value in rows:
        place = (when - start) / step
        if abs(place - round(place)) > 0.02:
            shown = datetime.fromtimestamp(when, UTC).isoformat()
            raise UsageError(f"The steps of {path} are not equally long: {shown} lies between two of them.")
        values[round(place)] = value
    return Series(start, step, tuple(values), timezone)


def _rows(path: Path) -> Iterator[tuple[float, float | None]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text file.") from error
    reader = csv.DictReader(text.splitlines())
    names = reader.fieldnames or []
    column = next((name for name in ("value", "documents") if name in names), None)
    if "timestamp" not in names or column is None:
        raise UsageError(f"{path} needs the columns timestamp and value (or documents).")
    for line, row in enumerate(reader, start=2):
        try:
            moment = datetime.fromisoformat(row["timestamp"].strip())
            value = float(row[column]) if row[column] and row[column].strip() else None
        except (ValueError, AttributeError) as error:
            raise UsageError(f"Line {line} of {path} is not a timestamp and a number.") from error
        if value is not None and not (isfinite(value) and value >= 0):
            raise UsageError(f"Line {line} of {path}: {value} is no number of documents.")
        yield (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), value


def split(series: Series, share: float, name: str = "recorded") -> Demand:
    """The last `share` of a series as demand, with what came before it as history. Gaps in the demand are bridged."""
    values = series.values
    first = round(len(values) * (1 - share)) if share < 1 else 0
    known = bridged(values)[first:]
    if not known:
        raise UsageError("No step of the series is left to simulate: take a larger share of it.")
    before = msgspec.structs.replace(series, values=values[:first]) if first else None
    start = series.start + first * series.step_seconds
    rates = tuple(value / series.step_seconds for value in known)
    return Demand(name, start, series.step_seconds, rates, before, series.timezone)


def bridged(values: Sequence[float | None]) -> tuple[float, ...]:
    """The values with straight lines over the gaps. Raises UsageError where nothing is known."""
    known = [(number, value) for number, value in enumerate(values) if value is not None]
    if not known:
        raise UsageError("The series holds no value at all.")
    places, found = zip(*known, strict=True)
    return tuple(float(value) for value in np.interp(np.arange(len(values)), places, found))
