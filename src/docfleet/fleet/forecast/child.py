"""The process that makes one forecast: a `training.Task` on standard input, a `Forecast` on standard output."""

from __future__ import annotations

import math
import sys

import msgspec

from docfleet.fleet.forecast.choosing import forecast_series
from docfleet.fleet.training import Task


def main() -> None:
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    forecast = forecast_series(
        task.series, task.horizon, task.calendar, past=task.past, effort_seconds=task.effort_seconds
    )
    # JSON knows no nan: a model that could not be measured has no score
    scores = tuple(score for score in forecast.scores if math.isfinite(score.wape))
    sys.stdout.buffer.write(msgspec.json.encode(msgspec.structs.replace(forecast, scores=scores)))


if __name__ == "__main__":
    main()
