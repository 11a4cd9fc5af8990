"""When the monthly report is due."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from docfleet.domain.report_schedule import due_month, months_before
from docfleet.errors import UsageError


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("now", "hour", "zone", "due"),
    [
        ("2026-11-01 05:59", 6, "UTC", None),
        ("2026-11-01 06:00", 6, "UTC", "2026-10"),
        ("2026-11-30 23:59", 6, "UTC", "2026-10"),
        # not before what ended in the last minutes is counted
        ("2026-11-01 00:10", 0, "UTC", None),
        ("2026-11-01 00:15", 0, "UTC", "2026-10"),
        ("2027-01-01 06:00", 6, "UTC", "2026-12"),
        ("2026-11-01 05:59", 6, "Europe/Berlin", None),
        ("2026-11-01 06:00", 6, "Europe/Berlin", "2026-10"),
        # at 1 o'clock in Berlin the month of UTC has just ended; before, it is the one before that
        ("2026-11-01 00:30", 0, "Europe/Berlin", "2026-09"),
        ("2026-11-01 01:14", 0, "Europe/Berlin", None),
        ("2026-11-01 01:15", 0, "Europe/Berlin", "2026-10"),
        # west of Greenwich it ends on the evening before the first
        ("2026-10-31 20:00", 6, "America/New_York", None),
        ("2026-11-01 06:00", 6, "America/New_York", "2026-10"),
    ],
)
def test_when_it_is_due(now: str, hour: int, zone: str, due: str | None) -> None:
    assert due_month(at(now, zone), hour, zone) == due


def test_an_unknown_time_zone_is_told() -> None:
    with pytest.raises(UsageError, match="Middle/Earth"):
        due_month(0.0, 6, "Middle/Earth")


def test_months_back() -> None:
    assert months_before("2026-02", 3) == "2025-11"
    assert months_before("2026-02", 0) == "2026-02"
