"""Demand and load as Prometheus reads them: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from docfleet.domain.load import ClassLoad, PoolLoad
from docfleet.ledger.fleet_values import Demand

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _OfPool(msgspec.Struct, frozen=True):
    name: str
    help: str
    value: Callable[[Demand, PoolLoad], float]


class _OfClass(msgspec.Struct, frozen=True):
    name: str
    help: str
    value: Callable[[ClassLoad], float]


_POOL = (
    _OfPool("workers_wanted", "Workers the pool is to have.", lambda demand, load: demand.workers),
    _OfPool("workers_alive", "Workers of the pool that live.", lambda demand, load: load.workers),
    _OfPool("demand_age_seconds", "Since the size was decided.", lambda demand, load: demand.age_seconds),
    _OfPool("arriving_documents_per_second", "Over the last minutes.", lambda demand, load: load.arriving_documents),
    _OfPool("arriving_slots", "Slots that what arrives keeps busy.", lambda demand, load: load.arriving_seconds),
    _OfPool("slots_per_worker", "Slices a worker works on at a time.", lambda demand, load: load.slots_per_worker),
)
_CLASS = (
    _OfClass("waiting_documents", "Documents whose first slice waits.", lambda one: one.waiting_documents),
    _OfClass("waiting_slices", "Slices that may run and wait.", lambda one: one.waiting_slices),
    _OfClass("waiting_pages", "Pages of slices that wait, as far as they are known.", lambda one: one.waiting_pages),
    _OfClass("waiting_seconds", "Slot-seconds of work that waits.", lambda one: one.waiting_seconds),
    _OfClass("running_slices", "Slices that run.", lambda one: one.running_slices),
    _OfClass("oldest_waiting_seconds", "How long the oldest has waited.", lambda one: one.oldest_seconds),
)
NAMES = tuple(f"docfleet_fleet_{one.name}" for one in (*_POOL, *_CLASS))


def exposition(demands: Sequence[Demand]) -> str:
    """All gauges, each with its help and type; labels `pool`, `region` and, by priority, `priority`."""
    known = [(demand, demand.detail.load) for demand in demands]
    lines: list[str] = []
    for gauge in _POOL:
        lines += _head(gauge.name, gauge.help)
        lines += [
            _line(gauge.name, demand, "", gauge.value(demand, load)) for demand, load in known if load is not None
        ]
    for each in _CLASS:
        lines += _head(each.name, each.help)
        lines += [
            _line(each.name, demand, f',priority="{one.urgency}"', each.value(one))
            for demand, load in known
            if load is not None
            for one in load.classes
        ]
    return "\n".join(lines) + "\n"


def _head(name: str, text: str) -> list[str]:
    return [f"# HELP docfleet_fleet_{name} {text}", f"# TYPE docfleet_fleet_{name} gauge"]


def _line(name: str, demand: Demand, more: str, value: float) -> str:
    region = demand.region.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'docfleet_fleet_{name}{{pool="{demand.pool}",region="{region}"{more}}} {float(value):.6g}'
