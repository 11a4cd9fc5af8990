"""Is the fleet well?"""

from __future__ import annotations

from .grafana import REGION, Dashboard, Panel, Query, Row
from .panels import PAGES_BY_ENGINE

R = 'region=~"$region"'
ENDED = f'docfleet_documents_ended_total{{{R}, outcome!="cancelled"}}'
NOTHING_CALLED = "nobody has called the API"
PROBES = 'route!~"/healthz|/readyz|/livez|/metrics"'

OVERVIEW = Dashboard(
    "overview",
    "docfleet: overview",
    "Whether the fleet is well, at a glance.",
    (
        Row(
            "Now",
            (
                Panel(
                    "Alarms",
                    (
                        Query(
                            'sum(ALERTS{alertname=~"Docfleet.*", alertstate="firing", severity!="none"}) or vector(0)'
                        ),
                    ),
                    "stat",
                    text="Alarms that are on. The list is below.",
                    width=3,
                    height=4,
                    limits=((1, "orange"),),
                ),
                Panel(
                    "Documents in the last hour",
                    (Query(f"sum(increase({ENDED}[1h]))"),),
                    "stat",
                    text="That ended.",
                    width=3,
                    height=4,
                    decimals=0,
                ),
                Panel(
                    "Read",
                    (
                        Query(
                            f'sum(increase(docfleet_documents_ended_total{{{R}, outcome=~"succeeded|partial"}}[1h])) '
                            f"/ (sum(increase({ENDED}[1h])) > 0)"
                        ),
                    ),
                    "stat",
                    "percentunit",
                    "Of the documents of the last hour, those that were read, wholly or in part. What is missing "
                    "failed by "
                    "its own fault, or by ours: see Objectives.",
                    3,
                    4,
                ),
                Panel(
                    "Waiting",
                    (Query(f"sum(docfleet_fleet_waiting_documents{{{R}}})"),),
                    "stat",
                    text="Documents whose first slice waits.",
                    width=3,
                    height=4,
                ),
                Panel(
                    "Oldest waiting",
                    (Query(f"max(docfleet_fleet_oldest_waiting_seconds{{{R}}})"),),
                    "stat",
                    "s",
                    width=3,
                    height=4,
                    limits=((120, "orange"), (600, "red")),
                ),
                Panel(
                    "Workers there / wanted",
                    (
                        Query(f"sum(docfleet_fleet_workers_alive{{{R}}})", "there"),
                        Query(f"sum(docfleet_fleet_workers_wanted{{{R}}})", "wanted"),
                    ),
                    "stat",
                    width=3,
                    height=4,
                ),
                Panel(
                    "Dead letters",
                    (Query("max(docfleet_dead_letters_open)"),),
                    "stat",
                    text="That wait for somebody to look at them: `docfleet dead-letters groups`.",
                    width=3,
                    height=4,
                    limits=((1, "orange"),),
                ),
                Panel(
                    "Spent in 24 hours",
                    (Query(f"sum(increase(docfleet_cost_usd_total{{{R}}}[24h])) or vector(0)"),),
                    "stat",
                    "currencyUSD",
                    "For pages at engines.",
                    3,
                    4,
                ),
            ),
        ),
        Row(
            "Work",
            (
                Panel(
                    "Documents by how they ended",
                    (
                        Query(
                            f"sum by (outcome) (rate(docfleet_documents_ended_total{{{R}}}[$__rate_interval])) * 3600",
                            "{{outcome}}",
                        ),
                    ),
                    text="Per hour. `failed`: the document's own fault; `broken`: ours.",
                    stacked=True,
                ),
                Panel(
                    "From accepted to ended",
                    tuple(
                        Query(
                            f"histogram_quantile({q}, sum by (le) "
                            f"(rate(docfleet_document_duration_seconds_bucket{{{R}}}[$__rate_interval])))",
                            name,
                            exemplars=True,
                        )
                        for q, name in ((0.5, "half are faster"), (0.95, "95 % are faster"))
                    ),
                    unit="s",
                    text="All pools and priorities together; by priority under Objectives.",
                ),
                Panel(
                    "Waiting by pool and priority",
                    (
                        Query(
                            f"sum by (pool, priority) (docfleet_fleet_waiting_documents{{{R}}})",
                            "{{pool}} {{priority}}",
                        ),
                    ),
                    stacked=True,
                ),
                PAGES_BY_ENGINE,
                Panel(
                    "Retries and lost leases",
                    (
                        Query(
                            f"sum by (cause) (rate(docfleet_retries_total{{{R}}}[$__rate_interval])) * 3600",
                            "retried: {{cause}}",
                        ),
                        Query(f"sum(rate(docfleet_leases_lost_total{{{R}}}[$__rate_interval])) * 3600", "lost leases"),
                    ),
                    text="Per hour. A lease is lost when its worker falls silent.",
                    empty="nothing had to be tried again",
                ),
                Panel(
                    "Why pages failed",
                    (
                        Query(
                            f"sum by (code) (rate(docfleet_pages_failed_total{{{R}}}[$__rate_interval])) * 3600",
                            "{{code}}",
                        ),
                    ),
                    text="Per hour; codes are in docs/reference/outcome-codes.md.",
                    empty="every page was read",
                    stacked=True,
                ),
                Panel(
                    "Dead letters by cause",
                    (
                        Query(
                            f"sum by (code, pool) (increase(docfleet_dead_letters_total{{{R}}}[1h])) > 0",
                            "{{code}} ({{pool}})",
                        ),
                    ),
                    text="New ones within an hour, of all tenants; `docfleet dead-letters groups` shows those of one.",
                    width=24,
                    height=6,
                    empty="nothing was given up",
                    stacked=True,
                ),
            ),
        ),
        Row(
            "API",
            (
                Panel(
                    "Requests",
                    (
                        Query(
                            f"sum by (status) (rate(docfleet_http_request_duration_seconds_count{{{PROBES}}}"
                            "[$__rate_interval]))",
                            "{{status}}",
                        ),
                    ),
                    unit="reqps",
                    stacked=True,
                    empty=NOTHING_CALLED,
                ),
                Panel(
                    "Slowest routes (95 % are faster)",
                    (
                        Query(
                            "topk(8, histogram_quantile(0.95, sum by (le, method, route) "
                            f"(rate(docfleet_http_request_duration_seconds_bucket{{{PROBES}}}[$__rate_interval]))))",
                            "{{method}} {{route}}",
                            exemplars=True,
                        ),
                    ),
                    unit="s",
                    text="Answers that wait for a document on purpose are among them.",
                    empty=NOTHING_CALLED,
                ),
                Panel(
                    "Refusals",
                    (Query("sum by (code) (rate(docfleet_refusals_total[$__rate_interval])) * 60", "{{code}}"),),
                    text="Per minute.",
                    empty="nothing was refused",
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Alarms",
            (
                Panel(
                    "On now",
                    (Query('ALERTS{alertname=~"Docfleet.*", alertstate="firing", severity!="none"}'),),
                    "table",
                    text="Each has a page in docs/runbooks.",
                    width=24,
                    height=7,
                    empty="all is well",
                ),
            ),
        ),
    ),
    (REGION,),
)
