"""The account: what a tenant spent in a month, what it was spared, and what the month will come to. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import BigInteger, Double, bindparam, case, cast, func, select
from sqlalchemy.orm import Session

from docfleet.domain.access import SYSTEM_TENANT
from docfleet.domain.budgeting import ALL
from docfleet.domain.costing import (
    HOUR_SECONDS,
    CostTerms,
    Part,
    Saving,
    Usage,
    WholeCost,
    amounts,
    apportion,
    by_hand_micros,
    share_out,
)
from docfleet.domain.forecasting import Forecast, forecast
from docfleet.domain.months import DAY_SECONDS, month_bounds, month_of
from docfleet.domain.pricing import Rate, price_of_pages
from docfleet.ledger.limits import budget_of
from docfleet.ledger.money_rows import BUDGET, RESERVATION, SPEND
from docfleet.ledger.money_sums import Key, keys_of
from docfleet.ledger.money_values import (
    BudgetView,
    Costs,
    Deduplication,
    LocalReading,
    MonthSpend,
    ReservationState,
    TenantCost,
)
from docfleet.ledger.service_rows import TenantRow
from docfleet.ledger.use import Prices, use_of
from docfleet.ledger.use_values import TenantUse, Use

FORECAST_DAYS = 28
"""Full days a forecast rests on, at most: as many of each day of the week."""

_OF_MONTH = select(SPEND).where(SPEND.c.month == bindparam("of_month"))
_USED = select(func.sum(SPEND.c.pages)).where(
    SPEND.c.month == bindparam("of_month"),
    SPEND.c.tenant_id == ALL,
    SPEND.c.processor == bindparam("of_processor"),
)
_UNFOLDED = (
    select(
        RESERVATION.c.tenant_id,
        RESERVATION.c.engine,
        RESERVATION.c.processor,
        func.sum(case((RESERVATION.c.folded_micros.is_(None), RESERVATION.c.amount_micros), else_=0)).label("reserved"),
        func.sum(RESERVATION.c.settled_micros - func.coalesce(RESERVATION.c.folded_micros, 0)).label("settled"),
    )
    .where(RESERVATION.c.to_fold, RESERVATION.c.month == bindparam("of_month"))
    .group_by(RESERVATION.c.tenant_id, RESERVATION.c.engine, RESERVATION.c.processor)
)
_SENT = (
    select(
        RESERVATION.c.engine,
        RESERVATION.c.processor,
        func.count().label("slices"),
        func.count(RESERVATION.c.call_id.distinct()).label("requests"),
        func.sum(
            case((RESERVATION.c.state == ReservationState.LOST.value, RESERVATION.c.settled_micros), else_=0)
        ).label("lost"),
        func.sum(RESERVATION.c.pages).label("pages"),
    )
    .where(
        RESERVATION.c.month == bindparam("of_month"),
        RESERVATION.c.tenant_id == bindparam("of_tenant"),
        RESERVATION.c.state != ReservationState.RELEASED.value,
    )
    .group_by(RESERVATION.c.engine, RESERVATION.c.processor)
)


_TENANTS = (
    select(TenantRow.id)
    .where(TenantRow.id != bindparam("own"), TenantRow.created_at < bindparam("after", type_=Double()))
    .where(TenantRow.disabled_at.is_(None))
    .order_by(TenantRow.id)
)


class Sums(msgspec.Struct, frozen=True):
    reserved: int
    settled: int
    warned_at: float | None = None
    exhausted_at: float | None = None


def sums_of(session: Session, month: str) -> dict[Key, Sums]:
    """Every sum of the month, with what is closed but not folded yet."""
    moved: defaultdict[Key, list[int]] = defaultdict(lambda: [0, 0])
    for row in session.execute(_UNFOLDED, {"of_month": month}):
        for key in keys_of(row.tenant_id, row.engine, row.processor):
            moved[key][0] += int(row.reserved)
            moved[key][1] += int(row.settled)
    found = {}
    for row in session.execute(_OF_MONTH, {"of_month": month}):
        key = (row.tenant_id, row.engine, row.processor)
        reserved, settled = moved[key]
        found[key] = Sums(row.reserved_micros - reserved, row.settled_micros + settled, row.warned_at, row.exhausted_at)
    return found


def month_spend(session: Session, tenant: str, month: str) -> list[MonthSpend]:
    """What the tenant spent, by engine and processor type."""
    sums = sums_of(session, month)
    sent = {
        (row.engine, row.processor): row for row in session.execute(_SENT, {"of_month": month, "of_tenant": tenant})
    }
    return [
        MonthSpend(
            tenant, engine, processor, month, sums[key].settled, sums[key].reserved, int(row.lost or 0),
            int(row.pages), row.requests, row.slices,
        )
        for (engine, processor), row in sorted(sent.items())
        if (key := (tenant, engine, processor)) in sums
    ]  # fmt: skip


def budgets(session: Session, tenant: str | None, month: str) -> list[BudgetView]:
    """The tenant's budgets and how they stand in this month, those of one month in theirs; None: those of everybody."""
    sums = {month: sums_of(session, month)}
    views = []
    asked = select(BUDGET) if tenant is None else select(BUDGET).where(BUDGET.c.tenant_id == tenant)
    for row in session.execute(asked):
        budget = budget_of(row)
        counted = month if budget.month == ALL else budget.month
        if counted not in sums:
            sums[counted] = sums_of(session, counted)
        known = sums[counted].get((budget.scope.tenant, budget.scope.engine, ALL), Sums(0, 0))
        views.append(
            BudgetView(
                budget, counted, known.settled, known.reserved, known.warned_at, known.exhausted_at, row.set_by,
                row.set_at,
            )
        )  # fmt: skip
    return sorted(views, key=lambda view: (view.budget.scope, view.budget.month))


