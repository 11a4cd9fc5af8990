"""What was measured, in the formats of Prometheus, with the packages that write them: `pip install
'docfleet[telemetry]'`.

    render(accept, [here()]) -> (media type, bytes)

A process shows its own snapshot; one that has others below it (`docfleet up`) shows theirs beside it, told apart by the
label `process`. OpenMetrics, when asked for, carries exemplars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, Any

import msgspec

from docfleet.errors import UsageError
from docfleet.telemetry import metrics
from docfleet.telemetry.catalog import METRICS, PROCESS
from docfleet.telemetry.kinds import Kind, Metric
from docfleet.telemetry.metrics import Measured

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

PACKAGE = "prometheus_client"


class Snapshot(msgspec.Struct, frozen=True):
    """All that one process tells."""

    measured: list[Measured]
    process: dict[str, float] = {}
    """Of `catalog.PROCESS`, those the system told."""
    name: str = ""
    """Of the process, where several are shown together."""


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Snapshot).decode


def is_available() -> bool:
    return find_spec(PACKAGE) is not None


def check_available() -> None:
    """Raises `UsageError`."""
    if not is_available():
        raise UsageError("Metrics need a package that is not installed: pip install 'docfleet[telemetry]'.")


def here(name: str = "", more: Iterable[Measured] = ()) -> Snapshot:
    """This process, now."""
    return Snapshot([*metrics.read(), *more], _process_facts(), name)


def _process_facts() -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in _process_collector().collect()
        for sample in family.samples
        if sample.name in PROCESS
    }


@cache
def _process_collector() -> Any:
    from prometheus_client import ProcessCollector

    return ProcessCollector(registry=None)


def render(accept: str, snapshots: Sequence[Snapshot]) -> tuple[str, bytes]:
    """Media type and body, as an `Accept` header wants them. Needs `prometheus_client`."""
    from prometheus_client.exposition import choose_encoder

    encoder, media_type = choose_encoder(accept)
    return media_type, encoder(_Families(snapshots))


class _Families:
    """A collector as `prometheus_client` asks it."""

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self._snapshots = snapshots

    def collect(self) -> Iterator[Family]:
        by_metric: dict[str, list[tuple[str, Measured]]] = {}
        for snapshot in self._snapshots:
            for one in snapshot.measured:
                if one.metric in METRICS:
                    by_metric.setdefault(one.metric, []).append((snapshot.name, one))
        for name, metric in METRICS.items():
            if name in by_metric:
                yield _family(metric, by_metric[name])
        yield from _process_families(self._snapshots)


def _family(metric: Metric, series: Sequence[tuple[str, Measured]]) -> Family:
    from prometheus_client.core import Metric as Family

    # OpenMetrics knows a counter by its name without the ending
    family = Family(metric.name.removesuffix("_total"), metric.help, str(metric.kind))
    seen: set[tuple[tuple[str, str], ...]] = set()
    for process, one in series:
        labels = dict(zip(metric.labels, one.labels, strict=True))
        if process and not metric.is_of_the_fleet:
            labels["process"] = process
        key = tuple(labels.items())
        if key in seen:
            # two who tell of the fleet, while one leads no more and the other does: the first is enough
            continue
        seen.add(key)
        if metric.kind is Kind.HISTOGRAM:
            _add_buckets(family, metric, labels, one)
        else:
            family.add_sample(metric.name, labels, one.value)
    return family


def _add_buckets(family: Family, metric: Metric, labels: Mapping[str, str], one: Measured) -> None:
    from prometheus_client.core import Exemplar

    below = list(accumulate(one.counts.get(index, 0) for index in range(len(metric.buckets) + 1)))
    for index, bound in enumerate((*metric.buckets, inf)):
        found = one.exemplars.get(index)
        exemplar = Exemplar({"trace_id": found.trace_id}, found.value, round(found.at, 3)) if found else None
        family.add_sample(
            f"{metric.name}_bucket",
            {**labels, "le": "+Inf" if bound == inf else str(bound)},
            below[index],
            exemplar=exemplar,
        )
    family.add_sample(f"{metric.name}_count", dict(labels), below[-1])
    family.add_sample(f"{metric.name}_sum", dict(labels), one.value)


def _process_families(snapshots: Sequence[Snapshot]) -> Iterator[Family]:
    from prometheus_client.core import Metric as Family

    for name, (kind, text) in PROCESS.items():
        told = [snapshot for snapshot in snapshots if name in snapshot.process]
        if not told:
            continue
        family = Family(name.removesuffix("_total"), text, str(kind))
        for snapshot in told:
            family.add_sample(name, {"process": snapshot.name} if snapshot.name else {}, snapshot.process[name])
        yield family
