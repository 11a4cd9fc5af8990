"""When the report on a month is made by the schedule. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from docfleet.domain.business_hours import zone
from docfleet.domain.months import month_bounds, month_of

SETTLE_SECONDS = 900.0
"""After the month's end: what ended in its last minutes is counted by then."""


def due_month(now: float, hour: int, timezone: str) -> str | None:
    """The month (of UTC) to be reported on now; None: that of the present month is not due yet.

    It is the one before the present, from `hour` o'clock of local time on, on the first local day that begins in the
    present month or holds its beginning; and not before the month is over and counted. A report that was missed is
    made later in the month. Raises UsageError for an unknown time zone.
    """
    begin = month_bounds(month_of(now))[0]
    local = datetime.fromtimestamp(begin, zone(timezone))
    # west of Greenwich the month of UTC begins on the evening before
    first = local.date() if local.day == 1 else local.date() + timedelta(days=1)
    at = datetime(first.year, first.month, first.day, hour, tzinfo=zone(timezone)).timestamp()
    return month_of(begin - 1) if now >= max(at, begin + SETTLE_SECONDS) else None


def months_before(month: str, count: int) -> str:
    """("2026-02", 3) -> "2025-11"."""
    for _ in range(count):
        month = month_of(month_bounds(month)[0] - 1)
    return month
