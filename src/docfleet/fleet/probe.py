"""From the ledger's sums to the load of each pool: how much work it is that waits, runs and arrives. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from docfleet.domain.dispatching import DEFAULT_TARGET_SECONDS
from docfleet.domain.load import ClassLoad, PoolLoad
from docfleet.domain.urgency import RANK, TARGET_SECONDS, Pool, Urgency
from docfleet.domain.work import Step
from docfleet.ledger.fleet_values import HistoryStep, LoadSums, RunningSum, ServiceTime, WaitingSum
from docfleet.ledger.service_values import WorkerView

GUESSED_PAGE_SECONDS = 1.0
"""Slot-seconds of a page before one was ever read."""
GUESSED_DOCUMENT_SECONDS = 3.0
ENOUGH = 20
"""Documents after which the last hours tell how long one takes; before, the last days do as well."""
SILENT_SECONDS = 30.0
"""A worker unseen for so long, while others are seen, is not counted any more."""
_LEFT_AT_LEAST = 0.1
"""Share of its mean that a slice is taken to need still, however long it has been running."""


class PoolTimes(msgspec.Struct, frozen=True):
    """How long work of one pool takes, in slot-seconds."""

    unit: float
    """A whole document; in the pool `cloud` a page."""
    page: Mapping[Step, float]
    """A page of a slice of this step."""
    slice: Mapping[Step, float]
    mean_slice: float


class Arrivals(msgspec.Struct, frozen=True):
    """What arrived within the last minutes: documents; in the pool `cloud` pages."""

    seconds: float
    """How long these minutes were."""
    counts: Mapping[tuple[str, str], int]
    """(pool, urgency)"""


def pool_times(pool: Pool, times: Sequence[ServiceTime], lately: Sequence[HistoryStep]) -> PoolTimes:
    """`lately`: the history of the last days by the hour, rising; the newest hours are enough if much was done."""
    own = [one for one in times if one.pool == pool and one.engine == "" and one.amount > 0]
    page = {Step(one.step): one.seconds_per_page for one in own if one.pages > 0}
    each = {Step(one.step): one.mean_seconds for one in own}
    amount = sum(one.amount for one in own)
    guess = GUESSED_PAGE_SECONDS if pool is Pool.CLOUD else GUESSED_DOCUMENT_SECONDS
    mean = sum(one.seconds for one in own) / amount if amount else guess
    return PoolTimes(_unit_seconds(lately, guess), page, each, max(mean, 1e-3))


def _unit_seconds(lately: Sequence[HistoryStep], guess: float) -> float:
    """Slot-seconds of a document (or page), over the fewest of the newest hours in which enough was done."""
    done, seconds = 0, 0.0
    for step in reversed(lately):
        done += step.done
        seconds += step.seconds_done
        if done >= ENOUGH:
            break
    # a guess counts as one that was done, so that the first one decides little
    return (seconds + guess) / (done + 1) if done < ENOUGH else seconds / done


def pool_load(
    pool: Pool,
    sums: LoadSums,
    times: PoolTimes,
    arrivals: Arrivals,
    workers: Sequence[WorkerView],
    slots_per_worker: float,
) -> PoolLoad:
    """The load of a pool. `workers`: all that are seen; `slots_per_worker`: where none of the pool's lives."""
    alive = living(pool, workers)
    waiting = [one for one in sums.waiting if one.pool == pool]
    running = [one for one in sums.running if one.pool == pool]
    span = max(1.0, arrivals.seconds)
    rates = {urgency: arrivals.counts.get((pool, urgency), 0) / span for urgency in Urgency}
    return PoolLoad(
        pool=pool,
        at=sums.at,
        classes=tuple(
            found
            for urgency in sorted(Urgency, key=RANK.__getitem__)
            if (found := _class_load(pool, urgency, waiting, running, times, rates[urgency])) is not None
        ),
        workers=len(alive),
        slots_per_worker=sum(one.slots for one in alive) / len(alive) if alive else slots_per_worker,
        arriving_documents=sum(rates.values()),
        arriving_seconds=sum(rates.values()) * times.unit,
        slice_seconds=times.mean_slice,
    )


def living(pool: str, workers: Sequence[WorkerView]) -> list[WorkerView]:
    """Those of the pool that have not ended and were seen when the others were."""
    there = [one for one in workers if one.ended_at is None]
    freshest = max((one.seen_at for one in there), default=0.0)
    return [one for one in there if pool in one.pool.split(",") and one.seen_at > freshest - SILENT_SECONDS]


def _class_load(
    pool: Pool,
    urgency: Urgency,
    all_waiting: Sequence[WaitingSum],
    all_running: Sequence[RunningSum],
    times: PoolTimes,
    rate: float,
) -> ClassLoad | None:
    waiting = [one for one in all_waiting if one.urgency == urgency]
    running = [one for one in all_running if one.urgency == urgency]
    if not waiting and not running and not rate:
        return None
    dues = [one.deadline_seconds for one in waiting if one.deadline_seconds is not None]
    return ClassLoad(
        urgency=urgency,
        target_seconds=TARGET_SECONDS.get((pool, urgency), DEFAULT_TARGET_SECONDS),
        waiting_documents=sum(one.documents for one in waiting),
        waiting_slices=sum(one.slices for one in waiting),
        waiting_pages=sum(one.pages for one in waiting),
        waiting_seconds=sum(_work(one.step, one.slices, one.pages, times) for one in waiting),
        running_slices=sum(one.slices for one in running),
        running_seconds=sum(_left(one, times) for one in running),
        reserved_slices=sum(one.hinted for one in waiting),
        oldest_seconds=max((one.oldest_seconds for one in waiting), default=0.0),
        deadline_seconds=min(dues, default=None),
        arriving_seconds=rate * times.unit,
    )


def _work(step: Step, slices: int, pages: int, times: PoolTimes) -> float:
    """Slot-seconds of so many slices, with what follows from them: behind a plan comes the whole document."""
    if step is Step.PLAN:
        return slices * times.unit
    if step is Step.ASSEMBLE:
        return slices * times.slice.get(step, min(times.mean_slice, times.unit))
    return pages * times.page.get(step, times.unit if step is Step.CLOUD else GUESSED_PAGE_SECONDS)


def _left(one: RunningSum, times: PoolTimes) -> float:
    work = _work(one.step, one.slices, one.pages, times)
    return max(work - one.elapsed_seconds, _LEFT_AT_LEAST * work)
