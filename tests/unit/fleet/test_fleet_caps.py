"""Workers of the cloud pool are worth no more than its quota and its money."""

from __future__ import annotations

import pytest

from docfleet.domain.budgeting import ALL, Budget, BudgetPolicy, Scope
from docfleet.domain.quota import QuotaLimits
from docfleet.domain.work import Step
from docfleet.fleet.caps import cloud_caps
from docfleet.fleet.probe import PoolTimes
from docfleet.ledger.money_values import BudgetView

TIMES = PoolTimes(0.4, {Step.CLOUD: 0.4}, {Step.CLOUD: 4.0}, 4.0)
UNKNOWN = PoolTimes(1.0, {}, {}, 1.0)


def budget(left_usd: float, tenant: str = ALL, policy: BudgetPolicy = BudgetPolicy.STOP) -> BudgetView:
    limit = Budget(Scope(tenant, ALL), ALL, 100_000_000, policy)
    return BudgetView(limit, "2026-11", 100_000_000 - round(left_usd * 1e6), 0, None, None, "", 0.0)


def test_a_quota_keeps_so_many_calls_busy() -> None:
    """600 a minute are 10 a second; of 4 s each, 40 are under way."""
    caps = cloud_caps([QuotaLimits(requests_per_minute=600.0)], TIMES, [], 1500)
    assert caps.quota_slots == pytest.approx(44.0)
    assert "600 requests a minute of 4.0 s each" in caps.quota_reason


def test_locations_add_up_and_the_scarcest_of_each_counts() -> None:
    limits = [QuotaLimits(requests_per_minute=600.0, concurrent=5), QuotaLimits(pages_per_minute=1500.0)]
    assert cloud_caps(limits, TIMES, [], 1500).quota_slots == pytest.approx((5 + 10) * 1.1)


def test_what_is_not_known_limits_nothing() -> None:
    assert cloud_caps([QuotaLimits(requests_per_minute=600.0)], UNKNOWN, [], 1500).quota_slots is None
    assert cloud_caps([QuotaLimits()], TIMES, [], 1500).quota_slots is None
    assert cloud_caps([], TIMES, [], 1500).quota_slots is None
    assert cloud_caps([], TIMES, [], 1500).budget_slots is None


def test_a_budget_pays_for_so_much_in_an_hour() -> None:
    """13.50 USD pay 9,000 pages of 0.0015 USD: 3,600 slot-seconds, one slot for an hour."""
    caps = cloud_caps([], TIMES, [budget(13.5), budget(50.0)], 1500)
    assert caps.budget_slots == pytest.approx(1.0)
    assert "13.50 USD" in caps.budget_reason


def test_an_empty_budget_pays_nothing_and_one_tenants_limits_nobody_else() -> None:
    assert cloud_caps([], TIMES, [budget(-2.0)], 1500).budget_slots == 0.0
    assert cloud_caps([], TIMES, [budget(0.0, tenant="acme")], 1500).budget_slots is None
