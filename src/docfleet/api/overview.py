"""How things stand at a glance: one answer for consoles and people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from docfleet.api.fleet_demand import book_of
from docfleet.api.inputs import Parts, Who
from docfleet.api.parts import ApiParts, budgets_of
from docfleet.api.resource import Resource
from docfleet.api.schemas import example, moment
from docfleet.api.statistics import EVERYBODY, SUMS_EXAMPLE, StepSumsOut, SumsOut, Whose, tallies_of, whose
from docfleet.domain.access import Caller, Permission
from docfleet.domain.attention import (
    BudgetState,
    Facts,
    Notice,
    PoolState,
    Severity,
    WaitingClass,
    notices,
)
from docfleet.domain.budgeting import ALL
from docfleet.domain.months import month_of
from docfleet.domain.pricing import usd_of
from docfleet.errors import Forbidden
from docfleet.ledger.fleet_values import Demand
from docfleet.ledger.money_values import BudgetView
from docfleet.ledger.tallies import ALL_TENANTS, DAY, FIVE_MINUTES, HOUR, Statistics
from docfleet.ledger.webhook_values import BY_REQUEST

overview = Resource("Statistics")
LATELY_SECONDS = 600.0
_AT = "2026-03-14T09:00:00Z"
_WAITING = {"pool": "pdf", "priority": "normal", "documents": 4210, "oldest_seconds": 12.4}
_POOL = {"pool": "pdf", "wanted": 19, "alive": 12, "slots": 48, "reason": "12 → 19 pdf workers: 4,210 pages waiting"}
_BUDGET = {"engine": "documentai", "limit_usd": 50.0, "spent_usd": 41.5, "percent": 83.0, "state": "warned"}
_NOTICE = {
    "code": "budget_warned", "severity": "warning", "title": "Budget nearly used up",
    "text": "$41.50 of $50.00 (83 %) are spent on documentai.", "subject": "documentai", "page": "quotas",
}  # fmt: skip
_SPEND = {"today_usd": 1.27, "month_usd": 41.5, "saved_usd": 61.9, "budgets": [_BUDGET]}


class WaitingOut(BaseModel):
    """Documents whose first slice waits, and how long the oldest slice of the class has."""

    model_config = example(**_WAITING)

    pool: str
    priority: str
    documents: int
    oldest_seconds: float


class PoolOut(BaseModel):
    model_config = example(**_POOL)

    pool: str
    wanted: int
    alive: int
    slots: int
    reason: str


class BudgetStateOut(BaseModel):
    model_config = example(**_BUDGET)

    engine: str = Field(description="Or `all engines`.")
    limit_usd: float
    spent_usd: float
    percent: float
    state: Literal["ok", "warned", "exhausted"]


class SpendNowOut(BaseModel):
    model_config = example(**_SPEND)

    today_usd: float = Field(description="For calls of engines, since midnight UTC.")
    month_usd: float
    saved_usd: float | None = Field(
        description="This month: pages that were read locally instead, and duplicates. null: nothing to compare with."
    )
    budgets: list[BudgetStateOut]


class DeadLettersNowOut(BaseModel):
    model_config = example(open=3)

    open: int


class NoticeOut(BaseModel):
    """Something to look at."""

    model_config = example(**_NOTICE)

    code: str
    severity: Severity
    title: str
    text: str
    subject: str
    page: str = Field(description="Page of the console that shows more.")

    @classmethod
    def of(cls, one: Notice) -> NoticeOut:
        return cls(**{name: getattr(one, name) for name in Notice.__struct_fields__})


class OverviewOut(BaseModel):
    """How things stand. What the key may not know is null."""

    model_config = example(
        at=_AT, tenant="acme", counted_until=_AT, last_hour=SUMS_EXAMPLE, today=SUMS_EXAMPLE,
        last_day=[{"at": _AT, **SUMS_EXAMPLE}], waiting=[_WAITING], workers=[_POOL], spend=_SPEND,
        dead_letters={"open": 3}, attention=[_NOTICE],
    )  # fmt: skip

    at: datetime
    tenant: str
    counted_until: datetime | None
    last_hour: SumsOut = Field(description="The last twelve whole five minutes and the one under way.")
    today: SumsOut = Field(description="Since midnight UTC.")
    last_day: list[StepSumsOut] = Field(description="By the hour, the present one last.")
    waiting: list[WaitingOut] | None
    workers: list[PoolOut] | None
    spend: SpendNowOut | None
    dead_letters: DeadLettersNowOut | None
    attention: list[NoticeOut] = Field(description="The worst first.")


@overview.route("GET", "/v1/overview", Permission.LIST_DOCUMENTS, out=OverviewOut, problems=(Forbidden,))
def read_overview(parts: Parts, caller: Who, tenant: Whose = None) -> OverviewOut:
    """How things stand: throughput, failures, latency, queues, workers, money, and what needs attention."""
    asked = whose(caller, tenant)
    tallies = tallies_of(parts)
    now = tallies.now()
    hour = tallies.series(asked, now - HOUR, now, FIVE_MINUTES)
    day = tallies.series(asked, now - 23 * HOUR, now, HOUR)
    today = tallies.series(asked, now, now, DAY)
    demands = book_of(parts).demands() if caller.may(Permission.READ_FLEET) else None
    waiting = None if demands is None else [one for demand in demands for one in _waiting(demand)]
    pools = None if demands is None else [_pool(demand, now) for demand in demands]
    spend, budgets = _spend(parts, caller, asked, today, now)
    letters = _open_letters(parts, caller, asked)
    facts = Facts(
        last_hour=hour.total,
        lately=tallies.series(ALL_TENANTS, now - LATELY_SECONDS, now, FIVE_MINUTES).total,
        open_dead_letters=letters,
        waiting=waiting,
        pools=pools,
        decided_seconds=min((demand.age_seconds for demand in demands), default=None) if demands else None,
        budgets=budgets,
        disabled_webhooks=_disabled_webhooks(parts, caller),
    )
    reasons = {demand.pool: demand.reason for demand in demands or ()}
    return OverviewOut(
        at=moment(now) or datetime.min,
        tenant=EVERYBODY if asked == ALL_TENANTS else asked,
        counted_until=moment(hour.counted_until),
        last_hour=SumsOut.of(hour.total),
        today=SumsOut.of(today.total),
        last_day=[StepSumsOut.begun(at, sums) for at, sums in day.steps],
        waiting=None if waiting is None else [
            WaitingOut(pool=one.pool, priority=one.urgency, documents=one.documents, oldest_seconds=one.oldest_seconds)
            for one in waiting
        ],
        workers=None if pools is None else [
            PoolOut(pool=one.pool, wanted=one.wanted, alive=one.alive, slots=one.slots, reason=reasons[one.pool])
            for one in pools
        ],
        spend=spend,
        dead_letters=None if letters is None else DeadLettersNowOut(open=letters),
        attention=[NoticeOut.of(notice) for notice in notices(facts)],
    )  # fmt: skip


def _waiting(demand: Demand) -> list[WaitingClass]:
    load = demand.detail.load
    return [
        WaitingClass(demand.pool, one.urgency, one.waiting_documents, round(one.oldest_seconds, 3))
        for one in (load.classes if load else ())
    ]


def _pool(demand: Demand, now: float) -> PoolState:
    load = demand.detail.load
    alive = load.workers if load else 0
    slots = round(alive * load.slots_per_worker) if load else 0
    return PoolState(demand.pool, demand.workers, alive, slots, max(0.0, now - demand.changed_at))


def _spend(
    parts: ApiParts, caller: Caller, asked: str, today: Statistics, now: float
) -> tuple[SpendNowOut | None, Sequence[BudgetState]]:
    if not caller.may(Permission.READ_COSTS):
        return None, ()
    month = month_of(now)
    account = budgets_of(parts).costs(caller.tenant, month) if asked != ALL_TENANTS else None
    views = account.budgets if account else budgets_of(parts).budgets(ALL)
    budgets = [_budget(view) for view in views]
    saved = None
    if account is not None and account.cascade_micros is not None:
        saved = usd_of(account.cascade_micros + account.deduplication.micros)
    spent = account.spent_micros if account else budgets_of(parts).taken(month)[1]
    return SpendNowOut(
        today_usd=today.total.cost_usd,
        month_usd=usd_of(spent),
        saved_usd=saved,
        budgets=[
            BudgetStateOut(
                engine=one.engine, limit_usd=one.limit_usd, spent_usd=one.spent_usd, percent=round(one.percent, 1),
                state=one.state,
            )
            for one in budgets
        ],
    ), budgets  # fmt: skip


def _budget(view: BudgetView) -> BudgetState:
    engine = "all engines" if view.budget.scope.engine == ALL else view.budget.scope.engine
    spent = usd_of(view.settled_micros + view.reserved_micros)
    return BudgetState(engine, usd_of(view.budget.limit_micros), spent, view.budget.warn_percent)


def _open_letters(parts: ApiParts, caller: Caller, asked: str) -> int | None:
    if not caller.may(Permission.READ_DEAD_LETTERS):
        return None
    return parts.desk.open_dead_letters(None if asked == ALL_TENANTS else asked)


def _disabled_webhooks(parts: ApiParts, caller: Caller) -> list[str]:
    """Those that nobody switched off by request."""
    if not caller.may(Permission.READ_WEBHOOKS):
        return []
    return [hook.id for hook in parts.webhooks.list(caller.tenant) if hook.disabled_at and hook.cause != BY_REQUEST]
