"""What reading costs: the account of a month, and budgets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from docfleet.api.inputs import Parts, Text, Who
from docfleet.api.parts import budgets_of, office_of
from docfleet.api.resource import Resource
from docfleet.api.schemas import example, moment
from docfleet.api.statistics import Whose, whose
from docfleet.domain.access import SYSTEM_TENANT, Permission
from docfleet.domain.budgeting import ALL, WARN_PERCENT, BudgetPolicy
from docfleet.domain.costing import Saving, WholeCost
from docfleet.domain.forecasting import Forecast
from docfleet.domain.pricing import micros_of, usd_of
from docfleet.errors import Conflict, Forbidden, NotFound
from docfleet.ledger.money_values import BudgetView, Costs, MonthSpend, TenantCost
from docfleet.ledger.tallies import ALL_TENANTS

costs = Resource("Costs")
_AT = "2026-03-14T09:26:53.589000Z"
_SPEND = {
    "engine": "documentai",
    "processor": "OCR_PROCESSOR",
    "spent_usd": 12.345,
    "reserved_usd": 0.045,
    "without_result_usd": 0.0,
    "pages": 9230,
    "requests": 410,
    "slices": 1800,
}
_BUDGET = {
    "tenant": "acme",
    "engine": "documentai",
    "month": None,
    "limit_usd": 50.0,
    "policy": "degrade",
    "warn_percent": 80,
    "spent_usd": 12.345,
    "reserved_usd": 0.045,
    "warned_at": None,
    "exhausted_at": None,
    "set_at": _AT,
    "set_by": "4f0c9a1b2d3e4f5a",
}
_WHOLE = {
    "documents": 9800,
    "pages": 50730,
    "usd": 124.06,
    "engine_usd": 12.39,
    "busy_usd": 1.2,
    "idle_usd": 10.4,
    "storage_usd": 0.07,
    "hosting_usd": 0.0,
    "base_usd": 100.0,
    "usd_per_document": 0.012659,
    "usd_per_page": 0.002445,
    "target_usd_per_document": 0.08,
}
_TENANT = {"tenant": "acme", "whole": _WHOLE, "deduplication_usd": 0.75}
Month = Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}$", description="As in 2026-11, UTC. Default: this month.")]
Engine = Annotated[Text, Field(max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]


class SpendOut(BaseModel):
    """What was spent on one processor type of an engine."""

    model_config = example(**_SPEND)

    engine: str
    processor: str
    spent_usd: float
    reserved_usd: float = Field(description="For calls that are under way.")
    without_result_usd: float = Field(
        description="Of what is spent: on calls whose end nobody knows, or that came too late."
    )
    pages: int
    requests: int
    slices: int = Field(description="Page ranges sent: what they are more than requests, packing has saved.")

    @classmethod
    def of(cls, one: MonthSpend) -> SpendOut:
        return cls(
            engine=one.engine, processor=one.processor, spent_usd=usd_of(one.settled_micros),
            reserved_usd=usd_of(one.reserved_micros), without_result_usd=usd_of(one.lost_micros), pages=one.pages,
            requests=one.requests, slices=one.slices,
        )  # fmt: skip


class SavedOut(BaseModel):
    """What was not spent."""

    cascade_usd: float | None = Field(description="What the pages read locally would have cost; null: no price known.")
    cascade_processor: str | None = Field(description="At the price of this processor type.")
    local_pages: int
    deduplication_usd: float = Field(description="What the pages of duplicates cost when they were read first.")
    duplicate_documents: int
    duplicate_pages: int
    packing_requests: int = Field(description="Requests that packing saved. They spare the quota, not money.")


class WholeOut(BaseModel):
    """The whole cost, with the caller's part of what all tenants share.

    Idle workers are shared by the time workers were at work, base and hosting by documents and pages, each of which
    counts one.
    """

    documents: int = Field(description="That ended with results, duplicates among them.")
    pages: int
    usd: float = Field(description="All of the below.")
    engine_usd: float = Field(description="Calls of engines that cost something, those under way included.")
    busy_usd: float = Field(description="Workers' time on pages.")
    idle_usd: float = Field(description="Workers' time beside that: waiting, starting, planning, stopping.")
    storage_usd: float
    hosting_usd: float = Field(description="Own processors, deployed whether used or not.")
    base_usd: float = Field(description="Databases, broker, API, for the time of the month that has passed.")
    usd_per_document: float | None = Field(description="null: no document has results.")
    usd_per_page: float | None
    target_usd_per_document: float | None = Field(description="What is aimed at; null: nothing.")

    @classmethod
    def of(cls, whole: WholeCost, target_micros: int) -> WholeOut:
        document, page = whole.per_document_micros, whole.per_page_micros
        return cls(
            documents=whole.documents, pages=whole.pages, usd=usd_of(whole.micros),
            engine_usd=usd_of(whole.engine_micros), busy_usd=usd_of(whole.busy_micros),
            idle_usd=usd_of(whole.idle_micros), storage_usd=usd_of(whole.storage_micros),
            hosting_usd=usd_of(whole.hosting_micros), base_usd=usd_of(whole.base_micros),
            usd_per_document=None if document is None else usd_of(round(document)),
            usd_per_page=None if page is None else usd_of(round(page)),
            target_usd_per_document=usd_of(target_micros) if target_micros else None,
        )  # fmt: skip


class ComparedOut(BaseModel):
    """What the same pages would have cost in another way."""

    usd: float
    saved_usd: float = Field(description="Less the whole cost; negative: the other way would have been cheaper.")
    return_on_cost: float | None = Field(description="What each dollar spent has saved; 0 breaks even.")

    @classmethod
    def of(cls, one: Saving) -> ComparedOut:
        gain = one.return_on_cost
        return cls(
            usd=usd_of(one.reference_micros), saved_usd=usd_of(one.micros),
            return_on_cost=None if gain is None else round(gain, 4),
        )  # fmt: skip


class ForecastOut(BaseModel):
    """The whole month, if its other days are like those before; four times out of five it ends between low and high."""

    low_usd: float
    expected_usd: float
    high_usd: float
    days_seen: int = Field(description="Full days it rests on.")

    @classmethod
    def of(cls, one: Forecast) -> ForecastOut:
        return cls(
            low_usd=usd_of(one.low_micros), expected_usd=usd_of(one.expected_micros), high_usd=usd_of(one.high_micros),
            days_seen=one.days_seen,
        )  # fmt: skip


class BudgetOut(BaseModel):
    """A limit for a month, and how it stands."""

    model_config = example(**_BUDGET)

    tenant: str | None = Field(description="null: all tenants together.")
    engine: str | None = Field(description="null: all engines together.")
    month: str | None = Field(description="null: every month that has no budget of its own.")
    limit_usd: float
    policy: BudgetPolicy
    warn_percent: int
    spent_usd: float = Field(description="In its month, or in the one asked for.")
    reserved_usd: float
    warned_at: datetime | None
    exhausted_at: datetime | None
    set_at: datetime | None
    set_by: str | None = Field(description="Id of the key; null: whoever operates the service.")

    @classmethod
    def of(cls, view: BudgetView) -> BudgetOut:
        budget = view.budget
        return cls(
            tenant=None if budget.scope.tenant == ALL else budget.scope.tenant,
            engine=None if budget.scope.engine == ALL else budget.scope.engine,
            month=None if budget.month == ALL else budget.month,
            limit_usd=usd_of(budget.limit_micros), policy=budget.policy, warn_percent=budget.warn_percent,
            spent_usd=usd_of(view.settled_micros), reserved_usd=usd_of(view.reserved_micros),
            warned_at=moment(view.warned_at), exhausted_at=moment(view.exhausted_at), set_at=moment(view.set_at),
            set_by=view.set_by or None,
        )  # fmt: skip


class CostsOut(BaseModel):
    """The account of a month."""

    model_config = example(
        month="2026-03", spent_usd=12.345, reserved_usd=0.045, without_result_usd=0.0, worker_usd=1.2,
        work_seconds=86400.0, by_processor=[_SPEND],
        saved={
            "cascade_usd": 61.5, "cascade_processor": "OCR_PROCESSOR", "local_pages": 41000,
            "deduplication_usd": 0.75, "duplicate_documents": 210, "duplicate_pages": 500, "packing_requests": 1390,
        },
        whole=_WHOLE,
        all_cloud={"usd": 74.6, "saved_usd": -49.46, "return_on_cost": -0.3987}, by_hand=None,
        standing_month_usd=200.0, by_hand_document_usd=0.5,
        forecast={"low_usd": 24.1, "expected_usd": 27.0, "high_usd": 29.9, "days_seen": 13},
        budgets=[_BUDGET],
    )  # fmt: skip

    month: str
    spent_usd: float = Field(description="For calls of engines that cost something.")
    reserved_usd: float
    without_result_usd: float
    worker_usd: float = Field(description="What the workers' time on pages cost.")
    work_seconds: float = Field(description="Time spent on pages, waiting for engines included.")
    by_processor: list[SpendOut]
    whole: WholeOut
    saved: SavedOut
    all_cloud: ComparedOut | None = Field(
        description="Against every page sent to the processor type that `saved` names; null: it has no price."
    )
    by_hand: ComparedOut | None = Field(
        description="Against people who type the pages; null: the service does not know what they cost."
    )
    standing_month_usd: float | None = Field(
        description="Your part of what stands for a whole month, whatever is read (base, hosting); null: not known yet."
    )
    by_hand_document_usd: float | None = Field(
        description="What one of these documents is assumed to cost by hand, as the service is set; null: not told."
    )
    forecast: ForecastOut | None = Field(description="null for a month that is not the present one.")
    budgets: list[BudgetOut]

    @classmethod
    def of(cls, told: Costs, by_hand_usd: float | None = None) -> CostsOut:
        return cls(
            month=told.month, spent_usd=usd_of(told.spent_micros), reserved_usd=usd_of(told.reserved_micros),
            without_result_usd=usd_of(told.lost_micros), worker_usd=usd_of(told.whole.busy_micros),
            work_seconds=told.local.seconds, by_processor=[SpendOut.of(one) for one in told.spent],
            saved=SavedOut(
                cascade_usd=None if told.cascade_micros is None else usd_of(told.cascade_micros),
                cascade_processor=told.cascade_processor or None, local_pages=told.local.pages,
                deduplication_usd=usd_of(told.deduplication.micros),
                duplicate_documents=told.deduplication.documents, duplicate_pages=told.deduplication.pages,
                packing_requests=told.requests_saved,
            ),
            whole=WholeOut.of(told.whole, told.target_micros),
            all_cloud=ComparedOut.of(told.all_cloud) if told.all_cloud else None,
            by_hand=ComparedOut.of(told.by_hand) if told.by_hand else None,
            standing_month_usd=None if told.standing_month_micros is None else usd_of(told.standing_month_micros),
            by_hand_document_usd=by_hand_usd,
            forecast=ForecastOut.of(told.forecast) if told.forecast else None,
            budgets=[BudgetOut.of(view) for view in told.budgets],
        )  # fmt: skip


class TenantCostOut(BaseModel):
    """What one tenant cost."""

    model_config = example(**_TENANT)

    tenant: str
    whole: WholeOut
    deduplication_usd: float = Field(description="What the pages of its duplicates cost when they were read first.")

    @classmethod
    def of(cls, one: TenantCost) -> TenantCostOut:
        return cls(
            tenant=one.tenant, whole=WholeOut.of(one.whole, 0), deduplication_usd=usd_of(one.duplicate_micros)
        )  # fmt: skip


class TenantCostsOut(BaseModel):
    model_config = example(month="2026-03", items=[_TENANT])

    month: str
    items: list[TenantCostOut]


class BudgetsOut(BaseModel):
    model_config = example(items=[_BUDGET])

    items: list[BudgetOut]


class BudgetIn(BaseModel):
    """A limit. What is left out: all engines, every month."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"engine": "documentai", "limit_usd": 50.0, "policy": "degrade"}]},
    )

    engine: Engine | None = None
    month: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$", description="As in 2026-11, UTC.")] | None = None
    limit_usd: float = Field(ge=0, le=1e9, allow_inf_nan=False)
    policy: BudgetPolicy = Field(
        description="At the limit: `stop` ends pages as `budget_exhausted`, `degrade` keeps what the local engine "
        "read, `queue` has them wait until the limit is raised."
    )
    warn_percent: int = Field(WARN_PERCENT, ge=1, le=100, description="Webhooks learn of it from here on.")


