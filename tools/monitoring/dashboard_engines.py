"""What is called: engines, endpoints, quotas."""

from __future__ import annotations

from .grafana import ENDPOINT, REGION, Dashboard, Panel, Query, Row
from .panels import PAGES_BY_ENGINE

R = 'region=~"$region"'
E = 'endpoint=~"$endpoint"'
NO_CLOUD = "no cloud engine is set up"

ENGINES = Dashboard(
    "engines",
    "docfleet: engines and quotas",
    "Which engines read, how fast, and how much room cloud engines leave.",
    (
        Row(
            "Pages",
            (
                PAGES_BY_ENGINE,
                Panel(
                    "Share of pages by engine",
                    (
                        Query(
                            f"sum by (engine) (increase(docfleet_pages_read_total{{{R}}}[$__range])) / ignoring "
                            f"(engine) "
                            f"group_left () sum(increase(docfleet_pages_read_total{{{R}}}[$__range]))",
                            "{{engine}}",
                        ),
                    ),
                    "bargauge",
                    "percentunit",
                    "Over the time shown.",
                    most=1,
                ),
                Panel(
                    "Time per page (95 % are faster)",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (le, engine) "
                            "(rate(docfleet_engine_page_duration_seconds_bucket[$__rate_interval])))",
                            "{{engine}}",
                            exemplars=True,
                        ),
                    ),
                    unit="s",
                    text="Of engines that run here.",
                ),
            ),
        ),
        Row(
            "Requests to cloud engines",
            (
                Panel(
                    "Requests by how they ended",
                    (
                        Query(
                            f"sum by (endpoint, outcome) "
                            f"(rate(docfleet_engine_requests_total{{{E}}}[$__rate_interval])) "
                            "* 60",
                            "{{endpoint}} {{outcome}}",
                        ),
                    ),
                    text="Per minute; `throttled` is 429.",
                    stacked=True,
                    empty=NO_CLOUD,
                ),
                Panel(
                    "Time of a request",
                    tuple(
                        Query(
                            f"histogram_quantile({q}, sum by (le, endpoint) "
                            f"(rate(docfleet_engine_request_duration_seconds_bucket{{{E}}}[$__rate_interval])))",
                            f"{{{{endpoint}}}} {name}",
                            exemplars=True,
                        )
                        for q, name in ((0.5, "half"), (0.95, "95 %"))
                    ),
                    unit="s",
                    empty=NO_CLOUD,
                ),
                Panel(
                    "Pages that share a request",
                    (
                        Query(
                            f"sum by (endpoint) (rate(docfleet_engine_request_pages_sum{{{E}}}[$__rate_interval])) "
                            f"/ (sum by (endpoint) "
                            f"(rate(docfleet_engine_request_pages_count{{{E}}}[$__rate_interval])) "
                            "> 0)",
                            "{{endpoint}}",
                        ),
                    ),
                    text="On average; more is cheaper in quota.",
                    empty=NO_CLOUD,
                ),
            ),
        ),
        Row(
            "Room",
            (
                Panel(
                    "Quota used",
                    (
                        Query(
                            f"sum by (endpoint, quota) (docfleet_quota_used_per_minute{{{E}}}) "
                            f"/ (max by (endpoint, quota) (docfleet_quota_limit_per_minute{{{E}}}) > 0)",
                            "{{endpoint}} {{quota}}",
                        ),
                    ),
                    unit="percentunit",
                    text="Of the minute's share, all processes together.",
                    limits=((0.95, "red"),),
                    empty=NO_CLOUD,
                ),
                Panel(
                    "Breakers",
                    (Query(f"max by (endpoint) (docfleet_breaker_state{{{E}}})", "{{endpoint}}"),),
                    text="0: called; 1: tried; 2: left alone.",
                    limits=((1, "orange"), (2, "red")),
                    most=2,
                    empty=NO_CLOUD,
                ),
                Panel(
                    "Turned away (429)",
                    (
                        Query(
                            "sum by (endpoint) (rate(docfleet_engine_requests_total"
                            f'{{{E}, outcome="throttled"}}[$__rate_interval])) / (sum by (endpoint) '
                            f"(rate(docfleet_engine_requests_total{{{E}}}[$__rate_interval])) > 0)",
                            "{{endpoint}}",
                        ),
                    ),
                    unit="percentunit",
                    limits=((0.05, "orange"),),
                    empty="nothing was turned away, or no cloud engine is set up",
                ),
            ),
        ),
        Row(
            "As Document AI",
            (
                Panel(
                    "Calls",
                    (
                        Query(
                            "sum by (method, status) (rate(docfleet_documentai_requests_total[$__rate_interval])) * 60",
                            "{{method}} {{status}}",
                        ),
                    ),
                    text="Of the Document AI interface that docfleet offers; per minute.",
                    stacked=True,
                    width=12,
                    empty="docfleet documentai-server does not run",
                ),
                Panel(
                    "Time of a call (95 % are faster)",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (le, method) "
                            "(rate(docfleet_documentai_request_duration_seconds_bucket[$__rate_interval])))",
                            "{{method}}",
                            exemplars=True,
                        ),
                    ),
                    unit="s",
                    width=12,
                    empty="docfleet documentai-server does not run",
                ),
            ),
        ),
    ),
    (REGION, ENDPOINT),
)
