"""Forecast against what came, as a chart and in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from docfleet.console.parts import ago, axis, when

SPANS = {"24 hours": 24, "7 days": 168}
"""So many hours back and ahead."""
LEGEND = {
    "show": True,
    "selectedMode": False,
    "bottom": 0,
    "itemWidth": 16,
    "itemHeight": 8,
    "itemGap": 24,
    "textStyle": {"color": "var(--muted)"},
}
_LEVELS = (0.05, 0.5, 0.95)
Facts = Mapping[str, Any]
Point = tuple[str, float]


def plot(history: Facts, forecast: Facts | None, hours: int, now: datetime) -> dict[str, Any]:
    """Options of the chart. `forecast`: None where there is none yet."""
    since, until = now - timedelta(hours=hours), now + timedelta(hours=hours)
    came = [
        (one["at"], float(one["arrived"]))
        for one in history["items"]
        if (at := when(one["at"])) is not None and since <= at and at + timedelta(hours=1) <= now
    ]
    said = [] if forecast is None else _within(said_of(forecast), since, until)
    low, likely, high = ([(at, column[place]) for at, column in said] for place in range(3))
    # the band: the upper area, of which the lower one covers what is below it
    band = [
        _line("95 %", high, "var(--c2)", width=0, area="var(--info-soft)", z=1),
        _line("5 %", low, "var(--c2)", width=0, area="var(--panel)", z=2),
        _line("likely", likely, "var(--c2)", dashed=True, z=3),
    ]
    return {
        "xAxis": _time_axis(since, until if said else now, hours),
        "yAxis": axis(splitLine={"show": False}, min=0, minInterval=1),
        "legend": {**LEGEND, "data": ["likely", "came"]},
        "grid": {"left": 8, "right": 16, "top": 24, "bottom": 32, "containLabel": True},
        "series": [
            *(band if said else ()),
            {**_line("came", came, "var(--c1)", z=4), "markLine": _now_line(now)},
        ],
    }


def _time_axis(since: datetime, until: datetime, hours: int) -> dict[str, Any]:
    label = {
        "color": "var(--muted)",
        "fontSize": 11,
        "hideOverlap": True,
        "formatter": "{HH}:{mm}" if hours <= 48 else "{MM}-{dd}",
    }
    return axis("time", min=since.isoformat(), max=until.isoformat(), axisLabel=label)


def said_of(forecast: Facts) -> list[tuple[str, tuple[float, float, float]]]:
    """(when, (low, likely, high)) of every step that was forecast, past ones as they were forecast then."""
    said = [(str(one["at"]), (one["low"], one["likely"], one["high"])) for one in forecast["said"]]
    start = when(forecast["start"])
    if start is None:
        return said
    rows = [_row(forecast["levels"], forecast["values"], level) for level in _LEVELS]
    step = timedelta(seconds=float(forecast["step_seconds"]))
    to_come = [((start + number * step).isoformat(), column) for number, column in enumerate(zip(*rows, strict=True))]
    return said + to_come


def _row(levels: Sequence[float], values: Sequence[Sequence[float]], wanted: float) -> Sequence[float]:
    """That of the level nearest to it."""
    return values[min(range(len(levels)), key=lambda place: abs(levels[place] - wanted))]


def _within(
    said: Sequence[tuple[str, tuple[float, ...]]], since: datetime, until: datetime
) -> list[tuple[str, tuple[float, ...]]]:
    return [(at, column) for at, column in said if (moment := when(at)) is not None and since <= moment <= until]


def _line(
    name: str, points: Sequence[Point], color: str, *, width: float = 2, dashed: bool = False, area: str = "", z: int
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "type": "line",
        "data": [[at, round(value, 1)] for at, value in points],
        "showSymbol": len(points) == 1,
        "color": color,
        "lineStyle": {"width": width, "color": color, **({"type": "dashed"} if dashed else {})},
        "z": z,
    }
    if area:
        made["areaStyle"] = {"color": area, "opacity": 1}
    return made


def _now_line(now: datetime) -> dict[str, Any]:
    return {
        "silent": True,
        "symbol": "none",
        "label": {"formatter": "now", "color": "var(--muted)", "fontSize": 11},
        "lineStyle": {"color": "var(--muted)", "type": "solid", "width": 1},
        "data": [{"xAxis": now.isoformat()}],
    }


def trust_said(forecast: Facts | None, pool: str) -> str:
    """Whether sizes rest on it, in words."""
    if forecast is None:
        return f"There is no forecast for the pool {pool} yet: it needs some days of history. Sizes follow what waits."
    made = f"By the model {forecast['model']}, made {ago(forecast['made_at'])}."
    if forecast["trusted"]:
        return f"Sizes provide for it: {forecast['trust']}. {made}"
    return f"Sizes do not rest on it: {forecast['trust']}. {made}"


def held_said(history: Facts, forecast: Facts | None) -> str:
    """How many of the last outcomes were inside of what was said of them."""
    came = {when(one["at"]): float(one["arrived"]) for one in history["items"]}
    now = datetime.now(UTC)
    steps = [] if forecast is None else forecast["said"]
    known = [one for one in steps if when(one["at"]) in came and _is_over(one, now)]
    if not known:
        return ""
    held = sum(one["low"] <= came[when(one["at"])] <= one["high"] for one in known)
    return f"Of the last {len(known)} hours that were forecast before, {held} came within the band of 5 to 95 %."


def _is_over(one: Facts, now: datetime) -> bool:
    at = when(one["at"])
    return at is not None and at + timedelta(hours=1) <= now


def in_words(history: Facts, forecast: Facts | None, unit: str) -> str:
    """The chart for who does not see it."""
    last = history["items"][-24:]
    told = f"{sum(one['arrived'] for one in last):,} {unit} came in the last {len(last)} hours."
    if forecast is None:
        return told
    likely = _row(forecast["levels"], forecast["values"], 0.5)[:24]
    return f"{told} {sum(likely):,.0f} are likely in the coming {len(likely)}."
