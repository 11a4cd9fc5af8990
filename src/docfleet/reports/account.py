"""The money of a month as the reports show it: of one tenant, or of all of them added up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import astuple

from docfleet.domain.costing import WholeCost
from docfleet.domain.forecasting import Forecast
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.money_values import BudgetView, Costs
from docfleet.reports.month_facts import Money


class Account(msgspec.Struct, frozen=True):
    money: Money
    budgets: tuple[BudgetView, ...]


def account_of(budgets: Budgets, tenant: str, month: str) -> Account:
    """As `docfleet costs` shows it."""
    told = budgets.costs(tenant, month)
    return Account(money_of([told]), told.budgets)


def account_of_all(budgets: Budgets, month: str) -> Account:
    """Of all tenants that cost anything, each asked for its own: what they come to is what the fleet cost."""
    tenants = [one.tenant for one in budgets.tenant_costs(month)[1]]
    return Account(money_of([budgets.costs(one, month) for one in tenants]), tuple(budgets.budgets(None, month)))


def money_of(told: Sequence[Costs]) -> Money:
    """Sums; of what nobody knows for some, nothing."""
    return Money(
        whole=WholeCost(*map(sum, zip(*(astuple(one.whole) for one in told), strict=True))) if told else WholeCost(),
        cascade_micros=_sum(one.cascade_micros for one in told),
        cascade_processor=told[0].cascade_processor if told else "",
        local_pages=sum(one.local.pages for one in told),
        duplicate_documents=sum(one.deduplication.documents for one in told),
        duplicate_pages=sum(one.deduplication.pages for one in told),
        deduplication_micros=sum(one.deduplication.micros for one in told),
        requests_saved=sum(one.requests_saved for one in told),
        all_cloud_micros=_sum(None if one.all_cloud is None else one.all_cloud.reference_micros for one in told),
        standing_month_micros=_sum(one.standing_month_micros for one in told),
        ahead=_forecast([one.forecast for one in told]),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    known = list(values)
    found = [value for value in known if value is not None]
    return sum(found) if found and len(found) == len(known) else None


def _forecast(told: Sequence[Forecast | None]) -> Forecast | None:
    """The bands add up too: wider than chance would have it, never narrower."""
    known = [one for one in told if one is not None]
    if not known or len(known) < len(told):
        return None
    return Forecast(
        sum(one.low_micros for one in known),
        sum(one.expected_micros for one in known),
        sum(one.high_micros for one in known),
        min(one.days_seen for one in known),
    )
