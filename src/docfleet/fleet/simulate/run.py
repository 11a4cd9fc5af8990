"""One run: demand, world and a scaler in, figures out. The clock is simpy's; the decisions are the real ones."""

from __future__ import annotations

from collections.abc import Callable, Generator
from math import ceil
from typing import Any

import msgspec
import numpy as np
import simpy

from docfleet.domain.costing import Usage, WholeCost, whole_cost
from docfleet.domain.load import Caps, ClassLoad, PoolLoad
from docfleet.domain.pricing import micros_of, usd_of
from docfleet.fleet.simulate.arrivals import Arrivals
from docfleet.fleet.simulate.backlog import Backlog, Cohorts, Standing
from docfleet.fleet.simulate.crew import Crew
from docfleet.fleet.simulate.one_by_one import OneByOne
from docfleet.fleet.simulate.scalers import Forecaster, Scaler
from docfleet.fleet.simulate.waits import Waits
from docfleet.fleet.simulate.world import NODE, Trouble, World

MONTH_HOURS = 730.0
LATER_SECONDS = 3600.0
"""Classes with a target of this, or more, are not among those whose waiting is told in seconds."""


class Step(msgspec.Struct, frozen=True):
    """The pool at one decision."""

    at: float
    """Seconds since the start."""
    arriving: float
    """Slot-seconds of work a second, in the last minutes."""
    waiting: float
    """Documents."""
    oldest: float
    """Seconds that the oldest has waited whose target is below an hour."""
    workers: int
    live: int


class Outcome(msgspec.Struct, frozen=True):
    """What a policy made of a demand."""

    policy: str
    documents: int
    done: float
    lost: float
    """Documents that neither ended nor are still there: 0, or the simulator is wrong."""
    unfinished: float
    """Still there at the end of the run."""
    work_hours: float
    """Slot-hours that the documents take."""
    worker_hours: float
    """Paid for: from being asked for to being gone."""
    node_hours: float
    cost_usd: float
    """The whole of it: nodes, base and engine pages."""
    cost: WholeCost
    """The same by kind; a node whose slots do not all work is idle in part."""
    wait_p50: float
    wait_p95: float
    wait_p99: float
    """Seconds from upload to the last slice's start, of documents whose target is below an hour."""
    missed: float
    """Documents whose result came after their target."""
    peak_workers: int
    changes: int
    steps: tuple[Step, ...] = ()
    reasons: tuple[tuple[float, str], ...] = ()
    """(seconds since the start, what the policy said) of every change."""

    @property
    def missed_share(self) -> float:
        return self.missed / self.documents if self.documents else 0.0


