"""Models without anything to learn: what was, is what will be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from docfleet.fleet.forecast.models import CURVES, Bands, Fitted, History
from docfleet.fleet.forecast.panel import Floats, Ints


@dataclass(frozen=True)
class LastValue:
    """The last value known."""

    name: str = "last_value"
    prior: float = 0.1

    def fit(self, history: History, bands: Bands, until: int) -> Fitted:
        return self

    def predict(self, history: History, origins: Ints, horizon: int) -> Floats:
        panel = history.plain
        return panel.stretch(panel.filled[origins])


@dataclass(frozen=True)
class LastWeek:
    """Seasonal naive: the value at the same local time a week before (or as many weeks as it takes)."""

    name: str = "same_hour_last_week"
    prior: float = 0.1

    def fit(self, history: History, bands: Bands, until: int) -> Fitted:
        return self

    def predict(self, history: History, origins: Ints, horizon: int) -> Floats:
        panel = history.plain
        weeks = -(-horizon // panel.per_week)
        steps = panel.lag(7 * weeks)[origins + horizon]
        steps = np.where(steps <= origins, steps, panel.lag(7 * weeks + 7)[origins + horizon])
        return np.where(steps >= 0, panel.stretch(panel.filled[np.maximum(steps, 0)]), np.nan)


@dataclass(frozen=True)
class Usual:
    """A mean over several weeks at the same time, or over the last days of the same kind."""

    column: str
    curve: float = CURVES[0]
    prior: float = 0.5

    @property
    def name(self) -> str:
        return {"usual": "usual_week", "similar": "similar_days"}[self.column]

    def fit(self, history: History, bands: Bands, until: int) -> Fitted:
        return self

    def predict(self, history: History, origins: Ints, horizon: int) -> Floats:
        columns = history.columns(self.curve, origins, horizon)
        value = columns["usual"] if self.column == "usual" else columns["usual"] + columns[self.column]
        return history.panels[self.curve].stretch(value)
