"""Past which size workers of the cloud pool could do nothing: the quota is used up, or the money. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from docfleet.domain.budgeting import ALL, BudgetPolicy
from docfleet.domain.load import Caps
from docfleet.domain.pricing import usd_of
from docfleet.domain.quota import QuotaLimits
from docfleet.domain.work import Step
from docfleet.fleet.probe import PoolTimes
from docfleet.ledger.money_values import BudgetView

SPARE = 1.1
"""Calls take longer now and then; a little more than the quota keeps busy is allowed."""
BUDGET_MINUTES = 60.0
"""What is left of a budget is spent no faster than in this time."""
NO_CAPS = Caps()


def cloud_caps(
    limits: Sequence[QuotaLimits], times: PoolTimes, budgets: Sequence[BudgetView], micros_per_page: int
) -> Caps:
    """`limits`: of every location that may be called. `budgets`: of the month, those of all tenants count."""
    slots, why = _quota_slots(limits, times)
    paid, paid_why = _budget_slots(budgets, times, micros_per_page)
    return Caps(slots, paid, why, paid_why)


def _quota_slots(limits: Sequence[QuotaLimits], times: PoolTimes) -> tuple[float | None, str]:
    """Calls that all locations together can have under way at their quota (Little's law: rate times duration)."""
    if not limits:
        return None, ""
    call, page = times.slice.get(Step.CLOUD), times.page.get(Step.CLOUD)
    total, requests = 0.0, 0.0
    for limit in limits:
        found = []
        if limit.requests_per_minute is not None and call:
            found.append(limit.requests_per_minute / 60.0 * call)
            requests += limit.requests_per_minute
        if limit.pages_per_minute is not None and page:
            found.append(limit.pages_per_minute / 60.0 * page)
        if limit.concurrent is not None:
            found.append(float(limit.concurrent))
        if not found:
            return None, ""
        total += min(found)
    each = f" of {call:.1f} s each" if call else ""
    return max(1.0, total * SPARE), f"{requests:,.0f} requests a minute{each} in {len(limits)} locations"


def _budget_slots(budgets: Sequence[BudgetView], times: PoolTimes, micros_per_page: int) -> tuple[float | None, str]:
    shared = [one for one in budgets if one.budget.scope.tenant == ALL and one.budget.policy is not BudgetPolicy.QUEUE]
    if not shared or micros_per_page <= 0:
        return None, ""
    left = min(one.budget.limit_micros - one.settled_micros - one.reserved_micros for one in shared)
    pages = max(0, left) / micros_per_page
    seconds = pages * times.page.get(Step.CLOUD, times.unit)
    return seconds / (BUDGET_MINUTES * 60.0), f"{usd_of(max(0, left)):,.2f} USD are left of this month"
