"""How many workers each pool is to have, why, and what is forecast: for autoscalers, dashboards and people."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from fastapi import Path, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from docfleet.api.inputs import Parts
from docfleet.api.parts import ApiParts
from docfleet.api.resource import Resource
from docfleet.api.schemas import example, moment
from docfleet.domain.access import Permission
from docfleet.domain.load import ClassLoad, PoolLoad
from docfleet.domain.scaling import Need
from docfleet.domain.urgency import Pool
from docfleet.errors import DemandUnknown, NotFound
from docfleet.fleet.forecast.reading import said_before
from docfleet.fleet.gauges import CONTENT_TYPE, exposition, measured
from docfleet.fleet.outlook import Kept
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.fleet_history import FIVE_MINUTES, HOUR
from docfleet.ledger.fleet_values import Demand, FleetDecision
from docfleet.telemetry.exposition import here, is_available, render

fleet_demand = Resource("Fleet")
FRESH_SECONDS = 60.0
"""A demand that was not renewed for so long is nobody's: an autoscaler had better keep the size there is."""
_AT = "2026-03-14T09:26:53.589000Z"
_NEED = {"rule": "target", "workers": 19, "why": "4,210 pages waiting (normal): 561 s of work, to be done in 30 s"}
_DECISION = {
    "id": 812,
    "at": _AT,
    "pool": "pdf",
    "region": "local",
    "before": 12,
    "workers": 19,
    "reason": "12 → 19 pdf workers: 4,210 pages waiting, forecast +38 %",
    "needs": [_NEED],
}
_DEMAND = {
    "pool": "pdf",
    "region": "local",
    "workers": 19,
    "before": 12,
    "reason": _DECISION["reason"],
    "changed_at": _AT,
    "decided_at": _AT,
    "age_seconds": 1.2,
    "needs": [_NEED],
    "limits": [],
    "outlook": "similar days: 12 of the last 12 forecasts held",
    "load": None,
}
_SAID = {"at": "2026-03-14T08:00:00Z", "low": 700.0, "likely": 880.0, "high": 1040.0}
_FORECAST = {
    "pool": "pdf",
    "model": "similar days",
    "made_at": _AT,
    "trusted": True,
    "trust": "12 of the last 12 forecasts held",
    "start": "2026-03-14T10:00:00Z",
    "step_seconds": 3600.0,
    "levels": [0.05, 0.5, 0.95],
    "values": [[210.0, 190.0], [260.0, 240.0], [320.0, 300.0]],
    "scores": [{"model": "similar days", "wape": 0.12}],
    "said": [_SAID],
}
_STEP = {"at": "2026-03-14T08:00:00Z", "arrived": 912, "done": 905, "pages_done": 2710, "seconds_done": 2602.4}
StepName = Literal["hour", "five_minutes"]
PoolName = Annotated[Pool, Path(description="pdf, image or cloud.")]


class NeedOut(BaseModel):
    """What one rule asks for, or what a limit allows."""

    model_config = example(**_NEED)

    rule: str
    workers: int
    why: str

    @classmethod
    def of(cls, need: Need) -> NeedOut:
        return cls(rule=need.rule, workers=need.workers, why=need.why)


class ClassLoadOut(BaseModel):
    """The work of one priority. Work is counted in slot-seconds: how long one slot needs for it."""

    priority: str
    target_seconds: float
    waiting_documents: int
    waiting_slices: int
    waiting_pages: int
    waiting_seconds: float
    running_slices: int
    reserved_slices: int = Field(description="Of those that wait: hinted to workers already.")
    oldest_seconds: float
    deadline_seconds: float | None = Field(description="Until the nearest deadline; null: nothing has one.")

    @classmethod
    def of(cls, one: ClassLoad) -> ClassLoadOut:
        return cls(
            priority=one.urgency, target_seconds=one.target_seconds, waiting_documents=one.waiting_documents,
            waiting_slices=one.waiting_slices, waiting_pages=one.waiting_pages,
            waiting_seconds=round(one.waiting_seconds, 3), running_slices=one.running_slices,
            reserved_slices=one.reserved_slices, oldest_seconds=round(one.oldest_seconds, 3),
            deadline_seconds=one.deadline_seconds,
        )  # fmt: skip