@costs.route("GET", "/v1/costs", Permission.READ_COSTS, out=CostsOut)
def read_costs(parts: Parts, caller: Who, month: Month = None) -> CostsOut:
    """What a month cost, what was saved, and what it will have cost at its end."""
    told = budgets_of(parts).costs(caller.tenant, month)
    assumed = office_of(parts).terms.assumptions
    return CostsOut.of(told, assumed.usd_by_hand(told.whole.documents, told.whole.pages))


@costs.route("GET", "/v1/costs/tenants", Permission.READ_COSTS, out=TenantCostsOut, problems=(Forbidden,))
def read_tenant_costs(parts: Parts, caller: Who, month: Month = None) -> TenantCostsOut:
    """What each tenant cost in a month, the dearest first. For keys of the system tenant."""
    if caller.tenant != SYSTEM_TENANT:
        raise Forbidden("What other tenants cost is told to keys of the system tenant only.")
    asked, found = budgets_of(parts).tenant_costs(month)
    return TenantCostsOut(month=asked, items=[TenantCostOut.of(one) for one in found])


@costs.route("GET", "/v1/budgets", Permission.READ_COSTS, out=BudgetsOut, problems=(Forbidden,))
def list_budgets(parts: Parts, caller: Who, month: Month = None, tenant: Whose = None) -> BudgetsOut:
    """The budgets, and how they stand in this month or in that."""
    asked = whose(caller, tenant)
    views = budgets_of(parts).budgets(None if asked == ALL_TENANTS else asked, month)
    return BudgetsOut(items=[BudgetOut.of(view) for view in views])


@costs.route("PUT", "/v1/budgets", Permission.MANAGE_BUDGETS, out=BudgetOut, problems=(Conflict,))
def set_budget(body: BudgetIn, parts: Parts, caller: Who) -> BudgetOut:
    """Set a budget, in force at once; a month's own counts in it instead of that of every month.

    What whoever operates the service has set for the same engine is not changed here (`conflict`).
    """
    view = budgets_of(parts).set_budget(
        caller.tenant, body.engine or ALL, micros_of(body.limit_usd), body.policy, body.month or ALL,
        body.warn_percent, caller.key_id,
    )  # fmt: skip
    return BudgetOut.of(view)


@costs.route("DELETE", "/v1/budgets", Permission.MANAGE_BUDGETS, status=204, problems=(NotFound, Conflict))
def remove_budget(
    parts: Parts,
    caller: Who,
    engine: Annotated[Text | None, Query(max_length=64, description="Default: that of all engines.")] = None,
    month: Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}$", description="Default: that of every month.")] = None,
) -> Response:
    """Remove a budget: nothing is limited by it any more."""
    budgets_of(parts).remove_budget(caller.tenant, engine or ALL, month or ALL, caller.key_id)
    return Response(status_code=204)
