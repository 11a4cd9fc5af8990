"""The world a simulated fleet lives in: what work takes, how soon workers come, what they cost, and what breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from docfleet.domain.pricing import PriceBook, micros_of
from docfleet.domain.urgency import RANK, TARGET_SECONDS, Pool, Urgency
from docfleet.errors import UsageError

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
T = TypeVar("T")
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
NODE = "node"
"""What is paid for in a simulation, in the place of single slots."""


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Documents of a pool, and what they take. The work of a document is gamma distributed; see `arrivals`."""

    pool: Pool = Pool.PDF
    mean_seconds: Positive = 3.0
    """Slot-seconds of one document."""
    variation: Annotated[float, msgspec.Meta(gt=0, le=10)] = 1.5
    """Standard deviation of it over its mean."""
    pages: Positive = 1.5
    """Of one document."""
    slice_seconds: Positive = 2.0
    """Slot-seconds of one slice: a document longer than that is read by several slots at once."""
    batch_documents: Annotated[float, msgspec.Meta(ge=1)] = 1.0
    """Documents that are submitted together, on average (geometric)."""
    urgencies: dict[Urgency, Share] = msgspec.field(default_factory=lambda: {Urgency.NORMAL: 1.0})
    """Shares of the documents; they add up to 1."""

    def __post_init__(self) -> None:
        if abs(sum(self.urgencies.values()) - 1.0) > 1e-6:
            raise ValueError("the shares of the urgencies add up to 1")

    @property
    def classes(self) -> tuple[tuple[Urgency, float, float], ...]:
        """(urgency, its share, its target in seconds), the most urgent first."""
        shown = sorted(self.urgencies, key=lambda urgency: RANK[urgency])
        return tuple((one, self.urgencies[one], TARGET_SECONDS[self.pool, one]) for one in shown)


class Machines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What workers run on. A worker starts on a node with room, or waits for a new one."""

    slots_per_worker: AtLeastOne = 1
    workers_per_node: AtLeastOne = 4
    node_start_seconds: NotNegative = 90.0
    """From asking for a node to its taking containers."""
    worker_start_seconds: NotNegative = 30.0
    """From a container on a node to its first slice: start, models, first claim."""
    node_idle_seconds: NotNegative = 300.0
    """An empty node is given back after so long."""
    drain_seconds: NotNegative = 2.0
    """That a worker is paid for between being asked to stop and being gone."""
    lost_after_seconds: NotNegative = 30.0
    """Until the work of a dead worker is taken up again (lease, then the next look)."""
    replaced_after_seconds: NotNegative = 50.0
    """Until a node that died is noticed and a new one asked for."""


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    node_usd_per_hour: NotNegative = 0.192
    base_usd_per_month: NotNegative = 200.0
    """What is there whatever is read: database, Redis, storage, control plane."""
    engine_usd_per_page: NotNegative = 0.0

    @property
    def book(self) -> PriceBook:
        """The same for `whole_cost`: a node counts as a slot of the pool `NODE`."""
        return PriceBook(
            pool_micros_per_hour={NODE: micros_of(self.node_usd_per_hour)},
            base_micros_per_month=micros_of(self.base_usd_per_month),
        )


class Trouble(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something breaks at a moment of the run."""

    at_seconds: NotNegative
    """Since its start."""
    nodes_die: Count = 0
    share_dies: Share = 0.0
    """Of all nodes at that moment."""
    quota_slots: NotNegative | None = None
    """The engine is throttled: from then on it keeps so many slots busy …"""
    for_seconds: NotNegative = 0.0
    """… for so long."""


class World(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    work: Work = Work()
    machines: Machines = Machines()
    prices: Prices = Prices()
    decide_every_seconds: Positive = 15.0
    arrival_window_seconds: Positive = 300.0
    """Over which the rate of arrivals is measured, as in the service."""
    quota_slots: NotNegative | None = None
    """Slots that the quota of the engine keeps busy; none: no such limit."""
    troubles: tuple[Trouble, ...] = ()

    @property
    def start_seconds(self) -> float:
        """Of a worker that needs a new node."""
        return self.machines.node_start_seconds + self.machines.worker_start_seconds


def read_toml(path: Path, kind: type[T]) -> T:
    """A file of settings as a value. Raises UsageError for what is not one, with the place that is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        return msgspec.toml.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise UsageError(f"{path} is not as it should be: {error}.") from error
