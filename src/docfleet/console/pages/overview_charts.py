"""The last twenty-four hours of the overview, as charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from docfleet.console.parts import axis, chart, empty_state, panel, tag

Steps = Sequence[Mapping[str, Any]]
_OUTCOMES = (
    ("succeeded", "Read", "var(--c1)"),
    ("partial", "Partial", "var(--c3)"),
    ("failed", "Unreadable", "var(--c6)"),
    ("broken", "Errors", "var(--bad)"),
)


class DayCharts:
    """Documents, latency and either money or pages, hour by hour in the browser's time."""

    def __init__(self, *, with_cost: bool) -> None:
        self._last = "cost_usd" if with_cost else "pages"
        self._nothing = panel()
        with self._nothing:
            empty_state(
                "No documents in the last 24 hours",
                "Drop files on the page Documents, or send some by `docfleet submit FOLDER`.",
            )
        self._charts = tag("div", classes="columns three")
        with self._charts:
            with panel("Documents by the hour"):
                self._documents = _chart(
                    "Documents that ended in each of the last 24 hours, by outcome",
                    [_bars(label, color, "all") for _, label, color in _OUTCOMES],
                )
            with panel("Latency by the hour, in seconds"):
                self._latency = _chart(
                    "Seconds from accepted to ended in each of the last 24 hours: half, and 95 of 100",
                    [_line("p50", "var(--c1)"), _line("p95", "var(--c2)")],
                )
            with panel("Engines' cost by the hour, in dollars" if with_cost else "Pages read by the hour"):
                self._third = _chart(
                    "Dollars spent on engines in each of the last 24 hours" if with_cost else "Pages read by the hour",
                    [_bars("Cost" if with_cost else "Pages", "var(--c2)", "all")],
                )

    def show(self, steps: Steps, *, is_quiet: bool) -> None:
        """`steps`: as `last_day` of the overview has them."""
        self._nothing.set_visibility(is_quiet)
        self._charts.set_visibility(not is_quiet)
        _set(self._documents, [_points(steps, name) for name, _, _ in _OUTCOMES])
        _set(self._latency, [_points(steps, "seconds_p50"), _points(steps, "seconds_p95")])
        _set(self._third, [_points(steps, self._last)])


def _chart(label: str, series: list[dict[str, Any]]) -> ui.echart:
    options = {
        "xAxis": axis("time", splitNumber=5),
        "yAxis": axis("value", splitNumber=3, minInterval=0),
        "series": series,
    }
    if len(series) > 1:
        options["legend"] = {
            "top": 0, "left": 0, "itemWidth": 9, "itemHeight": 9, "itemGap": 10, "icon": "roundRect",
            "textStyle": {"color": "var(--muted)", "fontSize": 11},
        }  # fmt: skip
        options["grid"] = {"left": 4, "right": 8, "top": 32, "bottom": 0, "containLabel": True}
    return chart(options, label=label, height="13rem")


def _bars(name: str, color: str, stack: str) -> dict[str, Any]:
    return {
        "type": "bar", "name": name, "stack": stack, "data": [], "barMaxWidth": 18, "barCategoryGap": "25%",
        "itemStyle": {"color": color}, "emphasis": {"disabled": True},
    }  # fmt: skip


def _line(name: str, color: str) -> dict[str, Any]:
    return {
        "type": "line", "name": name, "data": [], "showSymbol": True, "symbolSize": 4, "connectNulls": False,
        "lineStyle": {"width": 2, "color": color}, "itemStyle": {"color": color}, "emphasis": {"disabled": True},
    }  # fmt: skip


def _points(steps: Steps, name: str) -> list[list[Any]]:
    return [[step["at"], step[name]] for step in steps]


def _set(made: ui.echart, data: list[list[list[Any]]]) -> None:
    series = made.options["series"]
    if [one["data"] for one in series] != data:
        for one, points in zip(series, data, strict=True):
            one["data"] = points
        made.update()
