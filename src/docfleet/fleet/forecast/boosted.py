"""Gradient-boosted trees on lags and calendar, on top of the linear model."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from docfleet.fleet.forecast.features import TREES, matrix
from docfleet.fleet.forecast.lines import FittedLines, Lines, training_origins
from docfleet.fleet.forecast.models import Bands, Fitted, History
from docfleet.fleet.forecast.panel import Floats, Ints

_ROWS = 5_000
"""For one band of horizons."""
INSTALLED = find_spec("sklearn") is not None
"""Without scikit-learn the other models do what they can."""
_LEAST_ROWS = 200


@dataclass(frozen=True)
class Boosted:
    """scikit-learn's histogram gradient boosting with absolute errors, of what the linear model leaves.

    One for each band of horizons. Bands for which the time runs out have none.
    """

    curve: float
    stop_at: float
    """On `time.monotonic`."""
    name: str = "boosted"
    prior: float = 1.0

    def fit(self, history: History, bands: Bands, until: int) -> Fitted:
        lines = Lines(self.curve).fit(history, bands, until)
        assert isinstance(lines, FittedLines)
        trees: dict[int, Any] = {}
        for band in bands:
            if time.monotonic() > self.stop_at:
                break
            fitted = self._one(history, band, until, lines)
            if fitted is not None:
                trees |= dict.fromkeys(band, fitted)
        return FittedTrees(self.curve, lines, trees)

    def _one(self, history: History, band: tuple[int, ...], until: int, lines: FittedLines) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        tables, targets = [], []
        for horizon in band:
            origins = training_origins(history, horizon, until, _ROWS // len(band))
            columns = history.columns(self.curve, origins, horizon)
            tables.append(matrix(columns, TREES))
            over = history.panels[self.curve].known[origins + horizon] - columns["usual"]
            targets.append(over - lines.over_usual(history, origins, horizon))
        table, target = np.concatenate(tables), np.concatenate(targets)
        if len(target) < _LEAST_ROWS or np.ptp(target) == 0:
            return None
        trees = HistGradientBoostingRegressor(
            loss="absolute_error",
            max_iter=100,
            learning_rate=0.08,
            max_leaf_nodes=10,
            min_samples_leaf=30,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=0,
        )
        return trees.fit(table, target)


@dataclass(frozen=True)
class FittedTrees:
    curve: float
    lines: FittedLines
    trees: dict[int, Any]
    """By horizon; those of one band share theirs."""

    def predict(self, history: History, origins: Ints, horizon: int) -> Floats:
        trees = self.trees.get(min((anchor for anchor in self.lines.weights if anchor >= horizon), default=horizon))
        if trees is None:
            return np.full(len(origins), np.nan)
        columns = history.columns(self.curve, origins, horizon)
        over = self.lines.over_usual(history, origins, horizon) + trees.predict(matrix(columns, TREES))
        return history.panels[self.curve].stretch(columns["usual"] + over)


def one_thread() -> AbstractContextManager[object]:
    """Within it numpy and scikit-learn use one thread: on a busy machine several wait for each other for minutes."""
    if not INSTALLED:
        return nullcontext()
    import sklearn.ensemble  # noqa: F401  (what is loaded later would not be limited)
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits
