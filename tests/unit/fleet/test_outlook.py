"""Of a forecast, the fullest moment until a worker that starts now is of use."""

from __future__ import annotations

import pytest

from docfleet.fleet.forecast.base import Forecast, Trust
from docfleet.fleet.outlook import outlook_of

HOUR = 3600.0
MADE = Forecast(
    "made up", 10 * HOUR, HOUR, (0.05, 0.5, 0.95),
    ((0.0, 10.0, 20.0, 0.0), (36.0, 72.0, 144.0, 36.0), (72.0, 144.0, 288.0, 72.0)), (), Trust(True, "it held"),
)  # fmt: skip


def test_within_a_step_it_is_that_step() -> None:
    found = outlook_of(MADE, 10.5 * HOUR, 10.6 * HOUR, 0.95, 5.0)
    assert (found.expected, found.upper) == pytest.approx((36 * 5 / HOUR, 72 * 5 / HOUR))
    assert (found.trusted, found.reason) == (True, "made up: it held")


def test_the_fullest_step_that_is_touched_counts() -> None:
    found = outlook_of(MADE, 10.9 * HOUR, 12.1 * HOUR, 0.95, 1.0)
    assert found.expected == pytest.approx(144 / HOUR)


def test_levels_between_those_known_and_beyond_them() -> None:
    assert outlook_of(MADE, 10.1 * HOUR, 10.2 * HOUR, 0.725, HOUR).upper == pytest.approx(54.0)
    assert outlook_of(MADE, 10.1 * HOUR, 10.2 * HOUR, 0.99, HOUR).upper == pytest.approx(72.0)
    assert outlook_of(MADE, 10.1 * HOUR, 10.2 * HOUR, 0.01, HOUR).upper == pytest.approx(36.0), "never below the median"


@pytest.mark.parametrize(("since", "until"), [(9.9, 10.5), (13.5, 14.0), (20.0, 21.0)])
def test_beyond_its_ends_it_tells_nothing(since: float, until: float) -> None:
    found = outlook_of(MADE, since * HOUR, until * HOUR, 0.9, 1.0)
    assert not found.trusted
    assert "too old" in found.reason


def test_what_is_not_trusted_says_so() -> None:
    doubted = Forecast(MADE.model, MADE.start, HOUR, MADE.levels, MADE.values, (), Trust(False, "too often wrong"))
    assert not outlook_of(doubted, 10.1 * HOUR, 10.2 * HOUR, 0.9, 1.0).trusted
