"""Linear regression on lags and calendar, one for each horizon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from docfleet.fleet.forecast.features import LINES, matrix
from docfleet.fleet.forecast.models import Bands, Fitted, History
from docfleet.fleet.forecast.panel import Floats, Ints

_PENALTY = 20.0
"""Rows' worth of pull towards "as usual"."""
_ROUNDS = 4
_HALF_LIFE_WEEKS = 16.0
_ROWS = 5_000


@dataclass(frozen=True)
class Lines:
    """Ridge regression of what differs from the usual, with Huber's weights, so that outliers count little."""

    curve: float
    prior: float = 1.0

    @property
    def name(self) -> str:
        return "linear" if self.curve == 0 else "linear_log"

    def fit(self, history: History, bands: Bands, until: int) -> Fitted:
        return FittedLines(
            self.curve,
            {horizon: self._one(history, horizon, until) for band in bands for horizon in band},
        )

    def _one(self, history: History, horizon: int, until: int) -> Floats:
        origins = training_origins(history, horizon, until, _ROWS)
        if not len(origins):
            return np.zeros(len(LINES) + 1)
        columns = history.columns(self.curve, origins, horizon)
        target = history.panels[self.curve].known[origins + horizon] - columns["usual"]
        return _robust_ridge(matrix(columns, LINES), target, recency(history, origins, until))


@dataclass(frozen=True)
class FittedLines:
    curve: float
    weights: dict[int, Floats]
    """By horizon; the last is the constant."""

    def over_usual(self, history: History, origins: Ints, horizon: int) -> Floats:
        """What is expected over the usual, in the panel's units."""
        anchor = nearest(horizon, self.weights)
        table = matrix(history.columns(self.curve, origins, horizon), LINES)
        difference: Floats = table @ self.weights[anchor][:-1] + self.weights[anchor][-1]
        return difference

    def predict(self, history: History, origins: Ints, horizon: int) -> Floats:
        columns = history.columns(self.curve, origins, horizon)
        return history.panels[self.curve].stretch(columns["usual"] + self.over_usual(history, origins, horizon))


def training_origins(history: History, horizon: int, until: int, most: int) -> Ints:
    """Evenly spread origins with an outcome known before `until`, after the first days, which have no past."""
    panel = history.plain
    first = min(panel.per_week, max(panel.per_day, (until - horizon) // 3))
    origins = np.arange(first, max(first, until - horizon))
    origins = origins[~np.isnan(panel.known[origins + horizon])]
    if len(origins) > most:
        origins = origins[np.unique(np.linspace(0, len(origins) - 1, most).astype(np.int64))]
    return origins


def recency(history: History, origins: Ints, until: int) -> Floats:
    """Weights that halve every few months."""
    weights: Floats = 0.5 ** ((until - origins) / (history.plain.per_week * _HALF_LIFE_WEEKS))
    return weights


def nearest(horizon: int, anchors: dict[int, Floats]) -> int:
    """The first anchor that is not before the horizon, else the last."""
    return min((anchor for anchor in anchors if anchor >= horizon), default=max(anchors))


def _robust_ridge(table: Floats, target: Floats, weights: Floats) -> Floats:
    """Iteratively reweighted least squares (Huber 1964), the penalty on columns of like size."""
    size = np.sqrt(np.mean(table**2, axis=0))
    size[size < 1e-9] = 1.0
    rows = np.column_stack([table / size, np.ones(len(table))])
    penalty = _PENALTY * np.eye(rows.shape[1])
    weights = weights / weights.mean()
    counted = weights
    solved = np.zeros(rows.shape[1])
    for _ in range(_ROUNDS):
        weighted = rows * counted[:, None]
        solved = np.linalg.solve(weighted.T @ rows + penalty, weighted.T @ target)
        missed = np.abs(target - rows @ solved)
        usual = float(np.median(missed)) + 1e-9
        counted = weights * np.minimum(1.0, usual / np.maximum(missed, 1e-12))
    return np.append(solved[:-1] / size, solved[-1])
