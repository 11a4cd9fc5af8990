"""The page of a simulated fleet: axes with round numbers, curves that keep their peaks, the same PDF each time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from docfleet.reports.figures import Tile
from docfleet.reports.fleet import Chart, Curve, FleetReport, fleet_figures, fleet_image, fleet_pdf, hour_ticks, thinned
from docfleet.reports.fleet import ticks as value_ticks


def page(values: tuple[float, ...] = (1.0, 5.0, 2.0)) -> FleetReport:
    return FleetReport(
        title="peak, 2 policies",
        period="today",
        verdict="Nothing was lost.",
        tone="good",
        version="1",
        made=datetime(2026, 11, 22, tzinfo=UTC),
        seconds=7200.0,
        tiles=(Tile("1", "Documents"),),
        head=("Policy", "Hours"),
        rows=(("queue", "1"), ("predictive", "2")),
        charts=(
            Chart("Workers", "asked for", "Workers over time", (Curve("queue", "queue", values, True),), 4.0, "target"),
            Chart("Nothing", "at all", "An empty chart", (Curve("demand", "demand", ()),)),
        ),
        notes=("A note.",),
    )


@pytest.mark.parametrize(
    ("highest", "top", "labels"),
    [
        (0.0, 1.0, ["0", "0.25", "0.5", "0.75", "1"]),
        (47.0, 60.0, ["0", "20", "40", "60"]),
        (784.0, 800.0, ["0", "200", "400", "600", "800"]),
    ],
)
def test_ticks_are_round_and_reach_over_the_highest(highest: float, top: float, labels: list[str]) -> None:
    found, reached = value_ticks(highest)
    assert reached == top >= highest
    assert [label for _, label in found] == labels


def test_time_is_told_in_the_unit_of_the_run() -> None:
    assert [label for _, label in hour_ticks(6 * 3600)] == ["0 h", "1 h", "2 h", "3 h", "4 h", "5 h", "6 h"]
    assert hour_ticks(7 * 86_400)[-1] == (1.0, "7 d")
    assert len(hour_ticks(400 * 86_400)) < 40


def test_a_thinned_curve_keeps_its_peak() -> None:
    values = [0.0] * 5000
    values[3333] = 9.0
    assert max(thinned(values, 400)) == 9.0
    assert len(thinned(values, 400)) == 400


def test_a_stepped_curve_holds_its_value() -> None:
    points = fleet_figures(page()).charts[0].curves[0].points
    top = 6.0
    assert points[0] == (0.0, pytest.approx(1 / top, abs=1e-4))
    assert points[1] == (pytest.approx(1 / 3, abs=1e-4), points[0][1])
    assert points[-1] == (1.0, pytest.approx(2 / top, abs=1e-4))


def test_the_page_is_set_as_a_pdf_and_as_an_image() -> None:
    assert fleet_pdf(page()) == fleet_pdf(page())
    assert fleet_pdf(page()).startswith(b"%PDF")
    assert fleet_image(page(), 50.0).startswith(b"\x89PNG")
