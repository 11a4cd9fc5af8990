"""What the ledger tells and is told about the fleet: plain values."""

from __future__ import annotations

import msgspec

from docfleet.domain.load import PoolLoad
from docfleet.domain.scaling import Decision, Need, ScalingMemory
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import Step


class WaitingSum(msgspec.Struct, frozen=True):
    """Slices of one pool, urgency and step that may run now."""

    pool: str
    urgency: Urgency
    step: Step
    slices: int
    pages: int
    """Of whole-document slices: 0, since nobody knows yet."""
    documents: int
    """Whose first slice this is."""
    hinted: int
    oldest_seconds: float
    deadline_seconds: float | None


class RunningSum(msgspec.Struct, frozen=True):
    pool: str
    urgency: Urgency
    step: Step
    slices: int
    pages: int
    elapsed_seconds: float
    """Sum of how long each has been running."""


class LoadSums(msgspec.Struct, frozen=True):
    """All of the load of a region at one moment of the database's clock."""

    at: float
    waiting: tuple[WaitingSum, ...]
    running: tuple[RunningSum, ...]


class ServiceTime(msgspec.Struct, frozen=True):
    """How long work took lately; what is older counts less."""

    pool: str
    step: str
    """A step, or "page"."""
    engine: str
    amount: float
    """Slices (calls of the cloud step, or pages) it rests on, after decay."""
    pages: float
    seconds: float
    squares: float

    @property
    def mean_seconds(self) -> float:
        return self.seconds / self.amount if self.amount > 0 else 0.0

    @property
    def seconds_per_page(self) -> float:
        return self.seconds / self.pages if self.pages > 0 else 0.0


class HistoryStep(msgspec.Struct, frozen=True):
    """What a pool got and did in one step of time. Units: documents; in the pool `cloud` pages."""

    bucket: int
    """Seconds since 1970."""
    arrived: int
    done: int
    slices_done: int
    pages_done: int
    seconds_done: float


class DemandDetail(msgspec.Struct, frozen=True):
    """What a decision was made from, kept with it."""

    needs: tuple[Need, ...] = ()
    limits: tuple[Need, ...] = ()
    load: PoolLoad | None = None
    memory: ScalingMemory = ScalingMemory()
    outlook: str = ""
    """Why the forecast was used, or not."""


class Demand(msgspec.Struct, frozen=True):
    """How many workers a pool is to have now."""

    region: str
    pool: str
    workers: int
    before: int
    reason: str
    changed_at: float
    decided_at: float
    age_seconds: float
    """Since it was decided, by the database's clock."""
    detail: DemandDetail = DemandDetail()


class FleetDecision(msgspec.Struct, frozen=True):
    """A change of the size of a pool."""

    id: int
    at: float
    region: str
    pool: str
    before: int
    workers: int
    reason: str
    needs: tuple[Need, ...]


def detail_of(decision: Decision, load: PoolLoad, outlook: str) -> DemandDetail:
    return DemandDetail(decision.needs, decision.limits, load, decision.memory, outlook)
