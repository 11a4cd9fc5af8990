"""The account: what a tenant spent in a month, what it was spared, and what the month will come to. Reads only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection

import msgspec
from sqlalchemy import BigInteger, bindparam, case, cast, func, select
from sqlalchemy.orm import Session

from docfleet.domain.budgeting import ALL
from docfleet.domain.forecasting import Forecast, forecast
from docfleet.domain.months import DAY_SECONDS, month_bounds, month_of
from docfleet.domain.pricing import PriceBook, micros_of, price_of_pages
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
)
from docfleet.ledger.rows import DOCUMENT

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


def budgets(session: Session, tenant: str, month: str) -> list[BudgetView]:
    """The tenant's budgets and how they stand in this month."""
    sums = sums_of(session, month)
    views = []
    for row in session.execute(select(BUDGET).where(BUDGET.c.tenant_id == tenant)):
        budget = budget_of(row)
        known = sums.get((budget.scope.tenant, budget.scope.engine, ALL), Sums(0, 0))
        views.append(
            BudgetView(
                budget, month, known.settled, known.reserved, known.warned_at, known.exhausted_at, row.set_by,
                row.set_at,
            )
        )  # fmt: skip
    return sorted(views, key=lambda view: (view.budget.scope, view.budget.month))


_ENDED = (
    DOCUMENT.c.tenant_id == bindparam("of_tenant"),
    DOCUMENT.c.finished_at >= bindparam("begin"),
    DOCUMENT.c.finished_at < bindparam("end"),
)
_READ = (
    select(DOCUMENT.c.engines_json, func.count().label("documents"), func.sum(DOCUMENT.c.work_seconds).label("seconds"))
    .where(*_ENDED, DOCUMENT.c.duplicate_of == "")
    .group_by(DOCUMENT.c.engines_json)
)
_payer = DOCUMENT.alias()
_SPARED = (
    select(func.count(), func.sum(DOCUMENT.c.pages), func.sum(_payer.c.cost_usd))
    .join_from(DOCUMENT, _payer, _payer.c.content_id == DOCUMENT.c.content_id)
    .where(*_ENDED, DOCUMENT.c.duplicate_of != "", _payer.c.duplicate_of == "")
)
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


def local_reading(session: Session, tenant: str, month: str, cloud_engines: Collection[str]) -> LocalReading:
    """Pages of documents that ended in the month, but for those that the named engines read, and the workers' time."""
    begin, end = month_bounds(month)
    pages: Counter[str] = Counter()
    seconds = 0.0
    for row in session.execute(_READ, {"of_tenant": tenant, "begin": begin, "end": end}):
        seconds += row.seconds or 0.0
        for engine, count in msgspec.json.decode(row.engines_json, type=dict[str, int]).items():
            pages[engine] += count * row.documents
    return LocalReading(sum(count for engine, count in pages.items() if engine not in cloud_engines), seconds)


def deduplication(session: Session, tenant: str, month: str) -> Deduplication:
    """Documents that took the results of one read before. Those that were deleted since are not known any more."""
    begin, end = month_bounds(month)
    documents, pages, cost = session.execute(_SPARED, {"of_tenant": tenant, "begin": begin, "end": end}).one()
    return Deduplication(documents, int(pages or 0), micros_of(cost or 0.0))


def forecast_of(session: Session, tenant: str, month: str, spent_micros: int, now: float) -> Forecast | None:
    """None for a month that is not the present one. `now`: the database's time."""
    if month != month_of(now):
        return None
    today = int(now // DAY_SECONDS)
    begin = (today - FORECAST_DAYS) * DAY_SECONDS
    given = {"of_tenant": tenant, "months": sorted({month, month_of(begin)}), "begin": begin}
    days = {int(day): int(micros) for day, micros in session.execute(_DAYS, given)}
    first = min(days, default=today)
    left = (month_bounds(month)[1] - now) / DAY_SECONDS
    full = [days.get(day, 0) for day in range(first, today)]
    return forecast(spent_micros, full, days.get(today, 0), now / DAY_SECONDS - today, left)


def costs(
    session: Session,
    tenant: str,
    month: str,
    now: float,
    book: PriceBook,
    cloud_engines: Collection[str],
    cloud_processor: str,
) -> Costs:
    """The whole account. `cloud_processor`: at whose price the pages read locally are compared."""
    spent = month_spend(session, tenant, month)
    local = local_reading(session, tenant, month, {*cloud_engines, *(one.engine for one in spent)})
    rate = book.rates.get(cloud_processor)
    # tiers and free pages are the account's, whichever tenant used them
    used = int(session.execute(_USED, {"of_month": month, "of_processor": cloud_processor}).scalar() or 0)
    money = sum(one.settled_micros + one.reserved_micros for one in spent)
    return Costs(
        tenant=tenant,
        month=month,
        spent=tuple(spent),
        local=local,
        deduplication=deduplication(session, tenant, month),
        cascade_micros=price_of_pages(rate, used, local.pages) if rate else None,
        cascade_processor=cloud_processor if rate else "",
        worker_micros=round(local.seconds / 3600 * book.worker_micros_per_hour),
        forecast=forecast_of(session, tenant, month, money, now),
        budgets=tuple(budgets(session, tenant, month)),
    )
