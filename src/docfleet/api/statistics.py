"""What happened, in steps of time: documents, pages, latencies, money."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from docfleet.api.inputs import Parts, Who, optional_seconds
from docfleet.api.parts import ApiParts
from docfleet.api.resource import Resource
from docfleet.api.schemas import example, moment
from docfleet.domain.access import SYSTEM_TENANT, Caller, Permission
from docfleet.domain.tallying import Sums
from docfleet.errors import BadRequest, Forbidden
from docfleet.ledger.tallies import ALL_TENANTS, DAY, FIVE_MINUTES, HOUR, Statistics, Tallies

statistics = Resource("Statistics")
MOST_STEPS = 2000
EVERYBODY = "*"
_STEPS = {"five_minutes": FIVE_MINUTES, "hour": HOUR, "day": DAY}
_AT = "2026-03-14T09:00:00Z"
SUMS_EXAMPLE = {
    "accepted": 1240, "succeeded": 1190, "partial": 21, "failed": 18, "broken": 1, "cancelled": 0, "in_time": 1201,
    "late": 28, "duplicates": 40, "pages": 5210, "pages_failed": 33, "cost_usd": 1.27, "retries": 12, "leases_lost": 2,
    "dead_letters": 1, "seconds_p50": 1.9, "seconds_p95": 8.4, "wait_p50": 0.2, "wait_p95": 1.6,
}  # fmt: skip
StepName = Literal["five_minutes", "hour", "day"]
Whose = Annotated[
    str | None,
    Query(
        max_length=64,
        description="`*`: of all tenants together, for keys of the tenant `system` that may read the fleet. "
        "Default: the key's own.",
    ),
]


class SumsOut(BaseModel):
    """What happened in a time. Documents, unless the name says otherwise; seconds are null where nothing ended."""

    model_config = example(**SUMS_EXAMPLE)

    accepted: int
    succeeded: int
    partial: int
    failed: int = Field(description="Through their own fault: damaged, password, too large, no budget …")
    broken: int = Field(description="Through no fault of theirs. These alone count against availability.")
    cancelled: int
    in_time: int = Field(
        description="Ended for the first time, not broken, within the target of their pool and priority."
    )
    late: int = Field(description="Likewise, but after that target: only these two are judged.")
    duplicates: int = Field(description="Ended with the results of an earlier document.")
    pages: int = Field(description="Read.")
    pages_failed: int
    cost_usd: float = Field(description="What the engines took for these pages.")
    retries: int = Field(description="Attempts that went back to the queue.")
    leases_lost: int = Field(description="Attempts whose worker died or fell silent.")
    dead_letters: int = Field(description="Slices that were given up.")
    seconds_p50: float | None = Field(description="From accepted to ended, first ends only; told from buckets.")
    seconds_p95: float | None
    wait_p50: float | None = Field(description="From accepted to taken up by a worker.")
    wait_p95: float | None

    @classmethod
    def of(cls, sums: Sums) -> SumsOut:
        return cls(**{name: getattr(sums, name) for name in Sums.__struct_fields__})


class StepSumsOut(SumsOut):
    """One step of time."""

    model_config = example(at=_AT, **SUMS_EXAMPLE)

    at: datetime = Field(description="When it begins.")

    @classmethod
    def begun(cls, at: float, sums: Sums) -> StepSumsOut:
        return cls(at=moment(at) or datetime.min, **SumsOut.of(sums).model_dump())


class ClassSumsOut(SumsOut):
    """One pool and priority."""

    model_config = example(pool="pdf", priority="normal", **SUMS_EXAMPLE)

    pool: str
    priority: str


class EngineSumsOut(BaseModel):
    model_config = example(pages=5000, cost_usd=0.0)

    pages: int
    cost_usd: float


class StatisticsOut(BaseModel):
    """What happened in a span of time, step by step. Counted from the ledger's events, some seconds behind them."""

    model_config = example(
        tenant="acme", step_seconds=3600, since=_AT, until="2026-03-14T10:00:00Z", counted_until=_AT, counted_since=_AT,
        steps=[{"at": _AT, **SUMS_EXAMPLE}], total=SUMS_EXAMPLE,
        engines={"rapidocr": {"pages": 5000, "cost_usd": 0.0}}, codes={"damaged": 12}, dead_codes={"worker_died": 1},
        pools=[{"pool": "pdf", "priority": "normal", **SUMS_EXAMPLE}],
    )  # fmt: skip

    tenant: str
    step_seconds: int
    since: datetime
    until: datetime
    counted_until: datetime | None = Field(description="What is later is not in it yet; null: nobody counts.")
    counted_since: datetime | None = Field(description="When the first thing happened that was ever counted.")
    steps: list[StepSumsOut]
    total: SumsOut
    engines: dict[str, EngineSumsOut]
    codes: dict[str, int] = Field(description="Outcome code -> pages that failed with it.")
    dead_codes: dict[str, int] = Field(description="Outcome code -> slices that were given up with it.")
    pools: list[ClassSumsOut]

    @classmethod
    def of(cls, tenant: str, told: Statistics) -> StatisticsOut:
        return cls(
            tenant=tenant, step_seconds=told.step_seconds, since=moment(told.since) or datetime.min,
            until=moment(told.until) or datetime.min, counted_until=moment(told.counted_until),
            counted_since=moment(told.counted_since),
            steps=[StepSumsOut.begun(at, sums) for at, sums in told.steps], total=SumsOut.of(told.total),
            engines={name: EngineSumsOut(pages=pages, cost_usd=cost) for name, (pages, cost) in told.engines.items()},
            codes=dict(told.codes), dead_codes=dict(told.dead_codes),
            pools=[
                ClassSumsOut(pool=one.pool, priority=one.urgency, **SumsOut.of(one.sums).model_dump())
                for one in told.classes
            ],
        )  # fmt: skip


