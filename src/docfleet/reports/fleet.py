"""One page on a simulated fleet: policies side by side, in figures and in curves. Values in, a PDF or an image out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from math import ceil, floor, log10

import msgspec

from docfleet.reports.figures import Tile
from docfleet.reports.printable import fit_text
from docfleet.reports.typesetting import draw, typeset

CURVE_POINTS = 400
TEMPLATE = "fleet.typ"


class Curve(msgspec.Struct, frozen=True):
    """A quantity over the run, in equal steps."""

    key: str
    """Decides its colour: the policy, or "demand"."""
    name: str
    values: tuple[float, ...]
    stepped: bool = False
    """Holds its value until the next; otherwise it runs straight there."""


class Chart(msgspec.Struct, frozen=True):
    title: str
    unit: str
    alt: str
    """What the drawing shows, in words."""
    curves: tuple[Curve, ...]
    mark: float | None = None
    """A level with a dotted line: a target."""
    mark_name: str = ""


class FleetReport(msgspec.Struct, frozen=True):
    title: str
    period: str
    verdict: str
    tone: str
    """"plain", "good", "warn" or "bad"."""
    version: str
    made: datetime
    seconds: float
    """That the run lasts: the width of the charts."""
    tiles: tuple[Tile, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """One for each policy; the first cell is its key."""
    charts: tuple[Chart, ...]
    notes: tuple[str, ...] = ()


class DrawnCurve(msgspec.Struct, frozen=True):
    key: str
    name: str
    points: tuple[tuple[float, float], ...]
    """Across and up, each 0..1."""


class DrawnChart(msgspec.Struct, frozen=True):
    title: str
    alt: str
    curves: tuple[DrawnCurve, ...]
    up: tuple[tuple[float, str], ...]
    across: tuple[tuple[float, str], ...]
    mark: float | None
    mark_name: str


class FleetFigures(msgspec.Struct, frozen=True):
    """What the template sets, in its order."""

    title: str
    period: str
    verdict: str
    tone: str
    version: str
    tiles: tuple[Tile, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    charts: tuple[DrawnChart, ...]
    notes: tuple[str, ...]


def fleet_pdf(report: FleetReport) -> bytes:
    """A4, tagged, PDF/A-2a and PDF/UA-1; the same value gives the same bytes. Raises DocfleetError."""
    return typeset(TEMPLATE, fleet_figures(report), report.made)


def fleet_image(report: FleetReport, ppi: float = 150.0) -> bytes:
    """The same page as a PNG. Raises DocfleetError."""
    return draw(TEMPLATE, fleet_figures(report), report.made, ppi)


def fleet_figures(report: FleetReport) -> FleetFigures:
    across = hour_ticks(report.seconds)
    return FleetFigures(
        title=fit_text(report.title, 90, run=30),
        period=fit_text(report.period, 120),
        verdict=report.verdict,
        tone=report.tone,
        version=fit_text(report.version, 40),
        tiles=report.tiles,
        head=report.head,
        rows=report.rows,
        charts=tuple(_drawn(chart, across) for chart in report.charts),
        notes=report.notes,
    )


def _drawn(chart: Chart, across: tuple[tuple[float, str], ...]) -> DrawnChart:
    highest = max([0.0, *(max(curve.values, default=0.0) for curve in chart.curves)])
    up, top = ticks(max(highest, 1.05 * (chart.mark or 0.0)))
    return DrawnChart(
        title=f"{chart.title} · {chart.unit}",
        alt=chart.alt,
        curves=tuple(DrawnCurve(one.key, one.name, _points(one, top)) for one in chart.curves),
        up=up,
        across=across,
        mark=None if chart.mark is None else chart.mark / top,
        mark_name=chart.mark_name,
    )


def _points(curve: Curve, top: float) -> tuple[tuple[float, float], ...]:
    values = thinned(curve.values, CURVE_POINTS)
    count = max(1, len(values) - (0 if curve.stepped else 1))
    points: list[tuple[float, float]] = []
    for number, value in enumerate(values):
        height = round(min(1.0, max(0.0, value / top)), 5)
        if curve.stepped and points:
            points.append((round(number / count, 5), points[-1][1]))
        points.append((round(number / count, 5), height))
    if curve.stepped and points:
        points.append((1.0, points[-1][1]))
    return tuple(points)


def thinned(values: Sequence[float], most: int) -> Sequence[float]:
    """At most so many values, each the highest of those it stands for: no peak is left out."""
    if len(values) <= most:
        return values
    edges = [round(number * len(values) / most) for number in range(most + 1)]
    return [max(values[first:after]) for first, after in pairwise(edges)]


def ticks(highest: float) -> tuple[tuple[tuple[float, str], ...], float]:
    """(height of each tick in 0..1 and its label, value at the top): three to six round numbers from 0 to the top."""
    wanted = highest if highest > 0 else 1.0
    rough = wanted / 4
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough - 1e-12)
    count = max(1, ceil(wanted / step - 1e-9))
    return tuple((number / count, _label(number * step)) for number in range(count + 1)), count * step


def _label(value: float) -> str:
    return f"{value:,.0f}" if value == 0 or value >= 10 or value == round(value) else f"{value:.3g}"


def hour_ticks(seconds: float) -> tuple[tuple[float, str], ...]:
    """Labels of time since the start: minutes, hours or days."""
    for unit, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 3 * unit or name == "min":
            whole = seconds / unit
            step = max(1, next(size for size in (1, 2, 3, 6, 7, 12, 14, 28, 60, 120, 10**6) if whole / size <= 9))
            return tuple((number * unit / seconds, f"{number} {name}") for number in range(0, int(whole) + 1, step))
    return ()
