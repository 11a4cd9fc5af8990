"""Months as money counts them: calendar months in UTC, written "2026-11"."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_MONTH = re.compile(r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])")
DAY_SECONDS = 86_400.0


def is_month(text: str) -> bool:
    return _MONTH.fullmatch(text) is not None


def month_of(seconds: float) -> str:
    """The month of a moment (seconds since 1970): 0.0 -> "1970-01"."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m")


def month_bounds(month: str) -> tuple[float, float]:
    """Its first moment, and that of the next month, in seconds since 1970. Raises ValueError for what is no month."""
    if not is_month(month):
        raise ValueError(f"{month!r} is no month such as 2026-11")
    year, number = int(month[:4]), int(month[5:])
    first = datetime(year, number, 1, tzinfo=UTC)
    after = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return first.timestamp(), after.timestamp()
