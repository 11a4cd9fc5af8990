"""What models said and what came: how much each of them counts, and how far off they may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from docfleet.fleet.forecast.panel import Floats, Ints

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_POWER = 3.0
_FAR = 2.0
"""A model that errs so many times as much as the best has no say."""
_HALF_LIFE_WEEKS = 1.0
_POWERS = (0.0, 0.5, 1.0)
_FLOOR = 0.1
"""Of the mean demand, that errors do not shrink below."""


@dataclass(frozen=True)
class Record:
    """Forecasts of one horizon, oldest first, of which the outcome is known."""

    at: Ints
    """Of the outcome, in steps since 1970."""
    said: Floats
    """Row for each outcome, column for each model; NaN: it could not tell."""
    came: Floats

    def more(self, at: Ints, said: Floats, came: Floats) -> Record:
        """With those that are known by now, and later than what is here."""
        new = ~np.isnan(came)
        if len(self.at):
            new &= at > self.at[-1]
        return Record(
            np.concatenate([self.at, at[new]]),
            np.concatenate([self.said, said[new]]),
            np.concatenate([self.came, came[new]]),
        )

    def until(self, now: int, most: int) -> Record:
        """What was known at a step, the newest `most` of it."""
        end = int(np.searchsorted(self.at, now, side="right"))
        part = slice(max(0, end - most), end)
        return Record(self.at[part], self.said[part], self.came[part])


def ages(record: Record, now: int, per_week: int) -> Floats:
    """Weights that halve every week."""
    weights: Floats = 0.5 ** ((now - record.at) / (per_week * _HALF_LIFE_WEEKS))
    return weights


def shares(record: Record, weights: Floats, prior: Floats) -> Floats:
    """Of each model in the combination; they sum to 1.

    By the inverse of the mean absolute error to the third power, times the prior: nearly a mean of those that do
    equally well; none of one that errs twice as much as the best. A model that could not always tell has no part.
    """
    even: Floats = prior / prior.sum()
    if not len(record.came):
        return even
    missed = np.abs(record.said - record.came[:, None])
    errors = (weights[:, None] * missed).sum(axis=0) / weights.sum()
    if np.isnan(errors).all():
        return even
    least = np.nanmin(errors)
    if least <= 0:
        counted = (errors <= 0).astype(np.float64)
    else:
        relative = np.where(np.isnan(errors), np.inf, errors) / least
        counted = np.where(relative <= _FAR, np.minimum(relative, _FAR) ** -_POWER, 0.0)
    result: Floats = counted * prior / (counted * prior).sum()
    return result


def combine(said: Floats, parts: Floats) -> Floats:
    """Weighted mean over the models (columns) that could tell; NaN where none with a part could."""
    there = ~np.isnan(said)
    total = (there * parts).sum(axis=1)
    mean: Floats = (np.where(there, said, 0.0) * parts).sum(axis=1) / np.where(total > 0, total, np.nan)
    return mean


def size(expected: Floats, mean: float, power: float) -> Floats:
    """How errors grow with demand: not, like its root, or in proportion."""
    grown: Floats = (np.maximum(expected, 0.0) + _FLOOR * mean + 1e-12) ** power
    return grown


def best_power(expected: Floats, came: Floats, mean: float) -> float:
    """That by which the quantiles of the first half of the errors fit the second half best (pinball loss)."""
    half = len(came) // 2
    if half < 20:
        return 0.5
    losses = []
    for power in _POWERS:
        errors = (came - expected) / size(expected, mean, power)
        loss = 0.0
        for level in (0.05, 0.95):
            quantile = float(np.quantile(errors[:half], level)) * size(expected[half:], mean, power)
            over = came[half:] - expected[half:] - quantile
            loss += float(np.maximum(level * over, (level - 1) * over).sum())
        losses.append(loss)
    return _POWERS[int(np.argmin(losses))]


def echo(errors: Floats) -> float:
    """How many errors that follow each other tell as much as one that stands alone (a process of first order)."""
    around = errors - errors.mean() if len(errors) else errors
    squares = float((around**2).sum())
    if len(errors) < 20 or squares <= 0:
        return 1.0
    alike = float((around[1:] * around[:-1]).sum()) / squares
    return (1 + alike) / (1 - alike) if 0 < alike < 1 else 1.0


def quantiles(errors: Floats, weights: Floats, more: float) -> Floats:
    """Of the errors at LEVELS, by split conformal prediction with weights (Barber, Candès, Ramdas and Tibshirani 2023,
    "Conformal prediction beyond exchangeability"): the outcome that is still to come counts as one more, beyond all.

    Rising. Where there are too few errors to know a quantile, the most extreme one, stretched.
    """
    if not len(errors):
        return np.zeros(len(LEVELS))
    order = np.argsort(errors)
    ordered, mass = errors[order], np.cumsum(weights[order])
    total = mass[-1] + more
    found = []
    for level in LEVELS:
        if level >= 0.5:
            at = int(np.searchsorted(mass, level * total - 1e-12))
            beyond = at >= len(ordered)
        else:
            at = len(ordered) - 1 - int(np.searchsorted(np.cumsum(weights[order][::-1]), (1 - level) * total - 1e-12))
            beyond = at < 0
        value = float(ordered[min(max(at, 0), len(ordered) - 1)])
        found.append(value * (1.25 if beyond else 1.0))
    return np.maximum.accumulate(np.array(found))
