"""Policies side by side on the same documents: what is to be run, with which figures, and the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
import numpy as np

from docfleet.domain.business_hours import ClockFloor
from docfleet.domain.scaling import ScalingPolicy
from docfleet.errors import UsageError
from docfleet.fleet.forecast.base import Series
from docfleet.fleet.simulate.arrivals import Arrivals, draw
from docfleet.fleet.simulate.demand import Demand
from docfleet.fleet.simulate.forecasters import Rolling, Seasonal
from docfleet.fleet.simulate.kinds import Kind
from docfleet.fleet.simulate.run import Outcome, Run
from docfleet.fleet.simulate.scalers import Fixed, Forecaster, Oracle, Policy, QueueLength, QueueRule, Scaler
from docfleet.fleet.simulate.world import World

EXACT_DOCUMENTS = 50_000
"""Up to so many, every document is followed by itself."""

MOST_TICKS = 4_000_000


class Sizing(ScalingPolicy, frozen=True, forbid_unknown_fields=True):
    """docfleet's policy, as settings: a name that is misspelt is refused."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a comparison is made with; the content of a settings file."""

    world: World = World()
    policy: Sizing = Sizing(min_workers=1, max_workers=100_000)
    """Its start-up time is that of the world, whatever stands here."""
    quantile: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.9
    """Of the forecast that is provided for."""
    queue: QueueRule = QueueRule(max_workers=100_000)
    floors: tuple[ClockFloor, ...] = ()
    """Of the queue policy with a clock."""
    timezone: str = "UTC"
    fixed_workers: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """None: the fewest with which the p95 wait is within `aim` of the target."""
    oracle_share: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    """The oracle finishes everything within this share of its target, and nearly everything much sooner."""
    tick_seconds: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """Of runs by cohorts."""

    @property
    def sizing(self) -> ScalingPolicy:
        return msgspec.structs.replace(self.policy, start_seconds=self.world.start_seconds)


MakeForecaster = Callable[[Series, float, float, float], Forecaster]
"""(history, start, seconds per document, quantile) -> forecaster"""


def seasonal(history: Series, start: float, seconds_per_document: float, quantile: float) -> Forecaster:
    return Rolling(history, start, seconds_per_document, Seasonal(quantile), history.timezone)


def arrivals_of(demand: Demand, plan: Plan, seed: int, exact: bool | None = None) -> Arrivals:
    """What arrives. `exact`: followed one by one; None: where there are few enough.

    Raises UsageError for a run that would be too long.
    """
    work = plan.world.work
    one_by_one = demand.documents <= EXACT_DOCUMENTS if exact is None else exact
    if one_by_one and demand.documents > 100 * EXACT_DOCUMENTS:
        raise UsageError(f"{demand.documents:,.0f} documents are too many to be followed one by one.")
    tick = 1.0 if one_by_one else plan.tick_seconds
    if demand.seconds / tick > MOST_TICKS:
        raise UsageError(
            f"The demand spans {demand.seconds / 3600:,.0f} hours: too long for ticks of {tick:g} s. "
            "Take a part of it, or longer ticks."
        )
    return draw(demand, work, tick, seed, one_by_one)


def compare(
    demand: Demand,
    plan: Plan,
    kinds: Sequence[Kind],
    seed: int = 1,
    exact: bool | None = None,
    make_forecaster: MakeForecaster = seasonal,
    progress: Callable[[Kind, float], None] | None = None,
) -> list[Outcome]:
    """One outcome for each kind, in their order, all on the same documents."""
    arrivals = arrivals_of(demand, plan, seed, exact)
    return [run_one(kind, demand, arrivals, plan, seed, make_forecaster, progress) for kind in kinds]


def run_one(
    kind: Kind,
    demand: Demand,
    arrivals: Arrivals,
    plan: Plan,
    seed: int = 1,
    make_forecaster: MakeForecaster = seasonal,
    progress: Callable[[Kind, float], None] | None = None,
) -> Outcome:
    """What a policy makes of arrivals that have been drawn."""
    forecaster = _forecaster(demand, plan, make_forecaster) if kind is Kind.PREDICTIVE else None
    scaler = scaler_of(kind, demand, arrivals, plan, forecaster)
    first = scaler.workers if isinstance(scaler, Fixed) else _first_workers(demand, plan)
    run = Run(
        plan.world,
        arrivals,
        scaler,
        demand.start,
        first_workers=first,
        seed=seed,
        forecaster=forecaster,
        progress=None if progress is None else lambda share: progress(kind, share),
    )
    return run.run()


def scaler_of(kind: Kind, demand: Demand, arrivals: Arrivals, plan: Plan, forecaster: Forecaster | None) -> Scaler:
    if kind is Kind.FIXED:
        workers = plan.fixed_workers
        return Fixed(fewest_workers(arrivals, plan) if workers is None else workers)
    if kind is Kind.QUEUE:
        return QueueLength(plan.queue)
    if kind is Kind.QUEUE_CLOCK:
        if not plan.floors:
            raise UsageError("The policy queue-clock needs [[floors]] in the settings file.")
        return QueueLength(plan.queue, plan.floors, plan.timezone)
    if kind is Kind.ORACLE:
        within = [plan.oracle_share * target for _, _, target in plan.world.work.classes]
        return Oracle(arrivals, plan.world, within, demand.start)
    return Policy(plan.sizing, forecaster)


def _forecaster(demand: Demand, plan: Plan, make: MakeForecaster) -> Forecaster:
    history = demand.history or Series(demand.start, max(demand.step_seconds, 300.0), (), demand.timezone)
    return make(history, demand.start, plan.world.work.mean_seconds, plan.quantile)


def _first_workers(demand: Demand, plan: Plan) -> int:
    """Everybody begins with what the first minutes take, so that no run is told by its start."""
    seconds = min(demand.seconds, 300.0)
    rate = float(demand.at(np.linspace(0.0, seconds, 16)).mean()) * plan.world.work.mean_seconds
    return max(plan.policy.min_workers, round(rate / plan.world.machines.slots_per_worker))


def fewest_workers(arrivals: Arrivals, plan: Plan) -> int:
    """The smallest fixed size whose p95 wait is within the policy's aim of the strictest target; a liquid, as ever."""
    work = arrivals.work.sum(axis=0)
    documents = arrivals.documents.sum(axis=0)
    slots_per_worker = plan.world.machines.slots_per_worker
    limit = plan.policy.aim * min(target for _, _, target in plan.world.work.classes)
    tick = arrivals.tick_seconds

    def is_enough(workers: int) -> bool:
        slots = workers * slots_per_worker
        if slots <= 0:
            return not work.sum()
        level = np.cumsum(work - slots * tick)
        left = level - np.minimum(0.0, np.minimum.accumulate(level))
        late = documents[left / slots > limit].sum()
        return bool(late <= 0.05 * documents.sum())

    low, high = 0, 1
    while not is_enough(high):
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
