"""What arrives in a run, drawn before it begins, so that every policy meets the same documents.

Batches come as a Poisson process; a batch has a geometric number of documents; the work of a document is gamma
distributed, so that the work of n documents is one gamma variate (shape n / v², scale m v²; m: mean, v: variation). A
run by documents and one by cohorts therefore draw from the same distribution.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.fleet.simulate.demand import Demand, Floats
from docfleet.fleet.simulate.world import Work

Ints = npt.NDArray[np.int64]


class Documents(msgspec.Struct, frozen=True):
    """Every document of a class by itself, in the order of arrival."""

    at: Floats
    """Seconds since the start of the run."""
    work: Floats
    """Slot-seconds."""


class Arrivals(msgspec.Struct, frozen=True):
    """Documents and their work, for each class (the most urgent first) and tick."""

    tick_seconds: float
    documents: Ints
    work: Floats
    each: tuple[Documents, ...] = ()
    """Only where they were asked for one by one."""

    @property
    def ticks(self) -> int:
        return int(self.documents.shape[1])


def draw(demand: Demand, work: Work, tick_seconds: float, seed: int, one_by_one: bool = False) -> Arrivals:
    """What arrives under a demand, in ticks. The same seed gives the same arrivals."""
    ticks = max(1, round(demand.seconds / tick_seconds))
    middle: Floats = (np.arange(ticks, dtype=np.float64) + 0.5) * tick_seconds
    rates = demand.at(middle)
    rows: list[tuple[Ints, Floats]] = []
    each = []
    for number, (_, share, _) in enumerate(work.classes):
        random = np.random.default_rng((seed, number))
        documents = _documents(rates * share * tick_seconds, work.batch_documents, random)
        if one_by_one:
            found = _one_by_one(documents, work, tick_seconds, random)
            each.append(found)
            rows.append((documents, _by_tick(found, tick_seconds, ticks)))
        else:
            rows.append((documents, _work_of(documents, work, random)))
    return Arrivals(
        tick_seconds,
        np.stack([documents for documents, _ in rows]),
        np.stack([amounts for _, amounts in rows]),
        tuple(each),
    )


def _documents(expected: Floats, batch: float, random: np.random.Generator) -> Ints:
    batches = random.poisson(expected / batch)
    if batch <= 1:
        return batches.astype(np.int64)
    # the documents of n batches beyond the first of each: n geometric variates are a negative binomial one
    more = random.negative_binomial(np.maximum(batches, 1), 1 / batch)
    return np.where(batches > 0, batches + more, 0).astype(np.int64)


def _work_of(documents: Ints, work: Work, random: np.random.Generator) -> Floats:
    shape, scale = 1 / work.variation**2, work.mean_seconds * work.variation**2
    drawn = random.gamma(np.maximum(documents, 1) * shape, scale)
    return np.where(documents > 0, drawn, 0.0)


def _by_tick(found: Documents, tick_seconds: float, ticks: int) -> Floats:
    return np.bincount((found.at / tick_seconds).astype(int), found.work, minlength=ticks).astype(np.float64)


def _one_by_one(documents: Ints, work: Work, tick_seconds: float, random: np.random.Generator) -> Documents:
    total = int(documents.sum())
    shape, scale = 1 / work.variation**2, work.mean_seconds * work.variation**2
    ticks = np.repeat(np.arange(len(documents)), documents)
    inside = random.random(total)
    order = np.lexsort((inside, ticks))
    return Documents((ticks[order] + inside[order]) * tick_seconds, random.gamma(shape, scale, total))