class PoolLoadOut(BaseModel):
    """What waits, runs and arrives."""

    alive: int = Field(description="Workers that live.")
    slots_per_worker: float
    arriving_documents_per_second: float = Field(description="Over the last minutes; in the pool cloud: pages.")
    arriving_seconds_per_second: float = Field(description="Work that arrives: the slots it keeps busy.")
    slice_seconds: float = Field(description="Mean slot-seconds of one slice.")
    by_priority: list[ClassLoadOut]

    @classmethod
    def of(cls, load: PoolLoad) -> PoolLoadOut:
        return cls(
            alive=load.workers, slots_per_worker=load.slots_per_worker,
            arriving_documents_per_second=round(load.arriving_documents, 4),
            arriving_seconds_per_second=round(load.arriving_seconds, 4), slice_seconds=round(load.slice_seconds, 4),
            by_priority=[ClassLoadOut.of(one) for one in load.classes],
        )  # fmt: skip


class DemandOut(BaseModel):
    """How many workers a pool is to have now. `workers` is what KEDA's metrics-api trigger reads."""

    model_config = example(**_DEMAND)

    pool: str
    region: str
    workers: int
    before: int = Field(description="How many they were until it changed last.")
    reason: str = Field(description="Why it changed last.")
    changed_at: datetime | None
    decided_at: datetime | None = Field(description="Renewed every few seconds.")
    age_seconds: float = Field(description="Since it was decided.")
    needs: list[NeedOut] = Field(description="What each rule asks for now, the one that decides first.")
    limits: list[NeedOut] = Field(description="What holds it down, or slows it.")
    outlook: str = Field(description="Why the forecast is used, or not.")
    load: PoolLoadOut | None

    @classmethod
    def of(cls, one: Demand) -> DemandOut:
        detail = one.detail
        return cls(
            pool=one.pool, region=one.region, workers=one.workers, before=one.before, reason=one.reason,
            changed_at=moment(one.changed_at), decided_at=moment(one.decided_at), age_seconds=round(one.age_seconds, 3),
            needs=[NeedOut.of(need) for need in detail.needs], limits=[NeedOut.of(need) for need in detail.limits],
            outlook=detail.outlook, load=None if detail.load is None else PoolLoadOut.of(detail.load),
        )  # fmt: skip


class DemandsOut(BaseModel):
    model_config = example(items=[_DEMAND])

    items: list[DemandOut]


class FleetDecisionOut(BaseModel):
    """A change of the size of a pool."""

    model_config = example(**_DECISION)

    id: int
    at: datetime | None
    pool: str
    region: str
    before: int
    workers: int
    reason: str
    needs: list[NeedOut]

    @classmethod
    def of(cls, one: FleetDecision) -> FleetDecisionOut:
        return cls(
            id=one.id, at=moment(one.at), pool=one.pool, region=one.region, before=one.before, workers=one.workers,
            reason=one.reason, needs=[NeedOut.of(need) for need in one.needs],
        )  # fmt: skip


class FleetDecisionsOut(BaseModel):
    model_config = example(items=[_DECISION])

    items: list[FleetDecisionOut]


class ScoreOut(BaseModel):
    model: str
    wape: float = Field(description="Sum of absolute errors over sum of outcomes, in the backtest.")


class SaidStepOut(BaseModel):
    """What the newest forecast made before a step said of it."""

    model_config = example(**_SAID)

    at: datetime | None = Field(description="When the step begins.")
    low: float = Field(description="5 % of outcomes are below it.")
    likely: float
    high: float = Field(description="5 % are above it.")


class FleetForecastOut(BaseModel):
    """What is forecast for a pool: documents a step; in the pool cloud, pages."""

    model_config = example(**_FORECAST)

    pool: str
    model: str
    made_at: datetime | None
    trusted: bool = Field(description="Whether sizes provide for it.")
    trust: str = Field(description="Why, or why not.")
    start: datetime | None = Field(description="Of the first step.")
    step_seconds: float
    levels: list[float]
    values: list[list[float]] = Field(description="One list for each level, one value for each step.")
    scores: list[ScoreOut] = Field(description="Of the models that were tried, the chosen one first.")
    said: list[SaidStepOut] = Field(description="Of steps that are past, as far as earlier forecasts are kept.")


class HistoryStepOut(BaseModel):
    at: datetime | None
    arrived: int
    done: int
    pages_done: int
    seconds_done: float = Field(description="Slot-seconds of what ended.")


class HistoryOut(BaseModel):
    """What arrived and was done in equal steps: documents; in the pool cloud, pages.

    Steps that nobody counted are left out.
    """

    model_config = example(pool="pdf", step_seconds=3600, items=[_STEP])

    pool: str
    step_seconds: int
    items: list[HistoryStepOut]


def book_of(parts: ApiParts) -> FleetBook:
    return FleetBook(parts.ledger, parts.options.region)


