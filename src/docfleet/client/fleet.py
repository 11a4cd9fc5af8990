"""The fleet: how many workers there are to be, and why."""

from __future__ import annotations

from datetime import datetime

import msgspec

from docfleet.client.connection import Connection, decoded
from docfleet.client.quotas import Quotas


class FleetNeed(msgspec.Struct, frozen=True):
    """What one rule asks for, or what a limit allows."""

    rule: str
    workers: int
    why: str = ""


class PriorityLoad(msgspec.Struct, frozen=True):
    """The work of one priority; `…_seconds` of work are slot-seconds."""

    priority: str
    target_seconds: float = 0.0
    waiting_documents: int = 0
    waiting_slices: int = 0
    waiting_pages: int = 0
    waiting_seconds: float = 0.0
    running_slices: int = 0
    reserved_slices: int = 0
    oldest_seconds: float = 0.0
    deadline_seconds: float | None = None


class FleetLoad(msgspec.Struct, frozen=True):
    alive: int = 0
    slots_per_worker: float = 1.0
    arriving_documents_per_second: float = 0.0
    arriving_seconds_per_second: float = 0.0
    slice_seconds: float = 0.0
    by_priority: tuple[PriorityLoad, ...] = ()


class FleetDemand(msgspec.Struct, frozen=True):
    """How many workers a pool is to have now."""

    pool: str
    workers: int
    region: str = ""
    before: int = 0
    reason: str = ""
    changed_at: datetime | None = None
    decided_at: datetime | None = None
    age_seconds: float = 0.0
    needs: tuple[FleetNeed, ...] = ()
    limits: tuple[FleetNeed, ...] = ()
    outlook: str = ""
    load: FleetLoad | None = None


class FleetDecision(msgspec.Struct, frozen=True):
    """A change of the size of a pool."""

    id: int
    pool: str
    before: int
    workers: int
    reason: str = ""
    region: str = ""
    at: datetime | None = None
    needs: tuple[FleetNeed, ...] = ()


class ModelScore(msgspec.Struct, frozen=True):
    model: str
    wape: float


class SaidStep(msgspec.Struct, frozen=True):
    """What the newest forecast made before a step said of it."""

    at: datetime
    low: float
    likely: float
    high: float


class FleetForecast(msgspec.Struct, frozen=True):
    """What is forecast for a pool: documents a step; in the pool `cloud` pages."""

    pool: str
    model: str
    step_seconds: float
    levels: tuple[float, ...] = ()
    values: tuple[tuple[float, ...], ...] = ()
    """One row for each level, one value for each step."""
    start: datetime | None = None
    made_at: datetime | None = None
    trusted: bool = False
    trust: str = ""
    scores: tuple[ModelScore, ...] = ()
    said: tuple[SaidStep, ...] = ()
    """Of steps that are past, as far as earlier forecasts are kept."""


class HistoryStep(msgspec.Struct, frozen=True):
    at: datetime
    arrived: int
    done: int = 0
    pages_done: int = 0
    seconds_done: float = 0.0


class FleetHistory(msgspec.Struct, frozen=True):
    pool: str
    step_seconds: int
    items: tuple[HistoryStep, ...] = ()


class _Demands(msgspec.Struct, frozen=True):
    items: list[FleetDemand] = []


class _Decisions(msgspec.Struct, frozen=True):
    items: list[FleetDecision] = []


class Fleet:
    """Needs a key that may read the fleet (`fleet:read`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def demands(self) -> list[FleetDemand]:
        """Of every pool that was ever decided on, however long ago: see `age_seconds`."""
        return decoded(self._connection.request("GET", "/v1/fleet/demand"), _Demands).items

    def demand(self, pool: str) -> FleetDemand:
        """Raises `DemandUnknown` while no dispatcher decides."""
        return decoded(self._connection.request("GET", f"/v1/fleet/demand/{pool}"), FleetDemand)

    def decisions(self, pool: str | None = None, *, limit: int = 100, before: int | None = None) -> list[FleetDecision]:
        """Changes of size, the latest first; `before`: only those before the decision of this id."""
        params = {"pool": pool, "limit": limit, "before": before}
        return decoded(self._connection.request("GET", "/v1/fleet/decisions", params=params), _Decisions).items

    def forecast(self, pool: str, step: str = "hour") -> FleetForecast:
        """`step`: "hour" (a week ahead) or "five_minutes". Raises `NotFound` while there is none."""
        response = self._connection.request("GET", f"/v1/fleet/forecast/{pool}", params={"step": step})
        return decoded(response, FleetForecast)

    def quotas(self) -> Quotas:
        """The quotas of the cloud engine as they are used now, its breakers and refused calls."""
        return decoded(self._connection.request("GET", "/v1/quotas"), Quotas)

    def history(self, pool: str, step: str = "hour", days: float = 14.0) -> FleetHistory:
        """What arrived and was done; steps that nobody counted are left out."""
        response = self._connection.request("GET", f"/v1/fleet/history/{pool}", params={"step": step, "days": days})
        return decoded(response, FleetHistory)
