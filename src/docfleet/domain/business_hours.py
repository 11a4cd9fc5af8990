"""Floors by the clock: at least so many workers in these hours, in local time, on these days. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from docfleet.errors import UsageError

DAY_MINUTES = 24 * 60


class ClockFloor(msgspec.Struct, frozen=True):
    """At least so many workers in these hours of local time."""

    workers: int
    days: frozenset[int] = frozenset(range(7))
    """0 is Monday."""
    from_minute: int = 0
    to_minute: int = DAY_MINUTES
    """Minutes of the day; before `from_minute`: it goes on past midnight."""
    on_holidays: bool = True

    def holds(self, local: datetime, holidays: frozenset[str]) -> bool:
        """Whether it is in force at this local time. What goes on past midnight belongs to the day it began on."""
        minute = local.hour * 60 + local.minute
        if self.from_minute < self.to_minute:
            return self.from_minute <= minute < self.to_minute and self._begins(local, holidays)
        if minute >= self.from_minute:
            return self._begins(local, holidays)
        return minute < self.to_minute and self._begins(local - timedelta(days=1), holidays)

    def _begins(self, local: datetime, holidays: frozenset[str]) -> bool:
        is_holiday = local.date().isoformat() in holidays
        return local.weekday() in self.days and (self.on_holidays or not is_holiday)


def zone(name: str) -> ZoneInfo:
    """Raises UsageError where there is no such time zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"There is no time zone {name}: take a name such as Europe/Berlin.") from error


def floor_at(floors: Sequence[ClockFloor], timezone: str, holidays: frozenset[str], now: float) -> ClockFloor | None:
    """The highest floor in force at `now` (seconds since 1970, UTC); None where none is.

    Hours are those of the wall clock, so that 8:00 is 8:00 in summer and in winter; an hour that is struck twice counts
    both times, one that is skipped not at all. Raises UsageError for an unknown time zone.
    """
    if not floors:
        return None
    local = datetime.fromtimestamp(now, zone(timezone))
    held = [floor for floor in floors if floor.holds(local, holidays)]
    return max(held, key=lambda floor: floor.workers, default=None)