def tallies_of(parts: ApiParts) -> Tallies:
    return Tallies(parts.ledger)


def whose(caller: Caller, tenant: str | None) -> str:
    """The tenant the figures are of, `ALL_TENANTS` for `*`. Raises `Forbidden` for what is another's."""
    if tenant is None or tenant == caller.tenant:
        return caller.tenant
    if caller.tenant != SYSTEM_TENANT or not caller.may(Permission.READ_FLEET):
        raise Forbidden("Only keys of the tenant system that may read the fleet see the figures of others.")
    return ALL_TENANTS if tenant == EVERYBODY else tenant


@statistics.route("GET", "/v1/statistics", Permission.LIST_DOCUMENTS, out=StatisticsOut, problems=(Forbidden,))
def read_statistics(
    parts: Parts,
    caller: Who,
    since: Annotated[datetime | None, Query(description="Default: 24 steps ago.")] = None,
    until: Annotated[datetime | None, Query(description="Default: now.")] = None,
    step: Annotated[StepName, Query(description="Days are those of UTC.")] = "hour",
    tenant: Whose = None,
) -> StatisticsOut:
    """What happened, in steps of five minutes (kept for three days), hours (two months) or days (ten years)."""
    asked = whose(caller, tenant)
    length = _STEPS[step]
    tallies = tallies_of(parts)
    try:
        end = optional_seconds(until)
        begin = optional_seconds(since)
    except ValueError as error:
        raise BadRequest(f"A time {error}.") from error
    end = tallies.now() if end is None else end
    begin = end - 24 * length if begin is None else begin
    if begin > end:
        raise BadRequest("The span ends before it begins: since is later than until.")
    if (end - begin) / length > MOST_STEPS:
        raise BadRequest(f"That is more than {MOST_STEPS:,} steps: ask for a shorter span, or for longer steps.")
    return StatisticsOut.of(EVERYBODY if asked == ALL_TENANTS else asked, tallies.series(asked, begin, end, length))