@fleet_demand.route("GET", "/v1/fleet/demand", Permission.READ_FLEET, out=DemandsOut)
def list_demand(parts: Parts) -> DemandsOut:
    """How many workers each pool is to have, and why."""
    return DemandsOut(items=[DemandOut.of(one) for one in book_of(parts).demands()])


@fleet_demand.route("GET", "/v1/fleet/demand/{pool}", Permission.READ_FLEET, out=DemandOut, problems=(DemandUnknown,))
def read_demand(parts: Parts, pool: PoolName) -> DemandOut:
    """How many workers a pool is to have now.

    For an autoscaler: `workers` is the number of replicas. An error (503 `demand_unknown` while no dispatcher decides)
    is no zero: keep the size there is.
    """
    found = book_of(parts).demand(pool)
    if found is None:
        raise DemandUnknown(f"Nobody has decided on the pool {pool} of {parts.options.region} yet.")
    if found.age_seconds > FRESH_SECONDS:
        raise DemandUnknown(f"The demand of the pool {pool} is {found.age_seconds:.0f} s old: no dispatcher decides.")
    return DemandOut.of(found)


@fleet_demand.route("GET", "/v1/fleet/decisions", Permission.READ_FLEET, out=FleetDecisionsOut)
def list_decisions(
    parts: Parts,
    pool: Annotated[Pool | None, Query(description="Only those of this pool.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
    before: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="Only those before this one: the last `id` received.")
    ] = None,
) -> FleetDecisionsOut:
    """Changes of size and their reasons, the latest first. They are kept for 90 days."""
    return FleetDecisionsOut(items=[FleetDecisionOut.of(one) for one in book_of(parts).decisions(pool, limit, before)])


@fleet_demand.route(
    "GET", "/v1/fleet/forecast/{pool}", Permission.READ_FLEET, out=FleetForecastOut, problems=(NotFound,)
)
def read_forecast(
    parts: Parts,
    pool: PoolName,
    step: Annotated[
        str, Query(pattern="^(hour|five_minutes)$", description="Of the week, or of the next hours.")
    ] = "hour",
) -> FleetForecastOut:
    """What is forecast for a pool, and whether that is trusted."""
    kept = book_of(parts).forecast(pool, HOUR if step == "hour" else FIVE_MINUTES)
    if kept is None:
        raise NotFound(f"There is no forecast for the pool {pool} yet: it needs some history.")
    made_at, told = kept[0], msgspec.json.decode(kept[1], type=Kept)
    forecast = told.forecast
    return FleetForecastOut(
        pool=pool, model=forecast.model, made_at=moment(made_at), trusted=forecast.trust.trusted,
        trust=forecast.trust.reason, start=moment(forecast.start), step_seconds=forecast.step_seconds,
        levels=list(forecast.levels), values=[list(row) for row in forecast.values],
        scores=[ScoreOut(model=score.model, wape=score.wape) for score in forecast.scores],
        said=[
            SaidStepOut(at=moment(one.at), low=one.low, likely=one.likely, high=one.high)
            for one in said_before(told.past, forecast.start)
        ],
    )  # fmt: skip


@fleet_demand.route("GET", "/v1/fleet/history/{pool}", Permission.READ_FLEET, out=HistoryOut)
def read_history(
    parts: Parts,
    pool: PoolName,
    step: Annotated[StepName, Query(description="Length of a step.")] = "hour",
    days: Annotated[float, Query(gt=0, le=800, description="How far back.")] = 14.0,
) -> HistoryOut:
    """What arrived and was done, for plots and for the simulator."""
    book, seconds = book_of(parts), HOUR if step == "hour" else FIVE_MINUTES
    now = book.now()
    return HistoryOut(
        pool=pool,
        step_seconds=seconds,
        items=[
            HistoryStepOut(
                at=moment(one.bucket), arrived=one.arrived, done=one.done, pages_done=one.pages_done,
                seconds_done=round(one.seconds_done, 3),
            )
            for one in book.history(pool, seconds, now - days * 86400.0, now)
        ],
    )  # fmt: skip


@fleet_demand.route(
    "GET",
    "/metrics",
    Permission.READ_FLEET,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text."}},
)
def read_metrics(parts: Parts, request: Request) -> Response:
    """The fleet's demand and load, and the requests of this API, for Prometheus; by a key that may read the fleet.

    In its text format, or as OpenMetrics with exemplars when that is asked for. `docs/reference/metrics.md` explains
    each of them.
    """
    demands = book_of(parts).demands()
    if not is_available():
        return PlainTextResponse(exposition(demands), media_type=CONTENT_TYPE)
    media_type, body = render(request.headers.get("accept", ""), [here(more=measured(demands))])
    return Response(body, media_type=media_type)