class Run:
    """The moving parts of one run. `start` is in seconds since 1970; within the run, time counts from there."""

    def __init__(
        self,
        world: World,
        arrivals: Arrivals,
        scaler: Scaler,
        start: float,
        first_workers: int = 1,
        seed: int = 0,
        forecaster: Forecaster | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Documents are followed one by one where `arrivals` holds them so; `progress` hears the share that is done."""
        self._world, self._arrivals, self._scaler, self._start = world, arrivals, scaler, start
        self._forecaster, self._progress = forecaster, progress
        self._environment = simpy.Environment()
        self._crew = Crew(world.machines, first_workers)
        self._quotas = [] if world.quota_slots is None else [world.quota_slots]
        work = world.work
        limits = [target - work.slice_seconds for _, _, target in work.classes]
        self._backlog: Backlog
        if arrivals.each:
            self._backlog = OneByOne(self._environment, arrivals.each, limits, work.slice_seconds, seed)
        else:
            lots, amounts = arrivals.documents.tolist(), arrivals.work.tolist()
            self._backlog = Cohorts(lots, amounts, arrivals.tick_seconds, limits, work.slice_seconds)
        self._rates = _Rates(arrivals, world.arrival_window_seconds)
        self._trace = _Trace(arrivals.ticks * arrivals.tick_seconds)

    def run(self, drain_seconds: float = 7200.0) -> Outcome:
        """The demand from its first tick to its last; then on, unpaid, until all is done or so long has passed."""
        for trouble in self._world.troubles:
            self._environment.process(self._break(trouble))
        self._environment.run(until=self._environment.process(self._live(drain_seconds)))
        return self._outcome()

    def _live(self, drain_seconds: float) -> Generator[simpy.Event, Any, None]:
        tick, ticks = self._arrivals.tick_seconds, self._arrivals.ticks
        every = max(1, round(self._world.decide_every_seconds / tick))
        last = ticks + round(drain_seconds / tick)
        number = 0
        while number < ticks or (number < last and self._backlog.in_system() > 1e-6):
            now = number * tick
            self._crew.advance(now)
            if number == ticks:
                self._paid = (self._crew.worker_seconds, self._crew.node_seconds)
            self._tell_forecaster(number, now)
            if number % every == 0:
                self._decide(number, now)
            if number < ticks:
                self._backlog.arrive(number, now)
            self._backlog.work(now + tick, self._slots())
            yield self._environment.timeout(tick)
            number += 1
        self._crew.advance(number * tick)

    _paid: tuple[float, float] | None = None

    def _slots(self) -> int:
        live = self._crew.live * self._world.machines.slots_per_worker
        return int(min([live, *self._quotas]))

    def _tell_forecaster(self, number: int, now: float) -> None:
        if self._forecaster is not None and 0 < number <= self._arrivals.ticks:
            documents, work = self._rates.tick(number - 1)
            tick = self._arrivals.tick_seconds
            self._forecaster.arrived(self._start + now - tick, tick, documents, work)

    def _decide(self, number: int, now: float) -> None:
        standing = self._backlog.standing(now)
        load = self._load(standing, number, now)
        caps = Caps(quota_slots=min(self._quotas, default=None), quota_reason="the engine takes no more")
        before = self._crew.workers
        wanted = self._scaler.size(load, caps, before, self._start + now)
        if wanted != before:
            self._crew.resize(wanted)
        told = self._scaler.last.reason if self._scaler.last is not None and wanted != before else ""
        self._trace.add(load, wanted, before, self._crew.live, told, now)
        if self._progress is not None and number % 256 == 0:
            self._progress(min(1.0, number / self._arrivals.ticks))

    def _load(self, standing: list[Standing], number: int, now: float) -> PoolLoad:
        work, machines = self._world.work, self._world.machines
        documents, arriving = self._rates.at(number)
        classes = []
        for (urgency, _, target), one, rate in zip(work.classes, standing, arriving, strict=True):
            if one.waiting_documents or one.busy_slots or rate:
                classes.append(
                    ClassLoad(
                        urgency=urgency,
                        target_seconds=target,
                        waiting_documents=ceil(one.waiting_documents - 1e-6),
                        waiting_slices=ceil(one.waiting_seconds / work.slice_seconds - 1e-6),
                        waiting_pages=ceil(one.waiting_documents * work.pages - 1e-6),
                        waiting_seconds=one.waiting_seconds,
                        running_slices=round(one.busy_slots),
                        running_seconds=one.busy_slots * work.slice_seconds / 2,
                        oldest_seconds=one.oldest_seconds,
                        arriving_seconds=rate,
                    )
                )
        return PoolLoad(
            pool=work.pool,
            at=self._start + now,
            classes=tuple(classes),
            workers=self._crew.live,
            slots_per_worker=machines.slots_per_worker,
            arriving_documents=documents,
            arriving_seconds=sum(arriving),
            slice_seconds=work.slice_seconds,
        )

    def _break(self, trouble: Trouble) -> Generator[simpy.Event, Any, None]:
        yield self._environment.timeout(trouble.at_seconds)
        now = self._environment.now
        self._crew.advance(now)
        machines = self._world.machines
        nodes = trouble.nodes_die + round(trouble.share_dies * self._crew.nodes)
        lost = self._crew.lose_nodes(nodes)
        if lost:
            self._backlog.lose(lost * machines.slots_per_worker, now + machines.lost_after_seconds)
        if trouble.quota_slots is not None:
            self._quotas.append(trouble.quota_slots)
            yield self._environment.timeout(trouble.for_seconds)
            self._quotas.remove(trouble.quota_slots)

    def _cost(self, documents: int, node_seconds: float) -> WholeCost:
        """By the function that `docfleet costs` uses; what is paid for are nodes."""
        world, arrivals = self._world, self._arrivals
        pages = documents * world.work.pages
        slots = world.machines.slots_per_worker * world.machines.workers_per_node
        busy = min(node_seconds, float(arrivals.work.sum()) / slots)
        usage = Usage(
            documents=documents,
            pages=round(pages),
            engine_micros=micros_of(pages * world.prices.engine_usd_per_page),
            busy_seconds={NODE: busy},
            paid_seconds={NODE: node_seconds},
            months=arrivals.ticks * arrivals.tick_seconds / 3600 / MONTH_HOURS,
        )
        return whole_cost(usage, world.prices.book)

    def _outcome(self) -> Outcome:
        world, arrivals, crew = self._world, self._arrivals, self._crew
        documents = int(arrivals.documents.sum())
        done = sum(one.documents for one in self._backlog.waits)
        unfinished = self._backlog.in_system()
        waits = Waits()
        for (_, _, target), one in zip(world.work.classes, self._backlog.waits, strict=True):
            if target < LATER_SECONDS or len(world.work.classes) == 1:
                waits.include(one)
        worker_seconds, node_seconds = self._paid or (crew.worker_seconds, crew.node_seconds)
        cost = self._cost(documents, node_seconds)
        return Outcome(
            policy=self._scaler.name,
            documents=documents,
            done=done,
            lost=_whole(documents - done - unfinished),
            unfinished=_whole(unfinished),
            work_hours=float(arrivals.work.sum()) / 3600,
            worker_hours=worker_seconds / 3600,
            node_hours=node_seconds / 3600,
            cost_usd=usd_of(cost.micros),
            cost=cost,
            wait_p50=waits.percentile(0.5),
            wait_p95=waits.percentile(0.95),
            wait_p99=waits.percentile(0.99),
            missed=sum(one.late for one in self._backlog.waits) + unfinished,
            peak_workers=self._trace.peak,
            changes=self._trace.changes,
            steps=self._trace.steps(),
            reasons=tuple(self._trace.reasons),
        )


def _whole(documents: float) -> float:
    """Without what adding up fractions of documents leaves over."""
    return 0.0 if abs(documents) < 0.01 else documents


class _Rates:
    """What arrived in the last minutes, at any tick."""

    def __init__(self, arrivals: Arrivals, window_seconds: float) -> None:
        self._tick = arrivals.tick_seconds
        self._window = max(1, round(window_seconds / self._tick))
        self._least = min(self._window, max(1, round(60.0 / self._tick)))
        per_tick = [arrivals.documents.sum(axis=0), *arrivals.work]
        self._sums = [np.concatenate([[0.0], np.cumsum(one)]).tolist() for one in per_tick]
        self._last = arrivals.ticks

    def at(self, tick: int) -> tuple[float, list[float]]:
        """(documents a second, slot-seconds a second of each class) over the window before a tick."""
        first, after = min(max(0, tick - self._window), self._last), min(tick, self._last)
        seconds = min(self._window, max(tick, self._least)) * self._tick
        documents, *work = ((sums[after] - sums[first]) / seconds for sums in self._sums)
        return documents, work

    def tick(self, tick: int) -> tuple[float, float]:
        """(documents, slot-seconds) of one tick."""
        documents, *work = (sums[tick + 1] - sums[tick] for sums in self._sums)
        return documents, sum(work)


class _Trace:
    """The course of a run in at most so many steps, and what changed in it."""

    STEPS = 1500
    REASONS = 2000

    def __init__(self, seconds: float) -> None:
        self._width = max(1.0, seconds / self.STEPS)
        self._steps: list[Step] = []
        self._open: Step | None = None
        self.reasons: list[tuple[float, str]] = []
        self.peak = self.changes = 0

    def add(self, load: PoolLoad, workers: int, before: int, live: int, told: str, now: float) -> None:
        self.peak = max(self.peak, workers)
        if workers != before:
            self.changes += 1
            if told and len(self.reasons) < self.REASONS:
                self.reasons.append((now, told))
        oldest = max((one.oldest_seconds for one in load.classes if one.target_seconds < LATER_SECONDS), default=0.0)
        waiting = float(load.waiting_documents)
        last = self._open
        if last is not None and now - last.at < self._width:
            self._open = Step(
                last.at,
                load.arriving_seconds,
                max(last.waiting, waiting),
                max(last.oldest, oldest),
                max(last.workers, workers),
                live,
            )
            return
        if last is not None:
            self._steps.append(last)
        self._open = Step(now, load.arriving_seconds, waiting, oldest, workers, live)

    def steps(self) -> tuple[Step, ...]:
        return (*self._steps, *([self._open] if self._open is not None else []))
