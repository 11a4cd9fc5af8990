"""Tries figures for `fleet_settings.toml`: `python -m bench.fleet_tuning`. Never sees what the benchmark runs.

Each policy gets the settings with the fewest worker hours among those whose p95 wait, over all series, is within
`p95_seconds`; where none is, the one with the shortest wait.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from statistics import fmean

import msgspec

from bench.fleet_series import Part, fleet_settings, part_of, series_files
from docfleet.domain.business_hours import ClockFloor
from docfleet.fleet.simulate.arrivals import draw
from docfleet.fleet.simulate.compare import Plan, run_one
from docfleet.fleet.simulate.demand import read_series
from docfleet.fleet.simulate.kinds import Kind

END = 0.8
DAYS = 3
"""Of each series: the last ones before the part that the benchmark runs."""
SEED = 7


def queue_plans(plan: Plan) -> Iterator[tuple[str, Plan]]:
    ways_up = ((1.0, 4), (0.1, 1), (0.05, 1))
    for each, (share, workers), window in itertools.product((0.95, 1.05, 1.15, 1.3, 2.0, 3.5), ways_up, (120.0, 300.0)):
        rule = msgspec.structs.replace(
            plan.queue, per_worker=each, up_share=share, up_workers=workers, window_seconds=window
        )
        yield f"per_worker {each} up {share}/{workers} window {window:g}", msgspec.structs.replace(plan, queue=rule)


def clock_plans(plan: Plan) -> Iterator[tuple[str, Plan]]:
    """The best of the queue's, with floors."""
    for workers, (begin, end) in itertools.product((6, 8, 12, 16), ((8, 20), (7, 23))):
        floor = ClockFloor(workers, from_minute=begin * 60, to_minute=end * 60)
        yield f"floor {workers} from {begin} to {end}", msgspec.structs.replace(plan, floors=(floor,))


def policy_plans(plan: Plan) -> Iterator[tuple[str, Plan]]:
    for headroom, quantile, window in itertools.product((0.5, 1.0, 1.25), (0.5, 0.75), (60.0, 120.0, 300.0)):
        policy = msgspec.structs.replace(plan.policy, headroom=headroom, down_window_seconds=window)
        yield (
            f"headroom {headroom} quantile {quantile} window {window:g}",
            msgspec.structs.replace(plan, policy=policy, quantile=quantile),
        )


GRIDS = {Kind.QUEUE: queue_plans, Kind.QUEUE_CLOCK: clock_plans, Kind.PREDICTIVE: policy_plans}


def tried(kind: Kind, plan: Plan, parts: list[Part]) -> tuple[float, float]:
    """(worker hours for each hour of work, mean p95 wait) over the parts."""
    hours, waits = [], []
    for part in parts:
        arrivals = draw(part.demand, plan.world.work, plan.tick_seconds, SEED)
        outcome = run_one(kind, part.demand, arrivals, plan, SEED, part.forecaster())
        hours.append(outcome.worker_hours / outcome.work_hours)
        waits.append(outcome.wait_p95)
    return fmean(hours), fmean(waits)


def _prepared(name: str) -> Part:
    path = next(path for path in series_files() if path.name == name)
    series = read_series(path)
    days = len(series.values) * series.step_seconds / 86_400
    return part_of(path, fleet_settings(), END - DAYS / days, END)


_PARTS: list[Part] = []


def _start(parts: list[Part]) -> None:
    _PARTS.extend(parts)


def _tried(job: tuple[Kind, str, Plan]) -> tuple[str, float, float]:
    kind, name, plan = job
    return name, *tried(kind, plan, _PARTS)


def main() -> int:
    settings = fleet_settings()
    kinds = [Kind(name) for name in sys.argv[1:]] or list(GRIDS)
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(_prepared, [path.name for path in series_files()]))
    with ProcessPoolExecutor(2, initializer=_start, initargs=(parts,)) as pool:
        for kind in kinds:
            found = []
            for one in pool.map(_tried, [(kind, name, plan) for name, plan in GRIDS[kind](settings.plan)]):
                found.append(one)
                print(f"{kind} {one[1]:.3f} {one[2]:.1f} {one[0]}", file=sys.stderr, flush=True)
            met = [one for one in found if one[2] <= settings.p95_seconds]
            best = min(met, key=lambda one: one[1]) if met else min(found, key=lambda one: one[2])
            print(f"{kind}: {best[0]} ({best[1]:.3f} worker hours for one of work, p95 {best[2]:.1f} s)")
            for name, hours, wait in sorted(found, key=lambda one: one[1]):
                print(f"    {hours:.3f}  p95 {wait:6.1f} s  {name}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
