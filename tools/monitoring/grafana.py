"""Panels and dashboards in Grafana's classic JSON model, schema 41 (Grafana 12; later ones take it over by themselves).

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

SCHEMA = 41
WIDTH = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Query(NamedTuple):
    expr: str
    legend: str = ""
    exemplars: bool = False
    """Whether traces are shown beside it: only where histograms are read."""


class Panel(NamedTuple):
    title: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"
    """timeseries, stat, table, bargauge"""
    unit: str = "short"
    """Grafana's name of it: short, s, percentunit, currencyUSD, reqps, bytes …"""
    text: str = ""
    """What it shows and when to worry."""
    width: int = 8
    height: int = 8
    stacked: bool = False
    limits: tuple[tuple[float, str], ...] = ()
    """(from this value on, colour)."""
    empty: str = ""
    """Why it may have no data though all is well; empty: it always has some."""
    most: float | None = None
    decimals: int | None = None


class Row(NamedTuple):
    title: str
    panels: tuple[Panel, ...]


class Variable(NamedTuple):
    name: str
    label: str
    query: str
    """The series whose label of this name gives the values."""


class Dashboard(NamedTuple):
    name: str
    """Its uid is `docfleet-<name>`."""
    title: str
    text: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    hours: int = 6


REGION = Variable("region", "Region", "docfleet_tally_counted_timestamp_seconds")
POOL = Variable("pool", "Pool", "docfleet_fleet_workers_wanted")
PRIORITY = Variable("priority", "Priority", "docfleet_fleet_waiting_documents")
ENDPOINT = Variable("endpoint", "Endpoint", "docfleet_engine_requests_total")


def panels_of(dashboard: Dashboard) -> Iterator[Panel]:
    for row in dashboard.rows:
        yield from row.panels


def as_dashboard(dashboard: Dashboard, all_names: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The JSON of a dashboard; `all_names`: (name, title) of all, which link to each other."""
    return {
        "id": None,
        "uid": f"docfleet-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.text,
        "tags": ["docfleet"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "panels": list(_placed(dashboard)),
        "time": {"from": f"now-{dashboard.hours}h", "to": "now"},
        "timepicker": {},
        "templating": {"list": [_datasource(), *map(_variable, dashboard.variables)]},
        "annotations": {"list": [_alarms()]},
        "links": [
            {
                "title": title, "type": "link", "url": f"/d/docfleet-{name}", "icon": "dashboard", "tags": [],
                "keepTime": True, "includeVars": True, "asDropdown": False, "targetBlank": False, "tooltip": "",
            }
            for name, title in all_names
            if name != dashboard.name
        ],
        "refresh": "30s",
        "schemaVersion": SCHEMA,
        "version": 1,
        "weekStart": "",
    }  # fmt: skip


def _placed(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """Panels from left to right, row below row."""
    number, y = 0, 0
    for row in dashboard.rows:
        number += 1
        yield {
            "id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [],
            "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y},
        }  # fmt: skip
        y, x, tallest = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            yield _panel(panel, number, {"h": panel.height, "w": panel.width, "x": x, "y": y})
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    instant = panel.kind in ("stat", "table", "bargauge")
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(query, index, instant, panel.kind) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }
    if panel.kind == "table":
        hidden = {"Time": True, "__name__": True, "alertstate": True, "job": True, "instance": True}
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    return made


def _target(query: Query, index: int, instant: bool, kind: str) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + index),
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": instant,
        "range": not instant,
        "exemplar": query.exemplars,
        "format": "table" if kind == "table" else "time_series",
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps = [{"color": "green", "value": None}, *({"color": colour, "value": value} for value, colour in panel.limits)]
    made: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": [],
        "noValue": "none" if panel.empty else "no data",
    }
    if panel.decimals is not None:
        made["decimals"] = panel.decimals
    if panel.most is not None:
        made["max"] = panel.most
    if panel.kind == "timeseries":
        made["color"] = {"mode": "palette-classic"}
        made["min"] = 0
        made["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 40 if panel.stacked else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if panel.limits else "off"},
        }
    else:
        made["color"] = {"mode": "thresholds"}
    return made


def _options(panel: Panel) -> dict[str, Any]:
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "timeseries":
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm"}
    if panel.kind == "bargauge":
        return {"orientation": "horizontal", "displayMode": "basic", "valueMode": "color", "reduceOptions": reduced}
    return {
        "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "textMode": "auto", "reduceOptions": reduced,
    }  # fmt: skip


def _datasource() -> dict[str, Any]:
    return {
        "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "regex": "",
        "current": {"text": "Prometheus", "value": "prometheus"}, "hide": 0, "includeAll": False, "multi": False,
        "options": [], "refresh": 1, "skipUrlSync": False,
    }  # fmt: skip


def _variable(one: Variable) -> dict[str, Any]:
    """All values at first. "All" is `.*`, so that series without the label are shown too."""
    query = f"label_values({one.query}, {one.name})"
    return {
        "name": one.name, "label": one.label, "type": "query", "datasource": SOURCE, "definition": query,
        "query": {"query": query, "refId": f"variable-{one.name}"}, "regex": "", "sort": 1, "refresh": 2,
        "includeAll": True, "allValue": ".*", "multi": True, "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0, "options": [], "skipUrlSync": False,
    }  # fmt: skip


def _alarms() -> dict[str, Any]:
    """Where a critical alarm was on, every chart shows it."""
    return {
        "name": "Critical alarms",
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Docfleet.*", alertstate="firing", severity="critical"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{region}} {{pool}} {{priority}}",
        "step": "60s",
    }
