"""Floors as people write them."""

from __future__ import annotations

import pytest

from docfleet.domain.business_hours import ClockFloor
from docfleet.domain.floor_text import read_floor
from docfleet.errors import UsageError

WEEK = frozenset(range(7))


@pytest.mark.parametrize(
    ("text", "floor"),
    [
        ("mon-fri 08:00-18:00 6", ClockFloor(6, frozenset(range(5)), 480, 1080)),
        ("MON-FRI 8:00-18:00 6 workdays", ClockFloor(6, frozenset(range(5)), 480, 1080, False)),
        ("* 22:00-06:00 2", ClockFloor(2, WEEK, 1320, 360)),
        ("sat+sun 00:00-24:00 1", ClockFloor(1, frozenset({5, 6}), 0, 1440)),
        (" fri-mon+wed 00:30 - 01:30  3 ", ClockFloor(3, frozenset({4, 5, 6, 0, 2}), 30, 90)),
        ("sun 09:00-10:00 0", ClockFloor(0, frozenset({6}), 540, 600)),
    ],
)
def test_what_is_written_is_read(text: str, floor: ClockFloor) -> None:
    assert read_floor(text) == floor


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no floor"),
        ("mon-fri 6", "is no floor"),
        ("mon-fri 08:00-18:00 many", "is no floor"),
        ("mon-fri 08:00-18:00 -1", "is no floor"),
        ("mon-fry 08:00-18:00 6", "is no day"),
        ("mon 08:60-18:00 6", "no time of day"),
        ("mon 08:00-24:01 6", "no time of day"),
        ("mon 25:00-26:00 6", "no time of day"),
        ("mon 08:00-08:00 6", "no time at all"),
        ("mon 24:00-08:00 6", "no time at all"),
    ],
)
def test_what_is_no_floor_is_told(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_floor(text)
