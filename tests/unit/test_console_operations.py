"""What the pages of fleet, quotas and costs say of given answers of the API."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("nicegui", reason="the console is not installed")

from docfleet.console.pages import cost_sums
from docfleet.console.pages.budget_panel import scope_said, share_of, state_of
from docfleet.console.pages.fleet import worker_state
from docfleet.console.pages.fleet_plot import plot, said_of, trust_said
from docfleet.console.pages.fleet_pool import standing
from docfleet.console.pages.quota_card import away_said, calls_rows, use_said
from docfleet.fleet.forecast.base import Forecast, Trust
from docfleet.fleet.forecast.reading import said_before

NOW = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)
WHOLE = {
    "documents": 10, "pages": 40, "usd": 2.0, "engine_usd": 1.0, "busy_usd": 0.25, "idle_usd": 0.5, "storage_usd": 0.0,
    "hosting_usd": 0.0, "base_usd": 0.25, "usd_per_document": 0.2, "usd_per_page": 0.05,
    "target_usd_per_document": 0.08,
}  # fmt: skip
COSTS: dict[str, Any] = {
    "month": "2026-11", "spent_usd": 1.0, "reserved_usd": 0.0, "whole": WHOLE, "all_cloud": None, "by_hand": None,
    "by_processor": [
        {"engine": "=cmd()", "processor": "OCR", "spent_usd": 1.0, "reserved_usd": 0.0, "without_result_usd": 0.0,
         "pages": 20, "requests": 3, "slices": 9},
    ],
    "saved": {
        "cascade_usd": None, "cascade_processor": None, "local_pages": 20, "deduplication_usd": 0.5,
        "duplicate_documents": 1, "duplicate_pages": 4, "packing_requests": 6,
    },
}  # fmt: skip


# --- costs


def test_parts_add_up_and_what_is_not_there_is_left_out() -> None:
    rows = cost_sums.part_rows(WHOLE)
    assert [row["id"] for row in rows] == ["engine_usd", "busy_usd", "idle_usd", "storage_usd", "base_usd", "all"]
    assert (rows[0]["month"], rows[0]["document"], rows[0]["share"]) == ("$1.00", "$0.10", "50 %")
    none = cost_sums.part_rows({**WHOLE, "documents": 0, "usd": 0.0, "usd_per_document": None})
    assert none[0]["document"] == none[0]["share"] == "–"


@pytest.mark.parametrize(
    ("each", "target", "said", "tone"),
    [
        (0.2, 0.08, "aimed at $0.08: 150 % above", "bad"),
        (0.02, 0.08, "aimed at $0.08: 75 % below", "good"),
        (None, 0.08, "no document has results yet", ""),
        (0.2, None, "nothing is aimed at", ""),
    ],
)
def test_beside_the_target(each: float | None, target: float | None, said: str, tone: str) -> None:
    whole = {**WHOLE, "usd_per_document": each, "target_usd_per_document": target}
    assert cost_sums.target_said(whole) == (said, tone)


def test_what_is_not_known_says_so() -> None:
    saved = {row["id"]: row for row in cost_sums.saved_rows(COSTS)}
    assert saved["cascade"]["amount"] == "–"
    assert "not known" in saved["cascade"]["how"]
    assert set(saved) == {"cascade", "deduplication", "packing"}
    assert cost_sums.forecast_said({**COSTS, "forecast": None}) == ("$1.00", "this month is over")
    fresh = {"low_usd": 0, "expected_usd": 0, "high_usd": 0, "days_seen": 0}
    assert cost_sums.forecast_said({**COSTS, "forecast": fresh})[0] == "–"


def test_a_spreadsheet_is_given_no_formula() -> None:
    tenants = [{"tenant": "acme", "whole": WHOLE, "deduplication_usd": 0.0}]
    rows = list(csv.reader(io.StringIO(cost_sums.as_csv(COSTS, tenants))))
    assert all(len(row) == 5 for row in rows)
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "@", "-")]
    assert ["2026-11", "'=cmd() OCR", "spent", "1.0", "USD"] in rows
    assert ["2026-11", "saved", "cascade", "not known", "USD"] in rows
    assert ["2026-11", "tenant acme", "All", "2.0", "USD"] in rows


def test_months_to_choose_from() -> None:
    months = cost_sums.months_until(datetime(2026, 2, 3, tzinfo=UTC), most=4)
    assert list(months.items()) == [
        ("2026-02", "February 2026"),
        ("2026-01", "January 2026"),
        ("2025-12", "December 2025"),
        ("2025-11", "November 2025"),
    ]


# --- quotas and budgets


def use(**changes: Any) -> dict[str, Any]:
    return {"quota": "requests", "limit": 120, "used": 60, "share": 0.5, "allowed": 117, "learnt": None} | changes


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (use(), "50 % of it."),
        (use(learnt=72, allowed=38), "50 % of it. The service refused at 72: workers let themselves 38 now."),
        (use(allowed=58), "50 % of it. After a 429 workers let themselves 58 for now."),
        (use(limit=None, share=None), "It is not limited."),
        (use(used=None, share=None, allowed=None), "Nobody tells how much of it is used."),
    ],
)
def test_how_a_quota_is_used(facts: dict[str, Any], said: str) -> None:
    assert use_said(facts) == said


def test_why_nothing_is_sent() -> None:
    one = {"away": "Its breaker is open: gone.", "breaker": {"left_seconds": 12.0}, "waits_for": "away"}
    assert away_said(one) == "Its breaker is open: gone. It is tried again in 12 s."
    assert away_said({**one, "away": None, "waits_for": "requests"}) == "The quota of requests is used up just now."
    assert away_said({"away": None, "breaker": None, "waits_for": None}) == ""
    assert calls_rows(None, None) == []


def budget(**changes: Any) -> dict[str, Any]:
    return {
        "tenant": "acme", "engine": None, "month": None, "limit_usd": 10.0, "spent_usd": 5.0, "reserved_usd": 0.0,
        "warn_percent": 80, "exhausted_at": None,
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (budget(), "ok"),
        (budget(spent_usd=7.0, reserved_usd=1.0), "warned"),
        (budget(spent_usd=10.0), "exhausted"),
        (budget(exhausted_at="2026-11-22T10:00:00Z"), "exhausted"),
        (budget(limit_usd=0.0, spent_usd=0.0), "exhausted"),
    ],
)
def test_how_a_budget_stands(facts: dict[str, Any], state: str) -> None:
    assert state_of(facts) == state
    assert share_of(facts) >= 0


def test_whose_budget_on_what() -> None:
    assert scope_said(budget(), False) == "all engines, every month"
    assert scope_said(budget(tenant=None, engine="x", month="2026-12"), True) == "all tenants together: x, in 2026-12"


# --- fleet


def test_how_a_pool_stands() -> None:
    assert standing(2, 2, 1.0) == ("as wanted", "good")
    assert standing(1, 3, 1.0) == ("2 more to come", "warning")
    assert standing(4, 3, 1.0) == ("1 to go", "info")
    assert standing(4, 4, 90.0)[1] == "bad"


def test_how_a_worker_stands() -> None:
    seen = {"seen_at": (NOW - timedelta(seconds=2)).isoformat(), "ended_at": None, "cause": None}
    assert worker_state(seen, NOW) == "alive"
    assert worker_state({**seen, "seen_at": (NOW - timedelta(minutes=2)).isoformat()}, NOW).startswith("silent")
    ended = {**seen, "ended_at": (NOW - timedelta(minutes=3)).isoformat(), "cause": "stopped"}
    assert worker_state(ended, NOW) == "ended 3 min ago: stopped"


def forecast_from(start: float, base: float, steps: int = 4) -> Forecast:
    rows = tuple((base * share,) * steps for share in (0.5, 1.0, 2.0))
    return Forecast("m", start, 3600.0, (0.05, 0.5, 0.95), rows, (), Trust(True, "held"))


def test_of_a_past_hour_the_newest_forecast_before_it_counts() -> None:
    past = (forecast_from(0.0, 10.0), forecast_from(7200.0, 20.0))
    said = said_before(past, 4 * 3600.0)
    assert [(one.at, one.low, one.likely, one.high) for one in said] == [
        (0.0, 5.0, 10.0, 20.0),
        (3600.0, 5.0, 10.0, 20.0),
        (7200.0, 10.0, 20.0, 40.0),
        (10800.0, 10.0, 20.0, 40.0),
    ]
    assert said_before((), 1.0) == []


def told_forecast() -> dict[str, Any]:
    hour = NOW.replace(minute=0)
    return {
        "model": "m", "made_at": NOW.isoformat(), "trusted": False, "trust": "too little history",
        "start": hour.isoformat(), "step_seconds": 3600.0, "levels": [0.05, 0.5, 0.95],
        "values": [[1.0] * 30, [2.0] * 30, [4.0] * 30],
        "said": [{"at": (hour - timedelta(hours=1)).isoformat(), "low": 1.0, "likely": 3.0, "high": 5.0}],
    }  # fmt: skip


def test_the_plot_joins_what_was_said_and_what_is_said() -> None:
    assert [column for _, column in said_of(told_forecast())][:2] == [(1.0, 3.0, 5.0), (1.0, 2.0, 4.0)]
    hours = [{"at": (NOW.replace(minute=0) - timedelta(hours=back)).isoformat(), "arrived": 7} for back in (2, 1, 0)]
    series = {one["name"]: one["data"] for one in plot({"items": hours}, told_forecast(), 24, NOW)["series"]}
    assert [value for _, value in series["came"]] == [7.0, 7.0], "the hour under way is not over"
    assert len(series["likely"]) == len(series["5 %"]) == len(series["95 %"]) == 26
    assert list(plot({"items": hours}, None, 24, NOW)["series"]) == [
        one for one in plot({"items": hours}, None, 24, NOW)["series"] if one["name"] == "came"
    ]


def test_whether_sizes_rest_on_it() -> None:
    assert trust_said(told_forecast(), "pdf").startswith("Sizes do not rest on it: too little history.")
    assert "There is no forecast for the pool pdf yet" in trust_said(None, "pdf")
