"""Panels that stand on more than one dashboard."""

from __future__ import annotations

from .grafana import Panel, Query

PAGES_BY_ENGINE = Panel(
    "Pages by engine",
    (
        Query(
            'sum by (engine) (rate(docfleet_pages_read_total{region=~"$region"}[$__rate_interval])) * 60',
            "{{engine}}",
        ),
    ),
    text="Read per minute.",
    stacked=True,
)
