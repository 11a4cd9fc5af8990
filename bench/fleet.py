"""Policies for the size of a fleet, compared on recorded demand: `python -m bench.fleet`. One Markdown table.

The last fifth of each series is run by the simulator, with the forecasts that would have been made on the way. What the
policies are run with stands in `fleet_settings.toml`, fixed before (see `bench.fleet_tuning`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import fmean

import msgspec
import numpy as np

from bench.fleet_series import SHARE, Part, fleet_settings, part_of, series_files
from bench.table import Row, as_markdown
from docfleet.fleet.simulate.arrivals import Arrivals, draw
from docfleet.fleet.simulate.compare import Plan, run_one
from docfleet.fleet.simulate.demand import Demand
from docfleet.fleet.simulate.kinds import Kind
from docfleet.fleet.simulate.run import Outcome
from docfleet.fleet.simulate.scalers import Oracle
from docfleet.fleet.simulate.scenarios import scenario

SEED = 1
KINDS = (Kind.PREDICTIVE, Kind.QUEUE, Kind.QUEUE_CLOCK, Kind.FIXED)
PEAK_SLOTS = 5.0
PEAK_BEGINS, PEAK_ENDS = 2 * 3600.0, 3 * 3600.0
FEWER, COST, BACK = 0.15, 1.25, 300.0


@dataclass(frozen=True)
class Job:
    series: str
    kind: Kind


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", help="beginnings of file names")
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args(arguments)
    names = [path.name for path in series_files() if not chosen.only or path.name.startswith(tuple(chosen.only))]
    if not names:
        print("no such series", file=sys.stderr)
        return 2
    with ProcessPoolExecutor(chosen.processes) as pool:
        parts = dict(zip(names, pool.map(_part, names), strict=True))
    jobs = [Job(name, kind) for name in names for kind in KINDS]
    # the longest first, so that no process waits for the other at the end
    jobs.sort(key=lambda job: -len(parts[job.series].demand.rates) * parts[job.series].demand.step_seconds)
    with ProcessPoolExecutor(chosen.processes, initializer=_start, initargs=(parts,)) as pool:
        found = dict(zip(jobs, pool.map(_run, jobs), strict=True))
        waits = [found[Job(name, Kind.PREDICTIVE)].wait_p95 for name in names]
        oracles = dict(zip(names, pool.map(_oracle, names, waits), strict=True))
    rows = [*_rows(names, found, oracles), *_peak_rows()]
    print(as_markdown(rows))
    return 0 if all(row.holds is not False for row in rows) else 1


_PARTS: dict[str, Part] = {}


def _start(parts: dict[str, Part]) -> None:
    _PARTS.update(parts)


def _part(name: str) -> Part:
    path = next(path for path in series_files() if path.name == name)
    return part_of(path, fleet_settings(), 1 - SHARE, 1.0)


def _drawn(part: Part, plan: Plan) -> Arrivals:
    return draw(part.demand, plan.world.work, plan.tick_seconds, SEED)


def _run(job: Job) -> Outcome:
    part, plan = _PARTS[job.series], fleet_settings().plan
    outcome = run_one(job.kind, part.demand, _drawn(part, plan), plan, SEED, part.forecaster())
    return msgspec.structs.replace(outcome, steps=(), reasons=())


def _oracle(name: str, wait_p95: float) -> Outcome:
    """The cheapest oracle whose p95 wait is as short: the longer it may take for everything, the fewer workers."""
    part, plan = _PARTS[name], fleet_settings().plan
    arrivals = _drawn(part, plan)
    target = min(target for _, _, target in plan.world.work.classes)
    shares = [0.25 * 1.5**number for number in range(12)]
    ready = [Oracle(arrivals, plan.world, [share * target], part.demand.start).ready for share in shares]
    fits = [share for share, slots in zip(shares, ready, strict=True) if _liquid_p95(arrivals, slots) <= wait_p95]
    for share in reversed(fits or shares[:1]):
        shared = msgspec.structs.replace(plan, oracle_share=share)
        outcome = run_one(Kind.ORACLE, part.demand, arrivals, shared, SEED)
        if outcome.wait_p95 <= wait_p95 or share == shares[0]:
            break
    return msgspec.structs.replace(outcome, steps=(), reasons=())


def _liquid_p95(arrivals: Arrivals, slots: np.ndarray) -> float:
    """About how long 95 % of the documents wait when so many slots are at work in each tick."""
    level = np.cumsum(arrivals.work.sum(axis=0) - np.ceil(slots) * arrivals.tick_seconds)
    left = level - np.minimum(0.0, np.minimum.accumulate(level))
    waits = left / np.maximum(np.ceil(slots), 1.0)
    order = np.argsort(waits)
    documents = np.cumsum(arrivals.documents.sum(axis=0)[order])
    return float(waits[order][np.searchsorted(documents, 0.95 * documents[-1])])


def _rows(names: Sequence[str], found: dict[Job, Outcome], oracles: dict[str, Outcome]) -> Iterator[Row]:
    ratios, works = [], []
    for name in names:
        ours, queue, clock, fixed = (found[Job(name, kind)] for kind in KINDS)
        oracle, stem = oracles[name], name.removesuffix(".csv")
        for label, other in (("queue length", queue), ("queue and clock", clock), ("fixed", fixed)):
            yield Row(f"{stem}, worker hours: {label}", _told(ours), _told(other), "", None)
        yield Row(f"{stem}, cost: the oracle", _paid(ours), _paid(oracle), "", None)
        ratios.append(ours.cost_usd / oracle.cost_usd)
        works.append(ours.worker_hours / ours.work_hours)
    yield _beside_queue([(found[Job(name, Kind.PREDICTIVE)], found[Job(name, Kind.QUEUE)]) for name in names])
    yield Row(
        "predictive beside the oracle, at equal p95 wait: cost",
        f"{fmean(ratios):.2f} times on average, {max(ratios):.2f} at most",
        "1",
        f"at most {COST} times",
        max(ratios) <= COST,
    )
    yield Row(
        "predictive beside no idle slot at all: worker hours",
        f"{fmean(works):.2f} times on average, {max(works):.2f} at most",
        "1",
        "",
        None,
    )
    lost = sum(one.lost for one in (*found.values(), *oracles.values()))
    documents = sum(one.documents for one in (*found.values(), *oracles.values()))
    yield Row("documents lost, all runs", f"{lost:g} of {documents:,}", "", "0", lost == 0)


def _beside_queue(pairs: Sequence[tuple[Outcome, Outcome]]) -> Row:
    """Either fewer worker hours at a p95 wait that is no longer, or fewer late documents at no higher cost."""
    fewer = [1 - ours.worker_hours / queue.worker_hours for ours, queue in pairs]
    shorter = sum(ours.wait_p95 <= max(queue.wait_p95, 1.0) for ours, queue in pairs)
    costs = [sum(one.cost_usd for one in both) for both in zip(*pairs, strict=True)]
    late = [sum(one.missed for one in both) for both in zip(*pairs, strict=True)]
    by_hours = fmean(fewer) >= FEWER and shorter == len(pairs)
    by_late = costs[0] <= costs[1] and late[0] <= late[1] / 2
    return Row(
        "predictive beside queue length",
        f"{100 * fmean(fewer):.0f} % fewer worker hours on average ({_span(fewer)}), "
        f"p95 wait no longer on {shorter} of {len(pairs)} series; ${costs[0]:,.0f}, {late[0]:,.0f} documents late",
        f"${costs[1]:,.0f}, {late[1]:,.0f} documents late",
        "at equal p95 wait at least 15 % fewer hours, or at equal cost at most half of the late documents",
        by_hours or by_late,
    )


def _span(values: Sequence[float]) -> str:
    return f"{100 * min(values):.0f} to {100 * max(values):.0f} %"


def _told(one: Outcome) -> str:
    return f"{one.worker_hours:,.0f} h, p95 {one.wait_p95:.1f} s, late {100 * one.missed_share:.2f} %"


def _paid(one: Outcome) -> str:
    return f"${one.cost_usd:,.0f}, {one.worker_hours:,.0f} h, p95 {one.wait_p95:.1f} s"


def peak_demand(plan: Plan) -> Demand:
    return scenario("peak", PEAK_SLOTS / plan.world.work.mean_seconds * 3600, SEED)


def _peak_rows() -> Iterator[Row]:
    plan = msgspec.structs.replace(fleet_settings().plan, tick_seconds=5.0)
    world = msgspec.structs.replace(plan.world, decide_every_seconds=5.0)
    plan = msgspec.structs.replace(plan, world=world)
    demand = peak_demand(plan)
    arrivals = _drawn(Part(demand, 1.0, {}), plan)
    target = min(target for _, _, target in plan.world.work.classes)
    allowed = plan.world.start_seconds + BACK
    for kind in (Kind.PREDICTIVE, Kind.QUEUE):
        outcome = run_one(kind, demand, arrivals, plan, SEED)
        back = back_seconds(outcome, target)
        mine = f"{back:.0f} s; {outcome.lost:g} of {outcome.documents:,} lost, {outcome.worker_hours:,.0f} h"
        if kind is Kind.PREDICTIVE:
            ours, holds = mine, back <= allowed and outcome.lost == 0
    yield Row(
        "10 times the demand from one second to the next, without warning: until nothing waits longer than its target",
        ours,
        f"queue length: {mine}",
        f"at most {allowed:.0f} s, none lost",
        holds,
    )


def back_seconds(outcome: Outcome, target: float) -> float:
    """From the beginning of the peak until the last moment at which the oldest had waited longer than the target."""
    late = [step.at for step in outcome.steps if step.at >= PEAK_BEGINS and step.oldest > target]
    return max(late, default=PEAK_BEGINS) - PEAK_BEGINS


if __name__ == "__main__":
    raise SystemExit(main())
