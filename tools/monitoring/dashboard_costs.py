"""What it costs."""

from __future__ import annotations

from .grafana import REGION, Dashboard, Panel, Query, Row

R = 'region=~"$region"'
COST = f"docfleet_cost_usd_total{{{R}}}"
ENDED = f'docfleet_documents_ended_total{{{R}, outcome=~"succeeded|partial"}}'
NO_BUDGET = "no budget is set"
FREE = "no engine that costs anything has read"

COSTS = Dashboard(
    "costs",
    "docfleet: costs",
    "What pages cost at their engines. The whole cost, with machines and storage, is told by `docfleet costs`.",
    (
        Row(
            "Spent",
            (
                Panel(
                    "In 24 hours",
                    (Query(f"sum(increase({COST}[24h])) or vector(0)"),),
                    "stat",
                    "currencyUSD",
                    width=6,
                    height=4,
                ),
                Panel(
                    "In the time shown",
                    (Query(f"sum(increase({COST}[$__range])) or vector(0)"),),
                    "stat",
                    "currencyUSD",
                    width=6,
                    height=4,
                ),
                Panel(
                    "Per document that was read",
                    (Query(f"(sum(increase({COST}[24h])) or vector(0)) / (sum(increase({ENDED}[24h])) > 0)"),),
                    "stat",
                    "currencyUSD",
                    "Over 24 hours.",
                    6,
                    4,
                    decimals=4,
                ),
                Panel(
                    "Documents that cost nothing",
                    (
                        Query(
                            f"sum(increase(docfleet_documents_duplicate_total{{{R}}}[24h])) "
                            f"/ (sum(increase(docfleet_documents_accepted_total{{{R}}}[24h])) > 0)"
                        ),
                    ),
                    "stat",
                    "percentunit",
                    "Their bytes had been read before, over 24 hours.",
                    6,
                    4,
                ),
            ),
        ),
        Row(
            "Where it goes",
            (
                Panel(
                    "Dollars per hour by engine",
                    (Query(f"sum by (engine) (rate({COST}[$__rate_interval])) * 3600", "{{engine}}"),),
                    unit="currencyUSD",
                    stacked=True,
                    width=12,
                    empty=FREE,
                ),
                Panel(
                    "Dollars per thousand pages by engine",
                    (
                        Query(
                            f"1000 * sum by (engine) (increase({COST}[1h])) "
                            f"/ (sum by (engine) (increase(docfleet_pages_read_total{{{R}}}[1h])) > 0)",
                            "{{engine}}",
                        ),
                    ),
                    unit="currencyUSD",
                    width=12,
                    empty=FREE,
                ),
            ),
        ),
        Row(
            "Budgets",
            (
                Panel(
                    "Spent of each budget",
                    (
                        Query(
                            "max by (budget) (docfleet_budget_spent_usd) "
                            "/ (max by (budget) (docfleet_budget_limit_usd) > 0)",
                            "{{budget}}",
                        ),
                    ),
                    "bargauge",
                    "percentunit",
                    "Those nearest their limit; tenant/engine/month.",
                    12,
                    limits=((0.8, "orange"), (1, "red")),
                    most=1,
                    empty=NO_BUDGET,
                ),
                Panel(
                    "Dollars spent of each budget",
                    (Query("max by (budget) (docfleet_budget_spent_usd)", "{{budget}}"),),
                    unit="currencyUSD",
                    width=12,
                    empty=NO_BUDGET,
                ),
            ),
        ),
    ),
    (REGION,),
    hours=24,
)
