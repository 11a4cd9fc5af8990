"""Demand and load as Prometheus reads them: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from docfleet.domain.load import ClassLoad, PoolLoad
from docfleet.domain.urgency import Urgency
from docfleet.ledger.fleet_values import Demand
from docfleet.telemetry import catalog
from docfleet.telemetry.kinds import Metric
from docfleet.telemetry.metrics import Labels, Measured, reading

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_POOL: Mapping[Metric, Callable[[Demand, PoolLoad], float]] = {
    catalog.WORKERS_WANTED: lambda demand, load: demand.workers,
    catalog.WORKERS_ALIVE: lambda demand, load: load.workers,
    catalog.DEMAND_AGE: lambda demand, load: demand.age_seconds,
    catalog.ARRIVING_DOCUMENTS: lambda demand, load: load.arriving_documents,
    catalog.ARRIVING_SLOTS: lambda demand, load: load.arriving_seconds,
    catalog.SLOTS_PER_WORKER: lambda demand, load: load.slots_per_worker,
}
_CLASS: Mapping[Metric, Callable[[ClassLoad], float]] = {
    catalog.WAITING_DOCUMENTS: lambda one: one.waiting_documents,
    catalog.WAITING_SLICES: lambda one: one.waiting_slices,
    catalog.WAITING_PAGES: lambda one: one.waiting_pages,
    catalog.WAITING_SECONDS: lambda one: one.waiting_seconds,
    catalog.RUNNING_SLICES: lambda one: one.running_slices,
    catalog.OLDEST_WAITING: lambda one: one.oldest_seconds,
}
NAMES = tuple(metric.name for metric in (*_POOL, *_CLASS))


def readings(demands: Iterable[Demand]) -> Iterator[tuple[Metric, Labels, float]]:
    """Every gauge of every pool that has been looked at."""
    for demand in demands:
        load = demand.detail.load
        if load is None:
            continue
        where = (demand.pool, demand.region)
        for metric, value in _POOL.items():
            yield metric, where, float(value(demand, load))
        known = {one.urgency: one for one in load.classes}
        for metric, of_class in _CLASS.items():
            for urgency in Urgency:
                # nothing of a priority is 0 of it: what is missing could as well be unknown
                one = known.get(urgency)
                yield metric, (*where, str(urgency)), float(of_class(one)) if one is not None else 0.0


def measured(demands: Iterable[Demand]) -> list[Measured]:
    """The same, to be shown beside what a process has measured."""
    return [reading(metric, value, *labels) for metric, labels, value in readings(demands)]


def exposition(demands: Sequence[Demand]) -> str:
    """The same as text, where no package that writes it is installed."""
    lines: dict[str, list[str]] = {
        metric.name: [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} gauge"]
        for metric in (*_POOL, *_CLASS)
    }
    for metric, labels, value in readings(demands):
        said = ",".join(f'{name}="{_escaped(text)}"' for name, text in zip(metric.labels, labels, strict=True))
        lines[metric.name].append(f"{metric.name}{{{said}}} {value:.6g}")
    return "\n".join(line for each in lines.values() for line in each) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
