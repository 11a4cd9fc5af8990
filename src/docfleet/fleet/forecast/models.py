"""What every model can do: learn from a history up to a step, and forecast from any later one.

A model never sees more than the panel gives for an origin, which is what was known then.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from docfleet.fleet.forecast.base import Calendar, Series
from docfleet.fleet.forecast.features import features
from docfleet.fleet.forecast.panel import Floats, Ints, Panel, as_floats

CURVES = (0.0, 4.0)
"""Panels that are kept: demand as it is, where effects add, and nearly its logarithm, where they multiply."""

Bands = tuple[tuple[int, ...], ...]
"""Horizons in steps, in groups that a model may treat as one; rising."""


class History:
    """A series as the panels that models ask for."""

    def __init__(self, series: Series, calendar: Calendar, ahead: int, scale: float) -> None:
        self.panels = {curve: Panel(series, calendar, ahead, scale, curve) for curve in CURVES}
        self.raw = as_floats(series)
        self.length = len(self.raw)
        self.runs: dict[object, object] = {}
        """Where models keep what they would compute again for the next horizon."""
        self._columns: dict[tuple[float, int], tuple[Ints, dict[str, Floats]]] = {}

    @property
    def plain(self) -> Panel:
        return self.panels[CURVES[0]]

    def columns(self, curve: float, origins: Ints, horizon: int) -> dict[str, Floats]:
        """`features` of a panel; the last asked for of each horizon are kept, since several models ask for the same."""
        kept = self._columns.get((curve, horizon))
        if kept is None or not np.array_equal(kept[0], origins):
            kept = (origins, features(self.panels[curve], origins, horizon))
            self._columns[curve, horizon] = kept
        return kept[1]

    def outcomes(self, origins: Ints, horizon: int) -> Floats:
        """What came, in demand; NaN: not known, or not yet."""
        targets = origins + horizon
        return np.where(targets < self.length, self.raw[np.minimum(targets, self.length - 1)], np.nan)


class Fitted(Protocol):
    """What a model has learned."""

    def predict(self, history: History, origins: Ints, horizon: int) -> Floats:
        """Demand expected `horizon` steps after each of the origins; not negative. NaN: this model cannot tell."""


class Model(Protocol):
    """A way to forecast."""

    @property
    def name(self) -> str: ...

    @property
    def prior(self) -> float:
        """How much it counts among others that err as much."""

    def fit(self, history: History, bands: Bands, until: int) -> Fitted:
        """Learn from the steps before `until`."""