_day = cast(func.floor(RESERVATION.c.made_at / DAY_SECONDS), BigInteger)
_DAYS = (
    select(_day, func.sum(func.coalesce(RESERVATION.c.settled_micros, RESERVATION.c.amount_micros)))
    .where(
        RESERVATION.c.tenant_id == bindparam("of_tenant"),
        RESERVATION.c.month.in_(bindparam("months", expanding=True)),
        RESERVATION.c.made_at >= bindparam("begin"),
    )
    .group_by(_day)
)


def forecast_of(session: Session, tenant: str, month: str, spent_micros: int, now: float) -> Forecast | None:
    """None for a month that is not the present one. `now`: the database's time."""
    if month != month_of(now):
        return None
    today = int(now // DAY_SECONDS)
    begin = (today - FORECAST_DAYS) * DAY_SECONDS
    given = {"of_tenant": tenant, "months": sorted({month, month_of(begin)}), "begin": begin}
    days = {int(day): int(micros) for day, micros in session.execute(_DAYS, given)}
    # where nothing was ever called, every day of the month is known to have cost nothing
    first = min(days, default=int(month_bounds(month)[0] // DAY_SECONDS))
    left = (month_bounds(month)[1] - now) / DAY_SECONDS
    full = [days.get(day, 0) for day in range(first, today)]
    return forecast(spent_micros, full, days.get(today, 0), now / DAY_SECONDS - today, left)


def costs(
    session: Session,
    tenant: str,
    month: str,
    now: float,
    prices: Prices,
    cloud_engines: Collection[str],
    cloud_processor: str,
) -> Costs:
    """The whole account. `cloud_processor`: at whose price the pages read locally are compared."""
    spent = month_spend(session, tenant, month)
    money = sum(one.settled_micros + one.reserved_micros for one in spent)
    use = use_of(session, month, now, prices)
    mine = use.tenants.get(tenant, TenantUse())
    priced = {*cloud_engines, *(one.engine for one in spent)}
    local = sum(count for engine, count in mine.engines.items() if engine not in priced)
    rate = prices.book.rates.get(cloud_processor)
    # tiers and free pages are the account's, whichever tenant used them
    used = int(session.execute(_USED, {"of_month": month, "of_processor": cloud_processor}).scalar() or 0)
    whole = whole_costs_of(use, {tenant: money}, _enrolled(session, month))[tenant]
    return Costs(
        tenant=tenant,
        month=month,
        spent=tuple(spent),
        local=LocalReading(local, mine.work_seconds),
        deduplication=Deduplication(mine.duplicate_documents, mine.duplicate_pages, mine.duplicate_micros),
        cascade_micros=price_of_pages(rate, used, local) if rate else None,
        cascade_processor=cloud_processor if rate else "",
        whole=whole,
        target_micros=prices.terms.target_micros_per_document,
        all_cloud=_all_in_the_cloud(use, tenant, whole, rate) if rate else None,
        by_hand=_by_hand(whole, prices.terms),
        standing_month_micros=_standing(use, whole, month, prices),
        forecast=forecast_of(session, tenant, month, money, now),
        budgets=tuple(budgets(session, tenant, month)),
    )


def whole_costs_of(use: Use, engine_micros: Mapping[str, int], enrolled: Collection[str] = ()) -> dict[str, WholeCost]:
    """Each tenant's part of what the fleet cost, and what its own calls did: of all that used anything or are named.

    Idle workers are shared as the busy ones are, or, where none was busy, as what stands. In a month in which nobody
    read anything, what stands is there all the same: those who are enrolled share it equally.
    """
    is_busy = any(one.work_micros for one in use.tenants.values())
    alike = () if any(one.standing for one in use.tenants.values()) else enrolled
    parts = {
        name: Part(
            one.documents, one.pages, 0, one.work_micros if is_busy else one.standing, one.storage_micros, one.standing
        )
        for name, one in use.tenants.items()
    }
    for tenant in alike:
        parts[tenant] = msgspec.structs.replace(parts.get(tenant, Part()), busy=1.0, standing=1.0)
    for tenant, micros in engine_micros.items():
        parts[tenant] = msgspec.structs.replace(parts.get(tenant, Part()), engine_micros=micros)
    return share_out(use.amounts.rounded(0, 0), parts)


def _enrolled(session: Session, month: str) -> list[str]:
    """Tenants that were there before the month was over. That of the operator stands for nobody who reads."""
    return list(session.execute(_TENANTS, {"own": SYSTEM_TENANT, "after": month_bounds(month)[1]}).scalars())


def tenant_costs(session: Session, month: str, now: float, prices: Prices) -> list[TenantCost]:
    """Of every tenant that cost anything, the dearest first. `now`: the database's time."""
    use = use_of(session, month, now, prices)
    calls = {
        tenant: one.settled + one.reserved
        for (tenant, engine, processor), one in sums_of(session, month).items()
        if tenant != ALL and engine == ALL and processor == ALL
    }
    found = [
        TenantCost(tenant, month, whole, use.tenants.get(tenant, TenantUse()).duplicate_micros)
        for tenant, whole in whole_costs_of(use, calls, _enrolled(session, month)).items()
    ]
    return sorted(found, key=lambda one: (-one.whole.micros, one.tenant))


def _standing(use: Use, whole: WholeCost, month: str, prices: Prices) -> int | None:
    """Base and hosting of the whole month, in the same part as of what has passed of it."""
    fleet = use.fleet.base_micros + use.fleet.hosting_micros
    first, after = month_bounds(month)
    hosted = prices.terms.hosted_versions * (after - first) / HOUR_SECONDS
    all_of_it = amounts(Usage(hosted_hours=hosted, months=1.0), prices.book)
    if not fleet:
        return None if all_of_it.base + all_of_it.hosting else 0
    return round((all_of_it.base + all_of_it.hosting) * (whole.base_micros + whole.hosting_micros) / fleet)


def _all_in_the_cloud(use: Use, tenant: str, whole: WholeCost, rate: Rate) -> Saving:
    """As if every page of everybody had been sent, duplicates too: the tiers are reached by all of them together."""
    pages = {name: one.pages for name, one in use.tenants.items()} | {tenant: whole.pages}
    shares = apportion(price_of_pages(rate, 0, sum(pages.values())), list(pages.values()))
    return Saving(dict(zip(pages, shares, strict=True))[tenant], whole.micros)


def _by_hand(whole: WholeCost, terms: CostTerms) -> Saving | None:
    reference = by_hand_micros(whole.pages, terms.by_hand_minutes_per_page, terms.by_hand_micros_per_hour)
    is_told = terms.by_hand_minutes_per_page and terms.by_hand_micros_per_hour
    return Saving(reference, whole.micros) if is_told else None
