"""Who works, on what, and why so many?"""

from __future__ import annotations

from .grafana import POOL, REGION, Dashboard, Panel, Query, Row

R = 'region=~"$region", pool=~"$pool"'
P = 'pool=~"$pool"'

FLEET = Dashboard(
    "fleet",
    "docfleet: fleet",
    "Pools, workers and queues: who works, what waits, and how many workers are wanted.",
    (
        Row(
            "Workers",
            (
                Panel(
                    "Workers there and wanted",
                    (
                        Query(f"sum by (pool) (docfleet_fleet_workers_alive{{{R}}})", "{{pool}} there"),
                        Query(f"sum by (pool) (docfleet_fleet_workers_wanted{{{R}}})", "{{pool}} wanted"),
                    ),
                    text="Why so many are wanted: `docfleet fleet explain`.",
                ),
                Panel(
                    "Slots",
                    (Query(f"sum by (pool, state) (docfleet_slots{{{P}}})", "{{pool}} {{state}}"),),
                    text="A busy slot works on a slice.",
                    stacked=True,
                ),
                Panel(
                    "Workers that ended, slots that died",
                    (
                        Query(
                            f"sum by (pool, cause) (rate(docfleet_fleet_workers_ended_total{{{R}}}[$__rate_interval])) "
                            "* 3600",
                            "workers of {{pool}}: {{cause}}",
                        ),
                        Query(
                            f"sum by (pool, cause) (rate(docfleet_slot_deaths_total{{{P}}}[$__rate_interval])) * 3600",
                            "slots of {{pool}}: {{cause}}",
                        ),
                    ),
                    text="Per hour. `stopped` is in order.",
                    empty="nobody ended",
                ),
            ),
        ),
        Row(
            "Queues",
            (
                Panel(
                    "Waiting slices",
                    (
                        Query(
                            f"sum by (pool, priority) (docfleet_fleet_waiting_slices{{{R}}})", "{{pool}} {{priority}}"
                        ),
                    ),
                    stacked=True,
                ),
                Panel(
                    "Oldest waiting",
                    (
                        Query(
                            f"max by (pool, priority) (docfleet_fleet_oldest_waiting_seconds{{{R}}})",
                            "{{pool}} {{priority}}",
                        ),
                    ),
                    unit="s",
                ),
                Panel(
                    "Running slices",
                    (
                        Query(
                            f"sum by (pool, priority) (docfleet_fleet_running_slices{{{R}}})", "{{pool}} {{priority}}"
                        ),
                    ),
                    stacked=True,
                ),
                Panel(
                    "Work that waits, in slots",
                    (Query(f"sum by (pool) (docfleet_fleet_waiting_seconds{{{R}}})", "{{pool}}: slot-seconds"),),
                    unit="s",
                    text="Seconds that one slot would need for what waits.",
                ),
                Panel(
                    "Wait before a document is taken up",
                    tuple(
                        Query(
                            f"histogram_quantile({q}, sum by (le, pool) "
                            f"(rate(docfleet_document_wait_seconds_bucket{{{R}}}[$__rate_interval])))",
                            f"{{{{pool}}}} {name}",
                            exemplars=True,
                        )
                        for q, name in ((0.5, "half"), (0.95, "95 %"))
                    ),
                    unit="s",
                ),
                Panel(
                    "Stuck",
                    (Query(f"max by (pool) (docfleet_pool_stuck{{{P}}})", "{{pool}}"),),
                    text="1: the oldest is older than `fleet.stuck_seconds`, and nothing drains.",
                    most=1,
                ),
            ),
        ),
        Row(
            "Demand",
            (
                Panel(
                    "Arriving and forecast",
                    (
                        Query(
                            f"sum by (pool) (docfleet_fleet_arriving_documents_per_second{{{R}}}) * 3600",
                            "{{pool}} arriving",
                        ),
                        Query(
                            f'sum by (pool, level) (docfleet_fleet_forecast_documents{{{R}, ahead="1h"}} offset 1h)',
                            "{{pool}} forecast an hour ago, quantile {{level}}",
                        ),
                    ),
                    text="Documents per hour. What arrives should lie between the quantiles nine times of ten.",
                ),
                Panel(
                    "Forecast for a day ahead",
                    (
                        Query(
                            f'sum by (pool, level) (docfleet_fleet_forecast_documents{{{R}, ahead="24h"}})',
                            "{{pool}} quantile {{level}}",
                        ),
                    ),
                    text="Documents in that hour.",
                    empty="a forecast needs some days of history",
                ),
                Panel(
                    "Age of the decision",
                    (Query(f"max by (pool) (docfleet_fleet_demand_age_seconds{{{R}}})", "{{pool}}"),),
                    unit="s",
                    text="Above 60 s autoscalers are answered 503 and keep the size there is.",
                    limits=((60, "red"),),
                ),
            ),
        ),
        Row(
            "Slices",
            (
                Panel(
                    "What slices take (95 % are faster)",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (le, stage) "
                            f"(rate(docfleet_stage_duration_seconds_bucket{{{P}}}[$__rate_interval])))",
                            "{{stage}}",
                            exemplars=True,
                        ),
                    ),
                    unit="s",
                    text="From due to committed, stage by stage.",
                ),
                Panel(
                    "Slot time by stage",
                    (
                        Query(
                            "sum by (stage) (rate(docfleet_stage_duration_seconds_sum"
                            f'{{{P}, stage!="wait"}}[$__rate_interval]))',
                            "{{stage}}",
                        ),
                    ),
                    unit="short",
                    text="Slots kept busy by each stage.",
                    stacked=True,
                ),
                Panel(
                    "Slices by how they ended",
                    (
                        Query(
                            f"sum by (step, outcome) (rate(docfleet_slices_total{{{P}}}[$__rate_interval])) * 60",
                            "{{step}} {{outcome}}",
                        ),
                    ),
                    text="Per minute.",
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Dispatcher and processes",
            (
                Panel(
                    "Who leads",
                    (Query("docfleet_dispatcher_is_leader", "{{region}} {{instance}}"),),
                    text="One of each region.",
                    most=1,
                    width=6,
                ),
                Panel(
                    "Hints published, and work in direct mode",
                    (
                        Query(
                            f"sum by (pool) (rate(docfleet_dispatcher_hints_published_total{{{P}}}[$__rate_interval]))",
                            "{{pool}} hints per second",
                        ),
                        Query("sum(docfleet_worker_direct_mode)", "workers in direct mode"),
                    ),
                    empty="hints need a broker",
                    width=6,
                ),
                Panel(
                    "A turn of the dispatcher (95 % are faster)",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (le) "
                            "(rate(docfleet_dispatcher_look_duration_seconds_bucket[$__rate_interval])))",
                            "turn",
                        ),
                    ),
                    unit="s",
                    width=6,
                ),
                Panel(
                    "Memory",
                    (Query('max by (job) (process_resident_memory_bytes{job=~"docfleet-.*"})', "{{job}}"),),
                    unit="bytes",
                    text="Of the largest process of each role; slots are not in it.",
                    width=6,
                ),
            ),
        ),
    ),
    (REGION, POOL),
)
